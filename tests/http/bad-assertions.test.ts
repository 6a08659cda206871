/** Every way in which an assertion can be wrong, by a person's own key and by their lab: the table of what is refused. */
import { createPublicKey, generateKeyPairSync, randomUUID, type KeyObject } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { setLabIdentity } from '../../src/broker/manage-lab-identity.ts';
import { removePerson } from '../../src/broker/manage-people.ts';
import type { LabKey } from '../../src/core/people.ts';
import { ASSERTION_TYPE } from '../../src/oauth/client-assertion.ts';
import { JWT_BEARER } from '../../src/oauth/lab-assertion.ts';
import { forgeJwt, macWith, noSignature, signedWith, type Members } from '../support/forged-jwt.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makeIdentity, type TestIdentity } from '../support/lab-identities.ts';
import { getToken, makeKey, makePeople, makePerson, type People } from '../support/people.ts';
import { countTokens, oauthErrorOf, refused, send } from '../support/refusals.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { NO_GRANT } from './route-samples.ts';

const clock = new SetClock();
let test: TestBroker;
let people: People;
let mine: TestIdentity;
let theirs: TestIdentity;
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

const jwkOf = (key: KeyObject): LabKey => key.export({ format: 'jwk' }) as LabKey;

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
  mine = makeIdentity('https://id.partner.example', 'lab-1');
  theirs = makeIdentity('https://id.other.example', 'lab-1');
  const { admin, partner, otherPartner } = people;
  const keys = [
    mine.jwk,
    { ...jwkOf(ec.publicKey), kid: 'ec' },
    { ...jwkOf(rsa.publicKey), kid: 'rsa', alg: 'RS256' as const },
  ] as LabKey[];
  await setLabIdentity(test.broker, admin.id, partner.id, { issuer: mine.issuer, jwks: { keys } });
  await setLabIdentity(test.broker, admin.id, otherPartner.id, theirs.input);
});
afterAll(() => test.close());

/** An assertion that is right in every part, before something is done to it. */
interface Right {
  header: Members;
  claims: Members;
  key: KeyObject;
}

function rightOf(kind: Kind): Right {
  const { researcher } = people;
  const times = { iat: clock.seconds(), exp: clock.seconds(60) };
  const claims = { sub: researcher.id, aud: test.broker.issuer, jti: randomUUID(), ...times };
  return kind === 'client'
    ? {
        header: { alg: 'EdDSA', kid: researcher.kid },
        claims: { iss: researcher.id, ...claims },
        key: researcher.privateKey,
      }
    : {
        header: { alg: 'EdDSA', kid: mine.jwk.kid },
        claims: { iss: mine.issuer, ...claims },
        key: mine.privateKey,
      };
}

type Kind = 'client' | 'lab';
type Forge = (right: Right) => string;

/** The right key signs what has other headers or claims. */
const withHeader =
  (more: Members): Forge =>
  ({ header, claims, key }) =>
    forgeJwt({ ...header, ...more }, claims, signedWith(key));
const withClaims =
  (more: () => Members): Forge =>
  ({ header, claims, key }) =>
    forgeJwt(header, { ...claims, ...more() }, signedWith(key));
/** Somebody else's key. */
const withKey =
  (key: KeyObject, more: Members = {}): Forge =>
  ({ header, claims }) =>
    forgeJwt({ ...header, ...more }, claims, signedWith(key));
const withMac =
  (secretOf: (key: KeyObject) => string | Uint8Array, alg = 'HS256'): Forge =>
  ({ header, claims, key }) =>
    forgeJwt({ ...header, alg }, claims, macWith(secretOf(createPublicKey(key))));
const withPayload =
  (payload: string): Forge =>
  ({ header, key }) =>
    forgeJwt(header, payload, signedWith(key));

const stranger = makeKey();
const xOf = (key: KeyObject): string => key.export({ format: 'jwk' }).x ?? '';
const later = (seconds: number) => (): number => clock.seconds(seconds);
const [past, soon, far] = [later(-31), later(31), later(3_631)];

