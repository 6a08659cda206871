/**
 * Known failure 4: whatever ends a request before the upstream has, ends it there too. The client's own
 * leaving is tested in tests/gateway/client-gone.test.ts.
 */
import { decodeJwt } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { issueOrder } from '../../src/broker/issue-order.ts';
import { revokeToken } from '../../src/broker/revoke-token.ts';
import {
  HELLO,
  HELLO_ANTHROPIC,
  drain,
  errorOf,
  startRunningBroker,
  windowThatEnds,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { anthropicStream, hang, hold, openaiStream } from '../support/scripted-upstream.ts';

let running: RunningBroker;
beforeAll(async () => {
  running = await startRunningBroker({
    gateway: { firstByteSeconds: 5, idleSeconds: 5, requestSeconds: 2 },
  });
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

const CALLS: [string, (access: Access) => Promise<unknown>][] = [
  ['a chat', ({ openai }) => openai.chat.completions.create(HELLO)],
  [
    'a streamed chat',
    async ({ openai }) => drain(await openai.chat.completions.create({ ...HELLO, stream: true })),
  ],
  ['a message', ({ anthropic }) => anthropic.messages.create(HELLO_ANTHROPIC)],
  [
    'a streamed message',
    async ({ anthropic }) =>
      drain(await anthropic.messages.create({ ...HELLO_ANTHROPIC, stream: true })),
  ],
];

const ENDS: [string, (access: Access) => Promise<unknown>][] = [
  [
    'an order',
    ({ grant }) =>
      issueOrder(
        running.test.broker,
        running.people.safety.id,
        {
          level: 4,
          selector: { grant: grant.id },
          grounds: 'A test',
          measures: {},
          authority: { kind: 'officer' },
        },
        true,
      ),
  ],
  [
    'the revocation of its token',
    ({ token, person }) =>
      revokeToken(running.test.broker, person.id, String(decodeJwt(token).jti)),
  ],
];

describe('known failure 4: the upstream left running', () => {
  it.each(ENDS.flatMap(([end, go]) => CALLS.map(([what, call]) => [end, what, go, call] as const)))(
    'not when %s ends %s',
    async (_end, _what, go, call) => {
      const access = await running.access();
      const index = running.upstream.requests.length;
      const asked = running.onceAsked(hold());
      const raised = errorOf(call(access));
      await asked;
      await go(access);
      expect(await raised).toBeInstanceOf(Error);
      await running.upstream.waitForAbort(index);
    },
  );

  it("not when the grant's window ends", async () => {
    const { window } = windowThatEnds();
    running.upstream.respond(hang());
    for (const { grant } of await allEnd(() => running.access({ window })))
      expect((await running.outcomeOf(grant)).reason).toBe('grant_expired');
  });

  it('not when a request takes longer than it may', async () => {
    const ticking = { chunks: Array.from({ length: 1_000 }, () => 'tick '), paceMs: 50 };
    running.upstream.respond((req, res) =>
      (req.path.includes('messages') ? anthropicStream : openaiStream)(ticking)(req, res),
    );
    for (const { grant } of await allEnd(() => running.access()))
      expect((await running.outcomeOf(grant)).data?.['end']).toBe('deadline');
  });
});

/** Makes every kind of call, and waits until each was ended here and at the upstream. */
async function allEnd(access: () => Promise<Access>): Promise<Access[]> {
  const callers: Access[] = [];
  for (const _ of CALLS) callers.push(await access());
  const first = running.upstream.requests.length;
  await Promise.all(CALLS.map(([, call], i) => errorOf(call(callers[i] as Access))));
  for (const i of CALLS.keys()) await running.upstream.waitForAbort(first + i);
  return callers;
}
