import { describe, expect, test } from 'vitest';
import { DENIALS, refusal, type DenialCode } from '../../src/core/denials.ts';
import { challengeFor } from '../../src/oauth/challenge.ts';
import { DPOP_ALGORITHMS } from '../../src/oauth/dpop-proof.ts';

const URL = 'https://broker.example/.well-known/oauth-protected-resource/v1';
const METADATA = `resource_metadata="${URL}"`;
const ALGORITHMS = `algs="${DPOP_ALGORITHMS.join(' ')}"`;

const challenge = (code: DenialCode, authorization?: string): string | undefined =>
  challengeFor(refusal(code), URL, authorization);

describe('a challenge is in the scheme that was refused', () => {
  test.each<[DenialCode, string]>([
    ['invalid_token', 'invalid_token'],
    ['token_expired', 'invalid_token'],
    ['token_revoked', 'invalid_token'],
    ['conflicting_credentials', 'invalid_request'],
    ['role_required', 'insufficient_scope'],
    ['model_not_granted', 'insufficient_scope'],
  ])('%s: %s', (code, error) => {
    const bearer = `Bearer error="${error}", ${METADATA}`;
    for (const header of ['Bearer x', 'bearer x', 'DPoPs x', 'Basic x', '', undefined])
      expect(challenge(code, header)).toBe(bearer);
    for (const header of ['DPoP x', 'dpop x', 'DPOP  x'])
      expect(challenge(code, header)).toBe(`DPoP ${ALGORITHMS}, error="${error}", ${METADATA}`);
  });
});

test.each<[DenialCode, string]>([
  ['use_dpop_nonce', 'use_dpop_nonce'],
  ['invalid_dpop_proof', 'invalid_dpop_proof'],
  ['dpop_required', 'invalid_token'],
])('%s asks for a proof, whatever was sent', (code, error) => {
  for (const header of ['Bearer x', 'DPoP x', undefined])
    expect(challenge(code, header)).toBe(`DPoP error="${error}", ${ALGORITHMS}, ${METADATA}`);
});

test('without a credential, both schemes are offered, and nothing is said to be wrong', () => {
  expect(challenge('missing_credential')).toBe(
    `Bearer ${METADATA}, DPoP ${ALGORITHMS}, ${METADATA}`,
  );
});

test('every refusal of status 401 carries one, and others need none', () => {
  const codes = (Object.keys(DENIALS) as DenialCode[]).filter(
    (code) => DENIALS[code].status === 401,
  );
  expect(codes).toContain('token_revoked');
  for (const code of codes) expect(challenge(code)).toContain(METADATA);
  for (const code of ['grant_revoked', 'unknown_path', 'too_many_failures'] as const)
    expect(challenge(code, 'DPoP x')).toBeUndefined();
});
