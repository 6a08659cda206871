import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate, setTimeout } from 'node:timers/promises';

/** One request as the upstream saw it. */
export interface RecordedRequest {
  method: string;
  /** Path with its query, as sent. */
  path: string;
  headers: IncomingHttpHeaders;
  /** The parsed body; undefined when there was none or it was not JSON. */
  body: unknown;
  raw: Buffer;
  /** The client went away before the whole request was read or the whole response was written. */
  aborted: boolean;
}

export type Handler = (req: RecordedRequest, res: ServerResponse) => void | Promise<void>;

export interface ScriptedUpstream {
  /** Origin without a path. */
  url: string;
  /** All requests so far, in the order they arrived. */
  requests: RecordedRequest[];
  /** What the handlers threw, other than for a lost client. */
  failures: unknown[];
  /** Replaces the handler for all requests from now on. */
  respond(handler: Handler): void;
  /** The next request that no earlier call returned, once it is read whole. */
  nextRequest(timeoutMs?: number): Promise<RecordedRequest>;
  /** Resolves when request `index` is aborted by its client; rejects when it ends otherwise. */
  waitForAbort(index: number, timeoutMs?: number): Promise<void>;
  /** Ends at once: every socket is destroyed. */
  close(): Promise<void>;
}

interface Usage {
  inputTokens: number;
  outputTokens: number;
}

export interface JsonOptions {
  content?: string;
  usage?: Usage | null;
  model?: string;
}

export interface StreamOptions {
  /** The text, in the pieces it is sent in. */
  chunks?: string[];
  /** null leaves all usage out. OpenAI's is sent only to a client that asked for it, as upstream. */
  usage?: Usage | null;
  /** Sends OpenAI's usage chunk even to a client that did not ask. */
  usageUnasked?: boolean;
  /** Pause between events, or between the slices of `splitAt`. */
  paceMs?: number;
  /** Waited for before each of `chunks`, by its number: so that one can follow upon what became of the other. */
  before?: (chunk: number) => Promise<void>;
  model?: string;
  /** Cuts the bytes of the whole stream after each byte, or at these offsets, instead of after each event. */
  splitAt?: 'byte' | number[];
  /**
   * How it ends after the last chunk: `done` as the vendor does; `nothing` closes cleanly without a
   * terminator or usage; `destroy` breaks the connection; `error-event` sends the vendor's error, then closes.
   */
  endWith?: 'done' | 'nothing' | 'destroy' | 'error-event';
}

const DEFAULT_USAGE: Usage = { inputTokens: 11, outputTokens: 7 };
const DEFAULT_MODEL = 'scripted-model-1';
const PATIENCE_MS = 5_000;
const SSE = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' };

interface Exchange {
  record: RecordedRequest;
  over: Promise<void>;
}

/**
 * Starts an upstream on loopback that does what the test tells it to. Until `respond` is called it
 * answers both dialects with a short completion. A handler that breaks the connection itself must do
 * so with `res.destroy()`, or the request counts as aborted by the client.
 */
