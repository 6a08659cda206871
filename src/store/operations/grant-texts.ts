/** What the operations on grants share: finding one, writing a version of its text, recording where it stands then. */
import { and, eq, max } from 'drizzle-orm';
import type { EntryKind, Json } from '../../core/audit/entry.ts';
import type { ApprovalRole } from '../../core/authority-rules.ts';
import { RefusedError, refuse, type Refusal } from '../../core/denials.ts';
import { refusalOfExcluded } from '../../core/exclusions.ts';
import type { Grant, GrantSpec, GrantText } from '../../core/grants.ts';
import { after } from '../../core/durations.ts';
import { refusalOfStale } from '../../core/revision.ts';
import type { WriterContext } from '../context.ts';
import { readGrant } from '../records.ts';
import { grantApprovals, grantVersions, grants } from '../schema.ts';
import { putGrantOnAgenda, standingForLog } from './grant-ends.ts';
import { mustReach, type Authorised, type By } from './operation.ts';
import { mustHoldJoiners, mustNameRealPeople } from './roster.ts';

export interface Draft {
  spec: GrantSpec;
  /** SHA-256 of the terms, hex. */
  termsDigest: string;
}

/** Which grant, and which state of it the actor has seen. */
export interface GrantTarget {
  by: By;
  grantId: string;
  /** The revisions of the grant that the actor would change; undefined: whichever there is. */
  ifMatch?: readonly string[] | undefined;
}

export function mustFind(
  context: WriterContext,
  { grantId, ifMatch }: GrantTarget,
  who: Authorised,
): Grant {
  const grant = readGrant(context.db, grantId) ?? refuse('not_found');
  mustReach(who, { labId: grant.spec.lab });
  passOrRefuse(refusalOfStale(grant, ifMatch));
  return grant;
}

export function passOrRefuse(why: Refusal | null): void {
  if (why) throw new RefusedError(why);
}

/** @throws RefusedError for a text that cannot become this grant's */
export function mustBeText(
  context: WriterContext,
  grant: Grant,
  { spec }: Draft,
  at: number,
): void {
  if (spec.lab !== grant.spec.lab)
    refuse('invalid_request', 'A grant keeps its lab. Make a new grant.', { param: 'lab' });
  mustBeGrantable(context, spec);
  mustNameRealPeople(context, spec);
  mustHoldJoiners(context, { ...grant, spec }, at);
}

/** @throws RefusedError for a text that names what is never granted */
export function mustBeGrantable({ grantSettings }: WriterContext, spec: GrantSpec): void {
  passOrRefuse(refusalOfExcluded(spec, grantSettings.excluded));
}

/** Where a version comes from: {@link grantVersions}. */
export interface Origin {
  /** The text that it follows in its chain; null: it begins one. */
  follows: GrantText | null;
  narrows?: boolean;
  restsOn?: number | null;
  approvalsNeeded?: ApprovalRole[] | null;
}

/** Writes the next version of a grant's text. @returns its number */
export function insertVersion(
  context: WriterContext,
  grantId: string,
  draft: Draft,
  origin: Origin,
  { member }: Authorised,
  at: number,
): number {
  const { follows, narrows = false, restsOn = null, approvalsNeeded = null } = origin;
  const version = newestVersion(context, grantId) + 1;
  context.db
    .insert(grantVersions)
    .values({
      grantId,
      version,
      authorId: member.person.id,
      spec: draft.spec,
      termsDigest: draft.termsDigest,
      createdAt: at,
      chain: follows ? chainOf(context, grantId, follows.version) : version,
      narrows,
      restsOn,
      approvalsNeeded,
    })
    .run();
  return version;
}

function newestVersion({ db }: WriterContext, grantId: string): number {
  const newest = db
    .select({ version: max(grantVersions.version) })
    .from(grantVersions)
    .where(eq(grantVersions.grantId, grantId))
    .get();
  return newest?.version ?? 0;
}

/** The approvals that a version which only narrows another stands on: those of that one. */
export function approvedVersion({ db }: WriterContext, grantId: string, version: number): number {
  const row = db.select().from(grantVersions).where(isVersion(grantId, version)).get();
  return row?.restsOn ?? version;
}

function chainOf({ db }: WriterContext, grantId: string, version: number): number {
  const row = db.select().from(grantVersions).where(isVersion(grantId, version)).get();
  return row?.chain ?? version;
}

export const isVersion = (grantId: string, version: number) =>
  and(eq(grantVersions.grantId, grantId), eq(grantVersions.version, version));

/** Approvals of a version count no more: it is to be reviewed again. */
export function forgetApprovals({ db }: WriterContext, grantId: string, version: number): void {
  db.delete(grantApprovals)
    .where(and(eq(grantApprovals.grantId, grantId), eq(grantApprovals.version, version)))
    .run();
}

/** Sets what is said of a grant in its own row. */
export function updateGrant(
  { db }: WriterContext,
  grantId: string,
  values: Partial<typeof grants.$inferInsert>,
): void {
  db.update(grants).set(values).where(eq(grants.id, grantId)).run();
}

/** The terms stand in the log by their digest; the text itself could outgrow an entry. */
export function textForLog({ spec, termsDigest }: Draft): Record<string, Json> {
  return { spec: { ...spec, terms: { version: spec.terms.version } }, termsDigest };
}

/**
 * Records what was done to a grant, with where it stands then: the log alone tells which text was in force when.
 *
 * @param version the one that it is about, where that is not the one in force
 */
export function recorded(
  context: WriterContext,
  grantId: string,
  kind: EntryKind,
  by: By,
  who: Authorised,
  data: Record<string, Json | undefined>,
  version?: number,
): Grant {
  setNextReview(context, grantId, by.at);
  const grant = readGrant(context.db, grantId) ?? refuse('not_found');
  putGrantOnAgenda(context, grant, by.at);
  context.changed({ kind: 'grant', value: grant });
  context.append({
    id: by.entryId,
    kind,
    at: by.at,
    actor: who.actor,
    ref: grantId,
    lab: grant.spec.lab,
    grant: grantId,
    grantVersion: version ?? grant.version,
    data: {
      ...data,
      ...standingForLog(grant),
    },
  });
  return grant;
}

/** The review that the text in force asks for. A new text can bring it forward, and never puts it off. */
function setNextReview(context: WriterContext, grantId: string, at: number): void {
  const grant = readGrant(context.db, grantId);
  if (grant?.state !== 'active') return;
  const { review } = grant.spec;
  const reviewDueAt = review && Math.min(grant.reviewDueAt ?? Infinity, after(at, review.every));
  if (reviewDueAt !== grant.reviewDueAt)
    context.db.update(grants).set({ reviewDueAt }).where(eq(grants.id, grantId)).run();
}