const DEFECTS: [string, Forge][] = [
  ['alg none', (right) => forgeJwt({ ...right.header, alg: 'none' }, right.claims, noSignature)],
  ['alg none, with the signature left on', withHeader({ alg: 'none' })],
  ['alg None', withHeader({ alg: 'None' })],
  ['no alg', withHeader({ alg: undefined })],
  ['an alg of the prototype', withHeader({ alg: 'toString' })],
  ['an alg that is no text', withHeader({ alg: ['EdDSA'] })],
  ['no signature', (right) => forgeJwt(right.header, right.claims, noSignature)],
  ['HS256 with the public key', withMac((key) => Buffer.from(xOf(key), 'base64url'))],
  ['HS256 with the public key as text', withMac(xOf)],
  [
    'HS256 with the public key as PEM',
    withMac((key) => key.export({ type: 'spki', format: 'pem' })),
  ],
  [
    'HS256 with the public key as JWK',
    withMac((key) => JSON.stringify(key.export({ format: 'jwk' }))),
  ],
  ['HS256 with nothing', withMac(() => '')],
  ['an elliptic key for an Edwards one', withKey(ec.privateKey, { alg: 'ES256' })],
  ['an RSA key for an Edwards one', withKey(rsa.privateKey, { alg: 'RS256' })],
  ['the alg of another kind of key', withHeader({ alg: 'ES256' })],
  ['an unknown alg', withHeader({ alg: 'ES256K' })],
  ['crit', withHeader({ crit: ['exp'], exp: 1 })],
  ['crit with b64', withHeader({ crit: ['b64'], b64: false })],
  ['jku', withHeader({ jku: 'https://evil.example/keys' })],
  ['x5u', withHeader({ x5u: 'https://evil.example/cert' })],
  ['x5c', withHeader({ x5c: ['MIIB'] })],
  ['its key embedded', withKey(stranger.privateKey, { jwk: stranger.publicKey })],
  [
    'its key embedded, and no kid',
    withKey(stranger.privateKey, { jwk: stranger.publicKey, kid: undefined }),
  ],
  [
    'the right key embedded',
    (right) => withHeader({ jwk: xOf(createPublicKey(right.key)) })(right),
  ],
  ['a kid of nobody', withHeader({ kid: '../../etc/passwd' })],
  ['a kid that is no text', withHeader({ kid: { $ne: '' } })],
  ['a kid that is very long', withHeader({ kid: 'k'.repeat(201) })],
  ['the type of an access token', withHeader({ typ: 'at+jwt' })],
  ['the type of a proof', withHeader({ typ: 'dpop+jwt' })],
  ['a key that nobody registered', withKey(stranger.privateKey)],
  ['9 KiB', withClaims(() => ({ pad: 'x'.repeat(9 * 1024) }))],
  ['the token endpoint as audience', withClaims(() => ({ aud: `${test.url}/oauth/token` }))],
  ['the gateway as audience', withClaims(() => ({ aud: `${test.url}/v1` }))],
  ['the issuer with a slash as audience', withClaims(() => ({ aud: `${test.url}/` }))],
  ['another server as audience', withClaims(() => ({ aud: 'https://other.example' }))],
  ['two audiences', withClaims(() => ({ aud: [test.url, 'https://other.example'] }))],
  ['no audience', withClaims(() => ({ aud: undefined }))],
  ['no expiry', withClaims(() => ({ exp: undefined }))],
  ['an expiry a second past the skew', withClaims(() => ({ exp: past() }))],
  ['an expiry that is too far', withClaims(() => ({ exp: far() }))],
  ['an expiry that is no number', withClaims(() => ({ exp: '9999999999' }))],
  [
    'an expiry without end',
    ({ header, claims, key }) => {
      const text = JSON.stringify({ ...claims, exp: 0 }).replace('"exp":0', '"exp":1e400');
      return forgeJwt(header, text, signedWith(key));
    },
  ],
  ['made a second past the skew in the future', withClaims(() => ({ iat: soon() }))],
  ['not valid before a second past the skew', withClaims(() => ({ nbf: soon() }))],
  ['an iat that is no number', withClaims(() => ({ iat: 'now' }))],
  ['no jti', withClaims(() => ({ jti: undefined }))],
  ['a jti that is too short', withClaims(() => ({ jti: 'short' }))],
  ['a jti that is too long', withClaims(() => ({ jti: 'j'.repeat(201) }))],
  ['no subject', withClaims(() => ({ sub: undefined }))],
  ['another subject', withClaims(() => ({ sub: 'per_nobody' }))],
  ['no issuer', withClaims(() => ({ iss: undefined }))],
  ['another issuer', withClaims(() => ({ iss: 'https://id.nobody.example' }))],
  ['an issuer of the prototype', withClaims(() => ({ iss: '__proto__' }))],
  ['an issuer that is no text', withClaims(() => ({ iss: [people.researcher.id] }))],
  ['a payload that is a list', withPayload('[]')],
  ['a payload that is null', withPayload('null')],
  ['a payload that is no JSON', withPayload('{"iss":')],
  [
    'a tampered claim',
    (right) => {
      const [header, , signature] = withHeader({})(right).split('.');
      const claims = JSON.stringify({ ...right.claims, jti: randomUUID() });
      return [header, Buffer.from(claims).toString('base64url'), signature].join('.');
    },
  ],
  ['an access token of ours', () => access],
  ['five parts, as an encrypted one has', (right) => `${withHeader({})(right)}.AAAA.AAAA`],
  ['three words', () => 'one.two.three'],
  ['dots', () => '..'],
  ['no ASCII', () => '\u{1f511}.\u0000.é'],
];

