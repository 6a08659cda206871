/** Which events of a stream pass, and what they say of it: its end, its usage, its model. */
import type { Usage } from '../core/requests.ts';
import { QUOTES_CREDENTIAL } from './credentials.ts';
import { NO_USAGE, usageFrom } from './exchange.ts';
import { parseObject, type StreamScanner } from './operations/operation.ts';
import { EventSplitter, dataOf } from './sse.ts';
import { TextMeter } from './text-meter.ts';
import { UpstreamFailure } from './upstream-failure.ts';
import type { Upstream } from './upstream.ts';

/** The event that ended a stream. */
interface LastEvent {
  isError: boolean;
  /** Undefined where it may not be passed on, or would not be heard. */
  event: string | undefined;
}

export class EventFilter {
  readonly #scanner: StreamScanner;
  readonly #upstream: Pick<Upstream, 'quotesCredential'>;
  readonly #splitter = new EventSplitter();
  readonly #meter: TextMeter;
  #last: LastEvent | undefined;
  #isQuoting = false;

  constructor(scanner: StreamScanner, upstream: Pick<Upstream, 'quotesCredential'>) {
    this.#scanner = scanner;
    this.#upstream = upstream;
    this.#meter = new TextMeter(scanner.text);
  }

  /** The event that ended the stream, as soon as it has come. It is passed on by itself. */
  get last(): LastEvent | undefined {
    return this.#last;
  }

  /** Whether an event quoted the host's credential. */
  get isQuoting(): boolean {
    return this.#isQuoting;
  }

  /**
   * Takes a read's bytes and gives the events that they complete and that may pass, one behind the other in Latin-1.
   *
   * @throws EventTooLong; UpstreamFailure for an event that quotes the host's credential
   */
  push(chunk: Buffer): string {
    let passed = '';
    for (const event of this.#splitter.push(chunk)) {
      if (this.#last) break;
      if (this.#passes(event)) passed += event;
    }
    return passed;
  }

  /**
   * What was left without a blank line when the stream ended: an event if it is whole, since some servers omit
   * the last line. Half an event is none (WHATWG HTML, 9.2.6).
   */
  end(): string {
    const rest = this.#last ? undefined : this.#splitter.end();
    if (rest === undefined) return '';
    const data = dataOf(rest);
    const isWhole = data.startsWith('[DONE]') || parseObject(data) !== undefined;
    return isWhole && this.#passes(rest) ? rest : '';
  }

  /** As reported so far, or estimated. */
  usage(requestBytes: number): Usage {
    const reported = this.#scanner.usage();
    const { bytes } = this.#meter;
    const isError = this.#last?.isError === true;
    // An error in place of an answer costs what it costs as a status.
    if (isError && bytes === 0 && !reported.outputTokens) return NO_USAGE;
    return usageFrom(reported, requestBytes, bytes, this.#last !== undefined && !isError);
  }

  model(): string | undefined {
    // It goes into the log, and can be what was quoted.
    return this.#isQuoting ? undefined : this.#scanner.model();
  }

  #passes(event: string): boolean {
    const verdict = this.#scanner.see(event);
    const isError = verdict === 'error' || verdict === 'failure';
    const isQuoting = this.#upstream.quotesCredential(event, { isError });
    this.#isQuoting ||= isQuoting;
    if (verdict === 'drop') return false;
    if (isError) {
      this.#last = { isError, event: verdict === 'failure' || isQuoting ? undefined : event };
      return false;
    }
    if (isQuoting) throw new UpstreamFailure(QUOTES_CREDENTIAL, true);
    if (verdict === 'terminal') this.#last = { isError, event };
    else this.#meter.see(event);
    return verdict === 'pass';
  }
}
