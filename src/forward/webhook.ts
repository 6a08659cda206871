/** Entries as JSON lines to a webhook, signed as notices are (Standard Webhooks). */
import { hash } from 'node:crypto';
import { forwardAttempt, type ForwardAttempt, type WebhookReceiver } from '../core/forwarding.ts';
import { openTls } from '../lib/tls-files.ts';
import { SignedPosts } from '../notices/signed-posts.ts';
import { jsonLines, type Forwarder, type OutgoingEntry } from './forwarder.ts';

export class WebhookForwarder implements Forwarder {
  readonly #posts: SignedPosts;

  /** @throws with what to do, never with the secret */
  constructor({ url, secret, tls }: Pick<WebhookReceiver, 'url' | 'secret' | 'tls'>) {
    this.#posts = new SignedPosts({ url, secret, tls: tls && openTls(tls) });
  }

  async forward(
    entries: readonly OutgoingEntry[],
    at: number,
    signal: AbortSignal,
  ): Promise<ForwardAttempt> {
    const [first, last] = [entries[0]?.index, entries.at(-1)?.index];
    const body = jsonLines(entries);
    // The same entries have the same id at each attempt, and no others have: each names its log.
    const id = `log_${first}_${last}_${hash('sha256', body, 'hex').slice(0, 32)}`;
    const post = { id, at, type: 'application/jsonl', body };
    return forwardAttempt(await this.#posts.send(post, signal));
  }

  close(): void {
    this.#posts.close();
  }
}
