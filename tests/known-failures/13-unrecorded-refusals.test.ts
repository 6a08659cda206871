/**
 * Known failure 13: what is denied or malformed is on record, and callers without a credential cannot fill the log.
 * Each kind of refusal is held against its entry in tests/gateway/dispatched.test.ts; those that repeat without end
 * are in tests/gateway/repeated-denials.test.ts.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  MODEL,
  eventually,
  post,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { exchangeBytes, statusesOf } from '../support/raw-client.ts';

let running: RunningBroker;
let access: Access;
beforeAll(async () => {
  running = await startRunningBroker();
  access = await running.access({ endpoints: [{ endpoint: 'demo', models: [MODEL] }] });
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

const authorised = (token: string, ...lines: string[]): string =>
  [
    'POST /v1/chat/completions HTTP/1.1',
    'host: x',
    `authorization: Bearer ${token}`,
    ...lines,
    '\r\n',
  ].join('\r\n');

/** Bodies that never become a request. */
const MALFORMED: Record<string, (token: string) => string> = {
  'no body at all': (token) => authorised(token, 'content-type: application/json'),
  'no type': (token) => `${authorised(token, 'content-length: 2')}{}`,
  'half a document': (token) =>
    `${authorised(token, 'content-type: application/json', 'content-length: 9')}{"model":`,
  'bytes that are no text': (token) =>
    `${authorised(token, 'content-type: application/json', 'content-length: 4')}{"\u0080`,
  'an unknown method': (token) => authorised(token).replace('POST', 'PURGE'),
  'an unknown path': (token) => authorised(token).replace('chat/completions', 'else'),
};

describe('known failure 13: refusals of a caller who is known', () => {
  it.each(Object.entries(MALFORMED))('%s: on record, with who it was', async (_, of) => {
    const answer = await exchangeBytes(running.url, of(access.token));
    const [status = 0] = statusesOf(answer);
    expect(status).toBeGreaterThanOrEqual(400);
    const id = /^x-request-id: (\S+)/im.exec(answer)?.[1] ?? 'none';
    const { code } = (JSON.parse(answer.slice(answer.indexOf('{'))) as { error: { code: string } })
      .error;
    expect(running.entries({ ref: id })).toMatchObject([
      {
        kind: 'request.denied',
        decision: 'denied',
        reason: code,
        person: running.people.researcher.id,
        grant: access.grant.id,
      },
    ]);
  });

  it('a hundred that come at once: each has its own entry', async () => {
    const { grant, token } = await running.access();
    const ids = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const wrong = i % 2 ? { ...HELLO, model: 'model-x' } : { ...HELLO, messages: 1 };
        const answer = await post(`${running.url}/v1/chat/completions`, token, wrong);
        return answer.headers.get('x-request-id');
      }),
    );
    const denied = running.entries({ kind: 'request.denied', grant: grant.id });
    const recorded = denied.map(({ ref }) => ref);
    for (const id of ids) expect(recorded.filter((ref) => ref === id)).toHaveLength(1);
  });
});

describe('known failure 13: callers without a credential', () => {
  const ANYBODY: ((i: number) => Promise<unknown>)[] = [
    (i) => post(`${running.url}/v1/chat/completions`, `nonsense-${i}`, HELLO),
    () => post(`${running.url}/v1/messages`, undefined, HELLO),
    (i) => fetch(`${running.url}/v1/unknown-${i}`),
    (i) => fetch(`${running.url}/v1/models?i=${i}`, { headers: { 'x-api-key': `key-${i}` } }),
    (i) => exchangeBytes(running.url, `NOT HTTP ${i}\r\n\r\n`),
    () => exchangeBytes(running.url, `GET / HTTP/1.1\r\nx: ${'y'.repeat(40_000)}\r\n\r\n`),
  ];

  it('however many and however different, leave one entry, which counts them all', async () => {
    const { unauthenticated } = running.test.broker;
    await unauthenticated.flush();
    const before = running.entries().length;
    const rounds = 50;
    for (let i = 0; i < rounds; i += 1) await Promise.all(ANYBODY.map((go) => go(i)));
    expect(running.entries().length).toBe(before);
    await unauthenticated.flush();
    const [entry, ...more] = running.entries().slice(before);
    expect(more).toEqual([]);
    expect(entry?.kind).toBe('request.unauthenticated');
    const counts = Object.values(entry?.data?.['counts'] as Record<string, number>);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(rounds * ANYBODY.length);
    // Nothing of what they sent can make it grow.
    expect(Buffer.byteLength(JSON.stringify(entry))).toBeLessThan(1_000);
  });

  it('are counted on where the log could not take the count', async () => {
    const { unauthenticated } = running.test.broker;
    await unauthenticated.flush();
    const unlock = running.lockLog();
    try {
      await post(`${running.url}/v1/messages`, undefined, HELLO);
      await unauthenticated.flush();
      await post(`${running.url}/v1/messages`, undefined, HELLO);
    } finally {
      unlock();
    }
    const before = running.entries().length;
    await eventually(() => expect(running.test.broker.store.isWritable).toBe(true));
    await unauthenticated.flush();
    expect(running.entries().slice(before)).toMatchObject([
      { kind: 'request.unauthenticated', data: { counts: { 'gateway missing_credential': 2 } } },
    ]);
  });
});
