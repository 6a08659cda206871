/** Notices as webhooks. */
import type { Attempt } from '../core/deliveries.ts';
import type { WebhookChannel } from '../core/notice-channels.ts';
import type { OutgoingNotice, Sender } from './sender.ts';
import { SignedPosts } from './signed-posts.ts';

export class Webhook implements Sender {
  readonly #posts: SignedPosts;

  /** @throws with what to do, never with the secret */
  constructor({ url, secret }: WebhookChannel) {
    this.#posts = new SignedPosts({ url, secret });
  }

  deliver(outgoing: OutgoingNotice, signal: AbortSignal): Promise<Attempt> {
    const { notice, at } = outgoing;
    const post = { id: notice.id, at, type: 'application/json', body: payloadOf(outgoing) };
    return this.#posts.send(post, signal);
  }

  close(): void {
    this.#posts.close();
  }
}

/** The bytes that are signed and sent: the same at each attempt. */
function payloadOf({ notice, broker }: OutgoingNotice): string {
  const { id, at, kind, ref, labId, personId, title, data } = notice;
  return JSON.stringify({
    type: kind,
    timestamp: new Date(at).toISOString(),
    data: { notice: id, broker, ref, lab: labId, person: personId, title, details: data },
  });
}
