/** Destroying transcripts: on record first, then for good, and gone on with after a crash. */
import { keepingOf } from '../core/transcripts/keeping.ts';
import { refuse } from '../core/denials.ts';
import { mintId } from '../lib/ids.ts';
import type { Destruction } from '../store/operations/transcripts.ts';
import type { DestroyTally } from '../store/transcripts/reader.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';

export interface DestroyRequest {
  grantId: string;
  /** What was written at this moment or before, epoch milliseconds; undefined: until now. */
  until?: number | undefined;
  grounds: string;
  /** Whether to destroy what an incident holds as well. */
  evenHeld: boolean;
}

export interface DestroyedTranscripts extends DestroyTally {
  id: string;
}

/**
 * Destroys transcripts of a grant, for the host. When this returns, they are gone, but for those that are being written: these
 * go by themselves once they are ended.
 *
 * @throws RefusedError `transcript_held`; `transcript_unavailable` where that could not be finished: it is on record, and
 *   is gone on with by itself
 */
export async function destroyTranscripts(
  broker: Broker,
  actorId: string,
  { grantId, until, grounds, evenHeld }: DestroyRequest,
): Promise<DestroyedTranscripts> {
  const who = by(broker, actorId);
  if (until !== undefined && until > who.at)
    refuse('invalid_request', 'What is to be destroyed was written before now.');
  await broker.transcripts.caughtUp();
  const held = evenHeld ? [] : broker.readers.transcriptHold(grantId).requests;
  const what = { grantId, writtenUntil: until ?? who.at, dueUntil: null, held };
  const tally = broker.transcriptReader.tally(what);
  const destruction: Destruction = { id: mintId('tds', who.at), ...what, tally };
  await broker.store.write('destroyTranscripts', { by: who, destruction, grounds, evenHeld });
  await carryOut(broker, destruction);
  return { id: destruction.id, ...tally };
}

/**
 * Destroys what has been kept for as long as its grant says: by the version that it was written under, and by the one in
 * force where that is shorter. What an incident holds stays.
 */
async function destroyDueTranscripts(broker: Broker): Promise<void> {
  const { readers, transcriptReader, clock, store } = broker;
  const now = clock();
  for (const grantId of transcriptReader.grants()) {
    const due = { grantId, writtenUntil: shortenedTo(broker, grantId, now), dueUntil: now };
    if (!transcriptReader.hasDue(due)) continue;
    const hold = readers.transcriptHold(grantId);
    if (hold.all) continue;
    const what = { ...due, held: hold.requests };
    const tally = transcriptReader.tally(what);
    if (tally.files === 0) continue;
    const destruction: Destruction = { id: mintId('tds', now), ...what, tally };
    const entryId = mintId('ent', now);
    await store.write('destroyDueTranscripts', { at: now, entryId, destruction });
    await carryOut(broker, destruction);
  }
}

/** Goes on with destructions that are on record and not finished. */
async function finishDestructions(broker: Broker): Promise<void> {
  for (const destruction of broker.readers.unfinishedDestructions())
    await carryOut(broker, destruction);
}

/** Once nothing is left that is being written, it is finished; until then it is gone on with. */
async function carryOut(
  { transcripts, store, clock }: Broker,
  destruction: Pick<Destruction, 'id' | 'grantId' | 'writtenUntil' | 'dueUntil' | 'held'>,
): Promise<void> {
  const { id, grantId, writtenUntil, dueUntil, held } = destruction;
  const what = { grantId, writtenUntil, dueUntil, held };
  let open = 0;
  for (let more = true; more;) ({ more, open } = await transcripts.destroy(what));
  if (open === 0) await store.write('finishDestruction', { id, at: clock() });
}

/** Until when what was written is due by the version in force. */
function shortenedTo({ policy }: Broker, grantId: string, now: number): number | null {
  const grant = policy.grant(grantId);
  const keeping = grant && keepingOf(grant);
  return keeping ? now - keeping.keepMs : null;
}

/** Destroys what is due, and finishes what was begun: one look at a time. */
export class TranscriptRetention {
  readonly #broker: Broker;
  #looking: Promise<void> | undefined;

  constructor(broker: Broker) {
    this.#broker = broker;
  }

  /** Resolves when the look is over, which never fails: what could not be destroyed is tried at the next one. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #look(): Promise<void> {
    try {
      await finishDestructions(this.#broker);
      await destroyDueTranscripts(this.#broker);
    } catch (error) {
      const { log } = this.#broker;
      log.error({ err: String(error) }, 'transcripts were not destroyed; that is tried again');
    }
  }
}
