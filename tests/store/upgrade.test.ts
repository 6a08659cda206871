/** A data directory of version 0.1.0 with live data in it, opened by this version. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import { checkConsistency } from '../../src/core/audit/checkpoint.ts';
import { consistencyProof } from '../../src/core/audit/proofs.ts';
import { hashesFromTiles } from '../../src/core/audit/tiles.ts';
import { ASSERTION_TYPE } from '../../src/oauth/client-assertion.ts';
import { mintId } from '../../src/lib/ids.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { Readers, type EntryFilter } from '../../src/store/readers.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Api } from '../support/api.ts';
import { getToken, signAssertion, tokenForm, type TestPerson } from '../support/people.ts';
import {
  LocalWriter,
  reserveArgs,
  settleArgs,
  type ReserveInput,
  type World,
} from '../support/store.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { makeOldData, type OldData, type OldRequest } from '../support/version-0-1.ts';

let dataDir: string;
let old: OldData;
let broker: TestBroker;
let api: Api;
const logged: Record<string, unknown>[] = [];

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'sallyport-upgrade-'));
  old = makeOldData(dataDir, Date.now());
  const write = (line: string): void => void logged.push(JSON.parse(line) as object as never);
  broker = await startTestBroker({ dataDir, log: createLogger({ level: 'warn' }, { write }) });
  api = new Api(broker);
});
afterAll(async () => {
  await broker.close();
  rmSync(dataDir, { recursive: true, force: true });
});

/** A token as 0.1.0 signed it. */
function oldToken(audience: 'gateway' | 'control'): Promise<string> {
  const { id, issuedAt, expiresAt } = old.tokens[audience];
  const access = { grant: old.grant, grant_version: 1, epoch: 0, purpose: 'hallucination' };
  const person = old.researcher.id;
  return new SignJWT({
    client_id: person,
    ...(audience === 'gateway' ? { ...access, run: old.run } : {}),
  })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: old.tokenKey.kid })
    .setIssuer(broker.url)
    .setSubject(person)
    .setAudience(audience === 'gateway' ? `${broker.url}/v1` : `${broker.url}/api/v1`)
    .setJti(id)
    .setIssuedAt(issuedAt / 1000)
    .setExpirationTime(expiresAt / 1000)
    .sign(old.tokenKey.privateKey);
}

interface RawAnswer {
  status: number;
  body: Record<string, unknown>;
}

async function send(path: string, init: RequestInit): Promise<RawAnswer> {
  const answer = await fetch(`${broker.url}${path}`, init);
  return { status: answer.status, body: (await answer.json()) as RawAnswer['body'] };
}

const withToken = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
const post = (path: string, form: Record<string, string>): Promise<RawAnswer> =>
  send(path, { method: 'POST', body: new URLSearchParams(form) });

async function introspect(who: TestPerson, token: string): Promise<RawAnswer['body']> {
  const { client_assertion_type, client_assertion } = await tokenForm(broker, who);
  const form = { client_assertion_type, client_assertion, token } as Record<string, string>;
  return (await post('/oauth/introspect', form)).body;
}

