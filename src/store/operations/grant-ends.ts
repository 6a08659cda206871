/** What a grant comes to by itself: a review that falls due, and its end. And what follows from an end, whoever makes it. */
import { eq } from 'drizzle-orm';
import type { EntryActor, Json } from '../../core/audit/entry.ts';
import { before } from '../../core/durations.ts';
import { rosterOf, type Grant } from '../../core/grants.ts';
import { mintId } from '../../lib/ids.ts';
import { isOnAgenda, putOnAgenda, takeOffAgenda, type AgendaItem } from '../agenda.ts';
import type { WriterContext } from '../context.ts';
import { beginDuties } from '../duties.ts';
import { notify } from '../notify.ts';
import { readGrant } from '../records.ts';
import { grants } from '../schema.ts';
import { withdrawOntoEnded } from './open-invitations.ts';

/** Puts the moments of a grant in force on the agenda, in place of those that stood there. */
export function putGrantOnAgenda(context: WriterContext, grant: Grant, now: number): void {
  const { reviewDueAt } = grant;
  // A review that has just been missed is to be told still, whatever is done with the grant meanwhile.
  const untold = reviewDueAt !== null && isOnAgenda(context, 'grant', grant.id, reviewDueAt);
  takeOffAgenda(context, 'grant', grant.id);
  if (grant.state !== 'active' || grant.endedAt !== null) return;
  const reviews =
    reviewDueAt === null
      ? []
      : [
          reviewDueAt,
          ...context.rules.reviews.remindBefore.map((span) => before(reviewDueAt, span)),
        ];
  const until = Date.parse(grant.spec.window.until);
  const isToCome = (at: number): boolean => at > now || (untold && at === reviewDueAt);
  for (const at of reviews.filter((moment) => isToCome(moment) && moment < until))
    putOnAgenda(context, { kind: 'grant', ref: grant.id, at });
  putOnAgenda(context, { kind: 'grant', ref: grant.id, at: until });
}

/** Looks at a grant whose moment has come. */
export function lookAtGrant(context: WriterContext, { ref, at }: AgendaItem, now: number): void {
  const grant = readGrant(context.db, ref);
  if (grant?.state !== 'active' || grant.endedAt !== null) return;
  if (Date.parse(grant.spec.window.until) <= now) expire(context, grant, now);
  else if (at === grant.reviewDueAt) missReview(context, grant, now);
  else if (grant.reviewDueAt !== null && grant.reviewDueAt > now) remind(context, grant, now);
}

/** It has been without effect since its window closed; here that is put on record, and its duties begin. */
function expire(context: WriterContext, { id }: Grant, now: number): void {
  context.db
    .update(grants)
    .set({ endedAt: now, proposedVersion: null, proposedState: null })
    .where(eq(grants.id, id))
    .run();
  const grant = readGrant(context.db, id) as Grant;
  context.changed({ kind: 'grant', value: grant });
  append(context, grant, 'grant.expired', now);
  withdrawOntoEnded(context, grant, { at: now, actor: BROKER });
  followEnd(context, grant, { cause: 'expired', at: now, actor: BROKER });
}

const BROKER: EntryActor = { system: 'broker' };

function missReview(context: WriterContext, grant: Grant, now: number): void {
  append(context, grant, 'grant.review_missed', now);
  notify(context, {
    kind: 'grant.review_missed',
    ref: grant.id,
    at: now,
    to: everybody(context, grant),
    title: `The review of the grant "${grant.spec.title}" was missed, so it is suspended until the host lab reviews it ("sallyport grant review ${grant.id}").`,
  });
}

function remind(context: WriterContext, grant: Grant, now: number): void {
  const due = new Date(grant.reviewDueAt ?? 0).toISOString();
  notify(context, {
    kind: 'grant.review_due',
    ref: grant.id,
    at: now,
    to: [{ labId: context.host }, { labId: grant.spec.lab }],
    title: `The grant "${grant.spec.title}" is to be reviewed by ${due}, or it is suspended then ("sallyport grant review ${grant.id}").`,
  });
}

function append(
  context: WriterContext,
  grant: Grant,
  kind: 'grant.expired' | 'grant.review_missed',
  now: number,
): void {
  context.append({
    id: mintId('ent', now),
    kind,
    at: now,
    actor: BROKER,
    ref: grant.id,
    lab: grant.spec.lab,
    grant: grant.id,
    grantVersion: grant.version,
    data: standingForLog(grant),
  });
}

/** Where a grant stands, for an entry: the log alone tells which text was in force when, and until when. */
export const standingForLog = ({
  state,
  version,
  proposed,
  reviewDueAt,
  endedAt,
}: Grant): Record<string, Json | undefined> => ({
  state,
  version,
  proposed: proposed && { version: proposed.version, state: proposed.state },
  ...(reviewDueAt !== null && { reviewDueAt: new Date(reviewDueAt).toISOString() }),
  ...(endedAt !== null && { endedAt: new Date(endedAt).toISOString() }),
});

interface End {
  cause: 'expired' | 'revoked' | 'closed';
  at: number;
  actor: EntryActor;
}

/** Tells those concerned that a grant is over, and begins its duties. */
export function followEnd(context: WriterContext, grant: Grant, { cause, at, actor }: End): void {
  takeOffAgenda(context, 'grant', grant.id);
  const how = { expired: 'has expired', revoked: 'was revoked', closed: 'was handed back' };
  notify(context, {
    kind: 'grant.ended',
    ref: grant.id,
    at,
    to: everybody(context, grant),
    title: `The grant "${grant.spec.title}" ${how[cause]}: nothing passes under it any more.`,
  });
  beginDuties(context, grant, { cause, at, actor });
}

const everybody = (
  context: WriterContext,
  grant: Grant,
): { labId: string; personId?: string }[] => [
  { labId: context.host },
  { labId: grant.spec.lab },
  ...rosterOf(grant).map(({ personId }) => ({ labId: grant.spec.lab, personId })),
];
