/** Sees a request through: read, checked, admitted, forwarded, answered, settled. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { admitRequest } from '../broker/admit-request.ts';
import { refusal, refuse } from '../core/denials.ts';
import type { RequestFacts } from '../core/requests.ts';
import type { JsonObject } from '../core/scope/inspection.ts';
import type { Reserved } from '../store/operations/requests.ts';
import type { Caller } from './caller.ts';
import { checkContent, type Checked } from './check-content.ts';
import { Ended, Exchange } from './exchange.ts';
import type { Gateway } from './gateway.ts';
import { commitmentTo, newSalt } from './commitment.ts';
import type { ProxiedOperation } from './operations/operation.ts';
import { readJsonBody } from './read-body.ts';
import { alreadyRecorded } from './recorded.ts';
import { sendStream } from './stream-answer.ts';
import type { Timing } from './timing.ts';
import { endUnanswered } from './unanswered.ts';
import type { UpstreamAnswer } from './upstream-answer.ts';
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
    const abort = new AbortController();
    const unwatch = watch(req, res, abort, gateway.settings.requestMs);
    try {
      const exchange = await admit(gateway, req, res, passage, checked, abort);
      await dispatch(gateway, exchange, passage, checked, asked);
      giveBack();
      // Until its last byte has left, an order still finds it.
      await left(req, res);
    } finally {
      unwatch();
      gateway.broker.live.leave(passage.requestId);
    }
  } finally {
    giveBack();
  }
}

/** Raises the signal when the client has gone or the time is up; and heeds it where an answer is on its way out. */
function watch(
  req: IncomingMessage,
  res: ServerResponse,
  abort: AbortController,
  requestMs: number,
): () => void {
  const late = refusal('upstream_timeout', 'The request took longer than this broker allows.');
  const timer = setTimeout(() => abort.abort(new Ended('deadline', late)), requestMs);
  const gone = (): void => {
    const why = refusal('invalid_request', 'The client went away.');
    if (!res.writableFinished) abort.abort(new Ended('client_gone', why));
  };
  // Of the socket, too: a response that waits behind another in a pipeline does not hear of its end.
  const { socket } = req;
  res.once('close', gone);
  // Who closes its own side has gone as well: a process that dies does no more, and what it left unread keeps
  // the connection from closing.
  socket.once('close', gone).once('end', gone);
  if (socket.destroyed || socket.readableEnded) gone();
  abort.signal.addEventListener('abort', () => {
    // All of the answer is written, and the client has not taken it: what it has not got it does not get.
    if (res.writableEnded && !res.writableFinished) res.destroy();
  });
  return () => {
    clearTimeout(timer);
    res.off('close', gone);
    socket.off('close', gone).off('end', gone);
  };
}

/** Resolves when an answer has left, or nobody is there to take it. */
async function left(req: IncomingMessage, res: ServerResponse): Promise<void> {
  if (res.writableFinished || res.destroyed || req.socket.destroyed) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      res.off('finish', done).off('close', done);
      req.socket.off('close', done);
      resolve();
    };
    res.once('finish', done).once('close', done);
    req.socket.once('close', done);
  });
}

/** From here on the request is on record as allowed, and must end with an outcome. */
async function admit(
  gateway: Gateway,
  req: IncomingMessage,
  res: ServerResponse,
  { requestId, timing, caller, operation }: Passage,
  { endpoint, inspection, grant, body, amount }: Checked,
  abort: AbortController,
): Promise<Exchange> {
  const { broker, settings } = gateway;
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
  };
  const salt = newSalt();
  const data = {
    safeguardsLifted: endpoint.safeguardsLifted.map(({ safeguard }) => safeguard),
    features: [...new Set(inspection.uses.map(({ feature }) => feature))],
    requestBytes: body.length,
    requestCommitment: commitmentTo(body, salt),
  };
  let reserved: Reserved;
  try {
    reserved = await admitRequest(broker, {
      facts,
      address: gateway.addressOf(req),
      amount,
      salt,
      data,
      abort,
    });
  } catch (error) {
    throw alreadyRecorded(error);
  }
  try {
    return new Exchange({
      requestId,
      facts,
      timing,
      broker,
      endpoint,
      model: inspection.model,
      operation,
      res,
      headers: operation.dialect.rateLimitHeaders(reserved.limits, broker.clock()),
      signal: abort.signal,
      settler: broker.settler,
      log: broker.log,
      clock: broker.clock,
      salt,
      requestBytes: body.length,
      maxResponseBytes: settings.maxResponseBytes,
      keepAliveMs: settings.keepAliveMs,
    });
  } catch (error) {
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
  const { signal, endpoint } = exchange.parts;
  const { body, headers, inspection } = checked;
  let forwarded = false;
  let answer: UpstreamAnswer | undefined;
  try {
    const upstream = gateway.upstreams.get(endpoint.id) ?? refuse('upstream_unreachable');
    // An order can have come between the decision and now.
    signal.throwIfAborted();
    exchange.parts.timing.upstreamBegun();
    answer = await upstream.send({
      path: `${operation.path}${query}`,
      authorise: operation.dialect.authorise,
      body,
      headers,
      stream: inspection.stream,
      signal,
      sending: () => {
        forwarded = true;
      },
    });
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