let access: string;

const form = (kind: Kind, assertion: string): Record<string, string> =>
  kind === 'client'
    ? {
        grant_type: 'client_credentials',
        client_assertion_type: ASSERTION_TYPE,
        client_assertion: assertion,
      }
    : { grant_type: JWT_BEARER, assertion };

const ask = (kind: Kind, assertion: string, more: Record<string, string> = {}) => ({
  path: '/oauth/token',
  form: { ...form(kind, assertion), ...more },
});

/** RFC 6749, section 5.2: what fails to authenticate a client, and what is no grant. */
const ANSWER = {
  client: { status: 401, error: 'invalid_client', code: 'invalid_client' },
  lab: { status: 400, error: 'invalid_grant', code: 'invalid_assertion' },
} as const;

const right = (kind: Kind): string => withHeader({})(rightOf(kind));

describe.each<Kind>(['client', 'lab'])('an assertion of a %s', (kind) => {
  beforeAll(async () => {
    access = await getToken(test, people.researcher);
  });

  it('that is right in every part passes', async () => {
    const before = countTokens(test);
    expect((await send(test, ask(kind, right(kind)))).status).toBe(200);
    expect(countTokens(test)).toBe(before + 1);
  });

  it.each(DEFECTS)('%s', async (_name, forge) => {
    const { status, error, code } = ANSWER[kind];
    const counted = { counted: 'token_endpoint' };
    const answer = await refused(test, ask(kind, forge(rightOf(kind))), code, counted);
    expect(oauthErrorOf(answer)).toEqual([status, error]);
  });

  it('that was used before', async () => {
    const used = right(kind);
    expect((await send(test, ask(kind, used))).status).toBe(200);
    const code = kind === 'client' ? 'assertion_replayed' : 'invalid_assertion';
    const answer = await refused(test, ask(kind, used), code, { counted: 'token_endpoint' });
    expect(oauthErrorOf(answer)).toEqual([ANSWER[kind].status, ANSWER[kind].error]);
    expect(answer.body['error_description']).toContain('was used before');
  });

  it('is used up by a refusal that it was good enough for, which is recorded', async () => {
    const once = right(kind);
    const details = [{ type: 'model_access', grant: NO_GRANT, purpose: 'scheming', run: 'a run' }];
    const asked = ask(kind, once, { authorization_details: JSON.stringify(details) });
    const answer = await refused(test, asked, 'grant_unknown', { entry: 'token.denied' });
    expect(oauthErrorOf(answer)).toEqual([400, 'invalid_authorization_details']);
    const code = kind === 'client' ? 'assertion_replayed' : 'invalid_assertion';
    await refused(test, asked, code, { counted: 'token_endpoint' });
  });

  it('does not pass for one of the other kind', async () => {
    const other = kind === 'client' ? 'lab' : 'client';
    const { status, error, code } = ANSWER[kind];
    const counted = { counted: 'token_endpoint' };
    const answer = await refused(test, ask(kind, right(other)), code, counted);
    expect(oauthErrorOf(answer)).toEqual([status, error]);
  });
});

