/** What a crash left of transcripts: linked to the outcome of their call, or collected where that never was. */
import { transcriptMember, type BodyFacts } from '../core/transcripts/facts.ts';
import type { Broker } from './broker.ts';

/**
 * A body is stored while its call is reserved, which takes a second at most. More than can be stored in several: of what was
 * stored before these, every call is on record.
 */
const ORPHANS_AMONG = 50_000;

/** Requests looked up at a time. */
const AT_A_TIME = 500;

/** What is stored of a request that has no outcome, as a JSON member of the one that it gets; empty: nothing is. */
export function whatIsKept({ transcriptReader }: Broker, requestId: string): string {
  const parts = transcriptReader.partsOf(requestId);
  const [first] = parts;
  if (!first) return '';
  const bodies = parts.flatMap(({ part, sha256, bytes, destroyAt, state }): BodyFacts[] =>
    sha256 === null
      ? []
      : [{ part, file: { sha256, bytes, until: destroyAt, isCut: state === 'cut' } }],
  );
  return transcriptMember(first.mode, first.recipients, bodies);
}

/** Takes back what was stored of calls that never were: the broker died before they were on record. */
export async function collectOrphans(broker: Broker): Promise<void> {
  const { transcriptReader, transcripts, readers, log } = broker;
  const stored = transcriptReader.lastRequests(ORPHANS_AMONG);
  let collected = 0;
  for (let from = 0; from < stored.length; from += AT_A_TIME) {
    const ids = stored.slice(from, from + AT_A_TIME);
    const known = new Set(readers.readRequests(ids).map(({ id }) => id));
    for (const request of ids.filter((id) => !known.has(id))) {
      collected += 1;
      for (const part of ['request', 'response'] as const)
        await transcripts.withdraw({ request, part });
    }
  }
  if (collected > 0)
    log.warn({ collected }, 'bodies of calls that were never on record were taken back');
}
