/** What every refusal has to be: the right words, nothing given away, nothing done, and on record. */
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { expect } from 'vitest';
import type { DenialCode } from '../../src/core/denials.ts';
import type { TestBroker } from './test-broker.ts';

export interface RawAnswer {
  status: number;
  headers: IncomingHttpHeaders;
  text: string;
  body: { [name: string]: unknown };
}

export interface RawRequest {
  method?: string;
  path: string;
  /** A list is sent as several headers of one name. */
  headers?: Record<string, string | string[]>;
  form?: Record<string, string> | string | Buffer;
}

/** Sends exactly these headers and this form; no library corrects them. */
export function send({ url }: { url: string }, asked: RawRequest): Promise<RawAnswer> {
  const { method = 'POST', path, headers = {}, form } = asked;
  const isText = typeof form === 'string' || Buffer.isBuffer(form) || form === undefined;
  const text = isText ? form : new URLSearchParams(form).toString();
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      `${url}${path}`,
      { method, headers: { ...(text === undefined ? {} : type), ...headers } },
      (res) => {
        const chunks: Buffer[] = [];
        res.on('data', (chunk: Buffer) => chunks.push(chunk));
        res.on('error', reject);
        res.on('end', () => {
          const answered = Buffer.concat(chunks).toString();
          const body = (answered === '' ? {} : JSON.parse(answered)) as RawAnswer['body'];
          resolve({ status: res.statusCode ?? 0, headers: res.headers, text: answered, body });
        });
      },
    );
    sent.on('error', reject);
    sent.end(text);
  });
}

/** Where a refusal went: counted at a door, to be recorded in aggregate; or an entry of its own. */
export type Recorded = { counted: string } | { entry: string };

/**
 * Sends a request that is to be refused. Sees to it that no token was issued, that the refusal went on
 * record as it should, and that nothing of any secret that was sent came back.
 */
export async function refused(
  test: TestBroker,
  asked: RawRequest,
  code: DenialCode,
  recorded: Recorded,
): Promise<RawAnswer> {
  const { broker } = test;
  await broker.unauthenticated.flush();
  const tokens = countTokens(test);
  const size = broker.readers.logSize();
  const answer = await send(test, asked);
  expect(codeOf(answer)).toBe(code);
  expect(answer.headers['cache-control']).toBe('no-store');
  for (const secret of secretsOf(asked)) expect(answer.text).not.toContain(secret);
  expect(countTokens(test)).toBe(tokens);
  const own = entriesSince(test, size);
  if ('entry' in recorded) {
    expect(own).toMatchObject([{ kind: recorded.entry, reason: code, decision: 'denied' }]);
  } else {
    expect(own).toEqual([]);
    await broker.unauthenticated.flush();
    const counts = { [`${recorded.counted} ${code}`]: 1 };
    expect(entriesSince(test, size)).toMatchObject([
      { kind: 'request.unauthenticated', data: { counts } },
    ]);
  }
  return answer;
}

/** Status and error of an error answer that is as RFC 6749, section 5.2, has it. */
export function oauthErrorOf({ status, headers, body }: RawAnswer): [number, unknown] {
  expect(Object.keys(body).sort()).toEqual(['code', 'error', 'error_description']);
  expect(body['error_description']).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/);
  expect(headers['pragma']).toBe('no-cache');
  return [status, body['error']];
}

/** Our code, wherever the shape of the answer has it. */
export function codeOf({ body }: RawAnswer): unknown {
  const { error } = body;
  return typeof error === 'object' && error !== null && 'code' in error ? error.code : body['code'];
}

export function countTokens({ broker }: TestBroker): number {
  return broker.readers.listTokens({ limit: 10_000 }, {}).found.length;
}

export function entriesSince({ broker }: TestBroker, from: number): Record<string, unknown>[] {
  return broker.readers
    .listEntries({ from, limit: 100 })
    .map(({ bytes }) => JSON.parse(bytes.toString()) as Record<string, unknown>);
}

/** Each part of every credential: a header and a payload tell as much as a signature does. */
function secretsOf({ headers = {}, form = {} }: RawRequest): string[] {
  const isText = typeof form === 'string' || Buffer.isBuffer(form);
  const fields = isText ? Object.fromEntries(new URLSearchParams(form.toString())) : form;
  const { client_assertion: client = '', assertion = '', token = '' } = fields;
  return [client, assertion, token, ...Object.values(headers).flat()]
    .flatMap((value) => value.split(/[. ]/))
    .filter((part) => part.length >= 20);
}