describe('what version 0.1.0 left', () => {
  test('is brought to the schema of this version', () => {
    const db = new Database(join(dataDir, DATABASE_FILE), { readonly: true });
    const folder = new URL('../../migrations/sqlite/', import.meta.url);
    const migrations = readdirSync(folder).filter((name) => name.endsWith('.sql'));
    expect(db.pragma('user_version', { simple: true })).toBe(migrations.length);
    db.close();
  });

  test('says who set the attributes of people: who registered them', async () => {
    const { body } = await api.get(old.admin, `/people/${old.researcher.id}`);
    const { attributes, attributesSet, createdAt } = body as Record<string, unknown>;
    expect(attributes).toEqual({ team: 'red' });
    expect(attributesSet).toEqual({ team: { by: old.admin.id, at: createdAt } });
  });

  test('keeps its tokens: they pass where they passed', async () => {
    const models = await send('/v1/models', withToken(await oldToken('gateway')));
    expect([models.status, models.body['data']]).toEqual([
      200,
      [expect.objectContaining({ id: 'model-a-1' })],
    ]);
    const me = await send('/api/v1/me', withToken(await oldToken('control')));
    expect(me).toMatchObject({ status: 200, body: { person: { id: old.researcher.id } } });
  });

  test('keeps its orders in force', async () => {
    const { headers } = withToken(await oldToken('gateway'));
    const refused = await send('/v1/chat/completions', {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'model-b-1', messages: [{ role: 'user', content: 'Hi' }] }),
    });
    expect(refused).toMatchObject({ status: 403, body: { error: { code: 'model_suspended' } } });
    const { body } = await api.get(old.safety, '/orders?inForce=true');
    expect(body.items).toMatchObject([{ id: old.order, selector: { model: 'model-b-1' } }]);
  });

  test('keeps used assertions used', async () => {
    const again = await post('/oauth/token', {
      grant_type: 'client_credentials',
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: await signAssertion(broker, old.researcher, { jti: old.jti }),
    });
    expect([again.status, again.body['code']]).toEqual([401, 'assertion_replayed']);
  });

  test('gives tokens as before, which name the key that signs them', async () => {
    const access = { grant: old.grant, purpose: 'hallucination' as const, run: 'after' };
    const token = await getToken(broker, old.researcher, access);
    expect((await send('/v1/models', withToken(token))).status).toBe(200);
  });

  test('is listed and introspected as if it were of today', async () => {
    const tokens = (await api.get(old.admin, '/tokens')).body.items as { id: string }[];
    expect(tokens.find(({ id }) => id === old.tokens.gateway.id)).toMatchObject({
      audience: 'gateway',
      vouchedBy: 'person',
      bound: null,
    });
    const runs = (await api.get(old.admin, '/runs')).body.items as { id: string }[];
    expect(runs.find(({ id }) => id === old.run)).toMatchObject({ name: 'before', endedAt: null });
    const grants = (await api.get(old.lead, '/grants')).body.items as object[];
    expect(grants).toMatchObject([
      { id: old.grant, state: 'active', approvalsNeeded: ['admin', 'safety'], proposed: null },
    ]);
    expect((await api.get(old.lead, `/grants/${old.grant}`)).status).toBe(200);
    const labs = (await api.get(old.admin, '/labs')).body.items as object[];
    expect(labs).toEqual([1, 2].map(() => expect.objectContaining({ identity: null }) as object));
    const names = (await api.get(old.admin, '/people')).body.items as { name: string }[];
    expect(names).toHaveLength(6);
    expect(await introspect(old.researcher, await oldToken('gateway'))).toMatchObject({
      active: true,
      jti: old.tokens.gateway.id,
      authorization_details: [
        { grant: old.grant, purpose: 'hallucination', run: 'before', models: ['model-a-1'] },
      ],
    });
  });

  test('has a key of a person that is refused now, which works and is warned of', async () => {
    await expect(getToken(broker, old.stray)).resolves.toBeTypeOf('string');
    const warnings = logged.filter(({ msg }) => String(msg).includes('stray bits'));
    expect(warnings).toMatchObject([{ personId: old.stray.id, kid: old.stray.kid }]);
    expect(String(warnings[0]?.['msg'])).toContain('person replace-key');
  });
});

