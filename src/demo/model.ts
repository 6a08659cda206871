import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { bind } from '../listener.ts';
import {
  answerCountTokens,
  answerMessages,
  anthropicError,
  anthropicModels,
} from './model-anthropic.ts';
import { answerCompletions } from './model-completions.ts';
import { answerEmbeddings } from './model-embeddings.ts';
import { answerChat, openaiModels } from './model-openai.ts';
import { DEMO_MODEL } from './model-reply.ts';
import { answerResponses } from './model-responses.ts';
import {
  parseJson,
  readBody,
  sendFrames,
  sendJson,
  type Answer,
  type JsonAnswer,
} from './model-wire.ts';
import { openaiError } from './openai-request.ts';

export interface DemoModel {
  /** Origin without a path, for example `http://127.0.0.1:41234`. */
  url: string;
  models: string[];
  /** Ends at once, open streams included. */
  close(): Promise<void>;
}

/**
 * Starts the built-in demo model: a scripted upstream that speaks every operation of both dialects that a
 * broker offers, so that everything can be tried without a vendor account. It answers the same request
 * always in the same way and checks no credential.
 *
 * @param options.host address to listen on; loopback unless told otherwise
 * @param options.port 0, the default, takes a free one
 * @param options.paceMs pause between the chunks of a stream; 0 streams as fast as the client reads
 */
export async function startDemoModel(
  options: { host?: string; port?: number; paceMs?: number } = {},
): Promise<DemoModel> {
  const { host = '127.0.0.1', port = 0, paceMs = 20 } = options;
  let requests = 0;
  const server = createServer({ noDelay: true }, (req, res) => {
    requests += 1;
    serve(req, res, requests, paceMs).catch(() => res.destroy());
  });
  // Longer than any client's pool keeps a connection, or a reused one may be closed under a request.
  server.keepAliveTimeout = 75_000;

  await bind(server, { host, port }, '--port');
  const address = server.address() as AddressInfo;
  const name = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  let closed: Promise<void> | undefined;
  return {
    url: `http://${name}:${address.port}`,
    models: [DEMO_MODEL],
    close: () =>
      (closed ??= new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      })),
  };
}

async function serve(
  req: IncomingMessage,
  res: ServerResponse,
  number: number,
  paceMs: number,
): Promise<void> {
  // A client that resets its connection must not end the process.
  res.on('error', () => res.destroy());
  const requestId = `req_demo${String(number).padStart(8, '0')}`;
  const headers: Record<string, string> = { 'x-request-id': requestId, 'request-id': requestId };
  const anthropic = speaksAnthropic(req);
  const bytes = await readBody(req);
  if (bytes === 'too large') {
    headers['connection'] = 'close';
    sendAnswer(res, tooLarge(anthropic), headers, anthropic);
    return;
  }
  const answer = answerOf(req, bytes, anthropic, number);
  if ('frames' in answer) await sendFrames(res, answer.frames, paceMs, headers);
  else sendAnswer(res, answer, headers, anthropic);
}

function sendAnswer(
  res: ServerResponse,
  answer: JsonAnswer,
  headers: Record<string, string>,
  anthropic: boolean,
): void {
  const named = anthropic && answer.status >= 400;
  const body = named ? { ...answer.body, request_id: headers['request-id'] } : answer.body;
  sendJson(res, answer.status, body, headers);
}

function pathOf(req: IncomingMessage): string {
  return (req.url ?? '/').split('?', 1)[0] ?? '/';
}

/** The paths are the vendor's, but for the model list, which both have in the same place. */
function speaksAnthropic(req: IncomingMessage): boolean {
  return pathOf(req).startsWith('/v1/messages') || req.headers['anthropic-version'] !== undefined;
}

function answerOf(req: IncomingMessage, bytes: Buffer, anthropic: boolean, number: number): Answer {
  const path = pathOf(req);
  switch (`${req.method} ${path}`) {
    case 'POST /v1/chat/completions':
      return answerChat(parseJson(bytes), number);
    case 'POST /v1/responses':
      return answerResponses(parseJson(bytes), number);
    case 'POST /v1/completions':
      return answerCompletions(parseJson(bytes), number);
    case 'POST /v1/embeddings':
      return answerEmbeddings(parseJson(bytes));
    case 'POST /v1/messages':
      return answerMessages(parseJson(bytes), number);
    case 'POST /v1/messages/count_tokens':
      return answerCountTokens(parseJson(bytes));
    case 'GET /v1/models':
      return anthropic ? anthropicModels() : openaiModels();
    default:
      return anthropic
        ? anthropicError(404, 'not_found_error', 'Not found')
        : openaiError(404, `Invalid URL (${req.method} ${path})`, null, null);
  }
}

function tooLarge(anthropic: boolean): JsonAnswer {
  const text = 'The request body is too large.';
  return anthropic
    ? anthropicError(413, 'request_too_large', text)
    : openaiError(413, text, null, null);
}
