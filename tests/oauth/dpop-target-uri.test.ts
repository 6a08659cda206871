import { describe, expect, test } from 'vitest';
import { verifyDpopProof } from '../../src/oauth/dpop-proof.ts';
import { parseTargetUri } from '../../src/oauth/target-uri.ts';
import { makeProof, request } from './sample-proof.ts';

const isOf = (htu: string, url: string): Promise<boolean> =>
  verifyDpopProof(makeProof({ claims: { htu } }), { ...request, url }).then(
    () => true,
    () => false,
  );

describe('the same URI', () => {
  test.each([
    ['https://broker.example/v1', 'https://broker.example/v1'],
    // Case of scheme and host.
    ['HTTPS://Broker.EXAMPLE/v1', 'https://broker.example/v1'],
    // Default and empty port.
    ['https://broker.example:443/v1', 'https://broker.example/v1'],
    ['https://broker.example:/v1', 'https://broker.example/v1'],
    ['http://127.0.0.1:80/v1', 'http://127.0.0.1/v1'],
    ['http://[::1]:8787/v1', 'http://[0:0::1]:8787/v1'],
    // Empty path.
    ['https://broker.example', 'https://broker.example/'],
    ['https://broker.example?q', 'https://broker.example/'],
    // Dot segments, encoded ones too.
    ['https://broker.example/a/./b/../v1', 'https://broker.example/a/v1'],
    ['https://broker.example/a/%2e%2E/v1', 'https://broker.example/v1'],
    ['https://broker.example/../v1', 'https://broker.example/v1'],
    // Percent-encoding: case, and of characters that need none.
    ['https://broker.example/a%2fb', 'https://broker.example/a%2Fb'],
    ['https://broker.example/%7Eme/%76%31', 'https://broker.example/~me/v1'],
    // Query and fragment, on either side.
    ['https://broker.example/v1?a=1#b', 'https://broker.example/v1'],
    ['https://broker.example/v1', 'https://broker.example/v1?a=@#b'],
    ['https://broker.example/v1?a=1', 'https://broker.example/v1?a=2'],
    // An @ that is no user information.
    ['https://broker.example/@me', 'https://broker.example/@me'],
  ])('%s is %s', async (htu, url) => {
    expect(await isOf(htu, url)).toBe(true);
  });
});

describe('another URI', () => {
  test.each([
    ['http://broker.example/v1', 'https://broker.example/v1'],
    ['https://broker.example:8443/v1', 'https://broker.example/v1'],
    ['http://broker.example:443/v1', 'https://broker.example/v1'],
    ['https://broker.example/v1/', 'https://broker.example/v1'],
    ['https://broker.example//v1', 'https://broker.example/v1'],
    ['https://broker.example/V1', 'https://broker.example/v1'],
    ['https://broker.example/a%2Fb', 'https://broker.example/a/b'],
    ['https://broker.example/a%252Fb', 'https://broker.example/a%2Fb'],
    ['https://broker.example/a%3Fb', 'https://broker.example/a?b'],
    ['https://broker.example./v1', 'https://broker.example/v1'],
    ['https://broker.example.evil.example/v1', 'https://broker.example/v1'],
    ['https://broker.example/v1;a', 'https://broker.example/v1'],
    ['https://broker.example/v1', '/v1'],
  ])('%s is not %s', async (htu, url) => {
    expect(await isOf(htu, url)).toBe(false);
  });
});

describe('no URI to be compared', () => {
  test.each([
    '',
    '/v1',
    '//broker.example/v1',
    'broker.example/v1',
    'https:broker.example/v1',
    'https:/broker.example/v1',
    'https:///broker.example/v1',
    'https://',
    'ftp://broker.example/v1',
    'javascript://broker.example/v1',
    // What a URL parser mends.
    ' https://broker.example/v1',
    'https://broker.example/v1 ',
    'https://broker.example/v1\n',
    'https://bro\tker.example/v1',
    'https:\\\\broker.example\\v1',
    'https://broker.example\\v1',
    'https://broker.example/ü',
    'https://broker.example/%',
    'https://broker.example/%zz',
    'https://broker.example/"',
    'https://broker.example:99999/v1',
    'https://broker.example:v1/',
    'https://bro%2Fker.example/v1',
    'https://[::1/v1',
  ])('%j', (text) => {
    expect(parseTargetUri(text)).toBeUndefined();
  });

  test('is told in time that grows with its length alone', () => {
    const started = performance.now();
    expect(parseTargetUri(`https://${'a'.repeat(100_000)}"`)).toBeUndefined();
    expect(parseTargetUri(`https://a/${'%41'.repeat(100_000)}"`)).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

test.each([
  ['https://user@broker.example/v1', true],
  ['https://user:secret@broker.example/v1', true],
  ['https://@broker.example/v1', true],
  ['https://:@broker.example/v1', true],
  ['https://broker.example/@v1?a@b#c@d', false],
])('user information is seen in %s: %s', (text, seen) => {
  expect(parseTargetUri(text)?.hasUserInfo).toBe(seen);
});
