/** Clients in a process of their own, so that what they cost is not counted as the broker's. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Requests to send, all by POST to one URL. */
export interface Load {
  url: string;
  /** Requests under way at a time, each on a connection that is kept. */
  lanes: number;
  requests: { headers: Record<string, string>; body: string }[];
}

/** How often each status other than 200 was answered. */
export type Refused = Record<number, number>;

export class LoadGenerator {
  readonly #child: ChildProcess = fork(new URL('./load-clients.ts', import.meta.url));

  /** Hands over what is to be sent. */
  async load(load: Load): Promise<void> {
    this.#child.send(load);
    await once(this.#child, 'message');
  }

  /** Sends it. @throws when any of it is answered with another status than 200 */
  async send(): Promise<void> {
    this.#child.send('send');
    const [refused] = (await once(this.#child, 'message')) as [Refused];
    if (Object.keys(refused).length > 0)
      throw new Error(`Requests were refused (how many, by status): ${JSON.stringify(refused)}.`);
  }

  close(): void {
    this.#child.disconnect();
  }
}
