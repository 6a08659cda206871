/** `sallyport connect` against a real broker, on a grant whose tokens must be bound, with unmodified SDKs. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Grant } from '../../src/core/grants.ts';
import {
  HELLO,
  HELLO_ANTHROPIC,
  codeOf,
  drain,
  errorOf,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { anthropicJson, hold, openaiJson, openaiStream } from '../support/scripted-upstream.ts';
import { startConnect, type Run } from './connect-run.ts';

const LIFETIME_SECONDS = 60;

let running: RunningBroker;
let grant: Grant;
/** How much later it is for everybody than it is. */
let ahead = 0;

const clock = (): number => Date.now() + ahead;

beforeAll(async () => {
  running = await startRunningBroker({ clock });
  grant = await running.grant({ binding: 'dpop', tokenLifetimeSeconds: LIFETIME_SECONDS });
});
afterAll(() => running.close());

const startRun = (name: string): Promise<Run> => startConnect(running, grant, name, { clock });

const lastToken = (): string =>
  running.entries({ kind: 'request.outcome', grant: grant.id }).at(-1)?.token ?? 'none';

describe('unmodified SDKs on a grant with bound tokens', () => {
  it('call and stream, with a base URL and a local key alone', async () => {
    const run = await startRun('calls');
    running.upstream.respond(openaiJson());
    expect((await run.openai.chat.completions.create(HELLO)).choices).toHaveLength(1);
    running.upstream.respond(anthropicJson());
    expect((await run.anthropic.messages.create(HELLO_ANTHROPIC)).role).toBe('assistant');
    running.upstream.respond(openaiStream());
    const stream = await run.openai.chat.completions.create({ ...HELLO, stream: true });
    expect((await drain(stream)).length).toBeGreaterThan(1);
    expect(await run.stop()).toBe(0);
    expect(run.err()).toContain('3 requests passed on.');
  });

  it('notice nothing when tokens end and others take their place, streams included', async () => {
    const run = await startRun('long');
    const held = hold();
    running.upstream.respond(held);
    const stream = await run.openai.chat.completions.create({ ...HELLO, stream: true });
    const whole = drain(stream);
    const tokens = new Set<string>();
    for (let i = 0; i < 3; i += 1) {
      ahead += (LIFETIME_SECONDS + 1) * 1000;
      running.upstream.respond(openaiJson());
      await run.openai.chat.completions.create(HELLO);
      tokens.add(lastToken());
    }
    expect(tokens.size).toBe(3);
    held.release();
    expect((await whole).length).toBeGreaterThan(1);
    expect(await run.stop()).toBe(0);
  });

  it('are refused while an order is in force, in words; and pass again once it is lifted', async () => {
    const run = await startRun('order');
    const { people, api } = running;
    running.upstream.respond(hold());
    const stream = await run.openai.chat.completions.create({ ...HELLO, stream: true });
    const cut = errorOf(drain(stream));
    const selector = { grant: grant.id };
    const issued = await api.post(people.safety, '/orders?confirmed=true', {
      selector,
      grounds: 'A real name',
    });
    expect(codeOf(await cut)).toBe('grant_suspended');
    const refused = await errorOf(run.openai.chat.completions.create(HELLO));
    expect([refused.status, codeOf(refused)]).toEqual([403, 'grant_suspended']);
    await vi.waitFor(() => expect(run.err()).toContain('Grounds: "A real name"'), 5_000);
    const { id } = issued.body as { id: string };
    await api.post(people.admin, `/orders/${id}/lift`, { grounds: 'It was invented' });
    running.upstream.respond(openaiJson());
    expect((await run.openai.chat.completions.create(HELLO)).choices).toHaveLength(1);
    expect(await run.stop()).toBe(0);
  });

  it('stop for good when the token is ended, and get no other by themselves', async () => {
    const run = await startRun('ended');
    running.upstream.respond(openaiJson());
    await run.openai.chat.completions.create(HELLO);
    await running.api.post(running.people.safety, `/tokens/${lastToken()}/revoke`);
    for (let i = 0; i < 2; i += 1) {
      const refused = await errorOf(run.openai.chat.completions.create(HELLO));
      expect([refused.status, codeOf(refused)]).toEqual([401, 'token_revoked']);
    }
    expect(await run.stop()).toBe(0);
  });

  it('leave no token behind that still lives', async () => {
    const run = await startRun('end');
    running.upstream.respond(openaiJson());
    await run.openai.chat.completions.create(HELLO);
    expect(await run.stop()).toBe(0);
    expect(running.test.broker.policy.token(lastToken())?.revokedAt ?? null).not.toBeNull();
    expect(run.err()).toContain('The token has been handed back.');
  });
});
