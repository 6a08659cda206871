/** Replays entries about tokens and runs. */
import { z } from 'zod';
import { narrowingSchema } from '../narrowing.ts';
import { purposeSchema } from '../vocabulary.ts';
import { actingPerson, dataOf, momentSchema, mustHave } from './logged-entry.ts';
import type { LoggedEntry } from './logged-entry.ts';
import type { Replayed, ReplayedToken } from './replayed.ts';

const issuedSchema = z.object({
  audience: z.enum(['gateway', 'control']),
  expiresAt: momentSchema,
  kid: z.string(),
  vouchedBy: z.enum(['person', 'lab']).default('person'),
  boundTo: z.string().nullable().default(null),
  signedWith: z.string().nullable().default(null),
  narrowing: narrowingSchema.nullable().default(null),
  runName: z.string().optional(),
});

export function tokenIssued(state: Replayed, entry: LoggedEntry): void {
  const { runName, ...data } = dataOf(entry, issuedSchema);
  const { at, grant = null, run = null } = entry;
  const id = mustHave(entry, 'token');
  const personId = mustHave(entry, 'person');
  const purpose = entry.purpose === undefined ? null : purposeSchema.parse(entry.purpose);
  state.tokens.set(id, {
    id,
    labId: mustHave(entry, 'lab'),
    personId,
    grantId: grant,
    purpose,
    runId: run,
    issuedAt: at,
    ...data,
  });
  if (run === null || grant === null || purpose === null || state.runs.has(run)) return;
  const whose = { id: run, grantId: grant, purpose, name: runName ?? '', personId };
  state.runs.set(run, { ...whose, createdAt: at, endedAt: null });
}

export function tokenRevoked(state: Replayed, entry: LoggedEntry): void {
  state.tokens.delete(mustHave(entry, 'token'));
}

const selectionSchema = z.object({
  selection: z.object({
    token: z.string().optional(),
    grant: z.string().optional(),
    person: z.string().optional(),
    run: z.string().optional(),
    lab: z.string().optional(),
    key: z.string().optional(),
  }),
  reach: z.enum(['all', 'lab', 'self']),
});

/** Any selection of tokens, as far as the hand of whoever ended them reached. */
export function tokensRevoked(state: Replayed, entry: LoggedEntry): void {
  const { selection, reach } = dataOf(entry, selectionSchema);
  const { token, grant, person, run, lab, key } = selection;
  const actor = actingPerson(entry);
  const named = (wanted: string | undefined, found: string | null): boolean =>
    wanted === undefined || wanted === found;
  endTokens(
    state,
    (one) =>
      named(token, one.id) &&
      named(grant, one.grantId) &&
      named(person, one.personId) &&
      named(run, one.runId) &&
      named(lab, one.labId) &&
      named(key, one.kid) &&
      (reach === 'all' ||
        (reach === 'lab' ? one.labId === actor.lab : one.personId === actor.person)),
  );
}

export function runEnded(state: Replayed, entry: LoggedEntry): void {
  const id = mustHave(entry, 'ref');
  const run = state.runs.get(id);
  if (run) state.runs.set(id, { ...run, endedAt: entry.at });
  endTokens(state, (token) => token.runId === id);
}

/** A key of ours is retired; where that was before its time, tokens that it signed end with it. */
export function signingKeyRetired(state: Replayed, entry: LoggedEntry): void {
  const kid = mustHave(entry, 'ref');
  const { tokensEnded } = dataOf(entry, z.object({ tokensEnded: z.int().optional() }));
  if (tokensEnded === undefined) return;
  endTokens(state, ({ signedWith }) => signedWith === null || signedWith === kid);
}

export function endTokens({ tokens }: Replayed, isMeant: (token: ReplayedToken) => boolean): void {
  for (const token of tokens.values()) if (isMeant(token)) tokens.delete(token.id);
}