export async function startScriptedUpstream(): Promise<ScriptedUpstream> {
  const requests: RecordedRequest[] = [];
  const exchanges: Exchange[] = [];
  const failures: unknown[] = [];
  const unread: RecordedRequest[] = [];
  const readers: ((record: RecordedRequest) => void)[] = [];
  let handler: Handler = defaultHandler;
  let closing = false;

  const server = createServer({ noDelay: true }, (req, res) => {
    const record: RecordedRequest = {
      method: req.method ?? '',
      path: req.url ?? '',
      headers: req.headers,
      body: undefined,
      raw: Buffer.alloc(0),
      aborted: false,
    };
    let endedHere = false;
    const destroy = res.destroy.bind(res);
    res.destroy = (error) => {
      endedHere = true;
      return destroy(error);
    };
    res.on('error', () => {});
    const over = new Promise<void>((resolve) => {
      res.once('close', () => {
        record.aborted = !res.writableFinished && !endedHere && !closing;
        resolve();
      });
    });
    requests.push(record);
    exchanges.push({ record, over });
    const answer = async (): Promise<void> => {
      record.raw = await readAll(req);
      record.body = parse(record.raw);
      const reader = readers.shift();
      if (reader) reader(record);
      else unread.push(record);
      await handler(record, res);
    };
    answer().catch((error: unknown) => {
      if (res.destroyed) return;
      failures.push(error);
      if (res.headersSent) res.destroy();
      else void status(500, { error: { message: 'the scripted handler failed' } })(record, res);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    failures,
    respond(next) {
      handler = next;
    },
    nextRequest(timeoutMs = PATIENCE_MS) {
      const record = unread.shift();
      if (record) return Promise.resolve(record);
      let reader: ((record: RecordedRequest) => void) | undefined;
      const arrived = new Promise<RecordedRequest>((resolve) => {
        reader = resolve;
        readers.push(resolve);
      });
      return within(arrived, timeoutMs, 'no further request reached the upstream').finally(() => {
        // One that gave up must not swallow a later request.
        const at = readers.findIndex((waiting) => waiting === reader);
        if (at >= 0) readers.splice(at, 1);
      });
    },
    async waitForAbort(index, timeoutMs = PATIENCE_MS) {
      const exchange = exchanges[index];
      if (!exchange) throw new Error(`request ${index} has not reached the upstream`);
      await within(exchange.over, timeoutMs, `request ${index} is still open`);
      if (!exchange.record.aborted) throw new Error(`request ${index} was not aborted`);
    },
    async close() {
      closing = true;
      const closed = new Promise((resolve) => {
        server.close(resolve);
      });
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A plain chat completion. */
export function openaiJson(options: JsonOptions = {}): Handler {
  const { content = 'Hello.', usage = DEFAULT_USAGE, model = DEFAULT_MODEL } = options;
  const message = { role: 'assistant', content, refusal: null };
  return status(200, {
    id: 'chatcmpl-scripted',
    object: 'chat.completion',
    created: 1_780_000_000,
    model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop' }],
    ...(usage ? { usage: openaiUsage(usage) } : {}),
  });
}

/** A streamed chat completion. */
export function openaiStream(options: StreamOptions = {}): Handler {
  return async (req, res) => {
    await sendEvents(res, openaiEvents(req, options), options);
  };
}

/** A stream of events as they are given. */
export function stream(
  events: Iterable<string>,
  options: Pick<StreamOptions, 'paceMs' | 'splitAt' | 'endWith'> = {},
): Handler {
  return (_req, res) => sendEvents(res, { body: [...events], end: [] }, options);
}

/** A plain message. */
export function anthropicJson(options: JsonOptions = {}): Handler {
  const { content = 'Hello.', usage = DEFAULT_USAGE, model = DEFAULT_MODEL } = options;
  return status(200, {
    ...anthropicMessage(model, content),
    stop_reason: 'end_turn',
    ...(usage ? { usage: anthropicUsage(usage) } : {}),
  });
}

/** A streamed message. */
export function anthropicStream(options: StreamOptions = {}): Handler {
  return async (_req, res) => {
    await sendEvents(res, anthropicEvents(options), options);
  };
}

/** A fixed answer: a string goes out as it is, anything else as JSON. */
export function status(
  code: number,
  body?: unknown,
  headers: Record<string, string> = {},
): Handler {
  return (_req, res) => {
    const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body);
    const type = typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/json';
    res.writeHead(code, {
      'content-type': type,
      'content-length': Buffer.byteLength(text),
      ...headers,
    });
    res.end(text);
  };
}

/** Takes the request and never answers. */
export function hang(): Handler {
  return () => {};
}

/** Streams all but the end, in the dialect of the path, then waits for `release()` or a lost client. */
export function hold(options: StreamOptions = {}): Handler & { release(): void } {
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const handler: Handler = async (req, res) => {
    const events = isMessages(req) ? anthropicEvents(options) : openaiEvents(req, options);
    await sendEvents(res, events, options, released);
  };
  return Object.assign(handler, { release });
}

const defaultHandler: Handler = (req, res) => {
  if (isMessages(req)) return anthropicJson()(req, res);
  if (req.path.includes('/chat/completions')) return openaiJson()(req, res);
  return status(404, { error: { message: 'not scripted', type: 'invalid_request_error' } })(
    req,
    res,
  );
};

function isMessages(req: RecordedRequest): boolean {
  return req.path.includes('/messages');
}

interface Events {
  body: string[];
  end: string[];
}

function openaiEvents(req: RecordedRequest, options: StreamOptions): Events {
  const { chunks = ['Hel', 'lo.'], usage = DEFAULT_USAGE, model = DEFAULT_MODEL } = options;
  const asked = wantsUsage(req.body);
  const event = (choices: object[], counted: object | null = null): string =>
    `data: ${JSON.stringify({
      id: 'chatcmpl-scripted',
      object: 'chat.completion.chunk',
      created: 1_780_000_000,
      model,
      choices,
      ...(asked || counted ? { usage: counted } : {}),
    })}\n\n`;
  const delta = (change: object, finish: string | null = null): string =>
    event([{ index: 0, delta: change, logprobs: null, finish_reason: finish }]);
  const body = [
    delta({ role: 'assistant', content: '' }),
    ...chunks.map((content) => delta({ content })),
  ];
  const endWith = options.endWith ?? 'done';
  if (endWith === 'error-event') {
    const error = { message: 'The scripted upstream failed.', type: 'server_error', code: null };
    return { body, end: [`data: ${JSON.stringify({ error })}\n\n`] };
  }
  if (endWith !== 'done') return { body, end: [] };
  const counted = usage && (asked || options.usageUnasked === true);
  const last = counted ? [event([], openaiUsage(usage))] : [];
  return { body, end: [delta({}, 'stop'), ...last, 'data: [DONE]\n\n'] };
}

function anthropicEvents(options: StreamOptions): Events {
  const { chunks = ['Hel', 'lo.'], usage = DEFAULT_USAGE, model = DEFAULT_MODEL } = options;
  const event = (data: { type: string } & Record<string, unknown>): string =>
    `event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`;
  const started = usage ? { usage: anthropicUsage({ ...usage, outputTokens: 1 }) } : {};
  const body = [
    event({ type: 'message_start', message: { ...anthropicMessage(model), ...started } }),
    event({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
    event({ type: 'ping' }),
    ...chunks.map((text) =>
      event({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }),
    ),
  ];
  const endWith = options.endWith ?? 'done';
  if (endWith === 'error-event') {
    const error = { type: 'api_error', message: 'The scripted upstream failed.' };
    return { body, end: [event({ type: 'error', error })] };
  }
  if (endWith !== 'done') return { body, end: [] };
  const stop = event({
    type: 'message_delta',
    delta: { stop_reason: 'end_turn', stop_sequence: null },
    ...(usage ? { usage: { output_tokens: usage.outputTokens } } : {}),
  });
  return {
    body,
    end: [event({ type: 'content_block_stop', index: 0 }), stop, event({ type: 'message_stop' })],
  };
}

function anthropicMessage(model: string, text?: string): object {
  return {
    id: 'msg_scripted',
    type: 'message',
    role: 'assistant',
    model,
    content: text === undefined ? [] : [{ type: 'text', text }],
    stop_reason: null,
    stop_sequence: null,
  };
}

function openaiUsage({ inputTokens, outputTokens }: Usage): object {
  return {
    prompt_tokens: inputTokens,
    completion_tokens: outputTokens,
    total_tokens: inputTokens + outputTokens,
  };
}

function anthropicUsage({ inputTokens, outputTokens }: Usage): object {
  return { input_tokens: inputTokens, output_tokens: outputTokens };
}

function wantsUsage(body: unknown): boolean {
  const request = body as { stream_options?: { include_usage?: boolean } } | undefined;
  return request?.stream_options?.include_usage === true;
}

/** Writes the stream in its slices; stops at once, without an error, when the connection is gone. */
async function sendEvents(
  res: ServerResponse,
  events: Events,
  options: StreamOptions,
  released?: Promise<void>,
): Promise<void> {
  if (res.destroyed) return;
  const gone = new AbortController();
  const { signal } = gone;
  const lost = new Promise<void>((resolve) => {
    res.once('close', () => {
      gone.abort();
      resolve();
    });
  });
  const paceMs = options.paceMs ?? 0;
  const body = slices(events.body, options.splitAt, 0);
  const sent = Buffer.byteLength(events.body.join(''));
  const end = slices(events.end, options.splitAt, sent);
  const write = async (
    parts: Buffer[],
    before?: (part: number) => Promise<void>,
  ): Promise<void> => {
    for (const [i, part] of parts.entries()) {
      await before?.(i);
      if (res.destroyed) return;
      if (!res.write(part)) await once(res, 'drain', { signal });
      if (paceMs > 0) await setTimeout(paceMs, undefined, { signal });
      // Another turn of the loop, so that every slice leaves as a write of its own.
      else await setImmediate(undefined, { signal });
    }
  };

  res.writeHead(200, SSE);
  try {
    const first = events.body.length - (options.chunks?.length ?? 0);
    await write(body, async (part) => {
      if (part >= first) await options.before?.(part - first);
    });
    if (released) await Promise.race([released, lost]);
    await write(end);
    if (options.endWith === 'destroy') res.destroy();
    else res.end();
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Cuts events into what is written at once; `offset` is how much of the stream went before. */
function slices(events: string[], splitAt: StreamOptions['splitAt'], offset: number): Buffer[] {
  const parts = events.map((event) => Buffer.from(event));
  if (splitAt === undefined) return parts;
  const bytes = Buffer.concat(parts);
  const cuts =
    splitAt === 'byte'
      ? Array.from(bytes, (_, i) => i + 1)
      : splitAt.map((at) => at - offset).sort((a, b) => a - b);
  const out: Buffer[] = [];
  let from = 0;
  for (const cut of [...cuts, bytes.length]) {
    if (cut <= from || cut > bytes.length) continue;
    out.push(bytes.subarray(from, cut));
    from = cut;
  }
  return out;
}

async function readAll(req: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of req as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function parse(raw: Buffer): unknown {
  try {
    return JSON.parse(raw.toString('utf8'));
  } catch {
    return undefined;
  }
}

async function within<T>(promise: Promise<T>, timeoutMs: number, complaint: string): Promise<T> {
  const timer = new AbortController();
  const late = setTimeout(timeoutMs, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${complaint} within ${timeoutMs} ms`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
    late.catch(() => {});
  }
}
