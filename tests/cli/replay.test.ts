import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SignJWT } from 'jose';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { issueOrder, liftOrder } from '../../src/broker/issue-order.ts';
import { issueToken } from '../../src/broker/issue-token.ts';
import { revokeTokens } from '../../src/broker/end-access.ts';
import { removePerson } from '../../src/broker/manage-people.ts';
import { orderSpecSchema } from '../../src/core/orders/order.ts';
import { bundleOf, logOf, newLogKey } from '../audit/sample-log.ts';
import { BEGIN, CONFIG, HOUR, instant, makeWorld } from '../fuzz/access/setting.ts';
import type { ModelGrant } from '../fuzz/access/state.ts';
import { LocalBroker } from '../support/local-broker.ts';
import { entriesIn } from '../support/replayed.ts';
import { newCli } from './run-cli.ts';

const cli = newCli();
afterAll(() => cli.remove());
vi.spyOn(globalThis, 'fetch').mockRejectedValue(new Error('no network here'));

/** An order on a grant from the first hour until the second; after the third, somebody is removed. */
const world = await makeWorld();
const local = LocalBroker.copyOf(world.template, CONFIG, BEGIN);
const [grant, other] = world.model.grants as [ModelGrant, ModelGrant];
const by = (role: string): string =>
  world.model.people.find((one) => one.kind === 'host' && one.roles.join() === role)?.id ?? '';
const at = (hours: number): void => void (local.time.now = BEGIN + hours * HOUR);
at(0.5);
const researcher = world.model.people.find((one) => one.attributes['export_status'] === 'cleared');
const access = { type: 'model_access', grant: grant.id, purpose: 'hallucination' } as const;
await askForToken({ ...access, run: 'first' });
await askForToken({ ...access, run: 'second' });
await askForToken(undefined);
at(1);
const spec = orderSpecSchema.parse({ selector: { grant: grant.id }, grounds: 'A test' });
const { order } = await issueOrder(local.broker, by('safety'), spec, true);
at(2);
await liftOrder(local.broker, by('admin'), order.id, 'Done');
at(3);
await removePerson(local.broker, by('admin'), researcher?.id ?? '');
await revokeTokens(local.broker, by('admin'), { grant: other.id });
const key = newLogKey('test.example/log');
const entries = entriesIn(local.writer.context.db);
await local.discard();
const bundle = join(cli.folder, 'evidence.tar');
writeFileSync(bundle, await bundleOf(logOf(entries, key)));

async function askForToken(what: Parameters<typeof issueToken>[1]['access']): Promise<void> {
  const { broker, time } = local;
  const held = researcher?.keys[0];
  if (!held) throw new Error('The researcher has no key.');
  const now = Math.floor(time.now / 1000);
  const clientAssertion = await new SignJWT({ jti: randomUUID(), iat: now, exp: now + 60 })
    .setIssuer(researcher.id)
    .setSubject(researcher.id)
    .setAudience(broker.issuer)
    .setProtectedHeader({ alg: 'EdDSA', kid: held.kid })
    .sign(held.privateKey);
  const none = { labAssertion: undefined, clientId: undefined, resource: undefined };
  await issueToken(
    broker,
    { clientAssertion, ...none, access: what },
    { proofs: [], method: 'POST', url: '' },
  );
}

interface Answer {
  grants: { id: string; status: string; roster: { personId: string; removed: boolean }[] }[];
  orders: { id: string }[];
  gaps: unknown[];
  entries: number;
}

const replay = async (...more: string[]): Promise<Answer> => {
  const args = ['audit', 'replay', bundle, '--key', key.verifierKey, '--json', ...more];
  const { code, out } = await cli.run(...args);
  expect(code).toBe(0);
  return JSON.parse(out) as Answer;
};

describe('audit replay', () => {
  it('tells what stood at a moment', async () => {
    const statuses = async (hours: number): Promise<string[]> => {
      const { grants, gaps } = await replay('--at', instant(BEGIN + hours * HOUR));
      expect(gaps).toEqual([]);
      return grants.slice(0, 2).map(({ status }) => status);
    };
    expect(await statuses(0.5)).toEqual(['active', 'active']);
    expect(await statuses(1.5)).toEqual(['suspended', 'active']);
    expect(await statuses(2.5)).toEqual(['active', 'active']);
    expect(await statuses(24 * 31)).toEqual(['expired', 'expired']);
  });

  it('without a moment, tells what stood when the last entry was made', async () => {
    const { grants, orders, entries: told } = await replay();
    expect([orders, told]).toEqual([[], entries.length]);
    const place = grants[0]?.roster.find(({ personId }) => personId === researcher?.id);
    expect(place?.removed).toBe(true);
  });

  it('tells what stood with an entry', async () => {
    const index = entries.findIndex((bytes) => bytes.includes('"kind":"order.issued"'));
    expect((await replay('--up-to', String(index))).orders).toMatchObject([{ id: order.id }]);
    expect((await replay('--up-to', String(index - 1))).orders).toEqual([]);
  });

  it('prints it for people', async () => {
    const moment = instant(BEGIN + 1.5 * HOUR);
    const args = ['audit', 'replay', bundle, '--key', key.verifierKey, '--at', moment];
    const { code, out, err } = await cli.run(...args);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('As of 2026-06-15T09:30:00Z, by the first');
    expect(out).toMatch(new RegExp(`${grant.id}.*suspended`));
    expect(out).toMatch(new RegExp(`${order.id}.*level 4, suspend.*grant ${grant.id}`));
    expect(out).toContain('A researcher 1');
  });

  it('tells tokens for models from those for the control API', async () => {
    const moment = instant(BEGIN + 0.6 * HOUR);
    const args = ['audit', 'replay', bundle, '--key', key.verifierKey, '--at', moment];
    const { out } = await cli.run(...args);
    expect(out).toContain('Live: 2 tokens for models, 1 token for the control API.');
  });

  it('tells nothing from a bundle that is not sound, and ends as "audit verify" does', async () => {
    const forged = join(cli.folder, 'forged.tar');
    const lines = entries.map((bytes) => bytes);
    writeFileSync(forged, await bundleOf(logOf(lines, newLogKey('test.example/log'))));
    const tampered = await cli.run('audit', 'replay', forged, '--key', key.verifierKey);
    expect([tampered.code, tampered.out]).toEqual([1, '']);
    expect(tampered.err).toContain('Nothing is told from a bundle that is not sound');
    const missing = await cli.run('audit', 'replay', 'nowhere.tar', '--key', key.verifierKey);
    expect([missing.code, missing.out]).toEqual([3, '']);
  });

  it('takes one moment', async () => {
    const both = ['--at', instant(BEGIN), '--up-to', '3'];
    const answer = await cli.run('audit', 'replay', bundle, '--key', key.verifierKey, ...both);
    expect(answer.code).toBe(3);
    expect(answer.err).toContain('exclude each other');
  });
});
