/** Names of people: nobody in the log is to be taken for somebody else of their lab. */
import type { Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Api } from '../support/api.ts';
import { invite, join } from '../support/invitations.ts';
import { makeKey, makePeople, makePerson, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  api = new Api(test);
});
afterAll(() => test.close());

const asked = (changes: object): object => ({
  lab: people.partner.id,
  roles: ['researcher'],
  ...changes,
});
const toInvite = (changes: object) => api.post(people.lead, '/invitations', asked(changes));
const toRegister = (changes: object) =>
  api.post(people.lead, '/people', { ...asked(changes), publicKey: makeKey().publicKey });

const refusalOf = ({ status, body }: Response): [number, string, string] => {
  const { code, param } = body as { code: string; param: string };
  return [status, code, param];
};
const TAKEN = [409, 'already_exists', 'name'];

describe('a name that people would take for the same', () => {
  beforeAll(async () => {
    await makePerson(test.broker, people.lead.id, people.partner.id, 'José Weiß', ['researcher']);
    await invite(api, people.lead, asked({ name: 'Ana Prado' }));
  });

  it.each([
    ['as it is', 'José Weiß'],
    ['in other case', 'JOSÉ weiß'],
    ['with its letters put together another way', 'Jose\u0301 Weiß'],
    ['with another space', 'José\u00a0Weiß'],
    ['with more spaces', 'José   Weiß'],
    ['in wide letters', '\uff2aosé Weiß'],
    ['spelt out', 'José Weiss'],
    ['of somebody who is invited', 'ana prado'],
  ])('%s is refused, registered or invited', async (_how, name) => {
    for (const ask of [toInvite, toRegister]) expect(refusalOf(await ask({ name }))).toEqual(TAKEN);
  });

  it('is anybody’s in another lab, and another one anybody’s in this', async () => {
    const elsewhere = { lab: people.otherPartner.id, name: 'José Weiß' };
    const answer = await api.post(people.admin, '/invitations', asked(elsewhere));
    expect(answer.status).toBe(201);
    for (const name of ['José Weißer', 'JoséWeiß', 'Jose Weiß'])
      expect([name, (await toInvite({ name })).status]).toEqual([name, 201]);
  });

  it('is free again after a withdrawal, and after a removal', async () => {
    const { id } = await invite(api, people.lead, asked({ name: 'Ivo Free' }));
    const refused = await toInvite({ name: 'Ivo Free' });
    expect(refused.body.detail).toContain(`sallyport person uninvite ${id}`);
    await api.post(people.lead, `/invitations/${id}/withdraw`);
    const joined = await join(test, await invite(api, people.lead, asked({ name: 'Ivo Free' })));
    expect(refusalOf(await toInvite({ name: 'IVO FREE' }))).toEqual(TAKEN);
    await api.post(people.lead, `/people/${joined.body.id as string}/remove`);
    expect((await toInvite({ name: 'ivo free' })).status).toBe(201);
  });
});

it('of somebody who has lost every key: the refusal says how they come in again', async () => {
  const { id, kid, name } = await makePerson(
    test.broker,
    people.lead.id,
    people.partner.id,
    'Kay Lost',
    ['researcher'],
  );
  const before = await toInvite({ name });
  expect(before.body.detail).toContain('tells the two apart');
  await api.call(people.lead, 'delete', `/people/${id}/keys/${kid}`);
  const refused = await toInvite({ name });
  expect(refusalOf(refused)).toEqual(TAKEN);
  expect(refused.body.detail).toContain(`sallyport person remove ${id}`);
  expect(refused.body.detail).toContain('maxPeople');
  await api.post(people.lead, `/people/${id}/remove`);
  expect((await toInvite({ name })).status).toBe(201);
});

it('an invitation is refused whose use could not be recorded', async () => {
  // A control character takes six bytes in an entry.
  const attributes = (length: number): Record<string, string> =>
    Object.fromEntries(
      Array.from({ length: 32 }, (_, i) => [
        `a${i}`,
        '\u0001'.repeat(Math.min(500, Math.max(0, length - i * 500))),
      ]),
    );
  const tried: [number, Response][] = [];
  for (let [fits, outgrows] = [5_000, 16_000]; outgrows - fits > 1;) {
    const length = (fits + outgrows) >> 1;
    const answer = await toInvite({ name: `Long ${length}`, attributes: attributes(length) });
    tried.push([length, answer]);
    [fits, outgrows] = answer.status === 201 ? [length, outgrows] : [fits, length];
  }
  const refused = tried.filter(([, { status }]) => status !== 201);
  expect(new Set(refused.map(([, answer]) => refusalOf(answer).join()))).toEqual(
    new Set(['400,invalid_request,attributes']),
  );
  const [, largest] = tried
    .filter(([, { status }]) => status === 201)
    .reduce((most, one) => (one[0] > most[0] ? one : most));
  const { id, link } = largest.body as { id: string; link: string };
  const joined = await join(test, { id, secret: link.slice(link.lastIndexOf('.') + 1) });
  expect(joined.status).toBe(201);
});

describe('names of attributes', () => {
  it.each(['__proto__', 'a b', '1st', ''])('%j is refused by name', async (name) => {
    const attributes = `{"lab":"${people.partner.id}","name":"Ann","roles":["lead"],"attributes":{"${name}":"x"}}`;
    for (const path of ['/invitations', '/people']) {
      const answer = await fetch(`${test.url}/api/v1${path}`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${await api.tokenOf(people.lead)}`,
          'content-type': 'application/json',
        },
        body: attributes,
      });
      expect(answer.status).toBe(400);
      expect(((await answer.json()) as { detail: string }).detail).toContain(name);
    }
  });

  it('such as an object has by itself are names like others', async () => {
    const attributes = { constructor: 'x', toString: 'y', hasOwnProperty: 'z' };
    const joined = await join(
      test,
      await invite(api, people.lead, asked({ name: 'Obi', attributes })),
    );
    expect(joined.body.attributes).toEqual(attributes);
  });
});

it('sentences are whole', async () => {
  const body = { ...asked({ name: 'Aud' }), lab: people.auditLab.id, roles: ['lead'] };
  const wrong = await api.post(people.admin, '/invitations', body);
  expect(wrong.body.detail).toBe('People of an auditor lab can be: auditor.');
  const empty = await toInvite({ name: '' });
  expect(empty.body.detail).toBe('"name" (body) must not be empty.');
});
