/** Taking over what the journal held when the process ended: its entries, and what follows from them. */
import { leafHash } from '../core/audit/merkle.ts';
import type { EntryDraft } from '../core/audit/entry.ts';
import { factsOfIntent, requestSubject, type Charge, type IntentEntry } from '../core/requests.ts';
import type { WriterContext } from './context.ts';
import type { JournalEntry, JournalFrame } from './journal.ts';
import { closeRequest, openRequest } from './request-effects.ts';
import { findOpen } from './find-open.ts';

/** The salt of a request whose transcript is kept stands there. */
const KEPT_ELSEWHERE = new Uint8Array();

/** What is read of an entry that is done again. */
interface RedoneEntry extends Pick<EntryDraft, 'id' | 'kind' | 'ref' | 'lab' | 'person' | 'grant'> {
  log: string;
  index: number;
  at: string;
  data: {
    reserved: { tokens: number; spendNanoUsd: number };
    charged: Charge;
  };
}

/**
 * Does the entries of a frame again, in the open transaction.
 *
 * @throws when the frame does not follow what the database holds: then one of the two is not this broker's, or damaged
 */
export function redo(context: WriterContext, { firstIndex, entries }: JournalFrame): void {
  if (firstIndex !== context.size) {
    throw new Error(
      `The journal goes on at entry ${firstIndex} of the log, and the database ends at ${context.size}: they do not belong together. Put back the database that the journal was written with.`,
    );
  }
  for (const entry of entries) redoOne(context, entry);
}

function redoOne(context: WriterContext, { bytes, salt }: JournalEntry): void {
  const said = JSON.parse(bytes.toString('utf8')) as RedoneEntry;
  const { id, kind, ref, lab, person, grant } = said;
  const index = context.size;
  if (said.index !== index || said.log !== context.log.origin)
    throw new Error(`The journal holds an entry of another place or log where ${index} belongs.`);
  const about = { id, kind, ref, lab, person, grant };
  context.redo({ index, entry: about, leaf: leafHash(bytes), bytes });
  const at = Date.parse(said.at);
  if (kind === 'request.intent') {
    const facts = factsOfIntent(said as unknown as IntentEntry);
    const { tokens, spendNanoUsd } = said.data.reserved;
    const reserved = { tokens, spendNanoUsd };
    const account = context.ledger.account(facts.grantId, facts.personId);
    const request = { facts, subject: requestSubject(facts), account, admittedAt: at, reserved };
    openRequest(context, request, salt ?? KEPT_ELSEWHERE);
    context.open.set(facts.requestId, request);
  } else if (kind === 'request.outcome' && ref !== undefined) {
    const { requests, tokens, spendNanoUsd } = said.data.charged;
    const charge: Charge = { requests, tokens, spendNanoUsd };
    const request = context.open.get(ref) ?? findOpen(context, ref);
    closeRequest(context, request, { state: 'settled', at, charge });
    context.open.delete(ref);
  }
}
