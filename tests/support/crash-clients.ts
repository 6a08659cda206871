/** The load of the crash test: clients that remember what they were told. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { decodeJwt } from 'jose';
import type { DemoFacts } from './broker-process.ts';

/** So many requests are under way at most. */
export const LOOPS = 16;

/** Sixteen clients in a loop, and what each of them was told. */
export class CrashClients {
  /** Requests whose answer came whole: its JSON, or its stream to the terminal event. */
  readonly complete = new Set<string>();
  /** Codes of refusals, by request. */
  readonly refused = new Map<string, string>();
  /** Ids of the tokens of refused requests. */
  readonly refusedTokens = new Map<string, string>();
  /** Requests that got the head of a successful answer. */
  readonly begun = new Set<string>();
  /** Checkpoints that were published over HTTP. */
  readonly notes = new Set<string>();
  #next = 0;
  #answers = 0;
  #waiting: { from: number; resolve: () => void } | undefined;

  /** Resolves when so many more answers have come. */
  answered(more: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting = { from: this.#answers + more, resolve };
    });
  }

  /** Calls until the broker is gone. */
  async load({ url, token, model }: DemoFacts): Promise<void> {
    const loop = async (): Promise<void> => {
      while (await this.#call(url, token, model));
    };
    await Promise.all([...Array.from({ length: LOOPS }, loop), this.#watchCheckpoints(url)]);
  }

  /** @returns whether the broker still answers */
  async #call(url: string, token: string, model: string): Promise<boolean> {
    const number = (this.#next += 1);
    const kind = ['plain', 'stream', 'aborted plain', 'aborted stream'][
      [0, 0, 0, 1, 1, 1, 2, 3][number % 8] as number
    ] as string;
    const stream = kind.endsWith('stream');
    const body = {
      model,
      max_tokens: 50,
      stream,
      messages: [{ role: 'user', content: `${number} ${'x'.repeat((number * 37) % 400)}` }],
    };
    const abort = new AbortController();
    const timer = kind.startsWith('aborted')
      ? setTimeout(() => abort.abort(), Math.random() * 40)
      : undefined;
    try {
      const answer = await fetch(`${url}/v1/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: abort.signal,
      });
      const id = answer.headers.get('x-request-id') ?? '';
      if (answer.ok) this.begun.add(id);
      if (!answer.ok) this.refusedTokens.set(id, String(decodeJwt(token).jti));
      this.#note(id, answer.status, stream, await answer.text());
      return true;
    } catch {
      return abort.signal.aborted;
    } finally {
      clearTimeout(timer);
    }
  }

  #note(id: string, status: number, stream: boolean, text: string): void {
    this.#answers += 1;
    if (this.#waiting && this.#answers >= this.#waiting.from) this.#waiting.resolve();
    if (status !== 200) {
      const { error } = JSON.parse(text) as { error: { code: string } };
      this.refused.set(id, error.code);
    } else if (!stream) {
      assert.ok('choices' in (JSON.parse(text) as object));
      this.complete.add(id);
    } else if (text.endsWith('data: [DONE]\n\n')) this.complete.add(id);
    // A stream never just ends.
    else assert.match(text, /"error"/);
  }

  async #watchCheckpoints(url: string): Promise<void> {
    for (;;) {
      try {
        const answer = await fetch(`${url}/api/v1/log/checkpoint`);
        const note = await answer.text();
        if (answer.ok) this.notes.add(note);
        await delay(40);
      } catch {
        return;
      }
    }
  }
}
