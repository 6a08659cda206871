/** Every rule of a proof, each broken alone. */
import { createHash, createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { expect, test } from 'vitest';
import { RefusedError } from '../../src/core/denials.ts';
import { verifyDpopProof, type ProvenRequest } from '../../src/oauth/dpop-proof.ts';
import {
  jwk,
  makeProof,
  NOW,
  privateJwk,
  request,
  TOKEN,
  TOKEN_HASH,
  type ProofParts,
} from './sample-proof.ts';

const iat = NOW / 1000;
const other = generateKeyPairSync('ed25519');
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ecJwk = p256.publicKey.export({ format: 'jwk' });
const byP256: ProofParts['signer'] = (input) =>
  sign('sha256', input, { key: p256.privateKey, dsaEncoding: 'ieee-p1363' });

const byRsa = (bits: number): ProofParts => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: bits });
  return {
    header: { alg: 'RS256', jwk: rsa.publicKey.export({ format: 'jwk' }) },
    signer: (input) => sign('sha256', input, rsa.privateKey),
  };
};
const strongRsa = byRsa(2048);
const rsaJwk = strongRsa.header?.['jwk'] as { n: string };
const rsaWith = (members: Record<string, unknown>): ProofParts => ({
  ...strongRsa,
  header: { alg: 'RS256', jwk: { ...rsaJwk, ...members } },
});
const bytes = (length: number, first: number): string =>
  Buffer.from([first, ...Array<number>(length - 1).fill(0xff)]).toString('base64url');

const zeroFirst = (number: string): string =>
  Buffer.concat([Buffer.alloc(1), Buffer.from(number, 'base64url')]).toString('base64url');

/** The last character of 32 bytes in base64url has two bits that say nothing. */
const stray = (text: string): string => {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return text.slice(0, -1) + alphabet.charAt(alphabet.indexOf(text.slice(-1)) + 1);
};

/** A request with a token, and what passes there. */
const presented = {
  good: { claims: { ath: TOKEN_HASH } },
  expected: { ...request, accessToken: TOKEN },
};
const OTHER_HASH = createHash('sha256').update(`${TOKEN}x`).digest('base64url');

interface Row {
  name: string;
  bad: ProofParts | string;
  /** What passes: a good proof of Ed25519, unless the defect needs another. */
  good?: ProofParts;
  expected?: ProvenRequest;
}

const NOT_THREE = 'Send one DPoP proof, as a JWT of three parts in base64url.';
const NOT_JSON = 'Header and payload of a DPoP proof are JSON in UTF-8.';
const NO_HEADER = 'The header of a DPoP proof is a JSON object.';
const NO_PAYLOAD = 'The payload of a DPoP proof is a JSON object.';
const TYP = 'The "typ" of a DPoP proof is "dpop+jwt".';
const ALG =
  'The "alg" of a DPoP proof is one of EdDSA, Ed25519, ES256, ES384, ES512, PS256, PS384, PS512, RS256, RS384, RS512.';
const NO_JWK = 'The header of a DPoP proof has the public key as "jwk".';
const PRIVATE = 'The "jwk" of the DPoP proof has private parts. Send the public key alone.';
const UNFIT = 'The "jwk" of the DPoP proof is not a key for its "alg".';
const MALFORMED = 'The "jwk" of the DPoP proof is not a well-formed public key.';
const RSA_SIZE =
  'An RSA key of a DPoP proof has 2048 to 8192 bits, and a public exponent of at most 32.';
const SIGNATURE = 'The signature of the DPoP proof is not one by its "jwk".';
const JTI = 'The "jti" of a DPoP proof is 8 to 200 characters of ASCII.';
const METHOD = 'The "htm" of the DPoP proof is not the method.';
const NO_TARGET = 'The "htu" of a DPoP proof is an absolute http or https URI.';
const IAT = 'The "iat" of a DPoP proof is a whole number of seconds.';
const NONCE = 'The "nonce" of a DPoP proof is a text of 1 to 200 characters.';
const NO_ATH = 'With an access token, a DPoP proof has its hash as "ath".';
const ATH = 'The "ath" of the DPoP proof is not the hash of the access token.';

