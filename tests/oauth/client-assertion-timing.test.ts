/** Work is counted, not time: what takes the same work for somebody known and unknown cannot be told apart. */
import * as nodeCrypto from 'node:crypto';
import { SignJWT } from 'jose';
import { afterEach, expect, test, vi } from 'vitest';
import type { Person } from '../../src/core/people.ts';
import { authenticateClient, thumbprintOf } from '../../src/oauth/client-assertion.ts';
import { aMember, PARTNER } from '../support/facts.ts';

vi.mock('node:crypto', async (load) => {
  const original = await load<typeof nodeCrypto>();
  return {
    ...original,
    createPublicKey: vi.fn<typeof original.createPublicKey>(original.createPublicKey),
  };
});
afterEach(() => vi.restoreAllMocks());

const NOW = 1_800_000_000_000;
const ISSUER = 'https://broker.example';

const stranger = nodeCrypto.generateKeyPairSync('ed25519').privateKey;

function sign(id: string, kid: string): Promise<string> {
  const seconds = NOW / 1000;
  return new SignJWT({ iss: id, sub: id, aud: ISSUER, jti: 'assertion-1', exp: seconds + 60 })
    .setProtectedHeader({ alg: 'EdDSA', kid })
    .sign(stranger);
}

/** How often a key was imported for a try that fails, by either of the two ways that there are. */
async function importsOf(jwt: string, people: Person[]): Promise<[number, number]> {
  const imports = vi.mocked(nodeCrypto.createPublicKey).mockClear();
  const webImports = vi.spyOn(crypto.subtle, 'importKey').mockClear();
  const find = (id: string): Person | undefined => people.find((one) => one.id === id);
  await expect(authenticateClient(jwt, ISSUER, find, NOW)).rejects.toMatchObject({
    refusal: { code: 'invalid_client' },
  });
  return [imports.mock.calls.length, webImports.mock.calls.length];
}

test("a known person's first try costs what an unknown one's does, and so does every other", async () => {
  const { x } = nodeCrypto.generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
  const kid = await thumbprintOf({ x: x as string });
  const { person } = aMember(PARTNER, 'known', 'researcher');
  person.keys = [{ kid, x: x as string, addedAt: 0 }];
  const unknown = await importsOf(await sign('per_unknown', kid), [person]);
  expect(unknown[0]).toBe(1);
  const jwt = await sign(person.id, kid);
  const tries = [await importsOf(jwt, [person]), await importsOf(jwt, [person])];
  // A change of the person, such as a new key, has them read anew.
  tries.push(await importsOf(jwt, [structuredClone(person)]));
  tries.push(await importsOf(await sign(person.id, 'another'), [person]));
  tries.push(await importsOf(await sign('per_unknown', kid), [person]));
  expect(tries).toEqual(tries.map(() => unknown));
});
