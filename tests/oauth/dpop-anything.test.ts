import { generateKeyPairSync } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { RefusedError } from '../../src/core/denials.ts';
import { DPOP_ALGORITHMS, verifyDpopProof } from '../../src/oauth/dpop-proof.ts';
import { jwk, makeProof, request } from './sample-proof.ts';

const ecJwk = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
  format: 'jwk',
});
const rsaJwk = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({
  format: 'jwk',
});

const anything = fc.oneof(
  fc.jsonValue(),
  fc.base64String(),
  fc.constantFrom('OKP', 'EC', 'RSA', 'P-256'),
);
const members = (...names: string[]) =>
  fc.record(Object.fromEntries(names.map((name) => [name, anything])), { requiredKeys: [] });
const octets = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes).toString('base64url'));

const keys = fc.oneof(
  members('kty', 'crv', 'x', 'y', 'n', 'e').map((changes) => ({ ...jwk, ...changes })),
  members('x', 'y').map((changes) => ({ ...ecJwk, ...changes })),
  members('n', 'e').map((changes) => ({ ...rsaJwk, ...changes })),
  octets(32, 32).map((x) => ({ ...jwk, x })),
  octets(32, 32).map((x) => ({ ...ecJwk, x })),
  octets(256, 256).map((n) => ({ ...rsaJwk, n })),
  octets(0, 4).map((e) => ({ ...rsaJwk, e })),
);

const refusalOf = (proof: string): Promise<unknown> =>
  verifyDpopProof(proof, request).then(
    () => 'accepted',
    (error: unknown) => (error instanceof RefusedError ? error.refusal : error),
  );

const BY_A_RULE = {
  code: 'invalid_dpop_proof',
  message: expect.stringContaining('DPoP proof') as string,
};

test('a proof with anything in it is refused, and breaks nothing', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...DPOP_ALGORITHMS),
      keys,
      members('typ', 'alg', 'jwk', 'crit', 'kid'),
      members('jti', 'htm', 'htu', 'iat', 'exp', 'nbf', 'nonce', 'ath'),
      fc.uint8Array({ maxLength: 600 }),
      async (alg, key, header, claims, signature) => {
        const proof = makeProof({
          header: { alg, jwk: key, ...header },
          claims,
          signer: () => Buffer.from(signature),
        });
        expect(await refusalOf(proof)).toEqual(BY_A_RULE);
      },
    ),
    { numRuns: 1000 },
  );
});

test('a proof with good claims and anything as its key is refused, and breaks nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...DPOP_ALGORITHMS), keys, async (alg, key) => {
      const proof = makeProof({ header: { alg, jwk: key }, signer: () => Buffer.alloc(64, 1) });
      expect(await refusalOf(proof)).toEqual(BY_A_RULE);
    }),
    { numRuns: 500 },
  );
});

test('a text that is no proof is refused, and breaks nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.string(), fc.stringMatching(/^[\w.-]{0,80}$/)), async (proof) => {
      expect(await refusalOf(proof)).toEqual(BY_A_RULE);
    }),
  );
});