const RULES: Record<string, Row[]> = {
  'A DPoP proof has at most 8 KiB.': [
    { name: 'longer by one', bad: `${'a'.repeat(8189)}.b.c` },
    { name: 'padded header', bad: { header: { kid: 'a'.repeat(9000) } } },
  ],
  [NOT_THREE]: [
    { name: 'empty', bad: '' },
    { name: 'two parts', bad: 'a.b' },
    { name: 'four parts', bad: `${makeProof()}.d` },
    { name: 'no signature', bad: makeProof().replace(/[^.]+$/, '') },
    { name: 'two proofs in one header', bad: `${makeProof()}, ${makeProof()}` },
    { name: 'padding', bad: `${makeProof()}=` },
    { name: 'a space after it', bad: `${makeProof()} ` },
    { name: 'a line end after it', bad: `${makeProof()}\n` },
  ],
  [NOT_JSON]: [
    { name: 'header', bad: { headerText: 'canary' } },
    { name: 'payload', bad: { payloadText: '{"canary":' } },
    { name: 'not UTF-8', bad: { payloadText: Buffer.from([0x22, 0xff, 0x22]) } },
  ],
  [NO_HEADER]: [{ name: 'a list', bad: { headerText: '[]' } }],
  [NO_PAYLOAD]: [
    { name: 'a list', bad: { payloadText: '[]' } },
    { name: 'null', bad: { payloadText: 'null' } },
  ],
  [TYP]: [
    { name: 'missing', bad: { header: { typ: undefined } } },
    { name: 'any JWT', bad: { header: { typ: 'JWT' } } },
    { name: 'an access token', bad: { header: { typ: 'at+jwt' } } },
    { name: 'other case', bad: { header: { typ: 'DPoP+JWT' } } },
    { name: 'long form', bad: { header: { typ: 'application/dpop+jwt' } } },
  ],
  [ALG]: [
    { name: 'missing', bad: { header: { alg: undefined } } },
    { name: 'none', bad: { header: { alg: 'none' } } },
    {
      name: 'HMAC with the public key',
      bad: {
        header: { alg: 'HS256' },
        signer: (input) =>
          createHmac('sha256', jwk.x ?? '')
            .update(input)
            .digest(),
      },
    },
    { name: 'a name that every object has', bad: { header: { alg: 'constructor' } } },
    { name: 'a list', bad: { header: { alg: ['EdDSA'] } } },
  ],
  ...Object.fromEntries(
    ['crit', 'jku', 'x5u', 'x5c'].map((name) => [
      `The header of a DPoP proof may not have "${name}".`,
      [
        { name, bad: { header: { [name]: ['exp'] } } },
        { name: `${name} of null`, bad: { header: { [name]: null } } },
      ],
    ]),
  ),
  [NO_JWK]: [
    { name: 'missing', bad: { header: { jwk: undefined } } },
    { name: 'a text', bad: { header: { jwk: 'canary' } } },
    { name: 'a list', bad: { header: { jwk: [jwk] } } },
  ],
  [PRIVATE]: [
    { name: 'a private key', bad: { header: { jwk: privateJwk } } },
    ...['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'].map((name) => ({
      name,
      bad: { header: { jwk: { ...jwk, [name]: 'canary' } } },
    })),
  ],
  [UNFIT]: [
    { name: 'no kty', bad: { header: { jwk: { ...jwk, kty: undefined } } } },
    { name: 'symmetric', bad: { header: { jwk: { kty: 'oct' } } } },
    {
      name: 'EC key for EdDSA',
      bad: { header: { alg: 'EdDSA', jwk: ecJwk }, signer: byP256 },
      good: { header: { alg: 'ES256', jwk: ecJwk }, signer: byP256 },
    },
    { name: 'Ed25519 key for ES256', bad: { header: { alg: 'ES256' } } },
    { name: 'Ed25519 key for RS256', bad: { header: { alg: 'RS256' } } },
    { name: 'P-256 key for ES384', bad: { header: { alg: 'ES384', jwk: ecJwk }, signer: byP256 } },
    { name: 'Ed448', bad: { header: { jwk: { ...jwk, crv: 'Ed448' } } } },
    { name: 'X25519', bad: { header: { jwk: { ...jwk, crv: 'X25519' } } } },
  ],
  [MALFORMED]: [
    { name: 'no x', bad: { header: { jwk: { ...jwk, x: undefined } } } },
    { name: 'x a number', bad: { header: { jwk: { ...jwk, x: 1 } } } },
    { name: 'x too short', bad: { header: { jwk: { ...jwk, x: bytes(31, 1) } } } },
    { name: 'x too long', bad: { header: { jwk: { ...jwk, x: bytes(33, 1) } } } },
    { name: 'x with padding', bad: { header: { jwk: { ...jwk, x: `${jwk.x}=` } } } },
    { name: 'x with stray bits', bad: { header: { jwk: { ...jwk, x: stray(jwk.x ?? '') } } } },
    {
      name: 'a point off its curve',
      bad: { header: { alg: 'ES256', jwk: { ...ecJwk, y: ecJwk.x } }, signer: byP256 },
    },
    {
      name: 'a coordinate with a leading zero',
      bad: {
        header: { alg: 'ES256', jwk: { ...ecJwk, x: zeroFirst(ecJwk.x ?? '') } },
        signer: byP256,
      },
      good: { header: { alg: 'ES256', jwk: ecJwk }, signer: byP256 },
    },
    { name: 'no y', bad: { header: { alg: 'ES256', jwk: { ...ecJwk, y: undefined } } } },
    { name: 'no modulus', bad: rsaWith({ n: undefined }) },
  ],
  [RSA_SIZE]: [
    { name: '1024 bits', bad: byRsa(1024), good: strongRsa },
    { name: '2047 bits', bad: rsaWith({ n: bytes(256, 0x7f) }) },
    { name: 'leading zero', bad: rsaWith({ n: bytes(257, 0) }) },
    { name: '8193 bits', bad: rsaWith({ n: bytes(1025, 1) }) },
    { name: 'exponent of 33 bits', bad: rsaWith({ e: bytes(5, 1) }) },
    { name: 'no exponent', bad: rsaWith({ e: '' }) },
  ],
  [SIGNATURE]: [
    { name: 'by another key', bad: { signer: (input) => sign(null, input, other.privateKey) } },
    {
      name: 'of another input',
      bad: { signer: () => sign(null, Buffer.from(''), other.privateKey) },
    },
    { name: 'too short', bad: { signer: () => Buffer.from('canary') } },
    { name: 'not base64url', bad: makeProof().replace(/[^.]+$/, 'a') },
    {
      name: 'of zeros (CVE-2022-21449)',
      bad: { header: { alg: 'ES256', jwk: ecJwk }, signer: () => Buffer.alloc(64) },
    },
    {
      name: 'in DER',
      bad: {
        header: { alg: 'ES256', jwk: ecJwk },
        signer: (input) => sign('sha256', input, p256.privateKey),
      },
    },
    { name: 'PSS for PKCS #1', bad: { ...strongRsa, header: { alg: 'PS256', jwk: rsaJwk } } },
  ],
  'A DPoP proof has a "jti".': [
    { name: 'missing', bad: { claims: { jti: undefined } } },
    { name: 'a number', bad: { claims: { jti: 12_345_678 } } },
  ],
  [JTI]: [
    {
      name: 'too short',
      bad: { claims: { jti: 'a'.repeat(7) } },
      good: { claims: { jti: 'a'.repeat(8) } },
    },
    {
      name: 'too long',
      bad: { claims: { jti: 'a'.repeat(201) } },
      good: { claims: { jti: `${'~'.repeat(199)} ` } },
    },
    { name: 'not ASCII', bad: { claims: { jti: 'aaaaaaaé' } } },
    { name: 'a line end', bad: { claims: { jti: 'aaaaaaaa\n' } } },
    { name: 'a zero', bad: { claims: { jti: 'aaaaaaaa\0' } } },
  ],
  'A DPoP proof has an "htm".': [
    { name: 'missing', bad: { claims: { htm: undefined } } },
    { name: 'a list', bad: { claims: { htm: ['POST'] } } },
  ],
  [METHOD]: [
    { name: 'another', bad: { claims: { htm: 'GET' } } },
    { name: 'other case', bad: { claims: { htm: 'post' } } },
  ],
  'A DPoP proof has an "htu".': [{ name: 'missing', bad: { claims: { htu: undefined } } }],
  [NO_TARGET]: [
    { name: 'a path', bad: { claims: { htu: '/v1/messages' } } },
    { name: 'another scheme', bad: { claims: { htu: 'ftp://broker.example/v1/messages' } } },
  ],
  'The "htu" of a DPoP proof has no user information.': [
    { name: 'user', bad: { claims: { htu: 'https://canary@broker.example/v1/messages' } } },
    { name: 'empty user', bad: { claims: { htu: 'https://@broker.example/v1/messages' } } },
  ],
  'The "htu" of the DPoP proof is not the URI of the request.': [
    { name: 'another path', bad: { claims: { htu: 'https://broker.example/v1/chat' } } },
    { name: 'another host', bad: { claims: { htu: 'https://canary.example/v1/messages' } } },
  ],
  [IAT]: [
    { name: 'missing', bad: { claims: { iat: undefined } } },
    { name: 'a text', bad: { claims: { iat: String(iat) } } },
    { name: 'a fraction', bad: { claims: { iat: iat + 0.5 } } },
    { name: 'beyond exact numbers', bad: { claims: { iat: 2 ** 60 } } },
  ],
  'The "iat" of the DPoP proof lies in the future. Set your clock.': [
    { name: '31 s ahead', bad: { claims: { iat: iat + 31 } }, good: { claims: { iat: iat + 30 } } },
  ],
  'The DPoP proof is too old. Make one for each request.': [
    { name: '91 s ago', bad: { claims: { iat: iat - 91 } }, good: { claims: { iat: iat - 90 } } },
  ],
  'The "exp" of a DPoP proof is a number of seconds.': [
    { name: 'a text', bad: { claims: { exp: 'canary' } } },
    {
      name: 'endless',
      bad: { payloadText: `{"jti":"aaaaaaaa","htm":"","htu":"","iat":0,"exp":1e999}` },
    },
  ],
  'The DPoP proof has expired. Make a new one for each request.': [
    { name: '31 s ago', bad: { claims: { exp: iat - 31 } }, good: { claims: { exp: iat - 30 } } },
  ],
  'The "nbf" of a DPoP proof is a number of seconds.': [
    { name: 'null', bad: { claims: { nbf: null } } },
  ],
  'The DPoP proof is not valid yet. Set the clock that "nbf" is taken from.': [
    { name: '31 s ahead', bad: { claims: { nbf: iat + 31 } }, good: { claims: { nbf: iat + 30 } } },
  ],
  [NONCE]: [
    { name: 'empty', bad: { claims: { nonce: '' } }, good: { claims: { nonce: 'n' } } },
    {
      name: 'too long',
      bad: { claims: { nonce: 'n'.repeat(201) } },
      good: { claims: { nonce: 'n'.repeat(200) } },
    },
    { name: 'a number', bad: { claims: { nonce: 1 } } },
    { name: 'null', bad: { claims: { nonce: null } } },
  ],
  [NO_ATH]: [
    { name: 'missing', bad: {}, ...presented },
    { name: 'null', bad: { claims: { ath: null } }, ...presented },
  ],
  [ATH]: [
    { name: 'of another token', bad: { claims: { ath: OTHER_HASH } }, ...presented },
    { name: 'padded', bad: { claims: { ath: `${TOKEN_HASH}=` } }, ...presented },
    { name: 'empty', bad: { claims: { ath: '' } }, ...presented },
  ],
};

const ROWS = Object.entries(RULES).flatMap(([rule, rows]) => rows.map((row) => ({ rule, ...row })));

const check = (proof: string, expected = request): Promise<unknown> =>
  verifyDpopProof(proof, expected).then(
    ({ jti }) => jti.length > 0,
    (error: unknown) => (error instanceof RefusedError ? error.refusal : error),
  );

test.each(ROWS)('$rule ($name)', async ({ rule, bad, good, expected }) => {
  expect(await check(makeProof(good), expected)).toBe(true);
  const proof = typeof bad === 'string' ? bad : makeProof(bad);
  expect(await check(proof, expected)).toEqual({ code: 'invalid_dpop_proof', message: rule });
});
