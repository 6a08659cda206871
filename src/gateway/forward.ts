/** Sees a request through: read, checked, admitted, forwarded, answered, settled. */
import { createHmac, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Dispatcher } from 'undici';
import { admitRequest } from '../broker/admit-request.ts';
import { RefusedError, refusal, refuse } from '../core/denials.ts';
import type { RequestFacts, Usage } from '../core/requests.ts';
import type { JsonObject } from '../core/scope/inspection.ts';
import type { Caller } from './caller.ts';
import { checkContent, type Checked } from './check-content.ts';
import type { Dialect } from './dialects/dialect.ts';
import { sendRefusal } from './error-body.ts';
import { Ended, Exchange, NO_USAGE, endOf, usageFrom } from './exchange.ts';
import type { Gateway } from './gateway.ts';
import { readJsonBody } from './read-body.ts';
import { alreadyRecorded } from './recorded.ts';
import { sendStream } from './stream-answer.ts';
import { UpstreamFailure, failureOf } from './upstream.ts';
import { AnswerUnusable, sendWholeAnswer } from './whole-answer.ts';

export interface Passage {
  requestId: string;
  caller: Caller;
  dialect: Dialect;
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
  let held = bytes;
  const giveBack = (): void => {
    memory.used -= held;
    held = 0;
  };
  try {
    const checked = checkContent(gateway, req, passage, asked);
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
  socket.once('close', gone);
  if (socket.destroyed) gone();
  abort.signal.addEventListener('abort', () => {
    // All of the answer is written, and the client has not taken it: what it has not got it does not get.
    if (res.writableEnded && !res.writableFinished) res.destroy();
  });
  return () => {
    clearTimeout(timer);
    res.off('close', gone);
    socket.off('close', gone);
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
  { requestId, caller, dialect }: Passage,
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
    operation: dialect.operation,
    endpoint: endpoint.id,
    model: inspection.model,
    stream: inspection.stream,
  };
  const salt = randomBytes(16);
  const data = {
    safeguardsLifted: endpoint.safeguardsLifted.map(({ safeguard }) => safeguard),
    features: [...new Set(inspection.uses.map(({ feature }) => feature))],
    requestBytes: body.length,
    requestCommitment: createHmac('sha256', salt).update(body).digest('base64'),
  };
  try {
    const reserved = await admitRequest(broker, {
      facts,
      address: gateway.addressOf(req),
      amount,
      salt,
      data,
      abort,
    });
    return new Exchange({
      requestId,
      endpoint,
      model: inspection.model,
      dialect,
      res,
      headers: dialect.rateLimitHeaders(reserved.limits, broker.clock()),
      signal: abort.signal,
      settler: broker.settler,
      log: broker.log,
      clock: broker.clock,
      salt,
      requestBytes: body.length,
      maxResponseBytes: settings.maxResponseBytes,
    });
  } catch (error) {
    throw alreadyRecorded(error);
  }
}

async function dispatch(
  gateway: Gateway,
  exchange: Exchange,
  { dialect, query }: Passage,
  checked: Checked,
  asked: JsonObject,
): Promise<void> {
  const { res, requestId, signal, endpoint } = exchange.parts;
  const { body, headers, inspection } = checked;
  let forwarded = false;
  try {
    const upstream = gateway.upstreams.get(endpoint.id) ?? refuse('upstream_unreachable');
    // An order can have come between the decision and now.
    signal.throwIfAborted();
    forwarded = true;
    const answer = await upstream.call({
      dialect,
      body,
      headers,
      query,
      stream: inspection.stream,
      signal,
    });
    if (inspection.stream && isStream(answer)) await sendStream(exchange, answer, asked, upstream);
    else await sendWholeAnswer(exchange, answer, { streamAsked: inspection.stream, upstream });
  } catch (thrown) {
    let error = thrown;
    if (!exchange.isSettled && !res.headersSent) {
      const ended = endedBy(error, signal, forwarded);
      const usage: Usage = ended.mayHaveArrived
        ? usageFrom({}, body.length, exchange.receivedBytes)
        : NO_USAGE;
      const { end, why } = ended;
      try {
        await exchange.settle({
          end,
          why: end === 'client_gone' ? undefined : why,
          usage,
          forwarded: ended.mayHaveArrived,
        });
        if (!res.destroyed) sendRefusal(res, why, requestId);
        return;
      } catch (failure) {
        error = failure;
      }
    }
    // It may have reached the upstream, and been paid for: not to be tried again by itself.
    if (!res.headersSent) sendRefusal(res, reasonOf(error, signal), requestId, { retry: false });
  }
}

function isStream(answer: Dispatcher.ResponseData): boolean {
  return (
    answer.statusCode === 200 &&
    String(answer.headers['content-type'] ?? '')
      .toLowerCase()
      .startsWith('text/event-stream')
  );
}

function reasonOf(error: unknown, signal: AbortSignal): Ended['why'] {
  if (
    error instanceof AnswerUnusable ||
    error instanceof RefusedError ||
    error instanceof UpstreamFailure
  )
    return error.refusal;
  return signal.aborted ? Ended.from(signal.reason).why : refusal('unexpected');
}

/** How a request ended that got no answer. */
function endedBy(
  error: unknown,
  signal: AbortSignal,
  forwarded: boolean,
): {
  end: ReturnType<typeof endOf> | Ended['end'] | 'not_forwarded';
  why: Ended['why'];
  mayHaveArrived: boolean;
} {
  if (signal.aborted) {
    const { end, why } = Ended.from(signal.reason);
    return { end: forwarded ? end : 'not_forwarded', why, mayHaveArrived: forwarded };
  }
  if (error instanceof RefusedError)
    return { end: endOf(error.refusal.code), why: error.refusal, mayHaveArrived: forwarded };
  const failure = error instanceof UpstreamFailure ? error : failureOf(error);
  const end = failure.mayHaveArrived ? endOf(failure.refusal.code) : 'not_forwarded';
  return { end, why: failure.refusal, mayHaveArrived: failure.mayHaveArrived };
}
