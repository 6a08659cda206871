/** Opening transcripts: on record before anything is shown. */
import { Readable } from 'node:stream';
import { refuse } from '../core/denials.ts';
import type { TranscriptFacts } from '../core/transcripts/facts.ts';
import { recipientId } from '../core/transcripts/recipients.ts';
import type { BodyPart } from '../core/transcripts/records.ts';
import type { Broker } from './broker.ts';
import { by } from './by.ts';
import {
  BODY_PARTS,
  factsOf,
  piecesOf,
  readBody,
  standingOf,
  outcomeIn,
  type Outcome,
  type Standing,
} from './stored-transcript.ts';

/** A body up to here is shown with what is said of it; a longer one is fetched as a file. */
const MOST_SHOWN_BYTES = 1 << 20;

export interface ShownBody {
  part: BodyPart;
  sha256: string;
  bytes: number;
  /** RFC 3339. */
  until: string;
  standing: Standing;
  isCut: boolean;
  /** Of a transcript that is kept in full, and not too long: the bytes. */
  body: Buffer | undefined;
}

export interface ShownTranscript {
  requestId: string;
  mode: TranscriptFacts['mode'];
  recipients: { id: string; holder: string | null }[];
  bodies: ShownBody[];
  lost: BodyPart[];
  /** Whether the answer quoted a credential of the host, which is not in what is kept. */
  quoted: NonNullable<TranscriptFacts['quoted']> | null;
}

/**
 * What is kept of a call; its bodies as well, where they are kept in full.
 *
 * @throws RefusedError `not_found` where nothing is
 */
export async function openTranscript(
  broker: Broker,
  actorId: string,
  requestId: string,
): Promise<ShownTranscript> {
  const { facts, outcome } = await opened(broker, actorId, requestId, BODY_PARTS);
  const reader = broker.transcriptReader;
  const bodies: ShownBody[] = [];
  for (const part of BODY_PARTS) {
    const said = facts[part];
    if (!said) continue;
    const { standing, file } = await standingOf(broker, outcome, part, said);
    const isShown = facts.mode === 'full' && standing === 'stored' && file;
    const body = isShown
      ? await readBody(reader, file.id, { requestId, part, most: MOST_SHOWN_BYTES })
      : undefined;
    const { sha256, bytes, until, cut: isCut = false } = said;
    bodies.push({ part, sha256, bytes, until, standing, isCut, body });
  }
  const recipients = facts.recipients.map((id) => ({
    id,
    holder: holderOf(broker, requestId, id),
  }));
  const { mode, lost = [], quoted = null } = facts;
  return { requestId, mode, recipients, bodies, lost, quoted };
}

/**
 * A file of a call, as it is stored: its SHA-256 is the one in the outcome.
 *
 * @throws RefusedError `not_found`; `transcript_damaged` where it is not what was stored
 */
export async function openTranscriptFile(
  broker: Broker,
  actorId: string,
  requestId: string,
  part: BodyPart,
): Promise<{ mode: TranscriptFacts['mode']; sha256: string; bytes: number; content: Readable }> {
  const { facts, outcome } = await opened(broker, actorId, requestId, [part]);
  const said = facts[part] ?? refuse('not_found', `Nothing was kept of the ${part}.`);
  const reader = broker.transcriptReader;
  const { standing, file } = await standingOf(broker, outcome, part, said);
  if (standing === 'changed') refuse('transcript_damaged');
  if (!file)
    return refuse('not_found', 'It is not there any more. What destroyed it is in the log.');
  const content = Readable.from(piecesOf(reader, file.id), { objectMode: false });
  return { mode: facts.mode, sha256: said.sha256, bytes: said.bytes, content };
}

/** What the outcome says, once the opening is on record. */
async function opened(
  broker: Broker,
  actorId: string,
  requestId: string,
  parts: readonly BodyPart[],
): Promise<{ facts: TranscriptFacts; outcome: Outcome }> {
  const { store, readers } = broker;
  await store.caughtUp();
  await broker.transcripts.caughtUp();
  const [outcome] = readers.listEntries({
    from: 0,
    limit: 1,
    ref: requestId,
    kind: 'request.outcome',
  });
  const facts = outcome && factsOf(outcome);
  await store.write('openTranscript', {
    by: by(broker, actorId),
    requestId,
    mode: facts?.mode ?? null,
    parts: parts.flatMap((part) => {
      const file = facts?.[part];
      return file ? [{ part, sha256: file.sha256 }] : [];
    }),
  });
  if (!outcome || !facts) return refuse('not_found');
  return { facts, outcome: outcomeIn(outcome) };
}

/** Who holds the key of a recipient, by the texts of the request's grant. */
function holderOf({ readers }: Broker, requestId: string, id: string): string | null {
  const [request] = readers.readRequests([requestId]);
  const named = request ? readers.transcriptHolders(request.grantId) : [];
  return named.find(({ recipient }) => recipientId(recipient) === id)?.holder ?? null;
}
