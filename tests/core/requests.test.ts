/** What the entries of a request say is written by hand: it must be what JSON.stringify would write. */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonMembers } from '../../src/core/audit/entry.ts';
import {
  answeredMembers,
  askedMembers,
  outcomeMembers,
  requestEntryParts,
  requestSubject,
  type RequestFacts,
} from '../../src/core/requests.ts';

const FACTS: RequestFacts = {
  requestId: 'req_01jxyz0000abcdefghjkmnpqrs',
  personId: 'per_01jxyz0000abcdefghjkmnpqrs',
  labId: 'lab_01jxyz0000abcdefghjkmnpqrs',
  roles: ['lead', 'researcher'],
  grantId: 'grt_01jxyz0000abcdefghjkmnpqrs',
  grantVersion: 3,
  tokenId: 'tok_01jxyz0000abcdefghjkmnpqrs',
  purpose: 'sycophancy',
  runId: 'run_01jxyz0000abcdefghjkmnpqrs',
  operation: 'chat.completions',
  endpoint: 'frontier',
  model: 'frontier-2026-06-01',
  stream: false,
  features: [],
  restored: [],
};

test('the subject of both entries', () => {
  for (const facts of [FACTS, { ...FACTS, roles: [] }, { ...FACTS, model: 'a "name"\n' }])
    expect(requestSubject(facts)).toBe(jsonMembers(requestEntryParts(facts)));
});

test('what an intent says of what is asked for', () => {
  const asked = {
    safeguardsLifted: ['filter', 'a "word"'],
    features: [],
    restored: [],
    dispatchedModel: undefined,
    dispatchedUpstream: undefined,
    notedBy: [],
    address: undefined,
    bytes: 12,
  };
  expect(askedMembers({ ...asked, commitment: 'abc+/=' })).toBe(
    '"safeguardsLifted":["filter","a \\"word\\""],"features":[],"requestBytes":12,"requestCommitment":"abc+/="',
  );
});

test('what an outcome says of the answer, whatever of it there was', () => {
  const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
    fc.option(value, { nil: undefined });
  const answers = fc.record({
    upstreamStatus: optional(fc.nat(599)),
    durationMs: fc.nat(),
    firstByteMs: optional(fc.nat()),
    bytes: fc.nat(),
    commitment: optional(fc.base64String()),
    modelAnswered: optional(fc.string()),
    modelMismatch: fc.boolean(),
    message: optional(fc.string()),
  });
  fc.assert(
    fc.property(
      answers,
      ({ bytes, commitment, modelAnswered, modelMismatch, message, ...rest }) => {
        const { upstreamStatus, durationMs, firstByteMs } = rest;
        const expected = jsonMembers({
          upstreamStatus,
          durationMs,
          firstByteMs,
          responseBytes: bytes,
          responseCommitment: commitment,
          modelAnswered,
          modelMismatch: modelMismatch ? true : undefined,
          message,
        });
        const answered = { ...rest, bytes, commitment, modelAnswered, modelMismatch, message };
        expect(answeredMembers(answered)).toBe(expected);
      },
    ),
  );
});

test('how a request ended, what it used and is charged', () => {
  const usage = { inputTokens: 11, outputTokens: 7, source: 'reported' } as const;
  const charged = { requests: 1, tokens: 18, spendNanoUsd: 1_234_500 } as const;
  expect(outcomeMembers('completed', usage, charged)).toBe(
    jsonMembers({ end: 'completed', usage, charged }),
  );
});