describe('who is meant', () => {
  const counted = { counted: 'token_endpoint' };
  const labSays = (identity: TestIdentity, more: Members): string =>
    forgeJwt(
      { alg: 'EdDSA', kid: identity.jwk.kid },
      { ...rightOf('lab').claims, iss: identity.issuer, ...more },
      signedWith(identity.privateKey),
    );

  it.each<[string, () => string]>([
    ['a person of another lab', () => labSays(mine, { sub: people.otherResearcher.id })],
    ['a person of the host', () => labSays(mine, { sub: people.admin.id })],
    [
      "another lab's person, by the lab's issuer and our key",
      () =>
        forgeJwt(
          { alg: 'EdDSA', kid: theirs.jwk.kid },
          { ...rightOf('lab').claims, iss: theirs.issuer, sub: people.otherResearcher.id },
          signedWith(mine.privateKey),
        ),
    ],
    ["our person, by another lab's key", () => labSays(theirs, {})],
    ['nobody', () => labSays(mine, { sub: 'nobody@partner.example' })],
    ['a name in other letters', () => labSays(mine, { sub: people.researcher.id.toUpperCase() })],
  ])('a lab speaks of its own people alone: not of %s', async (_name, make) => {
    const answer = await refused(test, ask('lab', make()), 'invalid_assertion', counted);
    expect(oauthErrorOf(answer)).toEqual([400, 'invalid_grant']);
  });

  it('a lab does not speak of somebody who was removed', async () => {
    const { admin, partner } = people;
    const gone = await makePerson(test.broker, admin.id, partner.id, 'Gone', ['researcher']);
    await removePerson(test.broker, admin.id, gone.id);
    const said = labSays(mine, { sub: gone.id });
    const answer = await refused(test, ask('lab', said), 'invalid_assertion', counted);
    expect(oauthErrorOf(answer)).toEqual([400, 'invalid_grant']);
  });

  it('keys of one lab are told apart by what they are', async () => {
    const make = (kid: string, alg: string, key: KeyObject): string =>
      forgeJwt({ alg, kid }, rightOf('lab').claims, signedWith(key));
    for (const [kid, alg, key] of [
      ['lab-1', 'ES256', ec.privateKey],
      ['ec', 'EdDSA', mine.privateKey],
      ['rsa', 'ES256', ec.privateKey],
      ['ec', 'RS256', rsa.privateKey],
      // The lab says of this key that it is for RS256.
      ['rsa', 'PS256', rsa.privateKey],
    ] as const)
      await refused(test, ask('lab', make(kid, alg, key)), 'invalid_assertion', counted);
    for (const [kid, alg, key] of [
      ['ec', 'ES256', ec.privateKey],
      ['rsa', 'RS256', rsa.privateKey],
    ] as const)
      expect((await send(test, ask('lab', make(kid, alg, key)))).status).toBe(200);
    // Of several keys, one has to be named.
    const nameless = forgeJwt({ alg: 'EdDSA' }, rightOf('lab').claims, signedWith(mine.privateKey));
    await refused(test, ask('lab', nameless), 'invalid_assertion', counted);
  });

  it('a client that authenticates beside a lab must be the person that the lab means', async () => {
    const { client_assertion_type: type = '', client_assertion: own = '' } = form(
      'client',
      right('client'),
    );
    const beside = { client_assertion_type: type, client_assertion: own };
    const other = labSays(mine, { sub: people.lead.id });
    const answer = await refused(test, ask('lab', other, beside), 'invalid_client', counted);
    expect(oauthErrorOf(answer)).toEqual([401, 'invalid_client']);
    expect((await send(test, ask('lab', labSays(mine, {}), beside))).status).toBe(200);
  });

  it('client_id, where it is given, names the person', async () => {
    for (const kind of ['client', 'lab'] as const) {
      const wrong = ask(kind, right(kind), { client_id: people.lead.id });
      expect(oauthErrorOf(await refused(test, wrong, 'invalid_client', counted))).toEqual([
        401,
        'invalid_client',
      ]);
      const same = ask(kind, right(kind), { client_id: people.researcher.id });
      expect((await send(test, same)).status).toBe(200);
    }
  });

  it("a lab's assertion gives no more than its person may have", async () => {
    const grant = await makeActiveGrant(test, people);
    const details = [{ type: 'model_access', grant: grant.id, purpose: 'scheming', run: 'a run' }];
    const asked = (subject: string) =>
      ask('lab', labSays(mine, { sub: subject }), {
        authorization_details: JSON.stringify(details),
      });
    expect((await send(test, asked(people.researcher.id))).status).toBe(200);
    const { id } = people.secondResearcher;
    await refused(test, asked(id), 'person_not_on_grant', { entry: 'token.denied' });
  });
});
