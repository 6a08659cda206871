/** The parts of `sallyport connect` by themselves: when tokens are renewed, what is said, and how often. */
import type { Selector } from '../../src/core/orders/selector.ts';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { TokenAnswer } from '../../src/cli/broker-client.ts';
import { Display } from '../../src/cli/connect/display.ts';
import { applied, environmentFor, environmentLines } from '../../src/cli/connect/environment.ts';
import { Explainer } from '../../src/cli/connect/explain.ts';
import { rateLimitsOf } from '../../src/cli/connect/rate-limits.ts';
import { touches } from '../../src/cli/connect/standing.ts';
import { statusLine } from '../../src/cli/connect/status-line.ts';
import { Tail } from '../../src/cli/connect/tail.ts';
import { TokenKeeper, renewalTime } from '../../src/cli/connect/token-keeper.ts';
import { RefusedByBroker, unreachable } from '../../src/cli/problems.ts';

const GRANTED = {
  grant: 'grt_1',
  purpose: 'bias',
  run: 'pilot',
  models: ['demo-model'],
  operations: ['chat.completions'],
  features: {},
};

beforeEach(() => void vi.useFakeTimers({ now: 1_000_000 }));
afterEach(() => void vi.useRealTimers());

describe('the moment of renewal', () => {
  it.each([
    ['an hour: with a fifth left', 3600, 2880],
    ['a minute: with half a minute left', 60, 30],
    ['less: half-way', 20, 10],
    ['a few seconds: five before the end', 8, 3],
    ['almost nothing: in a second', 4, 1],
  ])('of a life of %s', (_name, life, renewed) => {
    expect(renewalTime(5_000, 5_000 + life * 1000)).toBe(5_000 + renewed * 1000);
  });
});

