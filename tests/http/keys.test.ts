/** Keys that sign tokens, over HTTP: rotation as clients see it, and the end of a key that leaked. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decodeProtectedHeader, decodeJwt } from 'jose';
import request from 'supertest';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { advanceSigningKeys } from '../../src/broker/manage-signing-keys.ts';
import { createLogger } from '../../src/lib/log.ts';
import { createKeyFile, saveKeyFile } from '../../src/lib/key-file.ts';
import { signAccessToken } from '../../src/oauth/access-token.ts';
import { loadSigningKeys } from '../../src/oauth/signing-key.ts';
import { Api } from '../support/api.ts';
import { getToken, makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

/** Ahead of the machine's clock: the writer thread goes by that one. */
let ahead = 0;
const clock = (): number => Date.now() + ahead * 1000;

let dataDir: string;
let test: TestBroker;
let people: People;

beforeEach(async () => {
  ahead = 0;
  dataDir = mkdtempSync(join(tmpdir(), 'sallyport-test-'));
  await start();
  people = await makePeople(test);
});
afterEach(async () => {
  await test.close();
  rmSync(dataDir, { recursive: true, force: true });
});

async function start(options: Parameters<typeof startTestBroker>[0] = {}): Promise<void> {
  test = await startTestBroker({ clock, dataDir, ...options });
}

/** The broker ends and begins again, at the same address, so that its tokens are still its own. */
async function restart(whileDown: () => void = () => undefined): Promise<string> {
  await test.close();
  whileDown();
  const lines: string[] = [];
  const log = createLogger({ level: 'silent' });
  log.warn = ((_facts: object, line: string) => void lines.push(line)) as typeof log.warn;
  await start({ server: { port: Number(new URL(test.url).port) }, log });
  return lines.join('\n');
}

interface ListedKey {
  kid: string;
  state: string;
  activatesAt: string | null;
  liveTokens: number | null;
}

/** With a new token: that one counts, too. */
const post = (who: keyof People, path: string, body: object = {}) =>
  new Api(test).post(people[who] as People['admin'], path, body);

async function listed(who: keyof People = 'auditor'): Promise<ListedKey[]> {
  const answer = await new Api(test).get(people[who] as People['admin'], '/keys');
  expect([answer.status, answer.body.next]).toEqual([200, null]);
  return (answer.body as { items: ListedKey[] }).items;
}

const states = async (): Promise<Record<string, string>> =>
  Object.fromEntries((await listed()).map(({ kid, state }) => [kid, state]));

