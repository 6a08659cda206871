/** Writes notices, in the transaction of what they tell: nobody is told what did not happen, and nothing is forgotten. */
import type { NoticeDraft } from '../core/notices.ts';
import { mintId } from '../lib/ids.ts';
import type { WriterContext } from './context.ts';
import { notices } from './schema.ts';

/** Tells each of those concerned once. */
export function notify(context: WriterContext, draft: NoticeDraft): void {
  const { kind, ref, at, title, data = {} } = draft;
  const told = new Set<string>();
  for (const { labId, personId = null } of draft.to) {
    const whom = `${labId} ${personId ?? ''}`;
    if (told.has(whom)) continue;
    told.add(whom);
    const id = mintId('ntc', at);
    context.db.insert(notices).values({ id, at, kind, ref, labId, personId, title, data }).run();
  }
}
