import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { labKeySchema, type LabIdentity } from '../../src/core/people.ts';
import { createLogger } from '../../src/lib/log.ts';
import { LabKeys } from '../../src/oauth/lab-keys.ts';
import { KeyServer, makeJwk, sendKeys } from '../support/key-server.ts';

const LAB = 'lab_1';
const START = 1_800_000_000_000;

let server: KeyServer;
let now: number;
let labKeys: LabKeys;
let identity: LabIdentity;

beforeEach(async () => {
  server = await KeyServer.start();
  now = START;
  labKeys = new LabKeys({
    clock: () => now,
    log: createLogger({ level: 'silent' }),
    allowInsecureLoopback: true,
  });
  identity = { issuer: 'https://lab.example', jwksUrl: server.url, setAt: 1 };
});
afterEach(async () => {
  await labKeys.close();
  await server.close();
});

/** The kid of the key that is found, or the code of the refusal. */
const find = (kid?: string, who = identity): Promise<string> =>
  labKeys.find(LAB, who, kid).then(
    (keys) => keys.map((key) => key.kid).join(),
    (error: unknown) => (error as { refusal: { code: string } }).refusal.code,
  );

const fail = (): void => {
  server.answer = (res) => res.writeHead(503).end();
};

/** Answers only when told to. */
function hold(): { release: (kid: string) => void } {
  const waiting: ((kid: string) => void)[] = [];
  server.answer = (res) => waiting.push((kid) => sendKeys(res, { keys: [makeJwk(kid)] }));
  return { release: (kid) => waiting.shift()?.(kid) };
}

describe('keys that are registered themselves', () => {
  const registered = (...kids: string[]): LabIdentity => ({
    issuer: 'https://lab.example',
    jwks: { keys: kids.map((kid) => labKeySchema.parse(makeJwk(kid))) },
    setAt: 1,
  });

  test('are found by kid, and the only one without', async () => {
    expect(await find('a', registered('a', 'b'))).toBe('a');
    expect(await find('c', registered('a', 'b'))).toBe('invalid_assertion');
    expect(await find(undefined, registered('a', 'b'))).toBe('invalid_assertion');
    expect(await find(undefined, { ...registered('a'), setAt: 2 })).toBe('a');
    expect(server.requests).toBe(0);
  });

  test('that are replaced are trusted no more', async () => {
    expect(await find('a', registered('a'))).toBe('a');
    const next = { ...registered('b'), setAt: 2 };
    expect(await find('a', next)).toBe('invalid_assertion');
    expect(await find('b', next)).toBe('b');
  });
});

