import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint } from 'jose';
import { describe, expect, test } from 'vitest';
import { freshnessOf } from '../../src/oauth/freshness.ts';
import { readKeySet } from '../../src/oauth/key-set.ts';
import { withStrayBits } from '../support/stray-bits.ts';

const jwk = (key: KeyObject): Record<string, string> =>
  key.export({ format: 'jwk' }) as Record<string, string>;

const ed = generateKeyPairSync('ed25519');
const good: Record<string, string> = { ...jwk(ed.publicKey), kid: 'good' };
const ec = jwk(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey);
const rsa = jwk(generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey);

/** The same octets, with a zero before them. */
const longer = (text = ''): string =>
  Buffer.concat([Buffer.alloc(1), Buffer.from(text, 'base64url')]).toString('base64url');

describe('of a JWK set', () => {
  test.each([
    ['a shared key', { kty: 'oct', k: 'AAAA', kid: 'x' }],
    ['a private key', { ...jwk(ed.privateKey), kid: 'x' }],
    ['a key with the private part of another type', { ...good, kid: 'x', k: 'AAAA' }],
    ['a key for encryption', { ...good, kid: 'x', use: 'enc' }],
    ['a key that is not for verifying', { ...good, kid: 'x', key_ops: ['encrypt'] }],
    ['an unknown type', { kty: 'AKP', pub: 'AAAA', kid: 'x' }],
    ['an unknown curve', { ...good, crv: 'Ed448', kid: 'x' }],
    ['a curve for key agreement', { ...good, crv: 'X25519', kid: 'x' }],
    ['a key of 31 bytes', { ...good, x: good['x']?.slice(2), kid: 'x' }],
    ['a key with stray bits', { ...good, x: withStrayBits(good['x']), kid: 'x' }],
    ['a coordinate with stray bits', { ...ec, y: withStrayBits(ec['y']), kid: 'x' }],
    ['a coordinate that is led by a zero', { ...ec, x: longer(ec['x']), kid: 'x' }],
    ['a modulus with stray bits', { ...rsa, n: withStrayBits(rsa['n']), kid: 'x' }],
    ['an algorithm of another curve', { ...ec, alg: 'ES384', kid: 'x' }],
    ['a point that is not on its curve', { ...ec, x: ec['y'], y: ec['x'], kid: 'x' }],
    ['RSA of 1024 bits', { ...jwk(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey) }],
    ['RSA of 1024 bits, led by zeros', { ...rsa, n: `${'A'.repeat(172)}${rsa['n']?.slice(172)}` }],
    ['an algorithm for encryption', { ...rsa, alg: 'RSA-OAEP', kid: 'x' }],
    ['a kid that is no string', { ...good, kid: 7 }],
    ['a kid of more than 200 characters', { ...good, kid: 'k'.repeat(201) }],
    ['a text', 'key'],
    ['null', null],
    ['a list', [good]],
  ])('%s is passed over', async (_name, key) => {
    const found = await readKeySet({ keys: [key, good] });
    expect(found.map(({ kid }) => kid)).toEqual(['good']);
  });

  test('what stands beside a public key is not looked at', async () => {
    const found = await readKeySet({
      keys: [{ ...good, x5c: ['AAAA'], x5t: 'x', use: 'sig', key_ops: ['verify'], ext: true }],
      other: 1,
    });
    expect(found).toMatchObject([{ kid: 'good', jwk: { ...good, use: 'sig' } }]);
    expect(found[0]?.publicKey.type).toBe('public');
  });

  test('a key without kid goes by its thumbprint', async () => {
    const found = await readKeySet({ keys: [ec] });
    expect(found.map(({ kid }) => kid)).toEqual([await calculateJwkThumbprint(ec)]);
  });

  test('keys that share a kid are all taken: which is meant, an assertion says by its algorithm', async () => {
    const { keys } = { keys: [good, { ...ec, kid: 'good' }, { ...rsa, kid: 'good' }] };
    const found = await readKeySet({ keys });
    expect(found.map(({ kid, jwk: { kty } }) => [kid, kty])).toEqual(
      keys.map(({ kty }) => ['good', kty]),
    );
  });

  test.each([
    ['more than 64 keys', { keys: Array.from({ length: 65 }, () => ({})) }, /at most 64/],
    ['no keys member', {}, /JWK set/],
    ['keys that are no list', { keys: good }, /JWK set/],
    ['a list', [good], /JWK set/],
    ['nothing', undefined, /JWK set/],
  ])('%s is refused as a whole', async (_name, set, why) => {
    await expect(readKeySet(set)).rejects.toThrow(why);
  });
});

describe('an answer may be kept', () => {
  const NOW = Date.parse('2026-11-21T18:00:00Z');
  const at = (seconds: number): string => new Date(NOW + seconds * 1000).toUTCString();
  test.each([
    ['as it does not say', {}, undefined],
    ['as it says nothing of time', { 'cache-control': 'public' }, undefined],
    ['for max-age', { 'cache-control': 'public, max-age=300' }, 300],
    ['for max-age, less its age', { 'cache-control': 'max-age=300', age: '100' }, 200],
    ['not at all, when it is older than max-age', { 'cache-control': 'max-age=9', age: '10' }, 0],
    ['whatever an age that is no number', { 'cache-control': 'max-age=300', age: '-5' }, 300],
    ['for max-age in capitals and quotes', { 'cache-control': 'Max-Age="300"' }, 300],
    ['for the least of two', { 'cache-control': ['max-age=300', 'max-age=200'] }, 200],
    ['not at all, with no-store', { 'cache-control': 'max-age=300, no-store' }, 0],
    ['not at all, with no-cache', { 'cache-control': 'no-cache, max-age=300' }, 0],
    ['not at all, with max-age=0', { 'cache-control': 'max-age=0', expires: at(900) }, 0],
    ['not at all, with a max-age that is no number', { 'cache-control': 'max-age=-1' }, 0],
    ['not for s-maxage, which is for shared caches', { 'cache-control': 's-maxage=9' }, undefined],
    ['until Expires, by our clock', { expires: at(300) }, 300],
    ['until Expires, by its own clock', { expires: at(300), date: at(100) }, 200],
    ['for max-age before Expires', { 'cache-control': 'max-age=60', expires: at(900) }, 60],
    ['not at all, when it has expired', { expires: at(-1) }, 0],
    ['not at all, with "0" for a date', { expires: '0' }, 0],
    ['not at all, with no date for a date', { expires: 'soon' }, 0],
  ])('%s', (_name, headers, seconds) => {
    expect(freshnessOf(headers, NOW)).toBe(seconds === undefined ? undefined : seconds * 1000);
  });
});