describe('the token keeper', () => {
  let count: number;
  let answer: () => Promise<TokenAnswer>;
  let lifetime: number;
  let told: string[];

  const keeper = (): TokenKeeper =>
    new TokenKeeper(() => answer(), Date.now, {
      renewed: ({ text }) => void told.push(text),
      failed: (error, inHand) => void told.push(`${(error as Error).message} ${String(inHand)}`),
    });

  beforeEach(() => {
    count = 0;
    lifetime = 100;
    told = [];
    answer = () => {
      count += 1;
      return Promise.resolve({
        access_token: `h.${count}.s`,
        token_type: 'DPoP',
        expires_in: lifetime,
        authorization_details: [GRANTED],
      });
    };
  });

  it('renews by itself, again and again', async () => {
    const kept = keeper();
    expect((await kept.current()).text).toBe('h.1.s');
    await vi.advanceTimersByTimeAsync(69_000);
    expect((await kept.current()).text).toBe('h.1.s');
    await vi.advanceTimersByTimeAsync(1_000);
    expect((await kept.current()).text).toBe('h.2.s');
    await vi.advanceTimersByTimeAsync(70_000);
    expect(told).toEqual(['h.1.s', 'h.2.s', 'h.3.s']);
    expect(await kept.stop()).toEqual(['h.2.s', 'h.3.s']);
    await vi.advanceTimersByTimeAsync(200_000);
    expect(count).toBe(3);
  });

  it('asks once for however many want a token', async () => {
    const kept = keeper();
    const tokens = await Promise.all([kept.current(), kept.current(), kept.current()]);
    expect(new Set(tokens.map(({ text }) => text)).size).toBe(1);
    const [expired] = tokens;
    const replaced = await Promise.all([kept.replace(expired), kept.replace(expired)]);
    expect(replaced.map(({ text }) => text)).toEqual(['h.2.s', 'h.2.s']);
    // Late news of the first one: the second is good.
    expect((await kept.replace(expired)).text).toBe('h.2.s');
    expect(count).toBe(2);
  });

  it('tries a renewal that fails again, later each time, while the token in hand is used', async () => {
    const kept = keeper();
    await kept.current();
    const good = answer;
    const times: number[] = [];
    answer = () => {
      times.push(Date.now() - 1_000_000);
      return Promise.reject(unreachable('out of reach'));
    };
    await vi.advanceTimersByTimeAsync(80_000);
    expect(times).toEqual([70_000, 71_000, 73_000, 77_000]);
    expect((await kept.current()).text).toBe('h.1.s');
    answer = good;
    await vi.advanceTimersByTimeAsync(6_000);
    expect((await kept.current()).text).toBe('h.2.s');
    expect(told).toEqual(['h.1.s', ...times.map(() => 'out of reach true'), 'h.2.s']);
  });

  it('says why there is none, and asks again every few seconds only', async () => {
    const kept = keeper();
    const good = answer;
    let asked = 0;
    answer = () => {
      asked += 1;
      return Promise.reject(new RefusedByBroker('grant_suspended', 'Suspended.', 'Suspended.'));
    };
    for (let i = 0; i < 5; i += 1) await expect(kept.current()).rejects.toThrow('Suspended.');
    expect(asked).toBe(1);
    await vi.advanceTimersByTimeAsync(3_000);
    expect(asked).toBe(1);
    await expect(kept.current()).rejects.toThrow('Suspended.');
    expect(asked).toBe(2);
    answer = good;
    await vi.advanceTimersByTimeAsync(3_000);
    expect((await kept.current()).text).toBe('h.1.s');
  });

  it('does not ask on and on for what ends with its grant', async () => {
    const end = Date.now() + 100_000;
    const kept = keeper();
    const plain = answer;
    answer = () => {
      lifetime = Math.floor((end - Date.now()) / 1000);
      return plain();
    };
    await kept.current();
    await vi.advanceTimersByTimeAsync(99_000);
    expect(count).toBe(2);
    expect(kept.held?.renewAt).toBeUndefined();
  });

  it('gets no other once the token was ended on purpose', async () => {
    const kept = keeper();
    const held = await kept.current();
    kept.end(new RefusedByBroker('token_revoked', 'Revoked.', 'Revoked.'));
    await expect(kept.current()).rejects.toThrow('Revoked.');
    await expect(kept.replace(held)).rejects.toThrow('Revoked.');
    await vi.advanceTimersByTimeAsync(200_000);
    expect(count).toBe(1);
  });

  it.each([
    ['that is no token', { access_token: 'x\r\ny: z' }, 'not an access token'],
    ['that is not bound', { token_type: 'Bearer' }, 'not bound'],
    ['of unknown access', { authorization_details: [] }, 'what its token gives access to'],
  ])('takes nothing %s', async (_name, wrong, message) => {
    const plain = answer;
    answer = async () => ({ ...(await plain()), ...wrong });
    await expect(keeper().current()).rejects.toThrow(message);
  });
});

describe('explanations', () => {
  it('come once for many of the same, with a count', async () => {
    const lines: string[] = [];
    const explainer = new Explainer(
      (line) => void lines.push(line),
      () => Promise.resolve(undefined),
    );
    const refused = { code: 'quota_exhausted', message: 'The budget is used up' };
    for (let i = 0; i < 100; i += 1) explainer.explain(refused);
    explainer.explain({ code: 'other', message: 'Something else.' });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(lines).toEqual([
      'Refused: The budget is used up. (quota_exhausted) "sallyport grant usage" shows what is left.',
      'Refused: Something else. (other)',
      'Refused 99 more times (quota_exhausted).',
    ]);
    explainer.explain(refused);
    explainer.explain(refused);
    await vi.advanceTimersByTimeAsync(0);
    explainer.stop();
    expect(lines.slice(3)).toEqual([lines[0], 'Refused 1 more time (quota_exhausted).']);
  });
});

