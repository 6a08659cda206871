/** Makes the channels that the configuration names. */
import type { NoticeChannels } from '../core/notice-channels.ts';
import { Email } from './email.ts';
import type { Sender } from './sender.ts';
import { Webhook } from './webhook.ts';

/**
 * The senders by the id of their channel.
 *
 * @throws with the option that is wrong and what to do, never with a secret
 */
export function openSenders({ webhooks, email }: NoticeChannels): Map<string, Sender> {
  const senders = new Map<string, Sender>();
  const open = (option: string, id: string, make: () => Sender): void => {
    try {
      senders.set(id, make());
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`"${option}" ("${id}"): ${why}`, { cause: error });
    }
  };
  for (const [i, webhook] of webhooks.entries())
    open(`notices.webhooks[${i}]`, webhook.id, () => new Webhook(webhook));
  if (!email) return senders;
  for (const [i, { id, address }] of email.to.entries()) {
    const channel = { smtp: email.smtp, from: email.from, to: address };
    open(`notices.email.to[${i}]`, id, () => new Email(channel));
  }
  return senders;
}
