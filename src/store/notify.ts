/** Writes notices, in the transaction of what they tell: nobody is told what did not happen, and nothing is forgotten. */
import { goesOutThrough } from '../core/notice-channels.ts';
import type { NoticeDraft } from '../core/notices.ts';
import { mintId } from '../lib/ids.ts';
import type { WriterContext } from './context.ts';
import { deliveries, notices } from './schema.ts';

/** Tells each of those concerned once: a notice for each, and what is to be delivered of it. */
export function notify(
  { db, channels, host }: Pick<WriterContext, 'db' | 'channels' | 'host'>,
  draft: NoticeDraft,
): void {
  const { kind, ref, at, title, data = {} } = draft;
  const told = new Set<string>();
  for (const { labId, personId = null } of draft.to) {
    const whom = `${labId} ${personId ?? ''}`;
    if (told.has(whom)) continue;
    told.add(whom);
    const id = mintId('ntc', at);
    db.insert(notices).values({ id, at, kind, ref, labId, personId, title, data }).run();
    for (const channel of channels) {
      if (!goesOutThrough(channel, { kind, labId, personId }, host)) continue;
      const delivery = { id: mintId('dlv', at), noticeId: id, channel: channel.id, createdAt: at };
      db.insert(deliveries)
        .values({ ...delivery, state: 'pending', attempts: 0, nextAt: at })
        .run();
    }
  }
}
