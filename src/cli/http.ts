/** Calls to the broker: every way in which one can fail becomes one sentence and an exit code. */
import { z } from 'zod';
import { CliError, RefusedByBroker, failed, unreachable } from './problems.ts';
import { oneLine } from './printable.ts';

/** Milliseconds until the broker must have begun to answer, where nothing else is said. */
const PATIENCE = 30_000;

/** Statuses with which proxies in front of a broker say that it is not there. */
const NOT_THERE: ReadonlySet<number> = new Set([502, 503, 504]);

/** RFC 9457, as the control API answers. */
const problemSchema = z.object({
  detail: z.string(),
  code: z.string().optional(),
  errors: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

/** RFC 6749, section 5.2, as the token endpoint answers. */
const oauthErrorSchema = z.object({
  error: z.string(),
  error_description: z.string().optional(),
  code: z.string().optional(),
});

/**
 * Calls the broker and returns a good answer, its body unread.
 *
 * @throws CliError when the broker is out of reach or refuses
 */
export async function call(url: string, init: RequestInit = {}): Promise<Response> {
  const response = await send(url, init);
  if (response.ok) return response;
  throw await errorOf(url, response);
}

/**
 * Calls the broker and returns whatever it answers, its body unread.
 *
 * @param patienceMs milliseconds until it must have begun to answer
 * @throws CliError when the broker is out of reach
 */
export async function send(
  url: string,
  init: RequestInit = {},
  patienceMs = PATIENCE,
): Promise<Response> {
  const begun = new AbortController();
  const timer = setTimeout(() => begun.abort(), patienceMs);
  const signal = init.signal ? AbortSignal.any([init.signal, begun.signal]) : begun.signal;
  try {
    // Redirects are not followed: a proof of who we are is meant for one address only.
    return await fetch(url, { ...init, redirect: 'manual', signal });
  } catch (error) {
    const { origin } = new URL(url);
    throw unreachable(
      mayHaveArrived(init, error)
        ? `The broker at ${origin} gave no answer: ${whyNot(error)}. It may have done what you asked: look before you ask again.`
        : `Cannot reach the broker at ${origin}: ${whyNot(error)}. Check the URL and your network.`,
      error,
    );
  } finally {
    clearTimeout(timer);
  }
}

/** Bytes a second at which an answer has to come, once the patience with it is over. */
const LEAST_RATE = 65_536;

/** No list, report or statement comes near it. */
const MOST_TEXT_BYTES = 64 * 1024 * 1024;

/**
 * The body, which must have an end: what is at a URL need not be a broker.
 *
 * @param most bytes that it may have
 * @param patienceMs milliseconds in which all of it must have come; for what it is large, more
 * @throws CliError when it is longer, comes too slowly or breaks off
 */
export async function bytesOf(
  response: Response,
  most: number,
  patienceMs = PATIENCE,
): Promise<Buffer> {
  const reader = response.body?.getReader();
  if (!reader) return Buffer.alloc(0);
  const begun = performance.now();
  const pieces: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const leftMs = begun + patienceMs + (length / LEAST_RATE) * 1000 - performance.now();
      const piece = await within(leftMs, reader.read());
      if (piece === undefined)
        throw unreachable("The broker's answer did not come to its end in time. Try again.");
      if (piece.done) return Buffer.concat(pieces);
      length += piece.value.length;
      if (length > most)
        throw unreachable(
          `The answer is longer than ${most} bytes, which this answer of a broker never is: is there a Sallyport broker at that URL?`,
        );
      pieces.push(piece.value);
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw unreachable(`The broker's answer broke off: ${whyNot(error)}. Try again.`, error);
  } finally {
    // Nobody reads what is left; what ended by itself takes no harm.
    void reader.cancel().catch(() => undefined);
  }
}

/** What comes of something; undefined where it takes longer. */
async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), Math.max(0, ms));
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The body as text. @throws CliError when it breaks off, or has no end */
export async function textOf(response: Response): Promise<string> {
  return new TextDecoder().decode(await bytesOf(response, MOST_TEXT_BYTES));
}

