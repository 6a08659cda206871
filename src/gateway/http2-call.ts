/** One call as a stream of an HTTP/2 connection, with deadlines of its own. */
import {
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from 'node:http2';
import { errors } from 'undici';
import type { HeaderList } from './answer-head.ts';
import { RequestRefused, codeOf } from './upstream-failure.ts';
import type { Flow, IncomingAnswer } from './upstream-answer.ts';
import type { UpstreamTimes, WireRequest } from './wire.ts';

export class Http2Call implements Flow {
  readonly #answer: IncomingAnswer;
  readonly #times: UpstreamTimes;
  readonly #over: (failure: Error | undefined) => void;
  #stream: ClientHttp2Stream | undefined;
  #hasHead = false;
  #isPaused = false;
  #isOver = false;
  #failure: Error | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param over called once, when nothing of the call is left, with how it failed */
  constructor(
    answer: IncomingAnswer,
    times: UpstreamTimes,
    over: (failure: Error | undefined) => void,
  ) {
    this.#answer = answer;
    this.#times = times;
    this.#over = over;
  }

  /** Sends the request, unless it was ended while it waited. */
  start(session: ClientHttp2Session, { path, headers, body }: WireRequest): void {
    this.#answer.onRequestStart(this);
    if (this.#isOver) return;
    try {
      this.#stream = session.request({
        ':method': 'POST',
        ':path': path,
        ...named(headers),
        'content-length': body.length,
      });
    } catch (error) {
      // The connection went away just now: nothing has left.
      return this.#end(new RequestRefused(codeOf(error)));
    }
    this.#timer = setTimeout(
      () => this.#fail(new errors.HeadersTimeoutError('No answer in time.')),
      this.#times.firstByteMs,
    );
    this.#stream
      .on('response', (head) => this.#onHead(head))
      .on('data', (chunk: Buffer) => this.#onData(chunk))
      .on('end', () => this.#onEnd())
      .on('error', (error) => (this.#failure ??= error))
      .on('close', () => this.#onClose())
      .end(body);
  }

  /** The upstream said GOAWAY and looks at no stream after this one. */
  goneAfter(lastStreamId: number): void {
    if ((this.#stream?.id ?? 0) > lastStreamId) this.#fail(new RequestRefused());
  }

  abort(reason: Error): void {
    this.#fail(reason);
  }

  pause(): void {
    this.#isPaused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#timer?.refresh();
    this.#stream?.resume();
  }

  #onHead(head: IncomingHttpHeaders): void {
    clearTimeout(this.#timer);
    this.#hasHead = true;
    this.#timer = setTimeout(() => {
      // Where we do not read, the silence is ours.
      if (!this.#isPaused) this.#fail(new errors.BodyTimeoutError('No further byte in time.'));
    }, this.#times.idleMs);
    this.#answer.onResponseStart(this, Number(head[':status']), head);
  }

  #onData(chunk: Buffer): void {
    this.#timer?.refresh();
    this.#answer.onResponseData(this, chunk);
  }

  #onEnd(): void {
    const stream = this.#stream;
    // A reset comes as an end, too. One without an error cannot be told from it: what is missing then, JSON and events
    // show themselves.
    if (!this.#hasHead || stream?.rstCode !== constants.NGHTTP2_NO_ERROR) return;
    // Answered before it had read all of the request: it does not want the rest.
    if (!stream.writableFinished) stream.close(constants.NGHTTP2_CANCEL);
    this.#end(undefined);
  }

  #onClose(): void {
    const { id, rstCode } = this.#stream as ClientHttp2Stream;
    // Without an id it never became a stream: the connection has run out of them.
    const isRefused = rstCode === constants.NGHTTP2_REFUSED_STREAM || id === undefined;
    this.#end(
      isRefused ? new RequestRefused() : (this.#failure ?? new Error('The stream was reset.')),
    );
  }

  #fail(error: Error): void {
    this.#stream?.close(constants.NGHTTP2_CANCEL);
    this.#end(error);
  }

  #end(failure: Error | undefined): void {
    clearTimeout(this.#timer);
    if (this.#isOver) return;
    this.#isOver = true;
    if (failure) this.#answer.onResponseError(this, failure);
    else this.#answer.onResponseEnd();
    this.#over(failure);
  }
}

function named(headers: HeaderList): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (let i = 0; i < headers.length; i += 2)
    pairs[headers[i] as string] = headers[i + 1] as string;
  return pairs;
}
