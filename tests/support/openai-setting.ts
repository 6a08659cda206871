/** A broker and a grant for all of the OpenAI dialect's operations: what the tests of each of them stand on. */
import type OpenAI from 'openai';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import {
  startRunningBroker,
  type Access,
  type LogEntry,
  type RunningBroker,
} from './running-broker.ts';

/** Of the endpoint; the grant leaves out what keeps state. */
export const FEATURES = {
  streaming: true,
  systemPrompt: true,
  tools: true,
  stateful: true,
  logprobs: true,
  n: 4,
  maxOutputTokens: 1000,
};

interface Now {
  running: RunningBroker;
  access: Access;
  openai: OpenAI;
}

export interface OpenaiSetting {
  /** As it is in the test that runs: each has a grant of its own. */
  now(this: void): Now;
  /** The body that reached the upstream last. */
  sent(this: void): Record<string, unknown>;
  outcome(this: void): Promise<LogEntry>;
  /** What the log says that a request was charged for, in tokens of input and output. */
  settled(this: void): Promise<unknown>;
  ended(this: void): Promise<string | undefined>;
}

/** To be called at the top of a file of tests, whose hooks it sets. */
export function openaiSetting(): OpenaiSetting {
  let running: RunningBroker;
  let access: Access;
  beforeAll(async () => {
    running = await startRunningBroker({ endpoint: { features: FEATURES } });
  });
  beforeEach(async () => {
    access = await running.access({
      operations: ['chat.completions', 'responses', 'completions', 'embeddings'],
      features: { ...FEATURES, stateful: false },
    });
  });
  afterEach(() => running.checkUpstream());
  afterAll(() => running.close());
  const outcome = (): Promise<LogEntry> => running.outcomeOf(access.grant);
  return {
    now: () => ({ running, access, openai: access.openai }),
    sent: () => running.upstream.requests.at(-1)?.body as Record<string, unknown>,
    outcome,
    async settled() {
      const { data } = await outcome();
      return [data?.end, data?.usage?.inputTokens, data?.usage?.outputTokens, data?.usage?.source];
    },
    ended: async () => (await outcome()).data?.end,
  };
}
