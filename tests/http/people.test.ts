import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mintId } from '../../src/lib/ids.ts';
import { Api } from '../support/api.ts';
import { getToken, makeKey, makePeople, type People } from '../support/people.ts';
import { withStrayBits } from '../support/stray-bits.ts';
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

describe('labs', () => {
  it('are registered by the host, once for each name', async () => {
    const lab = { name: 'Third Partner', kind: 'partner' };
    const made = await api.post(people.admin, '/labs', lab);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ ...lab, id: expect.stringMatching(/^lab_/) as string });
    expect((await api.get(people.auditor, `/labs/${made.body.id}`)).body).toEqual(made.body);
    const twice = await api.post(people.admin, '/labs', lab);
    expect([twice.status, twice.body.code]).toEqual([409, 'already_exists']);
    const host = await api.post(people.admin, '/labs', { name: 'Another host', kind: 'host' });
    expect([host.status, host.body.errors[0].path]).toEqual([400, 'kind']);
  });

  it('are listed in pages', async () => {
    const first = await api.get(people.admin, '/labs?limit=3');
    expect(first.body.items).toHaveLength(3);
    const rest = await api.get(people.admin, `/labs?limit=200&cursor=${first.body.next}`);
    expect(rest.body.next).toBeNull();
    const ids = [...first.body.items, ...rest.body.items].map((lab: { id: string }) => lab.id);
    expect(ids).toEqual([...ids].sort());
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('people', () => {
  it('have keys in one form only, since another form of a key would be another key', async () => {
    const { researcher, lead, partner } = people;
    const publicKey = { ...researcher.publicKey, x: withStrayBits(researcher.publicKey.x) };
    const person = { lab: partner.id, name: 'Str Ay', roles: ['researcher'], publicKey };
    const joining = { secret: 's'.repeat(43), publicKey, proof: 'a.b.c' };
    for (const [path, body] of [
      ['/people', person],
      [`/people/${lead.id}/keys`, { publicKey }],
      [`/invitations/${mintId('inv', Date.now())}/join`, joining],
    ] as const) {
      const answer = await api.post(lead, path, body);
      expect([path, answer.status, answer.body.code]).toEqual([path, 400, 'invalid_request']);
      expect(answer.body.errors).toEqual([
        {
          in: 'body',
          path: 'publicKey.x',
          message: 'must be 32 bytes in base64url, without stray bits at its end',
        },
      ]);
    }
  });

  it('are registered by their lead, with a key that nobody else has or had', async () => {
    const { publicKey } = makeKey();
    const body = {
      lab: people.partner.id,
      name: 'Nia New',
      roles: ['researcher'],
      attributes: { employer: 'Partner Lab' },
      publicKey,
    };
    const made = await api.post(people.lead, '/people', body);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      lab: people.partner.id,
      name: 'Nia New',
      attributes: { employer: 'Partner Lab' },
      keys: [{ kid: expect.stringMatching(/^[\w-]{43}$/) as string }],
      removedAt: null,
    });
    const taken = await api.post(people.lead, '/people', { ...body, name: 'Twin' });
    expect([taken.status, taken.body.code, taken.body.param]).toEqual([
      409,
      'already_exists',
      'publicKey',
    ]);
  });

  it.each([
    ['a private key', { d: 'A'.repeat(43) }],
    ['a key of another kind', { crv: 'P-256' }],
  ])('%s is refused, and not echoed', async (_name, changes) => {
    const publicKey = { ...makeKey().publicKey, ...changes };
    const answer = await api.post(people.researcher, `/people/${people.researcher.id}/keys`, {
      publicKey,
    });
    expect([answer.status, answer.body.code]).toEqual([400, 'invalid_request']);
    expect(JSON.stringify(answer.body)).not.toContain('AAAA');
  });

  it('have the roles of their kind of lab only', async () => {
    const answer = await api.post(people.lead, '/people', {
      lab: people.partner.id,
      name: 'Climber',
      roles: ['researcher', 'admin'],
      publicKey: makeKey().publicKey,
    });
    expect([answer.status, answer.body.param]).toEqual([400, 'roles']);
  });

  it('get and lose keys; a lost key ends what was obtained with it', async () => {
    const { lead, secondResearcher } = people;
    const keys = `/people/${secondResearcher.id}/keys`;
    const byLead = await api.post(lead, keys, { publicKey: makeKey().publicKey });
    expect([byLead.status, byLead.body.code]).toEqual([404, 'not_found']);
    const added = await api.post(secondResearcher, keys, { publicKey: makeKey().publicKey });
    expect(added.status).toBe(201);
    expect(added.body.keys).toHaveLength(2);
    const path = `/people/${secondResearcher.id}/keys/${secondResearcher.kid}`;
    const removed = await api.call(secondResearcher, 'delete', path);
    expect([removed.status, removed.body.keys.length]).toEqual([200, 1]);
    await expect(getToken(test, secondResearcher)).rejects.toThrow('invalid_client');
    const again = await api.call(lead, 'delete', path);
    expect([again.status, again.body.code]).toEqual([404, 'not_found']);
  });

  it('are removed for good', async () => {
    const { lead, partnerAuditor } = people;
    const removed = await api.post(lead, `/people/${partnerAuditor.id}/remove`);
    expect(removed.body.removedAt).toMatch(/Z$/);
    const twice = await api.post(lead, `/people/${partnerAuditor.id}/remove`);
    expect([twice.status, twice.body.code]).toEqual([409, 'already_decided']);
  });

  it('learn who they are and what they may do', async () => {
    const answer = await api.get(people.researcher, '/me');
    expect(answer.body).toMatchObject({
      person: { id: people.researcher.id, lab: people.partner.id },
      lab: { id: people.partner.id, kind: 'partner' },
      actions: { 'grant.read': 'lab', 'usage.read': 'self' },
    });
    expect(answer.body.actions).not.toHaveProperty('grant.approve');
  });
});