/** The body as JSON of this form. What comes back is the document as the broker sent it. @throws CliError */
export async function jsonOf<T>(response: Response, schema: z.ZodType<T>): Promise<T> {
  const text = await textOf(response);
  // The broker has done what it was asked to: that must not read as a refusal.
  const where = `The broker took the request, but its answer (${new URL(response.url).pathname})`;
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw failed(`${where} is not JSON: is there a Sallyport broker at that URL?`, error);
  }
  const parsed = schema.safeParse(document);
  if (parsed.success) return document as T;
  const [issue] = parsed.error.issues;
  throw failed(
    `${where} is not what this version of the command expects (${issue?.path.join('.')}: ${issue?.message}). Use the version that the broker has.`,
  );
}

/** What an answer that is not a good one says, as an error. */
export async function errorOf(url: string, response: Response): Promise<CliError> {
  const { status } = response;
  if (status >= 300 && status < 400) {
    const target = response.headers.get('location') ?? 'another address';
    return failed(`The broker's URL leads on to ${oneLine(target)}: use the address it is at now.`);
  }
  const body = await textOf(response).then(parseJson, () => undefined);
  const problem = problemSchema.safeParse(body);
  if (problem.success) {
    const { detail, code, errors = [] } = problem.data;
    // The detail speaks of the first wrong field already.
    const others = errors.slice(1).map(({ path, message }) => `"${path}" ${message}`);
    const more = others.length === 0 ? '' : `; also: ${others.join('; ')}`;
    return refused(`${withoutStop(detail)}${more}.`, code);
  }
  const oauth = oauthErrorSchema.safeParse(body);
  if (oauth.success) {
    const { error, error_description: description, code } = oauth.data;
    return refused(description ?? 'The broker issued no token.', code ?? error);
  }
  const { origin } = new URL(url);
  return NOT_THERE.has(status)
    ? unreachable(`The broker at ${origin} is not there (status ${status}). Try again soon.`)
    : failed(
        `${url} answered with status ${status} and no reason: is there a Sallyport broker at that URL?`,
      );
}

/** The broker's own sentence, with the code that stands in the audit log. */
function refused(detail: string, code: string | undefined): CliError {
  if (code === undefined) return failed(oneLine(detail));
  const sentence = `${oneLine(withoutStop(detail))} (${oneLine(code)}).`;
  return new RefusedByBroker(code, oneLine(detail), sentence);
}

const withoutStop = (text: string): string => text.replace(/\.$/, '');

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** With these, the connection was never made. */
const NEVER_SENT: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** Whether a request that changes something may have reached the broker before the connection failed. */
function mayHaveArrived({ method = 'GET' }: RequestInit, error: unknown): boolean {
  if (method === 'GET') return false;
  const { code = '' } = causeOf(error);
  return !NEVER_SENT.has(code) && !/CERT|SIGNATURE|SSL/.test(code);
}

function causeOf(error: unknown): NodeJS.ErrnoException {
  return (error instanceof Error && error.cause ? error.cause : error) as NodeJS.ErrnoException;
}

const NO_TLS = 'what listens there is not encrypted (http, not https)';

/** Why a connection failed, in words. `fetch` itself says only that it failed. */
function whyNot(error: unknown): string {
  if (error instanceof Error && error.name === 'AbortError') return 'no answer in time';
  const { code, message } = causeOf(error);
  const words: Record<string, string> = {
    ECONNREFUSED: 'nothing listens there',
    ENOTFOUND: 'there is no such host',
    EAI_AGAIN: 'the name of the host cannot be looked up',
    ECONNRESET: 'the connection was closed',
    UND_ERR_SOCKET: 'the connection was closed',
    ETIMEDOUT: 'no answer in time',
    UND_ERR_CONNECT_TIMEOUT: 'no answer in time',
    DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is signed by nobody this machine trusts',
    SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is signed by nobody this machine trusts',
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is signed by nobody this machine trusts',
    CERT_HAS_EXPIRED: 'its certificate has expired',
    ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
    ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS,
  };
  return (code !== undefined && words[code]) || code || oneLine(message);
}
