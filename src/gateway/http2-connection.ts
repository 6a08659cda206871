/** An HTTP/2 connection and the calls that share it: from the first that waits for it until its socket is closed. */
import type { ClientHttp2Session } from 'node:http2';
import { errors } from 'undici';
import { Http2Call } from './http2-call.ts';
import { ConnectionError, type OpenSession } from './http2-connect.ts';
import type { IncomingAnswer } from './upstream-answer.ts';
import { RequestRefused } from './upstream-failure.ts';
import type { UpstreamTimes, WireRequest } from './wire.ts';

/** A connection is looked at this often: it is closed when nobody used it, and asked whether it lives when it is silent. */
const LOOK_EVERY_MS = 10_000;

/** A call that ends so says nothing good of its connection: the next goes elsewhere. */
const DOUBTS = [errors.HeadersTimeoutError, errors.BodyTimeoutError, RequestRefused];

export interface WaitingCall {
  request: WireRequest;
  answer: IncomingAnswer;
}

export class Connection {
  readonly #times: UpstreamTimes;
  readonly #calls = new Set<Http2Call>();
  #waiting: WaitingCall[] = [];
  /** Calls that it may carry; 0 when it is to carry no more. */
  #most: number;
  #opened: OpenSession | undefined;
  #wasUsed = true;
  /** Bytes that had come in when it was last looked at. */
  #heard = 0;
  /** It was silent, and asked whether it lives. */
  #isAsked = false;

  constructor(most: number, times: UpstreamTimes) {
    this.#most = most;
    this.#times = times;
  }

  get hasRoom(): boolean {
    if (this.#calls.size + this.#waiting.length >= this.#most) return false;
    return !this.#opened || isUsable(this.#opened.session);
  }

  take(call: WaitingCall): void {
    if (this.#opened) this.#start(this.#opened, call);
    else this.#waiting.push(call);
  }

  /**
   * The connection stands.
   *
   * @param gone called when its socket is closed
   * @returns what waited and has no room
   */
  begin(opened: OpenSession, most: number, gone: () => void): WaitingCall[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#opened = opened;
    this.#most = most;
    const retire = (): void => this.#retire();
    const watch = setInterval(() => this.#look(opened), LOOK_EVERY_MS).unref();
    opened.session
      // The streams hear of it themselves.
      .on('error', retire)
      .on('close', retire)
      .on('goaway', (_code, lastStreamId) => {
        this.#retire();
        for (const call of this.#calls) call.goneAfter(lastStreamId);
      });
    opened.socket.once('close', () => {
      clearInterval(watch);
      gone();
    });
    for (const call of waiting.splice(0, most)) this.#start(opened, call);
    return waiting;
  }

  /** It never stood: nothing was sent. */
  fail(error: Error): void {
    this.#most = 0;
    for (const { answer } of this.#waiting.splice(0)) answer.onResponseError(undefined, error);
  }

  /** Ends it, with its calls; resolves when its socket is closed, which nobody else can hold up. */
  async destroy(): Promise<void> {
    this.fail(new Error('closed'));
    const socket = this.#opened?.socket;
    if (!socket || socket.closed) return;
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      this.#close();
    });
  }

  #start({ session }: OpenSession, { request, answer }: WaitingCall): void {
    const call = new Http2Call(answer, this.#times, (failure) => {
      this.#calls.delete(call);
      const isDoubtful = DOUBTS.some((doubt) => failure instanceof doubt);
      if (isDoubtful || this.#most === 0) this.#retire();
    });
    this.#wasUsed = true;
    this.#calls.add(call);
    call.start(session, request);
  }

  /** It gets no more calls, and is closed when it has none. */
  #retire(): void {
    this.#most = 0;
    if (this.#calls.size === 0) this.#close();
  }

  #close(error?: Error): void {
    const { session, socket } = this.#opened as OpenSession;
    session.destroy(error);
    // The session would wait for the other side. What it has just written is on its way.
    setImmediate(() => socket.destroy());
  }

  /**
   * Not every end of a connection is heard of: the way may have died in silence, and after an error of the protocol
   * node:http2 says its GOAWAY to the other side alone.
   */
  #look({ session, socket }: OpenSession): void {
    const isIdle = this.#calls.size === 0;
    const isSilent = socket.bytesRead === this.#heard;
    if (isIdle ? !this.#wasUsed : isSilent && this.#isAsked) {
      this.#most = 0;
      return this.#close(
        isIdle ? undefined : new ConnectionError('ETIMEDOUT', 'It gives no sign of life.'),
      );
    }
    this.#heard = socket.bytesRead;
    this.#wasUsed = !isIdle;
    this.#isAsked = isSilent && !isIdle && isUsable(session);
    if (this.#isAsked) session.ping(ignore);
  }
}

/** One that is being left takes no calls and does not ask. */
function isUsable({ closed, destroyed }: ClientHttp2Session): boolean {
  return !closed && !destroyed;
}

/** The answer shows in what was read. */
const ignore = (): void => undefined;
