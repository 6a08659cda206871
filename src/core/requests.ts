/** A proxied request: the facts that stand in its two entries, and how it can end. */
import { jsonMembers, type EntryActor, type EntryDraft } from './audit/entry.ts';
import type { Amount } from './limits.ts';
import type { Operation, Purpose } from './vocabulary.ts';

/** What is known of a request when it is admitted. Its intent entry says it, so that a crash can be closed. */
export interface RequestFacts {
  requestId: string;
  personId: string;
  labId: string;
  roles: string[];
  grantId: string;
  grantVersion: number;
  tokenId: string;
  purpose: Purpose;
  runId: string;
  operation: Operation;
  endpoint: string;
  model: string;
  stream: boolean;
}

/** The ids by which the ledger and the log keep a request. */
export type RequestIds = Pick<
  RequestFacts,
  'requestId' | 'grantId' | 'personId' | 'labId' | 'tokenId'
>;

/** How a request ended. `unknown`: the broker died before it could say. */
export type RequestEnd =
  | 'completed'
  | 'upstream_error'
  | 'upstream_incomplete'
  | 'client_gone'
  | 'cut'
  | 'deadline'
  | 'not_forwarded'
  | 'unknown';

type UsageSource = 'reported' | 'estimated' | 'none' | 'reserved';

/** What a request used. */
export interface Usage {
  inputTokens: number;
  outputTokens: number;
  /** Whether the upstream reported it, we estimated it, nothing was used, or the reservation stands for it. */
  source: UsageSource;
}

/** The parts of an entry that every entry of a request shares. */
export function requestEntryParts(
  facts: RequestFacts,
): Omit<EntryDraft, 'id' | 'kind' | 'at'> & { token: string } {
  const actor: EntryActor = { person: facts.personId, lab: facts.labId, roles: facts.roles };
  return {
    actor,
    ref: facts.requestId,
    lab: facts.labId,
    person: facts.personId,
    grant: facts.grantId,
    grantVersion: facts.grantVersion,
    token: facts.tokenId,
    purpose: facts.purpose,
    run: facts.runId,
    endpoint: facts.endpoint,
    model: facts.model,
    operation: facts.operation,
  };
}

/** The same parts as JSON members: written once, for both entries. */
export const requestSubject = (facts: RequestFacts): string =>
  jsonMembers(requestEntryParts(facts));

/** What an outcome says of the end of a request, as JSON members of its data. */
export function outcomeMembers(end: RequestEnd, usage: Usage, charge: Charge): string {
  const { inputTokens, outputTokens, source } = usage;
  const { requests, tokens, spendNanoUsd } = charge;
  return jsonMembers({
    end,
    usage: { inputTokens, outputTokens, source },
    charged: { requests, tokens, spendNanoUsd },
  });
}

/** The facts of a request, read from its intent entry: what a crash leaves of it. */
export function factsOfIntent(entry: IntentEntry): RequestFacts {
  return {
    requestId: entry.ref,
    personId: entry.person,
    labId: entry.lab,
    roles: entry.actor.roles,
    grantId: entry.grant,
    grantVersion: entry.grantVersion,
    tokenId: entry.token,
    purpose: entry.purpose,
    runId: entry.run,
    operation: entry.operation,
    endpoint: entry.endpoint,
    model: entry.model,
    stream: entry.data.stream,
  };
}

/** What stands in the entry of an intent, as {@link requestEntryParts} and the operation `reserve` put it there. */
export interface IntentEntry {
  actor: { roles: string[] };
  ref: string;
  lab: string;
  person: string;
  grant: string;
  grantVersion: number;
  token: string;
  purpose: Purpose;
  run: string;
  operation: Operation;
  endpoint: string;
  model: string;
  data: { stream: boolean };
}

/** What a settled request is charged. */
export interface Charge extends Amount {
  /** 1, or 0 for a request that was never forwarded. */
  requests: 0 | 1;
}
