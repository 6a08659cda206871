/** Reading and acknowledging notices; their deliveries. */
import type { DeliveryState } from '../core/deliveries.ts';
import { refuse } from '../core/denials.ts';
import { maySee, type NoticeKind } from '../core/notices.ts';
import type { ListedDelivery } from '../store/list-deliveries.ts';
import type { AcknowledgedNotice, NoticeFilter } from '../store/list-notices.ts';
import type { Replayed, ReplaySelection } from '../store/operations/notices.ts';
import type { PageRequest } from '../store/page.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { mayRead, type ReadingMember } from './reach.ts';

export interface NoticeQuery {
  kind?: NoticeKind | undefined;
  ref?: string | undefined;
  /** Only what the reader has not acknowledged. */
  unread?: boolean | undefined;
  labId?: string | undefined;
}

/**
 * Notices, newest first. Whoever sees those of all labs gets those of the host, unless another lab is named: to see who
 * of it has taken note.
 */
export function listNotices(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  { kind, ref, unread, labId }: NoticeQuery,
): AcknowledgedNotice[] {
  const reader = mayRead(broker, actorId, 'notice.read');
  const bounds = boundsOf(broker, reader, labId);
  if (!bounds) return [];
  const unreadBy = unread ? actorId : undefined;
  return broker.readers.listNotices(page, { kind, ref, unreadBy, ...bounds });
}

/** Undefined: there is nothing of that lab that they may see. */
function boundsOf(
  { readers }: Broker,
  { reach, member }: ReadingMember,
  labId: string | undefined,
): NoticeFilter | undefined {
  const own = member.lab.id;
  if (reach === 'all') return { labIds: labId ? [labId] : [readers.hostLabId() ?? own, own] };
  if (labId !== undefined && labId !== own) return undefined;
  return { labIds: [own], ownOf: member.person.id, personalOnly: reach === 'self' };
}

/** @throws RefusedError `not_found` */
export function showNotice(broker: Broker, actorId: string, noticeId: string): AcknowledgedNotice {
  const { reach, member } = mayRead(broker, actorId, 'notice.read');
  const notice = broker.readers.readNotice(noticeId) ?? refuse('not_found');
  return maySee(reach, member, notice) ? notice : refuse('not_found');
}

/** Says, in the actor's name, that they took note. */
export function acknowledgeNotice(
  broker: Broker,
  actorId: string,
  noticeId: string,
): Promise<AcknowledgedNotice> {
  return broker.store.write('acknowledgeNotice', { by: by(broker, actorId), noticeId });
}

/** Deliveries, newest first. */
export function listDeliveries(
  broker: Broker,
  actorId: string,
  page: PageRequest,
  filter: {
    state?: DeliveryState | undefined;
    channel?: string | undefined;
    noticeId?: string | undefined;
  },
): ListedDelivery[] {
  mayRead(broker, actorId, 'delivery.read');
  return broker.readers.listDeliveries(page, filter);
}

/** Has dead deliveries tried again. */
export function replayDeliveries(
  broker: Broker,
  actorId: string,
  selection: ReplaySelection,
): Promise<Replayed> {
  return broker.store.write('replayDeliveries', { by: by(broker, actorId), selection });
}