it('a wait for a limit is explained once for each limit, and is no refusal', () => {
  const lines: string[] = [];
  const explainer = new Explainer(
    (line) => void lines.push(line),
    () => Promise.resolve(undefined),
  );
  const limit = { code: 'request_rate_limited', message: 'The limit is reached' };
  for (let i = 0; i < 3; i += 1) explainer.explainWait(limit, 120);
  explainer.explainWait({ ...limit, code: 'concurrency_limited' }, 120);
  explainer.stop();
  expect(lines).toEqual(
    ['request_rate_limited', 'concurrency_limited'].map(
      (code) =>
        `Waiting: The limit is reached. (${code}) Such requests wait here and are sent again, each for at most 120 s in all.`,
    ),
  );
});

describe('advice', () => {
  it.each([
    ['grant', 'The grant does not allow the feature "tools".', '"sallyport grant show"'],
    ['endpoint', 'The endpoint does not offer the feature "tools".', '"sallyport endpoint show"'],
    ['token', 'The token does not allow the feature "tools".', '--max-output-tokens'],
  ])('on what is asked for fits whoever refused: the %s', async (_who, message, expected) => {
    const lines: string[] = [];
    const explainer = new Explainer(
      (line) => void lines.push(line),
      () => Promise.resolve(undefined),
    );
    explainer.explain({ code: 'feature_not_granted', message });
    await vi.advanceTimersByTimeAsync(0);
    explainer.stop();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`${message} (feature_not_granted)`);
    for (const other of [
      '"sallyport grant show"',
      '"sallyport endpoint show"',
      '--max-output-tokens',
    ])
      expect(lines[0]?.includes(other)).toBe(other === expected);
  });
});

describe('the refusal in an answer', () => {
  const refusal = { error: { code: 'grant_suspended', message: 'Suspended.' } };
  const seen = (...chunks: string[]): Tail => {
    const tail = new Tail();
    for (const chunk of chunks) tail.see(Buffer.from(chunk));
    return tail;
  };

  it('is found in an error, and at the end of a stream, however it is split', () => {
    const event = `event: error\ndata: ${JSON.stringify(refusal)}\n\n`;
    expect(seen(JSON.stringify(refusal, null, 2)).refusal()).toEqual(refusal.error);
    expect(seen('x'.repeat(20_000), '\n\n', ...Array.from(event)).refusal()).toEqual(refusal.error);
  });

  it('is not what a model says', () => {
    const content = JSON.stringify(refusal);
    const event = `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`;
    expect(seen(event).refusal()).toBeUndefined();
    expect(seen(event, 'data: [DONE]\n\n').refusal()).toBeUndefined();
    expect(seen().refusal()).toBeUndefined();
  });
});

describe('limits', () => {
  it('are read in the words of either vendor; what is left out is used up', () => {
    expect(
      rateLimitsOf({ 'x-ratelimit-limit-requests': '60', 'x-ratelimit-limit-tokens': 'lots' }),
    ).toEqual({ requests: { limit: 60, remaining: 0 }, tokens: undefined });
    expect(
      rateLimitsOf({
        'anthropic-ratelimit-tokens-limit': '1000',
        'anthropic-ratelimit-tokens-remaining': '10',
      }),
    ).toEqual({ requests: undefined, tokens: { limit: 1000, remaining: 10 } });
    expect(rateLimitsOf({})).toBeUndefined();
  });
});

describe('an order', () => {
  const spec = { lab: 'lab_1', endpoints: [{ endpoint: 'chat', models: ['m-1'] }] };
  it.each<[Selector, boolean]>([
    [{ all: true }, true],
    [{ grant: 'grt_1' }, true],
    [{ grant: 'grt_2' }, false],
    [{ lab: 'lab_1' }, true],
    [{ lab: 'lab_2' }, false],
    [{ person: 'per_1' }, true],
    [{ person: 'per_2' }, false],
    [{ endpoint: 'chat' }, true],
    [{ endpoint: 'other' }, false],
    [{ model: 'm-1' }, true],
    [{ model: 'm-2' }, false],
  ])('%o touches the grant: %s', (selector, does) => {
    expect(touches({ selector }, { id: 'grt_1', spec }, 'per_1')).toBe(does);
  });
});

