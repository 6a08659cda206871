/** Transcripts: that they are opened, and destroyed, is on record before it happens. */
import { eq } from 'drizzle-orm';
import type { EntryDraft, Json } from '../../core/audit/entry.ts';
import { refuse } from '../../core/denials.ts';
import type { BodyPart } from '../../core/transcripts/records.ts';
import type { KeptMode } from '../../core/transcripts/keeping.ts';
import type { WriterContext } from '../context.ts';
import { grants, requests, transcriptDestructions } from '../schema.ts';
import { transcriptHold } from '../transcript-holds.ts';
import type { DestroyTally } from '../transcripts/reader.ts';
import { controlOperation, mustReach, type By, type Operation } from './operation.ts';

export interface OpenedPart {
  part: BodyPart;
  sha256: string;
}

/** Records that somebody opens what is kept of a request. What is sealed is handed out as it is, and not to everybody. */
export const openTranscript = controlOperation(
  'transcript.read',
  (
    context,
    args: { by: By; requestId: string; mode: KeptMode | null; parts: OpenedPart[] },
    who,
  ): void => {
    const { by, requestId, mode, parts } = args;
    context.needDatabase();
    const found = context.db
      .select({ request: requests, labId: grants.labId })
      .from(requests)
      .innerJoin(grants, eq(grants.id, requests.grantId))
      .where(eq(requests.id, requestId))
      .get();
    const owner = { labId: found?.labId ?? null, personId: found?.request.personId ?? null };
    mustReach(who, owner, 'There is no such request, or you may not see it.');
    if (!found || mode === null)
      return refuse(
        'not_found',
        'Nothing is kept of this request: its grant asks for digests alone, or it has no outcome yet.',
      );
    if (mode === 'sealed' && who.reach === 'self')
      return refuse(
        'role_required',
        'What is sealed is handed out to the lead and the auditors: its file holds the calls of others, too.',
      );
    context.append({
      id: by.entryId,
      kind: 'transcript.opened',
      at: by.at,
      actor: who.actor,
      ref: requestId,
      lab: found.labId,
      person: found.request.personId,
      grant: found.request.grantId,
      data: { mode, parts: parts.map(({ part, sha256 }) => ({ part, sha256 })) },
    });
  },
  ({ requestId }) => requestId,
);

/** Records that somebody has all transcripts checked from an index of the log on: nothing of them is shown. */
export const checkTranscripts = controlOperation(
  'transcript.check',
  (context, { by, from }: { by: By; from: number }, who): void => {
    context.append({
      id: by.entryId,
      kind: 'audit.read',
      at: by.at,
      actor: who.actor,
      data: { transcripts: 'checked', from },
    });
  },
);

export interface Destruction {
  id: string;
  grantId: string;
  writtenUntil: number | null;
  dueUntil: number | null;
  /** Requests whose transcripts stay. */
  held: string[];
  /** What it comes to. */
  tally: DestroyTally;
}

/** Orders the destruction of a grant's transcripts. Once this has returned, it is on record, and is carried out. */
export const destroyTranscripts = controlOperation(
  'transcript.destroy',
  (
    context,
    args: { by: By; destruction: Destruction; grounds: string; evenHeld: boolean },
    who,
  ): void => {
    const { by, destruction, grounds, evenHeld } = args;
    const { grantId } = destruction;
    const labId = labOf(context, grantId);
    mustReach(who, { labId });
    if (!evenHeld) mustHold(context, destruction);
    begin(context, destruction, by.at);
    context.append({
      ...destroyedEntry(destruction, by.at, by.entryId, labId),
      actor: who.actor,
      data: { because: 'host', grounds, evenHeld, ...destroyedData(destruction) },
    });
  },
  ({ destruction }) => destruction.grantId,
);

/** The same by retention: the grant said when. */
export const destroyDueTranscripts: Operation<
  { at: number; entryId: string; destruction: Destruction },
  void
> = {
  run(context, { at, entryId, destruction }) {
    mustHold(context, destruction);
    begin(context, destruction, at);
    context.append({
      ...destroyedEntry(destruction, at, entryId, labOf(context, destruction.grantId)),
      actor: { system: 'broker' },
      data: { because: 'retention', ...destroyedData(destruction) },
    });
  },
};

/** Notes that a destruction has been carried out. */
export const finishDestruction: Operation<{ id: string; at: number }, void> = {
  run({ db }, { id, at }) {
    const row = eq(transcriptDestructions.id, id);
    db.update(transcriptDestructions).set({ finishedAt: at }).where(row).run();
  },
};

function labOf({ db }: WriterContext, grantId: string): string {
  const grant = db.select().from(grants).where(eq(grants.id, grantId)).get();
  return grant?.labId ?? refuse('not_found', 'There is no such grant.');
}

/** What an incident holds stays: an incident can have come since the destruction was asked for. */
function mustHold({ db }: WriterContext, { grantId, held }: Destruction): void {
  const hold = transcriptHold(db, grantId);
  if (hold.all)
    refuse(
      'transcript_held',
      'An incident that is not closed has an order about this grant: its transcripts stay until it is. To destroy them all the same, say so explicitly.',
    );
  if (!hold.requests.every((request) => held.includes(request)))
    refuse('stale_version', 'An incident has come to hold some of it meanwhile. Try again.');
}

function begin({ db }: WriterContext, destruction: Destruction, at: number): void {
  const { id, grantId, writtenUntil, dueUntil, held } = destruction;
  db.insert(transcriptDestructions)
    .values({ id, grantId, writtenUntil, dueUntil, held, begunAt: at, finishedAt: null })
    .run();
}

const destroyedEntry = (
  { id, grantId }: Destruction,
  at: number,
  entryId: string,
  lab: string,
): Omit<EntryDraft, 'actor'> => ({
  id: entryId,
  kind: 'transcript.destroyed',
  at,
  ref: id,
  lab,
  grant: grantId,
});

const momentOf = (at: number | null): string | null =>
  at === null ? null : new Date(at).toISOString();

const destroyedData = ({ tally, writtenUntil, dueUntil }: Destruction): Record<string, Json> => ({
  files: tally.files,
  bodies: tally.bodies,
  bytes: tally.bytes,
  from: momentOf(tally.from),
  until: momentOf(tally.until),
  writtenUntil: momentOf(writtenUntil),
  dueUntil: momentOf(dueUntil),
  held: tally.held,
  open: tally.open,
});
