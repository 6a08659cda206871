/** The two entries of a proxied request, each durable together with what it does to the usage ledger. */
import {
  joinMembers,
  jsonMembers,
  type EntryDraft,
  type WrittenEntry,
} from '../../core/audit/entry.ts';
import { RefusedError, type DenialCode } from '../../core/denials.ts';
import {
  checkAllCaps,
  limitStates,
  type Amount,
  type LimitState,
  type ScopeCaps,
  type ScopeUse,
} from '../../core/limits.ts';
import {
  outcomeMembers,
  type Charge,
  type RequestIds,
  type requestEntryParts,
} from '../../core/requests.ts';
import type { WriterContext } from '../context.ts';
import { findOpen, listOpen } from '../find-open.ts';
import type { Account } from '../ledger.ts';
import { closeRequest, openRequest } from '../request-effects.ts';
import type { OpenRequest } from '../request-rows.ts';
import type { Operation } from './operation.ts';

/**
 * What is asked of the writer twice for each request is made to cross to its thread cheaply: what it only passes on
 * into an entry comes as JSON.
 */
export interface ReserveArgs {
  /** The epoch of the facts that the access decision rests on. */
  epoch: number;
  at: number;
  entryId: string;
  facts: RequestIds;
  /** What both entries say of the request, as JSON members. */
  subject: string;
  /** Caps of the grant and of the person, in this order, as JSON; and a number that no other text of this process has. */
  caps: string;
  capsNumber: number;
  amount: Amount;
  /** Salt of the commitments in the entries of this request, 16 bytes in base64; empty: it is kept with the transcript. */
  salt: string;
  /** What else the intent entry says: safeguards lifted, features used, commitment to the body; as JSON members. */
  data: string;
  /** Whether the answer is to be a stream: the intent says so. */
  stream: boolean;
  /** Whether a refusal leaves an entry of its own; if not, the caller sees to its record. */
  recordRefusal: boolean;
}

export interface Reserved {
  stale: false;
  intentIndex: number;
  limits: { requests: LimitState | null; tokens: LimitState | null };
}

/**
 * Checks budgets and limits, reserves, and records the intent. When this has returned, the intent is
 * durable and the request may be forwarded: a crash from here on leaves an open row, which recovery
 * closes as unknown at its full reservation. `stale`: policy changed since the decision; decide again.
 */
export const reserve: Operation<ReserveArgs, { stale: true } | Reserved> = {
  decidesFirst: true,
  journalled: true,
  run(context, args) {
    const { epoch, at, entryId, facts, subject, amount, salt, data, stream } = args;
    if (epoch !== context.epoch) return { stale: true };
    const { requestId, grantId, personId } = facts;
    const { tokens, spendNanoUsd } = amount;
    const account = context.ledger.account(grantId, personId);
    const over = parsedCaps(args.caps, args.capsNumber);
    const why = checkAllCaps(standing(context, account, over, at), amount);
    if (why) throw new RefusedError(why);
    mustFit(tokens, spendNanoUsd);
    if (context.open.get(requestId)) throw new Error(`There is a request ${requestId} already.`);
    const saltBytes = Buffer.from(salt, 'base64');
    const reserved = `"stream":${stream},"reserved":{"tokens":${tokens},"spendNanoUsd":${spendNanoUsd}}`;
    const intent: WrittenEntry = {
      id: entryId,
      kind: 'request.intent',
      at,
      ref: requestId,
      lab: facts.labId,
      person: personId,
      grant: grantId,
      members: joinMembers(subject, '"decision":"allowed"', dataMember(data, reserved)),
    };
    const intentIndex = context.appendWritten(intent, saltBytes);
    const request: OpenRequest = { facts, subject, account, admittedAt: at, reserved: amount };
    openRequest(context, request, saltBytes);
    context.open.set(requestId, request);
    context.changedMemory(() => context.open.delete(requestId));
    return { stale: false, intentIndex, limits: limitStates(standing(context, account, over, at)) };
  },
  denied(_context, { entryId, at, subject, amount, data, recordRefusal }, why) {
    if (!recordRefusal) return undefined;
    const { tokens, spendNanoUsd } = amount;
    return {
      ...(JSON.parse(`{${subject}}`) as ReturnType<typeof requestEntryParts>),
      id: entryId,
      kind: 'request.denied',
      at,
      decision: 'denied',
      reason: why.code,
      data: {
        ...(JSON.parse(`{${data}}`) as EntryDraft['data']),
        message: why.message,
        wanted: { tokens, spendNanoUsd },
      },
    };
  },
};

