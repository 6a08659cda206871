/**
 * Where the log is forwarded to, live. Receivers come from the configuration file, never from the API: whoever chose the
 * address could have the broker send every entry anywhere.
 */
import { z } from 'zod';
import type { Attempt, DeliveryFailure } from './deliveries.ts';
import { credentialSchema } from './endpoints.ts';
import { isTrustworthyUrl } from './lab-identity.ts';
import { slugSchema } from './vocabulary.ts';

const kindSchema = z
  .string()
  .regex(
    /^[a-z_]{1,32}\.(\*|[a-z_]{1,32})$/,
    'must be a kind of entry such as order.issued, or all of a family such as order.*',
  );

const receiverShape = {
  id: slugSchema.describe('Its name in lists and metrics; how far it has come is kept under it'),
  kinds: z
    .array(kindSchema)
    .min(1)
    .max(64)
    .optional()
    .describe('Only entries of these kinds; default: all'),
  from: z
    .enum(['start', 'now'])
    .default('start')
    .describe('Where a receiver that is new begins: with the first entry, or with the next one'),
  format: z.enum(['json']).default('json').describe('json: the exact entry'),
  mostPerSecond: z.int().min(10).max(100_000).default(5_000),
};

const tlsSchema = z
  .strictObject({
    caFile: z.string().min(1).optional(),
    certFile: z.string().min(1).optional(),
    keyFile: z.string().min(1).optional(),
  })
  .refine(
    ({ certFile, keyFile }) => (certFile === undefined) === (keyFile === undefined),
    'must name certFile and keyFile together, or neither',
  );

const syslogSchema = z.strictObject({
  ...receiverShape,
  host: z
    .string()
    .regex(/^[A-Za-z0-9.:_-]{1,255}$/, 'must be the name or address of a syslog server'),
  port: z.int().min(1).max(65_535).default(6514),
  tls: tlsSchema.prefault({}),
  hostname: z
    .string()
    .regex(/^[!-~]{1,255}$/, 'must be up to 255 printable characters without a space')
    .optional(),
  appName: z
    .string()
    .regex(/^[!-~]{1,48}$/, 'must be up to 48 printable characters without a space')
    .default('sallyport'),
});

const webhookSchema = z.strictObject({
  ...receiverShape,
  url: z
    .url({ protocol: /^https?$/, error: 'must be an https:// URL', abort: true })
    .refine((text) => {
      const { username, password, hash } = new URL(text);
      return `${username}${password}${hash}` === '';
    }, 'must have no user, password or fragment: the receiver knows us by the signature'),
  secret: credentialSchema.describe('Where the secret is read from; never the secret'),
  tls: tlsSchema.optional(),
});

const fileSchema = z.strictObject({
  ...receiverShape,
  path: z.string().min(1),
  maxBytes: z.int().min(65_536).max(17_179_869_184).default(104_857_600),
  keep: z.int().min(0).max(1_000).default(10),
});

/** The option `forward` of the configuration. */
export const forwardSchema = z
  .strictObject({
    syslog: z.array(syslogSchema).max(16).default([]),
    webhooks: z.array(webhookSchema).max(16).default([]),
    files: z.array(fileSchema).max(16).default([]),
    allowInsecureLoopback: z.boolean().default(false),
  })
  .superRefine(({ syslog, webhooks, files, allowInsecureLoopback }, context) => {
    const fail = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    for (const [i, { url, tls }] of webhooks.entries()) {
      if (!isTrustworthyUrl(url, allowInsecureLoopback))
        fail(
          ['webhooks', i, 'url'],
          'must be https: entries would travel in the clear. http is only for receivers on this machine, with forward.allowInsecureLoopback',
        );
      else if (tls && url.startsWith('http:'))
        fail(['webhooks', i, 'tls'], 'has no use for a URL with http:');
    }
    const seen = new Set<string>();
    for (const [name, receivers] of Object.entries({ syslog, webhooks, files }))
      for (const [i, { id }] of receivers.entries()) {
        if (seen.has(id)) fail([name, i, 'id'], `"${id}" is used twice`);
        seen.add(id);
      }
    const paths = new Set<string>();
    for (const [i, { path }] of files.entries()) {
      if (paths.has(path)) fail(['files', i, 'path'], `"${path}" is used twice`);
      paths.add(path);
    }
  });

export type Forwarding = z.infer<typeof forwardSchema>;
export type SyslogReceiver = Forwarding['syslog'][number];
export type WebhookReceiver = Forwarding['webhooks'][number];
export type FileReceiver = Forwarding['files'][number];

export type ReceiverType = 'syslog' | 'webhook' | 'file';

/** What decides which entries go to a receiver, from where on, and how fast. */
export interface Receiver {
  id: string;
  type: ReceiverType;
  kinds?: readonly string[] | undefined;
  from: 'start' | 'now';
  mostPerSecond: number;
}

/** The receivers of a configuration, without addresses and secrets. */
export function receiversOf({ syslog, webhooks, files }: Forwarding): Receiver[] {
  const of = (type: ReceiverType, receivers: readonly Omit<Receiver, 'type'>[]): Receiver[] =>
    receivers.map(({ id, kinds, from, mostPerSecond }) => ({
      id,
      type,
      kinds,
      from,
      mostPerSecond,
    }));
  return [...of('syslog', syslog), ...of('webhook', webhooks), ...of('file', files)];
}

/** Why entries did not arrive: our word, never a text of the other side. */
export type ForwardFailure =
  | Extract<DeliveryFailure, 'unreachable' | 'timeout' | 'refused' | 'gone' | 'secret_unusable'>
  /** The file cannot be written: its folder, its mode, the disk. */
  | 'unwritable';

/** How one attempt to forward entries ended. */
export type ForwardAttempt =
  | { delivered: true }
  | {
      delivered: false;
      failure: ForwardFailure;
      status?: number | undefined;
      retryAfterMs?: number | undefined;
    };

/** The same of an attempt as webhooks end: whatever the failure, these entries are tried again. */
export function forwardAttempt(attempt: Attempt): ForwardAttempt {
  if (attempt.delivered) return attempt;
  const { failure, status, retryAfterMs } = attempt;
  const known: readonly string[] = ['timeout', 'refused', 'gone', 'secret_unusable'];
  return {
    delivered: false,
    failure: known.includes(failure) ? (failure as ForwardFailure) : 'unreachable',
    status,
    retryAfterMs,
  };
}

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/** A pause is shorter than its step by up to this part, so that what failed together does not come back together. */
const JITTER = 0.25;

/**
 * When a receiver is tried again: after a second, then twice as long each time, up to a minute. It is never given up.
 *
 * @param failures in a row, the one that has just been included
 * @param chance from 0 up to 1
 * @returns milliseconds from now
 */
export function pauseBeforeNext(failures: number, retryAfterMs: number, chance: number): number {
  const step = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 16), LONGEST_PAUSE_MS);
  return Math.max(
    Math.round(step * (1 - JITTER * chance)),
    Math.min(retryAfterMs, LONGEST_PAUSE_MS),
  );
}
