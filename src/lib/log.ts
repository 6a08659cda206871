import { pino, type Logger } from 'pino';
import { LineSink } from './line-sink.ts';

export type { Logger };

export interface LogSettings {
  level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

/**
 * The operational log: one JSON object a line on standard error, so that standard output stays free for
 * what a command answers. It is not the audit log. Callers pass ids and codes, never bodies or
 * credentials; the redaction below is a second line of defence.
 *
 * Lines are written off the main thread's path: whoever does not read standard error must not stop the
 * broker. What waits is written when the process ends, and at once with a line of level fatal.
 */
export function createLogger(settings: LogSettings): Logger {
  const sink = new LineSink(2, (lines) =>
    log.warn({ lines }, 'lines of this log were dropped: standard error could not be written'),
  );
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

/**
 * The part of a log that has a line for each request. Redaction costs more than all the rest of a line:
 * these lines do without, so their fields are ids, codes and numbers, named one by one (gateway/report.ts).
 */
export function requestLines(log: Logger, settings: { requests: boolean }): Logger {
  return log.child({}, { redact: [], level: settings.requests ? log.level : 'silent' });
}
