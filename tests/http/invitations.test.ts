import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import request, { type Response } from 'supertest';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Grant } from '../../src/core/grants.ts';
import { stepGrant } from '../../src/broker/manage-grants.ts';
import { createLogger } from '../../src/lib/log.ts';
import { Api } from '../support/api.ts';
import { grantInput, makeActiveGrant } from '../support/grants.ts';
import {
  asPerson,
  invite,
  join,
  joinProof,
  preview,
  type Invited,
  type Joiner,
} from '../support/invitations.ts';
import { getToken, makeKey, makePeople, makePerson, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const HOUR = 3_600_000;

let test: TestBroker;
let people: People;
let api: Api;
/** What the broker's clock is ahead of the machine's. */
let ahead = 0;
let logged = '';
let made = 0;

beforeAll(async () => {
  const write = (line: string): void => void (logged += line);
  test = await startTestBroker({
    clock: () => Date.now() + ahead,
    log: createLogger({ level: 'trace' }, { write }),
  });
  people = await makePeople(test);
});
afterAll(() => test.close());
beforeEach(() => {
  ahead = 0;
  // Tokens live by the clock that was just set back.
  api = new Api(test);
});

/** An invitation to the first partner that is right in every part, but for what is given. */
const asked = (changes: object = {}): object => {
  made += 1;
  return { lab: people.partner.id, name: `New ${made}`, roles: ['researcher'], ...changes };
};

const codeOf = ({ status, body }: Response): [number, string] => [
  status,
  (body as { code: string }).code,
];

const entriesFrom = (size: number): { kind: string; [name: string]: unknown }[] =>
  test.broker.readers
    .listEntries({ from: size, limit: 200 })
    .map(({ bytes }) => JSON.parse(String(bytes)) as { kind: string });

const NOT_VALID = [403, 'invitation_not_valid'];

describe('an invitation', () => {
  it('makes a person of its lab, with a key that only they hold', async () => {
    const invited = await invite(
      api,
      people.lead,
      asked({ name: 'Nia New', attributes: { employer: 'Partner Lab' }, subject: 'nia' }),
    );
    expect(invited.link).toBe(`${test.url}/join#${invited.id}.${invited.secret}`);
    expect(Buffer.from(invited.secret, 'base64url')).toHaveLength(32);

    const shown = await preview(test, invited);
    expect(shown.status).toBe(200);
    expect(shown.body).toEqual({
      host: { name: 'Host Lab' },
      lab: { id: people.partner.id, name: 'Partner Lab' },
      name: 'Nia New',
      roles: ['researcher'],
      invitedBy: { name: 'Lee Lead' },
      expiresAt: expect.any(String) as string,
      grant: null,
    });

    const key = makeKey();
    const size = test.broker.readers.logSize();
    const joined = await join(test, invited, key);
    expect(joined.status).toBe(201);
    const nia = await asPerson(joined, key);
    expect(joined.body).toMatchObject({
      lab: people.partner.id,
      name: 'Nia New',
      roles: ['researcher'],
      attributes: { employer: 'Partner Lab' },
      attributesSet: { employer: { by: people.lead.id } },
      subject: 'nia',
      keys: [{ kid: nia.kid }],
    });
    expect(entriesFrom(size)).toMatchObject([
      {
        kind: 'person.joined',
        actor: { person: nia.id, lab: people.partner.id },
        ref: invited.id,
        person: nia.id,
        data: { name: 'Nia New', invitedBy: people.lead.id, kid: nia.kid },
      },
    ]);
    const me = await api.get(nia, '/me');
    expect(me.body.person.id).toBe(nia.id);
    const after = await api.get(people.lead, `/invitations/${invited.id}`);
    expect(after.body).toMatchObject({ state: 'joined', joinedAs: nia.id });
    expect(codeOf(await join(test, invited))).toEqual(NOT_VALID);
  });

  it('is listed, open or all, to those whose lab it is; never with its secret', async () => {
    const own = await invite(api, people.lead, asked());
    const gone = await invite(api, people.lead, asked());
    await api.post(people.lead, `/invitations/${gone.id}/withdraw`);
    const other = await invite(api, people.otherLead, asked({ lab: people.otherPartner.id }));
    const ids = async (who: keyof People, query = ''): Promise<string[]> => {
      const list = await api.get(people[who] as typeof people.lead, `/invitations${query}`);
      expect(JSON.stringify(list.body)).not.toMatch(/secret|digest|#/i);
      return list.body.items.map(({ id }: { id: string }) => id);
    };
    expect(await ids('lead')).toEqual(expect.arrayContaining([own.id, gone.id]));
    expect(await ids('lead')).not.toContain(other.id);
    expect(await ids('researcher', '?open=true')).toContain(own.id);
    expect(await ids('researcher', '?open=true')).not.toContain(gone.id);
    expect(await ids('admin', `?lab=${people.otherPartner.id}`)).toEqual([other.id]);
    expect(await ids('lead', `?lab=${people.otherPartner.id}`)).toEqual([]);
    for (const answer of [
      await api.get(people.otherLead, `/invitations/${own.id}`),
      await api.post(people.otherLead, `/invitations/${own.id}/withdraw`),
    ])
      expect(codeOf(answer)).toEqual([404, 'not_found']);
  });

  it('says what to do with it to whoever opens it in a browser', async () => {
    const page = await request(test.url).get('/join');
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(page.headers['content-security-policy']).toContain("default-src 'none'");
    expect(page.headers['referrer-policy']).toBe('no-referrer');
    expect(page.text).toMatch(/^ {2}npx sallyport join$/m);
  });
});

describe('to invite', () => {
  it.each<[string, keyof People, () => object, [number, string]]>([
    ["a lead, to another partner's lab", 'otherLead', () => asked(), [404, 'not_found']],
    ['a lead, to the host lab', 'lead', () => asked({ lab: people.host.id }), [404, 'not_found']],
    ['a researcher', 'researcher', () => asked(), [403, 'role_required']],
    ['a safety officer', 'safety', () => asked(), [403, 'role_required']],
    [
      'a role that the lab does not have',
      'lead',
      () => asked({ roles: ['admin'] }),
      [400, 'invalid_request'],
    ],
    [
      'a name that somebody of the lab has',
      'lead',
      () => asked({ name: 'Rio Researcher' }),
      [409, 'already_exists'],
    ],
    [
      'a place on a roster without a grant',
      'lead',
      () => asked({ rosterUntil: '2099-01-01T00:00:00Z' }),
      [400, 'invalid_request'],
    ],
    ['too long a link', 'lead', () => asked({ expiresInHours: 337 }), [400, 'invalid_request']],
    [
      'to a grant that does not exist',
      'lead',
      () => asked({ grant: `grt_${'0'.repeat(26)}` }),
      [404, 'not_found'],
    ],
  ])('%s is refused', async (_name, who, body, expected) => {
    const answer = await api.post(people[who] as typeof people.lead, '/invitations', body());
    expect(codeOf(answer)).toEqual(expected);
  });

  it('to a lab that is not yours names your own, whether there is another or not', async () => {
    const { id } = people.partner;
    for (const lab of [people.otherPartner.id, `lab_${'0'.repeat(26)}`]) {
      const answer = await api.post(people.lead, '/invitations', asked({ lab }));
      expect(answer.body.detail).toBe(
        `You answer for the people of your own lab alone: give ${id}, Partner Lab.`,
      );
    }
  });

  it('somebody who is there already says what to do for either person it could be', async () => {
    const answer = await api.post(people.lead, '/invitations', asked({ name: 'Rio Researcher' }));
    expect(answer.body.detail).toContain('add something that tells the two apart');
    expect(answer.body.detail).toContain(`a grant that names ${people.researcher.id}`);
  });

  it('an admin may, anywhere', async () => {
    for (const [lab, role] of [
      [people.host.id, 'safety'],
      [people.partner.id, 'lead'],
      [people.auditLab.id, 'auditor'],
    ]) {
      const invited = await invite(api, people.admin, asked({ lab, roles: [role] }));
      expect((await join(test, invited)).body).toMatchObject({ lab, roles: [role] });
    }
  });
});

describe('a link that opens nothing', () => {
  const other = 'A'.repeat(43);

  it.each<[string, () => Promise<Omit<Invited, 'link'>>]>([
    ['is of no invitation', async () => ({ id: `inv_${'0'.repeat(26)}`, secret: other })],
    [
      'has another secret',
      async () => ({ ...(await invite(api, people.lead, asked())), secret: other }),
    ],
    [
      'is withdrawn',
      async () => {
        const invited = await invite(api, people.lead, asked());
        const withdrawn = await api.post(people.lead, `/invitations/${invited.id}/withdraw`);
        expect(withdrawn.body.state).toBe('withdrawn');
        const again = await api.post(people.lead, `/invitations/${invited.id}/withdraw`);
        expect(codeOf(again)).toEqual([409, 'already_decided']);
        return invited;
      },
    ],
    [
      'has expired',
      async () => {
        const invited = await invite(api, people.lead, asked({ expiresInHours: 1 }));
        ahead = HOUR;
        return invited;
      },
    ],
    [
      'was used',
      async () => {
        const invited = await invite(api, people.lead, asked());
        expect((await join(test, invited)).status).toBe(201);
        return invited;
      },
    ],
  ])('%s: all in the same words', async (_name, make) => {
    const link = await make();
    await test.broker.unauthenticated.flush();
    const size = test.broker.readers.logSize();
    const texts = [await preview(test, link), await join(test, link)].map((answer) => {
      expect(codeOf(answer)).toEqual(NOT_VALID);
      return answer.body.detail as string;
    });
    expect(new Set(texts)).toEqual(
      new Set([
        'This invitation does not exist, was used, was withdrawn or has expired. Ask whoever sent it for a new one.',
      ]),
    );
    // Nobody fills the log with guesses: they are counted.
    expect(test.broker.readers.logSize()).toBe(size);
    await test.broker.unauthenticated.flush();
    expect(entriesFrom(size)).toMatchObject([
      { kind: 'request.unauthenticated', data: { counts: { 'join invitation_not_valid': 2 } } },
    ]);
  });

  it('is good until a millisecond before it expires', async () => {
    const invited = await invite(api, people.lead, asked({ expiresInHours: 1 }));
    const shown = await api.get(people.lead, `/invitations/${invited.id}`);
    ahead = Date.parse(shown.body.expiresAt as string) - Date.now() - 2_000;
    expect((await join(test, invited)).status).toBe(201);
  });

  it('speaks for whoever sent it no longer than they could themselves', async () => {
    const { broker } = test;
    const lead = await makePerson(broker, people.admin.id, people.partner.id, 'Leaving Lead', [
      'lead',
    ]);
    const invited = await invite(api, lead, asked());
    await api.post(people.admin, `/people/${lead.id}/remove`);
    expect(codeOf(await preview(test, invited))).toEqual(NOT_VALID);
    expect(codeOf(await join(test, invited))).toEqual(NOT_VALID);
  });
});

describe('a wrong attempt', () => {
  let invited: Invited;
  let key: Joiner;
  beforeEach(async () => {
    invited = await invite(api, people.lead, asked());
    key = makeKey();
  });

  const hour = (hours: number): number => Math.floor(Date.now() / 1000) + hours * 3600;

  it.each<[string, () => Promise<string>]>([
    ['another key', () => joinProof(test, invited.id, makeKey().privateKey)],
    ['another type', () => joinProof(test, invited.id, key.privateKey, {}, { typ: 'JWT' })],
    ['no type', () => joinProof(test, invited.id, key.privateKey, {}, { typ: undefined })],
    [
      'a key of its own',
      () => joinProof(test, invited.id, key.privateKey, {}, { jwk: key.publicKey }),
    ],
    [
      'another audience',
      () => joinProof(test, invited.id, key.privateKey, { aud: `${test.url}/oauth/token` }),
    ],
    [
      'several audiences',
      () => joinProof(test, invited.id, key.privateKey, { aud: [test.broker.issuer] }),
    ],
    [
      'another invitation',
      () => joinProof(test, invited.id, key.privateKey, { sub: `inv_${'0'.repeat(26)}` }),
    ],
    ['an end long ago', () => joinProof(test, invited.id, key.privateKey, { exp: hour(-1) })],
    ['an end far off', () => joinProof(test, invited.id, key.privateKey, { exp: hour(1) })],
    ['a beginning to come', () => joinProof(test, invited.id, key.privateKey, { iat: hour(1) })],
    ['no id', () => joinProof(test, invited.id, key.privateKey, { jti: undefined })],
    ['no signature', async () => 'eyJhbGciOiJub25lIn0.e30.'],
    ['nonsense', async () => 'nonsense'],
  ])('with a proof by or of %s uses up nothing', async (_name, proof) => {
    const refused = await join(test, invited, key, { proof: await proof() });
    expect([...codeOf(refused), refused.body.param]).toEqual([400, 'invalid_request', 'proof']);
    expect((await join(test, invited, key)).status).toBe(201);
  });

  it('with a key that somebody has uses up nothing', async () => {
    const refused = await join(test, invited, people.researcher);
    expect([...codeOf(refused), refused.body.param]).toEqual([409, 'already_exists', 'publicKey']);
    expect((await join(test, invited, key)).status).toBe(201);
  });

  it('with a private key is refused, and not echoed', async () => {
    const d = key.privateKey.export({ format: 'jwk' }).d as string;
    const refused = await join(test, invited, {
      ...key,
      publicKey: { ...key.publicKey, d } as Joiner['publicKey'],
    });
    expect(codeOf(refused)).toEqual([400, 'invalid_request']);
    expect(JSON.stringify(refused.body)).not.toContain(d);
  });

  it('under a name or subject that was taken since says what to do, and not by whom', async () => {
    const { broker } = test;
    const bySubject = [
      await invite(api, people.lead, asked({ subject: 'twin' })),
      await invite(api, people.lead, asked({ subject: 'twin' })),
    ] as const;
    const body = (): object => asked({ name: 'Twin', expiresInHours: 1 });
    const early = await invite(api, people.lead, body());
    // Over by a clock that ran ahead, and open again when it was set right.
    ahead = 2 * HOUR;
    api = new Api(test);
    const late = await join(test, await invite(api, people.lead, body()));
    ahead = 0;
    const taken = await join(test, bySubject[0]);
    expect([late.status, taken.status]).toEqual([201, 201]);
    for (const [link, param, other] of [
      [early, 'name', late],
      [bySubject[1], 'subject', taken],
    ] as const) {
      const refused = await join(test, link);
      expect([...codeOf(refused), refused.body.param]).toEqual([409, 'already_exists', param]);
      expect(refused.body.detail).toContain('Ask whoever invited you');
      expect(JSON.stringify(refused.body)).not.toContain(other.body.id as string);
      expect(broker.readers.readInvitation(link.id)?.endedAt).toBeNull();
    }
  });
});

it('of 20 who join by one link at the same time, one does', async () => {
  const invited = await invite(api, people.lead, asked({ name: 'Only One' }));
  const answers = await Promise.all(Array.from({ length: 20 }, () => join(test, invited)));
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  for (const answer of answers.filter(({ status }) => status !== 201))
    expect(codeOf(answer)).toEqual(NOT_VALID);
  const list = await api.get(people.lead, `/people?lab=${people.partner.id}&limit=200`);
  const named = list.body.items.filter(({ name }: { name: string }) => name === 'Only One');
  expect(named).toHaveLength(1);
});

describe('under a grant', () => {
  const CAP = 4;
  /** The lead and the first researcher, and room for two more. */
  const capped = (): Promise<Grant> => makeActiveGrant(test, people, { maxPeople: CAP });

  it('the person is on the roster, has accepted the terms, and gets a token', async () => {
    const grant = await capped();
    const rosterUntil = new Date(Date.now() + 100 * HOUR).toISOString();
    const invited = await invite(api, people.lead, asked({ grant: grant.id, rosterUntil }));
    const shown = await preview(test, invited);
    expect(shown.body.grant).toEqual({
      id: grant.id,
      title: grant.spec.title,
      state: 'active',
      window: grant.spec.window,
      purposes: grant.spec.purposes.allowed,
      models: ['model-a-1', 'model-b-1'],
      terms: grant.spec.terms,
      termsDigest: grant.termsDigest,
    });
    const key = makeKey();
    const size = test.broker.readers.logSize();
    const { termsDigest } = shown.body.grant;
    const joined = await join(test, invited, key, { termsDigest });
    expect(joined.status).toBe(201);
    const person = await asPerson(joined, key);
    expect(entriesFrom(size)).toMatchObject([
      { kind: 'person.joined', grant: grant.id, person: person.id },
      {
        kind: 'grant.terms_accepted',
        actor: { person: person.id },
        grant: grant.id,
        grantVersion: grant.version,
        data: { termsDigest, forLab: false },
      },
    ]);
    const after = await api.get(people.lead, `/grants/${grant.id}`);
    expect(after.body).toMatchObject({
      joiners: [{ personId: person.id, until: rosterUntil }],
      leavers: [],
    });
    expect(after.body.acceptedBy).toContain(person.id);
    const access = { grant: grant.id, purpose: 'scheming', run: 'first' } as const;
    expect(await getToken(test, person, access)).toMatch(/^eyJ/);
    const usage = await api.get(people.lead, `/grants/${grant.id}/usage`);
    const ids = usage.body.people.map(({ personId }: { personId: string }) => personId);
    expect(ids).toContain(person.id);
  });

  it('nobody joins a grant in force without having read its terms as they are', async () => {
    const grant = await capped();
    const invited = await invite(api, people.lead, asked({ grant: grant.id }));
    for (const changes of [{}, { termsDigest: '0'.repeat(64) }]) {
      const refused = await join(test, invited, makeKey(), changes);
      expect([...codeOf(refused), refused.body.param]).toEqual([
        403,
        'terms_not_accepted',
        'termsDigest',
      ]);
    }
    const { termsDigest } = grant;
    expect((await join(test, invited, makeKey(), { termsDigest })).status).toBe(201);
  });

  it('open invitations count against the cap, ended ones and removed people do not', async () => {
    const grant = await capped();
    const { termsDigest } = grant;
    const body = (): object => asked({ grant: grant.id });
    const full = async (): Promise<void> =>
      expect(codeOf(await api.post(people.lead, '/invitations', body()))).toEqual([
        409,
        'roster_full',
      ]);
    const first = await invite(api, people.lead, body());
    const second = await invite(api, people.lead, body());
    await full();
    const joined = await join(test, first, makeKey(), { termsDigest });
    expect(joined.status).toBe(201);
    await full();
    await api.post(people.lead, `/invitations/${second.id}/withdraw`);
    const third = await invite(api, people.lead, asked({ grant: grant.id, expiresInHours: 1 }));
    await full();
    ahead = HOUR;
    api = new Api(test);
    expect(codeOf(await join(test, third))).toEqual(NOT_VALID);
    await invite(api, people.lead, body());
    await full();
    await api.post(people.lead, `/people/${joined.body.id}/remove`);
    await invite(api, people.lead, body());
    await full();
  });

  it('as many join at the same time as the cap has places for', async () => {
    const open = await capped();
    const invited = await Promise.all(
      [1, 2].map(() => invite(api, people.lead, asked({ grant: open.id }))),
    );
    const { termsDigest } = open;
    const answers = await Promise.all(
      invited.flatMap((link) =>
        Array.from({ length: 5 }, () => join(test, link, makeKey(), { termsDigest })),
      ),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(2);
    const shown = await api.get(people.lead, `/grants/${open.id}`);
    expect(shown.body.joiners).toHaveLength(2);
  });

  it('a grant that names its people and no others takes nobody', async () => {
    const grant = await makeActiveGrant(test, people);
    const answer = await api.post(people.lead, '/invitations', asked({ grant: grant.id }));
    expect(codeOf(answer)).toEqual([409, 'roster_full']);
    expect(answer.body.detail).toContain('maxPeople');
  });

  it("another lab's grant looks like none", async () => {
    const grant = await capped();
    const body = asked({ lab: people.otherPartner.id, grant: grant.id });
    for (const who of [people.otherLead, people.admin])
      expect(codeOf(await api.post(who, '/invitations', body))).toEqual([404, 'not_found']);
  });

  it.each([
    ['revoked', 'grant_revoked', (id: string) => end(people.admin.id, id, 'revoke')],
    ['closed', 'grant_closed', (id: string) => end(people.lead.id, id, 'close')],
    [
      'over',
      'grant_expired',
      async () => {
        ahead = 25 * HOUR;
        api = new Api(test);
      },
    ],
  ])('a grant that is %s takes nobody, and nothing is half done', async (_name, code, over) => {
    const grant = await capped();
    const { termsDigest } = grant;
    const body = asked({ name: `Late for ${code}`, grant: grant.id });
    const invited = await invite(api, people.lead, body);
    await over(grant.id);
    const size = test.broker.readers.logSize();
    for (const refused of [
      await preview(test, invited),
      await join(test, invited, makeKey(), { termsDigest }),
    ])
      expect(codeOf(refused)).toEqual([403, code]);
    expect(test.broker.readers.logSize()).toBe(size);
    const list = await api.get(people.lead, `/people?limit=200`);
    expect(JSON.stringify(list.body)).not.toContain(`Late for ${code}`);
    expect(codeOf(await api.post(people.lead, '/invitations', body))).toEqual([403, code]);
  });

  it('shows how many places are taken, and how many open invitations hold', async () => {
    const grant = await capped();
    const places = async (): Promise<unknown> =>
      (await api.get(people.lead, `/grants/${grant.id}`)).body.places;
    const taken = grant.spec.people.length;
    expect(await places()).toEqual({ taken, invited: 0 });
    const first = await invite(api, people.lead, asked({ grant: grant.id }));
    const second = await invite(api, people.lead, asked({ grant: grant.id }));
    expect(await places()).toEqual({ taken, invited: 2 });
    await api.post(people.lead, `/invitations/${first.id}/withdraw`);
    const joined = await join(test, second, undefined, {
      termsDigest: grant.termsDigest,
    });
    expect(joined.status).toBe(201);
    expect(await places()).toEqual({ taken: taken + 1, invited: 0 });
    await api.post(people.lead, `/people/${joined.body.id}/remove`);
    expect(await places()).toEqual({ taken, invited: 0 });
    const closed = await makeActiveGrant(test, people);
    expect((await api.get(people.lead, `/grants/${closed.id}`)).body.places).toBeNull();
  });

  it('before it is in force people join, and accept later; no text can hide them', async () => {
    const { lead, researcher, admin, safety } = people;
    const spec = grantInput(people, { people: [], maxPeople: 2 });
    const drafted = (await api.post(lead, '/grants', spec)).body as Grant;
    const key = makeKey();
    const invited = await invite(api, lead, asked({ grant: drafted.id }));
    const person = await asPerson(await join(test, invited, key), key);

    for (const changes of [
      { people: [{ person: researcher.id }], maxPeople: undefined },
      { people: [{ person: researcher.id }], maxPeople: 1 },
    ]) {
      const body = grantInput(people, changes);
      const refused = await api.call(lead, 'put', `/grants/${drafted.id}`, body);
      expect([...codeOf(refused), refused.body.param]).toEqual([
        400,
        'invalid_request',
        'maxPeople',
      ]);
    }

    const { broker } = test;
    await stepGrant(broker, lead.id, drafted.id, 'submit', {});
    await stepGrant(broker, admin.id, drafted.id, 'approve', {});
    await stepGrant(broker, safety.id, drafted.id, 'approve', {});
    const { termsDigest } = drafted;
    await stepGrant(broker, lead.id, drafted.id, 'accept', { termsDigest });
    const access = { grant: drafted.id, purpose: 'scheming', run: 'first' } as const;
    await expect(getToken(test, person, access)).rejects.toThrow('terms_not_accepted');
    const accepted = await api.post(person, `/grants/${drafted.id}/accept`, { termsDigest });
    expect(accepted.status).toBe(200);
    expect(await getToken(test, person, access)).toMatch(/^eyJ/);
  });

  it('a place counts again at joining: an amendment may have taken it', async () => {
    const { lead } = people;
    const spec = grantInput(people, { people: [], maxPeople: 2 });
    const { id } = (await api.post(lead, '/grants', spec)).body as Grant;
    const invited = [
      await invite(api, lead, asked({ grant: id })),
      await invite(api, lead, asked({ grant: id })),
    ];
    const body = grantInput(people, { people: [], maxPeople: 1 });
    expect((await api.call(lead, 'put', `/grants/${id}`, body)).status).toBe(200);
    const answers = await Promise.all(invited.map((link) => join(test, link)));
    expect(answers.map(({ status }) => status)).toEqual(expect.arrayContaining([201, 409]));
  });
});

it('a lab without two people of one name can have one again after a removal', async () => {
  const first = await join(test, await invite(api, people.lead, asked({ name: 'Ren Again' })));
  await api.post(people.lead, `/people/${first.body.id}/remove`);
  const again = await join(test, await invite(api, people.lead, asked({ name: 'Ren Again' })));
  expect(again.status).toBe(201);
  expect(again.body.id).not.toBe(first.body.id);
});

// Last, over everything that happened above.
it('no secret of a link is in the log of the broker, its database or its entries', async () => {
  const open = await invite(api, people.lead, asked());
  const used = await invite(api, people.lead, asked());
  await join(test, used);
  await join(test, { ...open, id: used.id });
  await test.broker.unauthenticated.flush();
  const files = readdirSync(test.dataDir, { recursive: true, encoding: 'utf8' })
    .map((name) => joinPath(test.dataDir, name))
    .filter((path) => statSync(path).isFile());
  expect(files.some((path) => path.endsWith('sallyport.db'))).toBe(true);
  for (const { secret } of [open, used]) {
    expect(logged).not.toContain(secret);
    for (const path of files) {
      const bytes = readFileSync(path);
      expect([path, bytes.includes(secret)]).toEqual([path, false]);
      expect([path, bytes.includes(Buffer.from(secret, 'base64url'))]).toEqual([path, false]);
    }
  }
});

function end(actorId: string, grantId: string, step: 'revoke' | 'close'): Promise<Grant> {
  return stepGrant(test.broker, actorId, grantId, step, { grounds: 'For the test' });
}
