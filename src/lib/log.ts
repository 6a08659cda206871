import { pino, type Logger } from 'pino';
import { LineSink } from './line-sink.ts';

export type { Logger };

export interface LogSettings {
  level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

/** Where lines go, each with its newline. */
interface Output {
  write(line: string): void;
}

/** Of each logger: its lines of requests go there past it. */
const outputs = new WeakMap<Logger, Output>();

/**
 * The operational log: one JSON object a line on standard error, so that standard output stays free for
 * what a command answers. It is not the audit log. Callers pass ids and codes, never bodies or
 * credentials; the redaction below is a second line of defence.
 *
 * Lines are written off the main thread's path: whoever does not read standard error must not stop the
 * broker. What waits is written when the process ends, and at once with a line of level fatal.
 *
 * @param output in the place of standard error
 */
export function createLogger(settings: LogSettings, output?: Output): Logger {
  const dropped = (lines: number): void =>
    log.warn({ lines }, 'lines of this log were dropped: standard error could not be written');
  const sink = output ?? new LineSink(2, dropped);
  const log: Logger = pino(
    {
      level: settings.level,
      base: null,
      timestamp: timeMember,
      redact: {
        paths: [
          'authorization',
          '*.authorization',
          'headers',
          '*.headers',
          'token',
          '*.token',
          'body',
          '*.body',
        ],
        censor: '[redacted]',
      },
    },
    sink,
  );
  outputs.set(log, sink);
  return log;
}

let lastTime = NaN;
let lastMember = '';

/** The time as a member of a line. Many lines are of the same millisecond, and writing it costs as much as an id. */
function timeMember(): string {
  const now = Date.now();
  if (now !== lastTime) {
    lastTime = now;
    lastMember = `,"time":"${new Date(now).toISOString()}"`;
  }
  return lastMember;
}

/** pino's number of the level info. */
const INFO = 30;

/**
 * The part of a log that has a line for each request. Redaction costs more than all the rest of a line, and what
 * pino does for each of its fields as much again: these lines do without. Their fields are ids, codes and numbers,
 * named one by one (gateway/report.ts).
 */
export class RequestLog {
  readonly #output: Output | undefined;

  /** @param log of `createLogger` */
  constructor(log: Logger, settings: { requests: boolean }) {
    const output = outputs.get(log);
    if (!output) throw new Error('This logger is not one of createLogger.');
    this.#output = settings.requests && log.isLevelEnabled('info') ? output : undefined;
  }

  /** @param members the fields of the line, as JSON members */
  write(members: string, message: string): void {
    this.#output?.write(`{"level":${INFO}${timeMember()},${members},"msg":"${message}"}\n`);
  }
}