async function published(): Promise<unknown[]> {
  const answer = await request(test.url).get('/oauth/jwks');
  return (answer.body as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
}

const kidOf = (token: string): unknown => decodeProtectedHeader(token).kid;

async function codeOf(token: string): Promise<number | string> {
  const answer = await request(test.url).get('/api/v1/me').set('authorization', `Bearer ${token}`);
  return answer.status === 200 ? 200 : (answer.body as { code: string }).code;
}

const files = (): string[] =>
  readdirSync(join(dataDir, 'keys')).filter((name) => name.startsWith('token'));

const keysOnDisk = (): string[] =>
  loadSigningKeys(join(dataDir, 'keys'))
    .map(({ key }) => key.kid)
    .sort();

describe('a rotation', () => {
  it('publishes the new key before it signs, and the old one until its last token has expired', async () => {
    const old = test.broker.signingKeys.active.kid;
    const jwks = await request(test.url).get('/oauth/jwks');
    const [, maxAge] = /max-age=(\d+)/.exec(jwks.headers['cache-control'] as string) ?? [];
    expect(Number(maxAge)).toBeLessThanOrEqual(300);

    const answer = await post('admin', '/keys/rotate');
    expect(answer.status).toBe(200);
    const { kid, state, activatesAt } = answer.body as ListedKey;
    expect(state).toBe('next');
    expect(Date.parse(activatesAt as string) - clock()).toBeGreaterThan(595_000);
    expect(new Set(await published())).toEqual(new Set([old, kid]));

    ahead = 500;
    await advanceSigningKeys(test.broker);
    const lastOfOld = await getToken(test, people.lead);
    expect(kidOf(lastOfOld)).toBe(old);

    ahead = 601;
    await advanceSigningKeys(test.broker);
    const firstOfNew = await getToken(test, people.lead);
    expect(kidOf(firstOfNew)).toBe(kid);
    expect(await codeOf(lastOfOld)).toBe(200);
    expect(await codeOf(firstOfNew)).toBe(200);

    // Control tokens live for 600 seconds.
    ahead = 1_050;
    await advanceSigningKeys(test.broker);
    expect(await codeOf(lastOfOld)).toBe(200);
    expect(new Set(await published())).toEqual(new Set([old, kid]));
    expect(files()).toHaveLength(2);

    ahead = 1_110;
    await advanceSigningKeys(test.broker);
    expect(await codeOf(lastOfOld)).toBe('token_expired');
    expect(await published()).toEqual([kid]);
    expect(keysOnDisk()).toEqual([kid]);
    expect(await states()).toEqual({ [old]: 'retired', [kid]: 'active' });
    const entries = test.broker.readers
      .listEntries({ from: 0, limit: 1_000 })
      .map(({ bytes }) => JSON.parse(String(bytes)) as { kind: string; ref: string })
      .filter((entry) => entry.kind.startsWith('key.'));
    expect(entries.map((entry) => [entry.kind, entry.ref])).toEqual([
      ['key.created', old],
      ['key.activated', old],
      ['key.created', kid],
      ['key.replaced', old],
      ['key.activated', kid],
      ['key.retired', old],
    ]);
  });

  it('asked for by two people at once makes one key', async () => {
    const answers = await Promise.all([
      post('admin', '/keys/rotate'),
      post('secondAdmin', '/keys/rotate'),
    ]);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 409]));
    const refused = answers.find(({ status }) => status === 409)?.body as { detail: string };
    expect(refused.detail).toContain('A new key waits already');
    expect(await listed()).toHaveLength(2);
    expect(files()).toHaveLength(2);
  });

  it('at once has the key sign that waits, and makes no other', async () => {
    const waiting = ((await post('admin', '/keys/rotate')).body as ListedKey).kid;
    const answer = await post('admin', '/keys/rotate', { now: true });
    expect(answer.body).toMatchObject({ kid: waiting, state: 'active' });
    expect(kidOf(await getToken(test, people.lead))).toBe(waiting);
    expect(files()).toHaveLength(2);
    const again = (await post('admin', '/keys/rotate', { now: true })).body as ListedKey;
    expect(again.kid).not.toBe(waiting);
    expect(kidOf(await getToken(test, people.lead))).toBe(again.kid);
  });

  it('while tokens are issued has every token signed by the key that it is counted under', async () => {
    const tokens: Promise<string>[] = [];
    for (let i = 0; i < 5; i += 1) {
      for (let n = 0; n < 8; n += 1) tokens.push(getToken(test, people.researcher));
      tokens.push(
        post('admin', '/keys/rotate', { now: true }).then(() => getToken(test, people.lead)),
      );
    }
    const rows = new Map(
      (await Promise.all(tokens)).map((token) => [decodeJwt(token).jti, kidOf(token)]),
    );
    expect(rows.size).toBe(45);
    const recorded = test.broker.readers
      .listEntries({ from: 0, limit: 1_000, kind: 'token.issued' })
      .map(
        ({ bytes }) => JSON.parse(String(bytes)) as { ref: string; data: { signedWith: string } },
      )
      .filter(({ ref }) => rows.has(ref));
    expect(new Map(recorded.map(({ ref, data }) => [ref, data.signedWith]))).toEqual(rows);
    expect((await states())[test.broker.signingKeys.active.kid]).toBe('active');
  });

  it('by whoever may not is refused before a key is made', async () => {
    const before = files();
    for (const who of ['safety', 'auditor', 'lead', 'researcher'] as const) {
      const answer = await post(who, '/keys/rotate');
      expect([answer.status, answer.body.code]).toEqual([403, 'role_required']);
    }
    expect(files()).toEqual(before);
  });
});

