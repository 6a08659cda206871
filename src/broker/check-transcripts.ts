/** Checks that everything which outcomes say is kept is there as it was stored, unless it was destroyed. */
import type { BodyPart } from '../core/transcripts/records.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import { BODY_PARTS, factsOf, outcomeIn, standingOf } from './stored-transcript.ts';

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

/** Checks the next outcomes from an index on. Whoever asks is on record; of the bodies, nothing is shown. */
export async function checkTranscripts(
  broker: Broker,
  actorId: string,
  from: number,
): Promise<TranscriptsChecked> {
  const { readers, store } = broker;
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
    const entry = outcomeIn(outcome);
    for (const part of BODY_PARTS) {
      const said = facts[part];
      if (!said) continue;
      const { standing } = await standingOf(broker, entry, part, said);
      if (standing === 'stored') checked.sound += 1;
      else if (standing === 'destroyed') checked.destroyed += 1;
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
