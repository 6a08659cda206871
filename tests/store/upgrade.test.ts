/** A data directory of version 0.1.0 with live data in it, opened by this version. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { SignJWT } from 'jose';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import { checkConsistency } from '../../src/core/audit/checkpoint.ts';
import { consistencyProof } from '../../src/core/audit/proofs.ts';
import { hashesFromTiles } from '../../src/core/audit/tiles.ts';
import { ASSERTION_TYPE } from '../../src/oauth/client-assertion.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { Api } from '../support/api.ts';
import { getToken, signAssertion, tokenForm, type TestPerson } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { makeOldData, type OldData } from '../support/version-0-1.ts';

let dataDir: string;
let old: OldData;
let broker: TestBroker;
let api: Api;
const logged: Record<string, unknown>[] = [];

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'sallyport-upgrade-'));
  old = makeOldData(dataDir, Date.now());
  const write = (line: string): void => void logged.push(JSON.parse(line) as object as never);
  broker = await startTestBroker({ dataDir, log: pino({ level: 'warn' }, { write }) });
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
    expect(grants).toMatchObject([{ id: old.grant, state: 'active' }]);
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
