import { generateKeyPairSync, sign } from 'node:crypto';
import * as fc from 'fast-check';
import { exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import { describe, expect, test } from 'vitest';
import { proofKeyOf } from '../../src/oauth/dpop-key.ts';
import { DPOP_ALGORITHMS, verifyDpopProof } from '../../src/oauth/dpop-proof.ts';
import { makeProof, NOW, request, TOKEN, TOKEN_HASH, type ProofParts } from './sample-proof.ts';

const iat = NOW / 1000;

const isAccepted = (parts: ProofParts, now: number): Promise<boolean> =>
  verifyDpopProof(makeProof(parts), { ...request, now }).then(
    () => true,
    () => false,
  );

describe('a good proof', () => {
  test('says which key, which jti, until when and which nonce', async () => {
    const proof = makeProof({ claims: { nonce: 'from-the-server' } });
    expect(await verifyDpopProof(proof, request)).toEqual({
      jkt: expect.stringMatching(/^[\w-]{43}$/) as string,
      jti: 'jti-0123456789',
      expiresAt: NOW + 90_000,
      nonce: 'from-the-server',
    });
  });

  test('needs no nonce', async () => {
    expect((await verifyDpopProof(makeProof(), request)).nonce).toBeUndefined();
  });

  test('with the hash of the token, where one is presented', async () => {
    const proof = makeProof({ claims: { ath: TOKEN_HASH } });
    const answer = verifyDpopProof(proof, { ...request, accessToken: TOKEN });
    await expect(answer).resolves.toBeDefined();
  });

  test('where none is presented, whatever "ath" says', async () => {
    expect(await isAccepted({ claims: { ath: 17 } }, NOW)).toBe(true);
  });

  test('may name its key, and say more than it has to', async () => {
    const parts = { header: { kid: 'k', x5t: 'x', ignored: {} }, claims: { iss: 'client' } };
    expect(await isAccepted(parts, NOW)).toBe(true);
  });

  test('is one whoever else was seen since', async () => {
    const first = await verifyDpopProof(makeProof(), request);
    for (let i = 0; i < 1001; i += 1) {
      const { x } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });
      const header = { typ: 'dpop+jwt', alg: 'EdDSA', jwk: { kty: 'OKP', crv: 'Ed25519', x } };
      await proofKeyOf(Buffer.from(JSON.stringify(header)).toString('base64url'));
    }
    expect(await verifyDpopProof(makeProof(), request)).toEqual(first);
  });
});

describe('a key seen before', () => {
  test('has to sign the next proof, too', async () => {
    await verifyDpopProof(makeProof(), request);
    const forger = generateKeyPairSync('ed25519').privateKey;
    const forged = makeProof({ signer: (input) => sign(null, input, forger) });
    await expect(verifyDpopProof(forged, request)).rejects.toThrow('signature');
  });

  test('of RSA signs with each of its algorithms', async () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const jwk = rsa.publicKey.export({ format: 'jwk' });
    for (const alg of ['RS256', 'RS512']) {
      const hash = alg.replace('RS', 'sha');
      const signer = (input: Buffer): Buffer => sign(hash, input, rsa.privateKey);
      expect(await isAccepted({ header: { alg, jwk }, signer }, NOW)).toBe(true);
    }
  });
});

describe('the algorithm', () => {
  test.each(DPOP_ALGORITHMS)('%s is checked', async (alg) => {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const proof = await new SignJWT({ jti: 'jti-0123456789', htm: 'POST', htu: request.url, iat })
      .setProtectedHeader({ alg, typ: 'dpop+jwt', jwk: await exportJWK(publicKey) })
      .sign(privateKey);
    await verifyDpopProof(proof, request);
    await expect(verifyDpopProof(`${proof.slice(0, -9)}AAAAAAAAA`, request)).rejects.toThrow(
      'signature',
    );
  });

  test('list names asymmetric ones alone', () => {
    expect(DPOP_ALGORITHMS).toHaveLength(11);
    for (const alg of DPOP_ALGORITHMS) expect(alg).toMatch(/^(Ed|ES|PS|RS)/);
  });
});

