import { describe, expect, test } from 'vitest';
import { DENIALS, RefusedError, refusal, refuse, type DenialCode } from '../../src/core/denials.ts';

const ALL = Object.entries(DENIALS) as [DenialCode, (typeof DENIALS)[DenialCode]][];

describe('every denial', () => {
  test.each(ALL)('%s is told apart from an answer of the model', (code, { type, text }) => {
    const words = ['content filtering', 'overloaded', 'internal server error'];
    if (type === 'invalid_request_error') words.push('blocked');
    for (const word of words) expect(text.toLowerCase()).not.toContain(word);
    // Harnesses score these as a refusal by the model.
    expect([
      'invalid_prompt',
      'content_filter',
      'content_policy_violation',
      'cyber_policy',
    ]).not.toContain(code);
  });

  test.each(ALL)('%s has a status that fits its type', (_code, { status, type }) => {
    const types: Record<number, string[]> = {
      400: ['invalid_request_error'],
      401: ['authentication_error'],
      403: ['permission_error'],
      404: ['not_found_error'],
      405: ['invalid_request_error'],
      409: ['invalid_request_error'],
      410: ['not_found_error', 'invalid_request_error'],
      412: ['invalid_request_error'],
      415: ['invalid_request_error'],
      416: ['invalid_request_error'],
      422: ['invalid_request_error'],
      429: ['rate_limit_error'],
      431: ['invalid_request_error'],
      500: ['api_error'],
      502: ['api_error'],
      503: ['api_error'],
      504: ['api_error'],
    };
    expect(types[status]).toContain(type);
  });

  test.each(ALL)('%s says what is the matter in a sentence', (code, { text }) => {
    expect(text).toMatch(/^[A-Z].{10,200}[.]$/);
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
  });

  test.each(ALL)('%s may be retried only where a retry can succeed', (_code, denial) => {
    // What refills soon, and nothing else, is 429: SDKs would otherwise go on trying.
    const statuses = denial.retry
      ? [429, 502, 503]
      : [400, 401, 403, 404, 405, 409, 410, 412, 415, 416, 422, 431, 500, 502, 504];
    expect(statuses).toContain(denial.status);
  });
});

test('what a grant, an order or a budget forbids is 403, which no SDK retries', () => {
  const codes: DenialCode[] = [
    'quota_exhausted',
    'request_too_large_for_limit',
    'grant_expired',
    'grant_revoked',
    'grant_suspended',
    'access_suspended',
    'feature_not_granted',
    'model_not_granted',
    'person_removed',
  ];
  for (const code of codes) expect(DENIALS[code]).toMatchObject({ status: 403, retry: false });
});

test('a body that is too large is not 413, which Anthropic clients take for a full context', () => {
  expect(DENIALS.body_too_large.status).toBe(400);
});

test('a refusal carries the sentence of the list unless it has a more exact one', () => {
  expect(refusal('grant_closed')).toEqual({
    code: 'grant_closed',
    message: DENIALS.grant_closed.text,
  });
  expect(refusal('unknown_field', 'Leave "x" out.', { param: 'x' })).toEqual({
    code: 'unknown_field',
    message: 'Leave "x" out.',
    param: 'x',
  });
});

test('a thrown refusal keeps code, message and orders', () => {
  const why = refusal('grant_suspended', undefined, { orders: ['ord_1'] });
  expect(new RefusedError(why)).toMatchObject({ message: why.message, refusal: why });
  expect(() => refuse('not_found')).toThrow(RefusedError);
});
