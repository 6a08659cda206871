/** A proxied request: the facts that stand in its two entries, and how it can end. */
import type { EntryActor, EntryDraft } from './audit/entry.ts';
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
  /** Features that it uses. */
  features: readonly string[];
  /** Safeguards that what it is dispatched to puts back. */
  restored: readonly string[];
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

/**
 * The same parts as JSON members: written once, for both entries. By hand, as is what else stands in them: ids, slugs
 * and what is of a closed list need no escapes, and JSON.stringify takes three times as long.
 */
export function requestSubject(facts: RequestFacts): string {
  const { requestId, personId, labId, grantId, grantVersion, tokenId, runId } = facts;
  const actor = `{"person":"${personId}","lab":"${labId}","roles":${JSON.stringify(facts.roles)}}`;
  const who = `"actor":${actor},"ref":"${requestId}","lab":"${labId}","person":"${personId}"`;
  const under = `"grant":"${grantId}","grantVersion":${grantVersion},"token":"${tokenId}"`;
  const what = `"purpose":"${facts.purpose}","run":"${runId}","endpoint":"${facts.endpoint}"`;
  return `${who},${under},${what},"model":${JSON.stringify(facts.model)},"operation":"${facts.operation}"`;
}

/** What an intent says of a request, beside its subject. */
interface Asked {
  safeguardsLifted: readonly string[];
  features: readonly string[];
  /** Safeguards that are put back for it, and the model that it goes to for that. */
  restored: readonly string[];
  dispatchedModel: string | undefined;
  /** The upstream that it goes to for that, by its name; undefined: the endpoint's own. */
  dispatchedUpstream: string | undefined;
  /** Orders that watch or constrain it. */
  notedBy: readonly string[];
  /** Where it came from, where a watch records that. */
  address: string | undefined;
  /** Bytes of the body as dispatched, and the commitment to them, in base64. */
  bytes: number;
  commitment: string;
}

/** What an intent says of what is asked for, as JSON members of its data. */
export function askedMembers(asked: Asked): string {
  const { safeguardsLifted, features, restored, notedBy, address } = asked;
  const { dispatchedModel, dispatchedUpstream } = asked;
  let members = `"safeguardsLifted":${JSON.stringify(safeguardsLifted)},"features":${JSON.stringify(features)}`;
  if (restored.length > 0) members += `,"restored":${JSON.stringify(restored)}`;
  if (dispatchedModel !== undefined)
    members += `,"dispatchedModel":${JSON.stringify(dispatchedModel)}`;
  if (dispatchedUpstream !== undefined) members += `,"dispatchedUpstream":"${dispatchedUpstream}"`;
  if (notedBy.length > 0) members += `,"notedBy":${JSON.stringify(notedBy)}`;
  if (address !== undefined) members += `,"address":${JSON.stringify(address)}`;
  return `${members},"requestBytes":${asked.bytes},"requestCommitment":"${asked.commitment}"`;
}

/** What an outcome says of the answer, as far as there was one. */
interface Answered {
  upstreamStatus: number | undefined;
  /** Milliseconds from the admission. */
  durationMs: number;
  firstByteMs: number | undefined;
  bytes: number;
  /** To the bytes, in base64. */
  commitment: string | undefined;
  modelAnswered: string | undefined;
  modelMismatch: boolean;
  /** Why something other than the upstream's own answer ended the request. */
  message: string | undefined;
}

/** What an outcome says of the answer, as JSON members of its data. */
export function answeredMembers(answered: Answered): string {
  const { upstreamStatus, firstByteMs, commitment, modelAnswered, message } = answered;
  let members = upstreamStatus === undefined ? '' : `"upstreamStatus":${upstreamStatus},`;
  members += `"durationMs":${answered.durationMs}`;
  if (firstByteMs !== undefined) members += `,"firstByteMs":${firstByteMs}`;
  members += `,"responseBytes":${answered.bytes}`;
  if (commitment !== undefined) members += `,"responseCommitment":"${commitment}"`;
  if (modelAnswered !== undefined) members += `,"modelAnswered":${JSON.stringify(modelAnswered)}`;
  if (answered.modelMismatch) members += ',"modelMismatch":true';
  if (message !== undefined) members += `,"message":${JSON.stringify(message)}`;
  return members;
}

/** What an outcome says of the end of a request, as JSON members of its data. */
export function outcomeMembers(end: RequestEnd, usage: Usage, charge: Charge): string {
  const { inputTokens, outputTokens, source } = usage;
  const { requests, tokens, spendNanoUsd } = charge;
  const used = `{"inputTokens":${inputTokens},"outputTokens":${outputTokens},"source":"${source}"}`;
  const charged = `{"requests":${requests},"tokens":${tokens},"spendNanoUsd":${spendNanoUsd}}`;
  return `"end":"${end}","usage":${used},"charged":${charged}`;
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
    features: entry.data.features ?? [],
    restored: entry.data.restored ?? [],
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
  data: { stream: boolean; features?: string[]; restored?: string[] };
}

/** What a settled request is charged. */
export interface Charge extends Amount {
  /** 1, or 0 for a request that was never forwarded. */
  requests: 0 | 1;
}