describe('the log of version 0.1.0', () => {
  test('goes on where it stood, and verifies as one', async () => {
    const { readers, store } = broker.broker;
    const entries = readers.listEntries({ from: 0, limit: 1_000 });
    expect(entries.slice(0, old.entries.length).map(({ bytes }) => bytes)).toEqual(old.entries);
    const next = entries
      .slice(old.entries.length)
      .map(({ bytes }) => JSON.parse(String(bytes)) as object);
    expect(next.slice(0, 3)).toMatchObject([
      { kind: 'key.created', ref: old.tokenKey.kid },
      { kind: 'key.activated', ref: old.tokenKey.kid },
      { kind: 'system.started' },
    ]);
    const { note, size } = readers.latestCheckpoint() ?? { note: '', size: 0 };
    const hashAt = hashesFromTiles(size, readers.readTile);
    const proof = consistencyProof(old.entries.length, size, hashAt);
    const verdict = checkConsistency(old.checkpoint, note, store.verifierKey, proof);
    expect([verdict, size > old.entries.length]).toEqual([{ consistent: true }, true]);
    const answer = await fetch(`${broker.url}/api/v1/exports`, {
      method: 'POST',
      ...withToken(await api.tokenOf(old.auditor)),
    });
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-upgrade-'));
    try {
      const file = join(folder, 'bundle.tar');
      writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
      expect(await verifyBundle(file, store.verifierKey)).toMatchObject({ status: 'sound' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('the key of version 0.1.0', () => {
  test('has signed what it signed, and takes it along when it is retired', async () => {
    const listed = (await api.get(old.admin, '/keys')).body.items as object[];
    expect(listed).toMatchObject([{ kid: old.tokenKey.kid, state: 'active' }]);
    const tokens = [await oldToken('gateway'), await oldToken('control')];
    const path = `/keys/${old.tokenKey.kid}/retire`;
    const retired = await api.post(old.safety, path, { grounds: 'It leaked.' });
    expect(retired.status).toBe(200);
    expect((await send('/v1/models', withToken(tokens[0] as string))).status).toBe(401);
    expect((await send('/api/v1/me', withToken(tokens[1] as string))).status).toBe(401);
    expect(await introspect(old.researcher, tokens[0] as string)).toEqual({ active: false });
    for (const { id } of Object.values(old.tokens))
      expect(broker.broker.policy.token(id)?.revokedAt).toBeTypeOf('number');
    const files = readdirSync(join(dataDir, 'keys'));
    expect(files).not.toContain('token.pem');
    expect(files.filter((name) => name.startsWith('token-'))).toHaveLength(1);
    // The file of the log's key is another matter.
    expect(readFileSync(join(dataDir, 'keys', 'log.pem'), 'utf8')).toContain('PRIVATE KEY');
  });
});

describe('what the requests of version 0.1.0 left', () => {
  const MINUTE = 60_000;
  const DAY = 24 * 60 * MINUTE;
  /** In the middle of a minute. */
  const NOW = Math.floor(1_750_000_000_000 / MINUTE) * MINUTE + 30_000;

  let own: string;
  let left: OldData & { requests: string[] };
  let asked: OldRequest[];
  let writer: LocalWriter;

  /** More than fill a step of the indexes, over a day and more; some at the same minute. */
  function requestsOf({ researcher, lead }: OldData): OldRequest[] {
    const settled = Array.from({ length: 200 }, (_, i): OldRequest => ({
      person: i % 3 === 0 ? lead : researcher,
      admittedAt: NOW - DAY - 3 * MINUTE + Math.floor(i / 2) * 14 * MINUTE,
      tokens: i + 1,
      state: i % 7 === 0 ? 'unknown' : 'settled',
      requests: 1,
    }));
    const last = { person: researcher, admittedAt: NOW - 20_000 };
    const never = { ...last, tokens: 0, state: 'settled', requests: 0 } as const;
    const open = { ...last, tokens: 5_000, state: 'open', requests: 1 } as const;
    return [...settled, never, open];
  }

  beforeEach(() => {
    own = mkdtempSync(join(tmpdir(), 'sallyport-upgrade-'));
    onTestFinished(() => rmSync(own, { recursive: true, force: true }));
    left = makeOldData(own, NOW, (people) => (asked = requestsOf(people)));
    // The upgrade.
    writer = new LocalWriter(own, NOW);
  });

  const sumsOf = (requests: OldRequest[]): { requests: number; tokens: number } => ({
    requests: requests.reduce((sum, one) => sum + one.requests, 0),
    tokens: requests.reduce((sum, one) => sum + one.tokens, 0),
  });

  /** Those that a day still counts: by the minute. */
  const ofLastDay = (): OldRequest[] =>
    asked.filter(({ admittedAt }) => Math.floor(admittedAt / MINUTE + 1) * MINUTE > NOW - DAY);

  function reserve(input: Partial<ReserveInput>): Promise<unknown> {
    const { id: researcher, labId: partner } = left.researcher;
    const world = { grant: { id: left.grant }, researcher, partner } as World;
    const args = reserveArgs(world, { epoch: writer.context.epoch, at: NOW, ...input });
    return writer.write('reserve', args);
  }

  test('is found by what it is about, in the indexed part of the log and behind it', () => {
    const readers = new Readers(join(own, DATABASE_FILE));
    onTestFinished(() => readers.close());
    const entries = writer.entries();
    expect(entries.length).toBeGreaterThan(256);
    expect(entries.length % 256).toBeGreaterThan(10);
    const [of, by] = [left.researcher, left.lead];
    const filters: [
      Omit<EntryFilter, 'from' | 'limit'>,
      (entry: (typeof entries)[0]) => boolean,
    ][] = [
      ...left.requests.map((ref): [{ ref: string }, (entry: (typeof entries)[0]) => boolean] => [
        { ref },
        (entry) => entry.ref === ref,
      ]),
      [{ kind: 'request.intent' }, ({ kind }) => kind === 'request.intent'],
      [{ kind: 'token.issued' }, ({ kind }) => kind === 'token.issued'],
      [{ personId: by.id }, ({ person }) => person === by.id],
      [{ labId: of.labId }, ({ lab }) => lab === of.labId],
      [{ grantId: left.grant }, ({ grant }) => grant === left.grant],
      [
        { grantId: left.grant, personId: of.id, kind: 'request.outcome' },
        ({ kind, person }) => person === of.id && kind === 'request.outcome',
      ],
    ];
    for (const [filter, matches] of filters) {
      const due = entries.filter(matches).map(({ index }) => index);
      expect([filter, due.length]).not.toEqual([filter, 0]);
      const found = readers.listEntries({ from: 0, limit: 1_000, ...filter });
      expect([filter, found.map(({ index }) => index)]).toEqual([filter, due]);
    }
    // Nothing is written for the kinds of most entries, nor for what is not a whole step yet.
    const client = writer.context.db.$client;
    const rows = client.prepare('SELECT kind, idx FROM entries_by_kind').all() as {
      kind: string;
      idx: number;
    }[];
    const rare = entries
      .filter(({ index }) => index < entries.length - (entries.length % 256))
      .filter(({ kind }) => !['request.intent', 'request.outcome'].includes(kind));
    expect(rows).toHaveLength(rare.length);
    expect(client.prepare('SELECT max(idx) FROM entries_by_grant').pluck().get()).toBe(
      entries.length - (entries.length % 256) - 1,
    );
  });

  test('counts by the minute, and for each person', () => {
    const due = new Map<string, { requests: number; tokens: number }>();
    for (const { person, admittedAt } of asked) {
      const minute = Math.floor(admittedAt / MINUTE);
      const same = asked.filter(
        (other) => other.person === person && Math.floor(other.admittedAt / MINUTE) === minute,
      );
      due.set(`${left.grant} ${minute} ${person.id}`, sumsOf(same));
    }
    const rows = writer.context.db.$client.prepare('SELECT * FROM usage_minutes').all() as {
      grant_id: string;
      minute: number;
      person_id: string;
      requests: number;
      tokens: number;
    }[];
    expect(rows).toHaveLength(due.size);
    for (const { grant_id, minute, person_id, requests, tokens } of rows)
      expect({ requests, tokens }).toEqual(due.get(`${grant_id} ${minute} ${person_id}`));
  });

  test('counts in the budgets of a day, for the grant and for the person', async () => {
    const today = ofLastDay();
    expect(today.length).toBeLessThan(asked.length);
    const refused = { refusal: { code: 'quota_exhausted' } };
    const [all, mine] = [
      sumsOf(today),
      sumsOf(today.filter(({ person }) => person === left.researcher)),
    ];
    for (const budgets of [{ requestsPerDay: all.requests }, { tokensPerDay: all.tokens + 99 }])
      await expect(reserve({ budgets })).rejects.toMatchObject({
        refusal: { code: expect.stringMatching(/quota_exhausted|budget_in_use/) as string },
      });
    const perPerson = { budgets: { requestsPerDay: mine.requests } };
    await expect(reserve({ perPerson })).rejects.toMatchObject(refused);
    await expect(
      reserve({
        budgets: { requestsPerDay: all.requests + 1, tokensPerDay: all.tokens + 100 },
        perPerson: {
          budgets: { requestsPerDay: mine.requests + 1, tokensPerDay: mine.tokens + 100 },
        },
      }),
    ).resolves.toMatchObject({ stale: false });
  });

  test('counts in the minute that has just been', async () => {
    const requestsPerMinute = asked.filter(({ admittedAt, requests }) =>
      requests === 1 ? admittedAt > NOW - MINUTE : false,
    ).length;
    expect(requestsPerMinute).toBe(1);
    await expect(reserve({ limits: { requestsPerMinute } })).rejects.toMatchObject({
      refusal: { code: 'request_rate_limited' },
    });
    const limits = { requestsPerMinute: requestsPerMinute + 1 };
    await expect(reserve({ limits })).resolves.toMatchObject({ stale: false });
  });

  test.each(['recovery', 'its outcome'])('is closed by %s where it was open', async (by) => {
    const open = left.requests.at(-1) as string;
    const entryIds = [mintId('ent', NOW), mintId('ent', NOW)];
    const used = { tokens: 5_000, spendNanoUsd: 0 };
    const answer = await (by === 'recovery'
      ? writer.write('recoverUnfinished', { at: NOW, entryIds })
      : writer.write('settle', settleArgs(open, NOW, used)));
    const recovered = { recovered: 1, complete: true };
    const outcomeIndex = writer.context.size - 1;
    expect(answer).toEqual(by === 'recovery' ? recovered : { outcomeIndex });
    expect(writer.entries().at(-1)).toMatchObject({
      kind: 'request.outcome',
      actor: { person: left.researcher.id, lab: left.researcher.labId, roles: ['researcher'] },
      ref: open,
      lab: left.researcher.labId,
      person: left.researcher.id,
      grant: left.grant,
      grantVersion: 1,
      token: left.tokens.gateway.id,
      purpose: 'hallucination',
      run: left.run,
      endpoint: 'demo',
      model: 'model-a-1',
      operation: 'chat.completions',
      data: { charged: { requests: 1, tokens: 5_000, spendNanoUsd: 0 } },
    });
    const { requests, tokens } = sumsOf(asked);
    expect(writer.context.ledger.charged({ grantId: left.grant, personId: '' })).toEqual({
      requestsSettled: requests,
      requestsReserved: 0,
      tokensSettled: tokens,
      tokensReserved: 0,
      spendSettledNanoUsd: 0,
      spendReservedNanoUsd: 0,
    });
  });
});
