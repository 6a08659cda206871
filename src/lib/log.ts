import { pino, type Logger } from 'pino';

export type { Logger };

export interface LogSettings {
  level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
}

/**
 * The operational log: one JSON object a line on standard error, so that standard output stays free for
 * what a command answers. It is not the audit log. Callers pass ids and codes, never bodies or
 * credentials; the redaction below is a second line of defence.
 */
export function createLogger(settings: LogSettings): Logger {
  return pino(
    {
      level: settings.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
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
    pino.destination({ dest: 2, sync: true }),
  );
}
