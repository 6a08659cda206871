/** Checks that everything which outcomes say is kept is there as it was stored, unless it was destroyed. */
import type { BodyPart } from '../core/transcripts/records.ts';
import type { TranscriptDestruction } from '../store/transcript-holds.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { BODY_PARTS, factsOf, standingOf } from './stored-transcript.ts';

/** Outcomes of one step: the caller goes on from where it ended. */
const AT_A_TIME = 200;

interface TranscriptProblem {
  index: number;
  requestId: string;
  part: BodyPart;
  /** `missing`: and no entry says that it was destroyed. */
  problem: 'missing' | 'changed';
}

export interface TranscriptsChecked {
  /** Bodies that are there as they were stored. */
  sound: number;
  destroyed: number;
  problems: TranscriptProblem[];
  /** Index of the entry to go on from; null: all were checked. */
  next: number | null;
  /** Entries in front of this index are in archives: nothing that is stored is of them. null: none were asked for. */
  archivedBefore: number | null;
}

interface Outcome {
  ref: string;
  grant: string;
  grantVersion: number;
}

/** Checks the next outcomes from an index on. Whoever asks is on record; of the bodies, nothing is shown. */
export async function checkTranscripts(
  broker: Broker,
  actorId: string,
  from: number,
): Promise<TranscriptsChecked> {
  const { readers, transcriptReader, store } = broker;
  await store.caughtUp();
  await broker.transcripts.caughtUp();
  await store.write('checkTranscripts', { by: by(broker, actorId), from });
  const outcomes = readers.listEntries({ from, limit: AT_A_TIME, kind: 'request.outcome' });
  const begins = readers.minimumIndex();
  const archivedBefore = from < begins ? begins : null;
  const checked: TranscriptsChecked = {
    sound: 0,
    destroyed: 0,
    problems: [],
    next: null,
    archivedBefore,
  };
  for (const outcome of outcomes) {
    const facts = factsOf(outcome);
    if (!facts) continue;
    const entry = JSON.parse(outcome.bytes.toString('utf8')) as Outcome;
    for (const part of BODY_PARTS) {
      const said = facts[part];
      if (!said) continue;
      const { standing } = await standingOf(transcriptReader, entry.ref, part, said);
      if (standing === 'stored') checked.sound += 1;
      else if (standing === 'missing' && wasDestroyed(broker, entry, said.until))
        checked.destroyed += 1;
      else
        checked.problems.push({
          index: outcome.index,
          requestId: entry.ref,
          part,
          problem: standing,
        });
    }
  }
  const last = outcomes.length === AT_A_TIME ? outcomes.at(-1) : undefined;
  checked.next = last ? last.index + 1 : null;
  return checked;
}

/** Whether a destruction on record explains that a body is not there. */
function wasDestroyed(
  { readers }: Broker,
  { ref, grant, grantVersion }: Outcome,
  until: string,
): boolean {
  const due = Date.parse(until);
  // By the version that it was written under. The entry's own time can be that of the next start.
  const written = due - (readers.transcriptRetentionMs(grant, grantVersion) ?? 0);
  const explains = (one: TranscriptDestruction): boolean =>
    !one.held.includes(ref) && ((one.writtenUntil ?? -1) >= written || (one.dueUntil ?? -1) >= due);
  return readers.destructionsOf(grant).some(explains);
}