describe('a key that leaked', () => {
  it('retires at once: its tokens end, its file is gone, another signs', async () => {
    const leaked = test.broker.signingKeys.active;
    const [known, unseen] = [await getToken(test, people.lead), await getToken(test, people.lead)];
    expect(await codeOf(known)).toBe(200);
    const answer = await post('safety', `/keys/${leaked.kid}/retire`, { grounds: 'Lost backup' });
    expect(answer.status).toBe(200);
    const { activeKid, tokensEnded, key } = answer.body as {
      activeKid: string;
      tokensEnded: number;
      key: ListedKey;
    };
    expect(key).toMatchObject({ kid: leaked.kid, state: 'retired' });
    // The caller's own, too.
    expect(tokensEnded).toBe(3);
    // Whoever signed them, their signatures prove nothing any more.
    for (const token of [known, unseen]) expect(await codeOf(token)).toBe('invalid_token');
    expect(await published()).toEqual([activeKid]);
    expect(keysOnDisk()).toEqual([activeKid]);
    const next = await getToken(test, people.lead);
    expect(kidOf(next)).toBe(activeKid);
    expect(await codeOf(next)).toBe(200);
    const [entry] = test.broker.readers.listEntries({ from: 0, limit: 1, kind: 'key.retired' });
    expect(JSON.parse(String(entry?.bytes))).toMatchObject({
      ref: leaked.kid,
      actor: { person: people.safety.id },
      data: { grounds: 'Lost backup', tokensEnded: 3, was: 'active' },
    });
  });

  it('signs nothing that passes, also under the id of a token that another key signed', async () => {
    const leaked = test.broker.signingKeys.active;
    await post('admin', '/keys/rotate', { now: true });
    const good = await getToken(test, people.admin);
    const { jti, iat, exp } = decodeJwt(good);
    const forged = await signAccessToken(leaked, test.broker.issuer, {
      id: jti as string,
      personId: people.admin.id,
      audience: test.broker.audiences.control,
      issuedAt: (iat as number) * 1000,
      expiresAt: (exp as number) * 1000,
      jkt: null,
    });
    // As long as nobody knows: and so it is remembered as checked.
    expect(await codeOf(forged)).toBe(200);
    await post('safety', `/keys/${leaked.kid}/retire`, { grounds: 'Test' });
    expect(await codeOf(forged)).toBe('invalid_token');
    expect(await codeOf(good)).toBe(200);
  });

  it('while tokens are issued leaves none of its tokens alive', async () => {
    const leaked = test.broker.signingKeys.active.kid;
    const api = new Api(test);
    await api.tokenOf(people.safety);
    const issued: Promise<string>[] = [];
    for (let i = 0; i < 20; i += 1) issued.push(getToken(test, people.researcher));
    const retired = api.post(people.safety, `/keys/${leaked}/retire`, { grounds: 'Test' });
    for (let i = 0; i < 20; i += 1) issued.push(getToken(test, people.lead));
    expect((await retired).status).toBe(200);
    const tokens = await Promise.all(issued);
    for (const token of tokens)
      expect(await codeOf(token)).toBe(kidOf(token) === leaked ? 'invalid_token' : 200);
    const after = await getToken(test, people.lead);
    expect(kidOf(after)).not.toBe(leaked);
  });

  it.each(['grounds', 'kid'])('is not retired without %s', async (missing) => {
    const { kid } = test.broker.signingKeys.active;
    const answer =
      missing === 'kid'
        ? await post('admin', '/keys/short/retire', { grounds: 'Test' })
        : await post('admin', `/keys/${kid}/retire`);
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    expect(test.broker.signingKeys.active.kid).toBe(kid);
    expect(files()).toHaveLength(1);
  });

  it('is retired once', async () => {
    const { kid } = test.broker.signingKeys.active;
    await post('admin', `/keys/${kid}/retire`, { grounds: 'Test' });
    const again = await post('admin', `/keys/${kid}/retire`, { grounds: 'Test' });
    expect([again.status, again.body.code]).toEqual([409, 'already_decided']);
    expect(files()).toHaveLength(1);
  });
});