describe('a proof is accepted', () => {
  test.each([
    [-30_001, false],
    [-30_000, true],
    [-1, true],
    [0, true],
    [90_000, true],
    [90_001, false],
  ])('%i ms after its iat: %s', async (after, accepted) => {
    expect(await isAccepted({}, NOW + after)).toBe(accepted);
  });

  test.each([
    [{ exp: iat + 10 }, 40_000, true],
    [{ exp: iat + 10 }, 40_001, false],
    [{ exp: iat + 10.0005 }, 40_000, true],
    [{ exp: iat + 10.0005 }, 40_001, false],
    // Longer than we allow: it does not help.
    [{ exp: iat + 3600 }, 90_000, true],
    [{ exp: iat + 3600 }, 90_001, false],
    [{ nbf: iat + 40 }, 9_999, false],
    [{ nbf: iat + 40 }, 10_000, true],
  ])('with %j, %i ms after its iat: %s', async (claims, after, accepted) => {
    expect(await isAccepted({ claims }, NOW + after)).toBe(accepted);
  });

  test('up to expiresAt and not after, so that a memory of that length leaves no hole', async () => {
    const near = fc.integer({ min: -40_000, max: 130_000 });
    const later = fc.integer({ min: 1, max: 100_000 });
    const life = fc.option(fc.integer({ min: -10, max: 120 }), { nil: undefined });
    await fc.assert(
      fc.asyncProperty(near, later, life, async (first, after, seconds) => {
        const proof = makeProof({
          claims: { exp: seconds === undefined ? undefined : iat + seconds },
        });
        const at = (moment: number): Promise<number | undefined> =>
          verifyDpopProof(proof, { ...request, now: NOW + moment }).then(
            ({ expiresAt }) => expiresAt,
            () => undefined,
          );
        const expiresAt = await at(first);
        fc.pre(expiresAt !== undefined);
        expect(await at(expiresAt - NOW)).toBe(expiresAt);
        expect(await at(expiresAt - NOW + after)).toBeUndefined();
      }),
    );
  });
});

// The examples of the standards; whoever copied them wrongly would fail the signature.
const RFC9449_HEADER =
  'eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19';
const RFC9449_JKT = '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I';

describe('the examples of', () => {
  test('RFC 9449, figures 2 and 9: a request for a token', async () => {
    const proof = `${RFC9449_HEADER}.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg`;
    const url = 'https://server.example.com/token';
    expect(
      await verifyDpopProof(proof, { method: 'POST', url, now: 1_562_262_616_000 }),
    ).toMatchObject({ jkt: RFC9449_JKT, jti: '-BwC3ESc6acc2lTc' });
  });

  test('RFC 9449, figure 13: a request with a token', async () => {
    const proof = `${RFC9449_HEADER}.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA`;
    const ofFigure13 = {
      method: 'GET',
      url: 'https://resource.example.org/protectedresource',
      accessToken: 'Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU',
      now: 1_562_262_618_000,
    };
    expect(await verifyDpopProof(proof, ofFigure13)).toMatchObject({ jkt: RFC9449_JKT });
    await expect(verifyDpopProof(proof, { ...ofFigure13, accessToken: 'another' })).rejects.toThrow(
      '"ath"',
    );
  });

  test('RFC 8037, appendix A: the thumbprint of an Ed25519 key', async () => {
    const jwk = {
      kty: 'OKP',
      crv: 'Ed25519',
      x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
    };
    const d = 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A';
    const proof = await new SignJWT({ jti: 'jti-0123456789', htm: 'POST', htu: request.url, iat })
      .setProtectedHeader({ alg: 'EdDSA', typ: 'dpop+jwt', jwk })
      .sign(await importJWK({ ...jwk, d }, 'EdDSA'));
    const { jkt } = await verifyDpopProof(proof, request);
    expect(jkt).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });

  test('RFC 7638, section 3.1: the thumbprint of an RSA key', async () => {
    const jwk = {
      kty: 'RSA',
      n: '0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw',
      e: 'AQAB',
      alg: 'RS256',
      kid: '2011-04-29',
    };
    const header = JSON.stringify({ typ: 'dpop+jwt', alg: 'RS256', jwk });
    const { jkt } = await proofKeyOf(Buffer.from(header).toString('base64url'));
    expect(jkt).toBe('NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
  });
});
