/** Replays entries about grants. */
import { z } from 'zod';
import type { Approval } from '../approvals.ts';
import { approvalRoleSchema, type ApprovalRole } from '../authority-rules.ts';
import { GRANT_STATES, grantSpecSchema, type GrantSpec, type GrantText } from '../grants.ts';
import {
  Gap,
  actingPerson,
  dataOf,
  momentSchema,
  mustHave,
  type LoggedEntry,
} from './logged-entry.ts';
import { endTokens } from './replay-tokens.ts';
import type { Replayed, ReplayedGrant } from './replayed.ts';

/** Before policies of approval, every grant needed these. */
const NEEDED_BEFORE: ApprovalRole[] = ['admin', 'safety'];

/** Terms are in the log by their digest; this stands where their text would. */
const TEXT_NOT_LOGGED = '(The log has their digest alone.)';

const textSchema = z.object({
  spec: z.looseObject({ terms: z.object({ version: z.string() }) }),
  termsDigest: z.string(),
});

function specOf({ spec }: z.infer<typeof textSchema>): GrantSpec {
  const whole = { ...spec, terms: { ...spec.terms, text: TEXT_NOT_LOGGED } };
  const { data, error } = grantSpecSchema.safeParse(whole);
  if (error) throw new Gap(`This version cannot read the text of the grant: ${error.message}`);
  return data;
}

/** Where a grant stands after an entry. Versions before 0.4 say it for some steps alone. */
const standingSchema = z.object({
  state: z.enum(GRANT_STATES).optional(),
  version: z.int().optional(),
  proposed: z
    .object({ version: z.int(), state: z.enum(['draft', 'submitted', 'returned', 'approved']) })
    .nullable()
    .default(null),
  reviewDueAt: momentSchema.nullable().default(null),
  endedAt: momentSchema.optional(),
});

function standsNow(grant: ReplayedGrant, entry: LoggedEntry): void {
  const { state = grant.state, version, proposed, ...times } = dataOf(entry, standingSchema);
  grant.state = state;
  grant.reviewDueAt = times.reviewDueAt;
  const isOver = state === 'revoked' || state === 'closed';
  grant.endedAt = times.endedAt ?? grant.endedAt ?? (isOver ? entry.at : null);
  grant.version = version ?? mustHave(entry, 'grantVersion');
  grant.proposed = proposed;
  grant.updatedAt = entry.at;
}

export function grantCreated(state: Replayed, entry: LoggedEntry): void {
  const id = mustHave(entry, 'grant');
  const grant: ReplayedGrant = {
    id,
    state: 'draft',
    version: 1,
    proposed: null,
    texts: new Map(),
    accepted: new Map(),
    joiners: [],
    leavers: [],
    takenOff: [],
    reviewDueAt: null,
    endedAt: null,
    acceptedForLabBy: null,
    createdAt: entry.at,
    updatedAt: entry.at,
  };
  write(grant, entry, { authorIds: [actingPerson(entry).person] });
  state.grants.set(id, grant);
}

/** Adds the text that an entry carries. */
function write(
  grant: ReplayedGrant,
  entry: LoggedEntry,
  origin: Pick<GrantText, 'authorIds'> & Partial<Pick<GrantText, 'approvals' | 'approvalsNeeded'>>,
): GrantText {
  const data = dataOf(entry, textSchema);
  const text: GrantText = {
    version: mustHave(entry, 'grantVersion'),
    spec: specOf(data),
    termsDigest: data.termsDigest,
    approvals: [],
    approvalsNeeded: null,
    ...origin,
  };
  grant.texts.set(text.version, text);
  return text;
}

const amendedSchema = z.object({
  inForce: z.boolean().optional(),
  proposalReturned: z.int().optional(),
});

/** A new text: the grant's own, in force at once on the approvals of the one before, or proposed. */
export function grantAmended(state: Replayed, entry: LoggedEntry): void {
  const grant = mustKnow(state, entry);
  const { version, proposed } = grant;
  standsNow(grant, entry);
  const { inForce, proposalReturned } = dataOf(entry, amendedSchema);
  if (proposalReturned !== undefined) textOf(grant, proposalReturned).approvals = [];
  if (inForce === true) {
    const { authorIds, approvals, approvalsNeeded } = textOf(grant, version);
    write(grant, entry, { authorIds, approvals, approvalsNeeded });
    return;
  }
  const before = inForce === undefined ? version : proposed?.version;
  const authors = before === undefined ? [] : textOf(grant, before).authorIds;
  const { person } = actingPerson(entry);
  write(grant, entry, { authorIds: [...new Set([...authors, person])] });
}

export function grantSubmitted(state: Replayed, entry: LoggedEntry): void {
  const text = movedText(state, entry);
  const schema = z.object({ approvalsNeeded: z.array(approvalRoleSchema).default(NEEDED_BEFORE) });
  text.approvalsNeeded = dataOf(entry, schema).approvalsNeeded;
}

export function grantReturned(state: Replayed, entry: LoggedEntry): void {
  movedText(state, entry).approvals = [];
}