describe('the list', () => {
  it('counts the live tokens of each key, for those who may see the tokens of all', async () => {
    const first = test.broker.signingKeys.active.kid;
    await getToken(test, people.lead);
    await post('admin', '/keys/rotate', { now: true });
    const second = test.broker.signingKeys.active.kid;
    expect(await listed('auditor')).toMatchObject([
      { kid: second, state: 'active', liveTokens: 1 },
      { kid: first, state: 'retiring', liveTokens: 2 },
    ]);
    expect((await listed('lead')).map(({ liveTokens }) => liveTokens)).toEqual([null, null]);
  });
});

describe('a restart', () => {
  it('in the middle of a rotation goes on with it', async () => {
    const old = test.broker.signingKeys.active.kid;
    const { kid } = (await post('admin', '/keys/rotate')).body as ListedKey;
    expect(await restart()).toBe('');
    expect(await states()).toEqual({ [old]: 'active', [kid]: 'next' });
    expect(new Set(await published())).toEqual(new Set([old, kid]));
    ahead = 500;
    const token = await getToken(test, people.lead);
    expect(await restart(() => (ahead = 605))).toBe('');
    expect(await states()).toEqual({ [old]: 'retiring', [kid]: 'active' });
    expect(await codeOf(token)).toBe(200);
    expect(await restart(() => (ahead = 1_200))).toBe('');
    expect(await states()).toEqual({ [old]: 'retired', [kid]: 'active' });
    expect(keysOnDisk()).toEqual([kid]);
  });

  it('leaves retired keys retired, and removes a file of one that a crash left', async () => {
    const leaked = test.broker.signingKeys.active;
    const path = join(dataDir, 'keys', 'token-again.pem');
    await post('admin', `/keys/${leaked.kid}/retire`, { grounds: 'Test' });
    const { kid } = test.broker.signingKeys.active;
    await restart(() => saveKeyFile(path, leaked.privateKey));
    expect(await states()).toEqual({ [leaked.kid]: 'retired', [kid]: 'active' });
    expect(keysOnDisk()).toEqual([kid]);
  });

  it('without the private half of the active key ends its tokens and says so', async () => {
    const lost = test.broker.signingKeys.active.kid;
    const token = await getToken(test, people.lead);
    const said = await restart(() => {
      for (const name of files()) rmSync(join(dataDir, 'keys', name));
    });
    expect(said).toContain('private half of a token key is gone');
    expect((await states())[lost]).toBe('retired');
    expect(await codeOf(token)).toBe('invalid_token');
    expect(await codeOf(await getToken(test, people.lead))).toBe(200);
  });

  it('takes no key to use that it does not need, but says that it is there', async () => {
    const { kid } = test.broker.signingKeys.active;
    const stray = join(dataDir, 'keys', 'token-stray.pem');
    expect(await restart(() => void createKeyFile(stray))).toContain('never put to use');
    expect(await states()).toEqual({ [kid]: 'active' });
    expect(await published()).toEqual([kid]);
  });
});

describe('a data directory of an older version', () => {
  it('keeps its key, whatever the file is called', async () => {
    await test.close();
    rmSync(dataDir, { recursive: true });
    dataDir = mkdtempSync(join(tmpdir(), 'sallyport-test-'));
    mkdirSync(join(dataDir, 'keys'), { mode: 0o700 });
    createKeyFile(join(dataDir, 'keys', 'token.pem'));
    await start();
    people = await makePeople(test);
    expect(files()).toEqual(['token.pem']);
    expect(keysOnDisk()).toEqual([test.broker.signingKeys.active.kid]);
    expect(await codeOf(await getToken(test, people.lead))).toBe(200);
  });
});
