/** Known failure 6: limits hold across processes, since there is one writer, and it forgets nothing. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  cleanUp,
  newDirectory,
  runCommand,
  startDemo,
  startServe,
  tokenFrom,
  writeGrantFile,
  writeServeConfig,
  type DemoFacts,
} from '../support/broker-process.ts';
import { startScriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';

let upstream: ScriptedUpstream;
beforeAll(async () => {
  upstream = await startScriptedUpstream();
});
afterEach(cleanUp);
afterAll(() => upstream.close());

/** The code of a refusal, or ok. */
async function ask({ model }: DemoFacts, url: string, token: string): Promise<string> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, max_tokens: 10, messages: [{ role: 'user', content: 'Hi' }] }),
  });
  const { error } = (await answer.json()) as { error?: { code: string } };
  return error?.code ?? 'ok';
}

describe('known failure 6: limits between processes', () => {
  it('a second broker on the same data refuses to start, and the first one goes on', async () => {
    const first = await startDemo({ dataDir: newDirectory(), upstream: upstream.url });
    const config = writeServeConfig(first.facts, { upstream: upstream.url });
    const second = await runCommand(['serve', '--config', config]);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/in use|already|another/i);
    expect(await ask(first.facts, first.facts.url, first.facts.token)).toBe('ok');
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'the minute goes on where it was when %s ended the broker in its middle',
    async (signal) => {
      const limits = { requestsPerMinute: 5, tokensPerMinute: null, concurrent: null };
      const grant = writeGrantFile({ limits });
      const first = await startDemo({ dataDir: newDirectory(), upstream: upstream.url, grant });
      for (let i = 0; i < 3; i += 1)
        expect(await ask(first.facts, first.facts.url, first.facts.token)).toBe('ok');
      await first.process.end(signal);
      const config = writeServeConfig(first.facts, { upstream: upstream.url });
      const { url } = await startServe(config);
      const token = await tokenFrom(first.facts, url);
      const answers: string[] = [];
      for (let i = 0; i < 4; i += 1) answers.push(await ask(first.facts, url, token));
      expect(answers).toEqual(['ok', 'ok', 'request_rate_limited', 'request_rate_limited']);
    },
  );

  it('brokers that start at the same moment: one of them serves', async () => {
    const demo = await startDemo({ dataDir: newDirectory(), upstream: upstream.url });
    await demo.process.end('SIGTERM');
    const starts = await Promise.allSettled(
      Array.from({ length: 3 }, () =>
        startServe(writeServeConfig(demo.facts, { upstream: upstream.url })),
      ),
    );
    const serving = starts.filter((start) => start.status === 'fulfilled');
    expect(serving).toHaveLength(1);
    const url = serving[0]?.value.url ?? '';
    expect(await ask(demo.facts, url, await tokenFrom(demo.facts, url))).toBe('ok');
  });
});