const approvedSchema = z.object({ as: approvalRoleSchema, narrows: z.int().optional() });

/** An approval; of a narrower text, where the entry carries one. */
export function grantApproved(state: Replayed, entry: LoggedEntry): void {
  const { as, narrows } = dataOf(entry, approvedSchema);
  if (narrows !== undefined) {
    const grant = mustKnow(state, entry);
    const { authorIds, approvalsNeeded } = textOf(grant, narrows);
    write(grant, entry, { authorIds, approvalsNeeded });
  }
  const text = movedText(state, entry);
  const approval: Approval = { personId: actingPerson(entry).person, as, at: entry.at };
  text.approvals = [...text.approvals, approval];
}

/** Where the grant stands after a step, whether its text is known or not. @returns the text that the step is about */
function movedText(state: Replayed, entry: LoggedEntry): GrantText {
  const grant = mustKnow(state, entry);
  standsNow(grant, entry);
  return textOf(grant, mustHave(entry, 'grantVersion'));
}

export function approvalsDropped(state: Replayed, entry: LoggedEntry): void {
  const text = textOf(mustKnow(state, entry), mustHave(entry, 'grantVersion'));
  const schema = z.object({ dropped: z.array(z.object({ person: z.string() })) });
  const dropped = new Set(dataOf(entry, schema).dropped.map(({ person }) => person));
  text.approvals = text.approvals.filter(({ personId }) => !dropped.has(personId));
}

/** A step that changes where a grant stands, and nothing else. */
export function grantMoved(state: Replayed, entry: LoggedEntry): void {
  standsNow(mustKnow(state, entry), entry);
}

const acceptedSchema = z.object({ termsDigest: z.string(), forLab: z.boolean().default(false) });

export function termsAccepted(state: Replayed, entry: LoggedEntry): void {
  const grant = mustKnow(state, entry);
  const { termsDigest, forLab } = dataOf(entry, acceptedSchema);
  const { person } = actingPerson(entry);
  const accepted = grant.accepted.get(termsDigest) ?? new Set();
  grant.accepted.set(termsDigest, accepted.add(person));
  if (forLab) grant.acceptedForLabBy = person;
  // Whoever joins by invitation accepts with it, which moves nothing.
  if (entry.data['version'] !== undefined || forLab) standsNow(grant, entry);
  grant.updatedAt = entry.at;
}

/** Somebody gave their place up, on one grant or where they had tokens; their tokens there end. */
export function handedBack(state: Replayed, entry: LoggedEntry): void {
  const person = mustHave(entry, 'person');
  const { everything } = dataOf(entry, z.object({ everything: z.boolean() }));
  const { grant: grantId } = entry;
  endTokens(
    state,
    (token) =>
      token.personId === person && (grantId === undefined ? everything : token.grantId === grantId),
  );
  if (grantId === undefined) return;
  const grant = mustKnow(state, entry);
  if (!grant.leavers.includes(person)) grant.leavers = [...grant.leavers, person];
}

/** A place on the roster by invitation. */
export function takePlace(
  state: Replayed,
  entry: LoggedEntry,
  personId: string,
  until: number | null,
): void {
  const grant = mustKnow(state, entry);
  grant.joiners = [...grant.joiners, { personId, until }];
  grant.updatedAt = entry.at;
}

/** The window closed: nothing else about the grant changed. */
export function grantExpired(state: Replayed, entry: LoggedEntry): void {
  const grant = mustKnow(state, entry);
  const { updatedAt } = grant;
  standsNow(grant, entry);
  grant.updatedAt = updatedAt;
}

const addedSchema = z.object({ person: z.string(), until: momentSchema.nullable().optional() });

/** The lead put somebody on the roster; back in the place that they had, where no end of one is said. */
export function personAdded(state: Replayed, entry: LoggedEntry): void {
  const grant = mustKnow(state, entry);
  standsNow(grant, entry);
  const { person: personId, until } = dataOf(entry, addedSchema);
  grant.takenOff = grant.takenOff.filter((id) => id !== personId);
  if (until === undefined) return;
  const others = grant.joiners.filter((joiner) => joiner.personId !== personId);
  grant.joiners = [...others, { personId, until }];
}

/** The lead took somebody off the roster; their tokens there end. */
export function personTakenOff(state: Replayed, entry: LoggedEntry): void {
  const grant = mustKnow(state, entry);
  standsNow(grant, entry);
  const { person } = dataOf(entry, z.object({ person: z.string() }));
  grant.takenOff = [...grant.takenOff, person];
  endTokens(state, (token) => token.personId === person && token.grantId === grant.id);
}

function mustKnow({ grants }: Replayed, entry: LoggedEntry): ReplayedGrant {
  const grant = grants.get(mustHave(entry, 'grant'));
  if (!grant) throw new Gap('The grant is not in the log before.');
  return grant;
}

function textOf(grant: ReplayedGrant, version: number): GrantText {
  const text = grant.texts.get(version);
  if (!text) throw new Gap(`The log does not tell version ${version} of the grant.`);
  return text;
}
