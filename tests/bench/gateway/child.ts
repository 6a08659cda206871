/** A process of the bench: this end starts it and asks it; `answerParent` is the other end. */
import { fork, type ChildProcess } from 'node:child_process';
import { inspect } from 'node:util';

interface Answer {
  result?: unknown;
  error?: string;
}

/** A file that answers its parent, in a process of its own, which ends with this one. */
export class Child {
  readonly #process: ChildProcess;
  readonly #answers: { resolve: (result: unknown) => void; reject: (why: Error) => void }[] = [];
  #closing = false;

  constructor(file: URL) {
    this.#process = fork(file, { serialization: 'advanced' });
    this.#process.on('message', ({ result, error }: Answer) => {
      const answer = this.#answers.shift();
      if (error === undefined) answer?.resolve(result);
      else answer?.reject(new Error(`${file.pathname}: ${error}`));
    });
    this.#process.on('exit', (code) => {
      const why = new Error(`${file.pathname} ended with code ${code}.`);
      for (const { reject } of this.#answers.splice(0)) reject(why);
      if (!this.#closing) throw why;
    });
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  ask<T>(question: object): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#answers.push({ resolve: (result) => resolve(result as T), reject });
      this.#process.send(question);
    });
  }

  close(): void {
    this.#closing = true;
    if (this.#process.connected) this.#process.disconnect();
  }
}

/** Answers what the parent asks, one after the other, until it goes away. */
export function answerParent(answer: (question: never) => Promise<unknown>): void {
  process.on('message', (question) => {
    void answer(question as never).then(
      (result) => process.send?.({ result } satisfies Answer),
      (error: unknown) => process.send?.({ error: inspect(error) } satisfies Answer),
    );
  });
  process.on('disconnect', () => process.exit());
}