describe('keys that are published', () => {
  test('are all found that share a kid', async () => {
    server.publish(['a', 'b', 'a']);
    expect(await find('a')).toBe('a,a');
    expect(await find('b')).toBe('b');
    expect(await find('c')).toBe('invalid_assertion');
  });

  test('are fetched once, by all who wait for them', async () => {
    const { release } = hold();
    const request = server.nextRequest();
    const found = Promise.all([find('a'), find('a'), find('b'), find()]);
    await request;
    release('a');
    expect(await found).toEqual(['a', 'a', 'invalid_assertion', 'a']);
    expect(await find('a')).toBe('a');
    expect(server.requests).toBe(1);
  });

  test.each([
    ['10 minutes where nothing is said', {}, 600],
    ['as long as max-age says', { 'cache-control': 'max-age=900' }, 900],
    ['less the age that the answer has', { 'cache-control': 'max-age=900', age: '300' }, 600],
    ['a minute at least', { 'cache-control': 'max-age=1' }, 60],
    ['a minute where nothing is to be kept', { 'cache-control': 'no-store' }, 60],
    ['an hour at most', { 'cache-control': 'max-age=31536000' }, 3600],
    ['until Expires', { expires: new Date(START + 200_000).toUTCString(), date: '' }, 200],
  ])('are kept %s', async (_name, headers, seconds) => {
    server.publish(['a'], headers);
    expect(await find('a')).toBe('a');
    server.publish(['b']);
    now = START + seconds * 1000 - 1;
    expect(await find('a')).toBe('a');
    expect(server.requests).toBe(1);
    now += 1;
    expect(await find('a')).toBe('invalid_assertion');
    expect(await find('b')).toBe('b');
    expect(server.requests).toBe(2);
  });

  test('a kid that is not among them is looked for anew, once a minute', async () => {
    server.publish(['a']);
    expect(await find('b')).toBe('invalid_assertion');
    expect(server.requests).toBe(1);
    server.publish(['a', 'b']);
    now = START + 59_999;
    expect(await find('b')).toBe('invalid_assertion');
    expect(server.requests).toBe(1);
    now += 1;
    expect(await Promise.all([find('b'), find('b'), find('c')])).toEqual([
      'b',
      'b',
      'invalid_assertion',
    ]);
    for (const kid of ['c', 'd', 'e']) expect(await find(kid)).toBe('invalid_assertion');
    expect(server.requests).toBe(2);
  });

  test('an assertion without kid makes for no new fetch', async () => {
    server.publish(['a', 'b']);
    expect(await find()).toBe('invalid_assertion');
    now = START + 120_000;
    expect(await find()).toBe('invalid_assertion');
    expect(server.requests).toBe(1);
  });

  test('a fetch for an unknown kid that fails counts, and leaves the known ones as they were', async () => {
    server.publish(['a'], { 'cache-control': 'max-age=300' });
    expect(await find('a')).toBe('a');
    fail();
    now = START + 60_000;
    expect(await find('b')).toBe('lab_keys_unavailable');
    expect(await find('b')).toBe('lab_keys_unavailable');
    expect(await find('a')).toBe('a');
    expect(server.requests).toBe(2);
    now = START + 299_999;
    expect(await find('a')).toBe('a');
    now = START + 300_000;
    expect(await find('a')).toBe('lab_keys_unavailable');
  });

  test('a fetch that fails makes trust no longer, and is tried again every 10 s', async () => {
    server.publish(['a']);
    expect(await find('a')).toBe('a');
    fail();
    now = START + 600_000;
    expect(await Promise.all([find('a'), find('a')])).toEqual([
      'lab_keys_unavailable',
      'lab_keys_unavailable',
    ]);
    expect(server.requests).toBe(2);
    server.publish(['a']);
    now += 9_999;
    expect(await find('a')).toBe('lab_keys_unavailable');
    expect(server.requests).toBe(2);
    now += 1;
    expect(await find('a')).toBe('a');
    expect(server.requests).toBe(3);
  });

  test('a clock that is set back makes trust no longer', async () => {
    server.publish(['a']);
    expect(await find('a')).toBe('a');
    fail();
    now = START - 1;
    expect(await find('a')).toBe('lab_keys_unavailable');
  });

  test('a clock that is set back does not put off the next fetch', async () => {
    fail();
    expect(await find('a')).toBe('lab_keys_unavailable');
    server.publish(['a']);
    now = START - 1;
    expect(await find('a')).toBe('a');
  });

  test('that took longer to come than they may be kept are not trusted', async () => {
    const { release } = hold();
    const request = server.nextRequest();
    const found = find('a');
    await request;
    now = START + 600_000;
    release('a');
    expect(await found).toBe('lab_keys_unavailable');
  });
});

describe('another identity', () => {
  test('while its keys are fetched gets nothing of the older, and waits for its own', async () => {
    const { release } = hold();
    const first = server.nextRequest();
    const older = find('old');
    await first;
    const second = server.nextRequest();
    const changed = { ...identity, setAt: 2 };
    const newer = find('new', changed);
    await second;
    release('old');
    expect(await older).toBe('lab_keys_unavailable');
    release('new');
    expect(await newer).toBe('new');
    expect(await find('old', changed)).toBe('invalid_assertion');
    expect(await find('new', changed)).toBe('new');
    expect(server.requests).toBe(2);
  });

  test.each([
    ['when it was set', { setAt: 2 }],
    ['its address', { jwksUrl: 'http://127.0.0.1:9/keys' }],
  ])('drops what was known: by %s', async (_name, change) => {
    server.publish(['a']);
    expect(await find('a')).toBe('a');
    fail();
    expect(await find('a', { ...identity, ...change })).toBe('lab_keys_unavailable');
  });
});

test('closing ends a fetch', async () => {
  hold();
  const request = server.nextRequest();
  const found = find('a');
  await request;
  await labKeys.close();
  expect(await found).toBe('lab_keys_unavailable');
});

test('without the option, nothing is fetched by http, not even from here', async () => {
  const strict = new LabKeys({
    clock: () => now,
    log: createLogger({ level: 'silent' }),
    allowInsecureLoopback: false,
  });
  server.publish(['a']);
  await expect(strict.find(LAB, identity, 'a')).rejects.toMatchObject({
    refusal: { code: 'lab_keys_unavailable' },
  });
  expect(server.requests).toBe(0);
  await strict.close();
});