describe('the status line', () => {
  it('says how long the token is good where no other comes after it', () => {
    const state = { total: 1200, running: 2, waiting: 0, limits: undefined, standing: undefined };
    const token = { expiresAt: 61_000, renewAt: undefined };
    expect(statusLine({ ...state, token }, 0)).toBe(
      '1,200 requests (2 running) | access ends in 1 min 1 s',
    );
    expect(statusLine({ ...state, token }, 61_000)).toContain('no token');
  });

  it('tells those that wait from those that run', () => {
    const state = { total: 30, running: 4, waiting: 26, limits: undefined, standing: undefined };
    const line = statusLine({ ...state, token: undefined }, 0);
    expect(line).toBe('30 requests (4 running, 26 waiting) | no token');
  });

  it('is printed anew without a terminal only when something changed, and at most once a minute', () => {
    let err = '';
    const around = { err: (text: string) => void (err += text), columns: () => undefined };
    const display = new Display({ ...around, clock: Date.now }, true);
    display.show('1 request | 9 s', '1');
    display.show('2 requests | 8 s', '2');
    vi.advanceTimersByTime(60_000);
    display.show('2 requests | 7 s', '2');
    vi.advanceTimersByTime(60_000);
    display.show('2 requests | 6 s', '2');
    display.end();
    expect(err).toBe('1 request | 9 s\n2 requests | 7 s\n');
  });

  it('makes way for lines that stay, and none is drawn where a command has the terminal', () => {
    let err = '';
    const around = {
      err: (text: string) => void (err += text),
      columns: () => 80,
      clock: Date.now,
    };
    const display = new Display(around, true);
    display.show('status');
    display.note('a note\u001b[2J');
    display.end();
    expect(err).toBe('\r\u001b[2Kstatus\r\u001b[2Ka note\\u{1b}[2J\nstatus\r\u001b[2K');
    err = '';
    new Display(around, false).show('status');
    expect(err).toBe('');
  });
});

describe('the environment', () => {
  const port = { url: 'http://127.0.0.1:1234', key: `it's` };

  it('is quoted for the shell', () => {
    const environment = environmentFor(port, GRANTED, {});
    expect(environmentLines(port, GRANTED, environment)).toContain(
      String.raw`export OPENAI_API_KEY='it'\''s'`,
    );
  });

  it.each([
    [['chat.completions'], ['-M responses_api=false', 'openai:chat:', 'local-chat-completions']],
    [['responses'], ['-M responses_api=true', 'openai:responses:']],
    [['completions'], ['--model local-completions', '/v1/completions']],
    [['embeddings'], []],
  ])(
    'leads to the port for %j, with command lines for what the grant names',
    (operations, parts) => {
      const granted = { ...GRANTED, operations };
      const environment = environmentFor(port, granted, {});
      expect(environment.set).toMatchObject({ OPENAI_API_KEY: port.key });
      const lines = environmentLines(port, granted, environment);
      for (const part of parts) expect(lines).toContain(part);
      const all = ['openai:chat:', 'openai:responses:', 'local-completions'];
      for (const other of all.filter((name) => !parts.join().includes(name)))
        expect(lines).not.toContain(other);
    },
  );

  it('leads past proxies, and takes away what would lead elsewhere', () => {
    const env = {
      HTTP_PROXY: 'http://proxy.lab.example',
      NO_PROXY: 'lab.example',
      OPENAI_API_HOST: 'elsewhere.example',
      PATH: '/bin',
    };
    const changed = applied(env, environmentFor(port, GRANTED, env));
    expect(changed).toEqual({
      HTTP_PROXY: 'http://proxy.lab.example',
      NO_PROXY: 'lab.example,127.0.0.1',
      no_proxy: 'lab.example,127.0.0.1',
      PATH: '/bin',
      OPENAI_BASE_URL: 'http://127.0.0.1:1234/v1',
      OPENAI_API_KEY: `it's`,
    });
  });
});
