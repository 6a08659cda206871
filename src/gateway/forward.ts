/** Sees a request through: read, checked, admitted, forwarded, answered, settled. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { admitRequest, type Admitted } from '../broker/admit-request.ts';
import { refuse } from '../core/denials.ts';
import { upstreamKey } from '../core/endpoints.ts';
import { askedMembers, type RequestFacts } from '../core/requests.ts';
import type { JsonObject } from '../core/scope/inspection.ts';
import type { Cancellation } from '../lib/cancellation.ts';
import { keepingOf } from '../core/transcripts/keeping.ts';
import { CallTranscript } from './call-transcript.ts';
import type { Caller } from './caller.ts';
import { checkContent, type Checked } from './check-content.ts';
import { Exchange } from './exchange.ts';
import type { Gateway } from './gateway.ts';
import { commitmentTo, newSalt } from './commitment.ts';
import type { ProxiedOperation } from './operations/operation.ts';
import { readJsonBody } from './read-body.ts';
import { alreadyRecorded } from './recorded.ts';
import { sendStream } from './stream-answer.ts';
import type { Timing } from './timing.ts';
import { endUnanswered } from './unanswered.ts';
import type { UpstreamAnswer } from './upstream-answer.ts';
import { Watch } from './watch.ts';
import { sendWholeAnswer } from './whole-answer.ts';

export interface Passage {
  requestId: string;
  timing: Timing;
  caller: Caller;
  operation: ProxiedOperation;
  /** Query as allowed. */
  query: string;
}

/** @throws RefusedError as long as nothing was admitted; after that, every end is its own outcome */
export async function forward(
  gateway: Gateway,
  req: IncomingMessage,
  res: ServerResponse,
  passage: Passage,
): Promise<void> {
  const { memory } = gateway.settings.body;
  const { value: asked, bytes } = await readJsonBody(req, gateway.settings.body);
  passage.timing.received();
  let held = bytes;
  const giveBack = (): void => {
    memory.used -= held;
    held = 0;
  };
  try {
    const checked = checkContent(gateway, req, passage, asked);
    // It can be longer than what was read.
    memory.used += checked.body.length - held;
    held = checked.body.length;
    const watch = new Watch(req, res, gateway.settings.requestMs);
    try {
      const exchange = await admit(gateway, res, passage, checked, watch.cancellation);
      try {
        await dispatch(gateway, exchange, passage, checked, asked);
        giveBack();
        // Until its last byte has left, an order still finds it.
        await watch.left();
      } finally {
        gateway.broker.live.leave(exchange.parts.live);
      }
    } finally {
      watch.end();
    }
  } finally {
    giveBack();
  }
}

/** From here on the request is on record as allowed, and must end with an outcome. */
async function admit(
  gateway: Gateway,
  res: ServerResponse,
  { requestId, timing, caller, operation }: Passage,
  checked: Checked,
  cancellation: Cancellation,
): Promise<Exchange> {
  const { broker, settings } = gateway;
  const { endpoint, inspection, grant, body, amount } = checked;
  const { features, effect, restored, dispatchedModel, dispatchedUpstream, address } = checked;
  const { member, token, access } = caller;
  const facts: RequestFacts = {
    requestId,
    personId: member.person.id,
    labId: member.lab.id,
    roles: member.person.roles,
    grantId: grant.id,
    grantVersion: grant.version,
    tokenId: token.id,
    purpose: access.purpose,
    runId: access.run,
    operation: operation.name,
    endpoint: endpoint.id,
    model: inspection.model,
    stream: inspection.stream,
    features,
    restored,
  };
  const records = effect.noted.length > 0 && grant.spec.recordNetwork;
  const salt = newSalt();
  const saltText = salt.toString('base64');
  const keeping = keepingOf(grant);
  if (keeping && !broker.transcripts.isWritable) refuse('transcript_unavailable');
  const transcript =
    keeping && new CallTranscript(broker.transcripts, keeping, requestId, saltText);
  const data = askedMembers({
    safeguardsLifted: endpoint.safeguardsLifted
      .map(({ safeguard }) => safeguard)
      .filter((safeguard) => !restored.includes(safeguard)),
    features,
    restored,
    dispatchedModel: dispatchedModel === inspection.model ? undefined : dispatchedModel,
    dispatchedUpstream: dispatchedUpstream ?? undefined,
    notedBy: effect.noted.map(({ id }) => id),
    address: records ? address : undefined,
    bytes: body.length,
    commitment: commitmentTo(body, salt),
  });
  let admitted: Admitted;
  try {
    admitted = await admitRequest(broker, {
      facts,
      address,
      amount,
      // What is kept goes with its salt: whoever destroys it destroys both.
      salt: transcript ? '' : saltText,
      data,
      cancellation,
      whileReserving: () => transcript?.storeRequest(body),
    });
  } catch (error) {
    transcript?.drop();
    throw alreadyRecorded(error);
  }
  const { limits, live } = admitted;
  try {
    return new Exchange({
      requestId,
      facts,
      live,
      timing,
      broker,
      endpoint,
      dispatchedModel,
      operation,
      res,
      headers: operation.dialect.rateLimitHeaders(limits, broker.clock()),
      cancellation,
      salt,
      transcript,
      requestBytes: body.length,
      maxResponseBytes: settings.maxResponseBytes,
      keepAliveMs: settings.keepAliveMs,
    });
  } catch (error) {
    broker.live.leave(live);
    broker.settler.giveBack(requestId, 'The request could not be begun.');
    throw error;
  }
}

async function dispatch(
  gateway: Gateway,
  exchange: Exchange,
  { operation, query }: Passage,
  checked: Checked,
  asked: JsonObject,
): Promise<void> {
  const { cancellation, endpoint } = exchange.parts;
  const { body, headers, inspection, dispatchedUpstream } = checked;
  let forwarded = false;
  let answer: UpstreamAnswer | undefined;
  try {
    const key = upstreamKey(endpoint.id, dispatchedUpstream);
    const upstream = gateway.upstreams.get(key) ?? refuse('upstream_unreachable');
    await exchange.parts.transcript?.requestStored();
    // An order can have come between the decision and now.
    cancellation.throwIfCancelled();
    exchange.parts.timing.upstreamBegun();
    answer = await upstream.send({
      path: query === '' ? operation.path : `${operation.path}${query}`,
      authorise: operation.dialect.authorise,
      body,
      headers,
      stream: inspection.stream,
      cancellation,
      sending: () => {
        forwarded = true;
      },
    });
    exchange.answerBegins(upstream, { isError: answer.statusCode >= 400 });
    if (inspection.stream && isStream(answer)) await sendStream(exchange, answer, asked, upstream);
    else await sendWholeAnswer(exchange, answer, { streamAsked: inspection.stream, upstream });
  } catch (error) {
    // Nobody reads on, whatever it was: the upstream is not to go on either.
    answer?.destroy();
    await endUnanswered(exchange, error, forwarded);
  }
}

function isStream(answer: UpstreamAnswer): boolean {
  const [type = ''] = answer.header('content-type');
  return answer.statusCode === 200 && type.toLowerCase().startsWith('text/event-stream');
}