export interface SettleArgs {
  requestId: string;
  at: number;
  entryId: string;
  charge: Charge;
  /** What the refusal was, and the orders behind it, where one ended the request. */
  reason?: DenialCode | undefined;
  orders?: string[] | undefined;
  /** What else is known of the answer, as JSON members. */
  data: string;
  /** How it ended, see {@link outcomeMembers}. */
  result: string;
}

/** Settles a request and records its outcome. Settling twice is refused: the second changes nothing. */
export const settle: Operation<SettleArgs, { outcomeIndex: number }> = {
  decidesFirst: true,
  journalled: true,
  run(context, args) {
    const request = context.open.get(args.requestId) ?? findOpen(context, args.requestId);
    return { outcomeIndex: settleOne(context, request, args, 'settled') };
  },
};

/**
 * `transcripts`: what the outcome says of what is kept of a request, as JSON members. Closes what a crash left open: the outcome is unknown and the whole reservation stays charged, since
 * the upstream may have used it.
 */
export const recoverUnfinished: Operation<
  { at: number; entryIds: string[]; transcripts?: Readonly<Record<string, string>> },
  { recovered: number; complete: boolean }
> = {
  run(context, { at, entryIds, transcripts = {} }) {
    const open = listOpen(context, entryIds.length);
    for (const [i, request] of open.entries()) {
      const { requestId } = request.facts;
      const charge: Charge = { requests: 1, ...request.reserved };
      const usage = { inputTokens: 0, outputTokens: 0, source: 'reserved' as const };
      const result = outcomeMembers('unknown', usage, charge);
      const entryId = entryIds[i] as string;
      const data = joinMembers('"recovered":true', transcripts[requestId] ?? '');
      const args = { requestId, at, entryId, charge, data, result };
      settleOne(context, request, args, 'unknown');
    }
    return { recovered: open.length, complete: open.length < entryIds.length };
  },
};

function settleOne(
  context: WriterContext,
  request: OpenRequest,
  args: SettleArgs,
  state: 'settled' | 'unknown',
): number {
  const { facts, subject, reserved } = request;
  const { charge, reason, orders, data } = args;
  mustFit(charge.tokens, charge.spendNanoUsd);
  const overrun = charge.tokens > reserved.tokens ? '"overrun":true' : '';
  const result = joinMembers(args.result, overrun);
  const entry = (why: string, said: string): WrittenEntry => ({
    id: args.entryId,
    kind: 'request.outcome',
    at: args.at,
    ref: facts.requestId,
    lab: facts.labId,
    person: facts.personId,
    grant: facts.grantId,
    members: joinMembers(subject, why, dataMember(said, result)),
  });
  const why = reason === undefined ? '' : jsonMembers({ reason, orders });
  // A request must end, however many orders ended it.
  const shorter = (): WrittenEntry => entry(jsonMembers({ reason }), '');
  const index = context.appendEither(entry(why, data), shorter);
  closeRequest(context, request, { state, at: args.at, charge });
  if (context.open.delete(facts.requestId))
    context.changedMemory(() => context.open.set(facts.requestId, request));
  return index;
}

/** Checked before the first write: in the journal's way, the database would refuse it only later. */
function mustFit(...sums: number[]): void {
  for (const sum of sums)
    if (!Number.isInteger(sum) || sum < 0 || sum >= 2 ** 63)
      throw new Error(`${sum} is no sum that the ledger can hold.`);
}

const dataMember = (...members: string[]): string => `"data":{${joinMembers(...members)}}`;

type Caps = [ScopeCaps, ScopeCaps];

/** The caps of grants as they come, parsed: the same text again and again. */
const knownCaps = new Map<number, Caps>();

/** More than grants in use. What is forgotten is parsed once more. */
const MOST_CAPS = 1_000;

function parsedCaps(text: string, number: number): Caps {
  let caps = knownCaps.get(number);
  if (!caps) {
    caps = JSON.parse(text) as Caps;
    if (knownCaps.size >= MOST_CAPS) knownCaps.clear();
    knownCaps.set(number, caps);
  }
  return caps;
}

/** How the caps over a request stand: those of its grant, and of its person. */
function standing(
  { ledger }: WriterContext,
  { grant, person }: Account,
  [ofGrant, ofPerson]: Caps,
  at: number,
): { use: ScopeUse; caps: ScopeCaps }[] {
  return [
    { use: ledger.useOf(grant, at, { day: isDaily(ofGrant) }), caps: ofGrant },
    { use: ledger.useOf(person, at, { day: isDaily(ofPerson) }), caps: ofPerson },
  ];
}

const isDaily = ({ budgets }: ScopeCaps): boolean =>
  budgets.requestsPerDay !== null || budgets.tokensPerDay !== null;
