/** A partner's people see nothing of another partner, and of the host only its name. */
import type { Response } from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Grant } from '../../src/core/grants.ts';
import { Api } from '../support/api.ts';
import { grantInput, makeActiveGrant } from '../support/grants.ts';
import { getToken, makeKey, makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;
let api: Api;
let grant: Grant;
let orders: Record<'grant' | 'lab' | 'person' | 'model', string>;
let otherGrant: string;
let tokenId: string;
let runId: string;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  api = new Api(test);
  grant = await makeActiveGrant(test, people);
  const own = grantInput(people, {
    lab: people.otherPartner.id,
    people: [{ person: people.otherResearcher.id }],
    endpoints: [{ endpoint: 'demo', models: ['model-b-1'] }],
  });
  otherGrant = (await api.post(people.otherLead, '/grants', own)).body.id as string;
  await getToken(test, people.researcher, { grant: grant.id, purpose: 'scheming', run: 'one' });
  const tokens = await api.get(people.lead, `/tokens?grant=${grant.id}`);
  tokenId = tokens.body.items[0].id as string;
  runId = tokens.body.items[0].runId as string;
  const issue = async (selector: object): Promise<string> => {
    const answer = await api.post(people.safety, '/orders?confirmed=true', {
      selector,
      grounds: 'For the test',
      evidence: { class: 'written', text: 'Names of others' },
    });
    return answer.body.id as string;
  };
  orders = {
    grant: await issue({ grant: grant.id }),
    lab: await issue({ lab: people.partner.id }),
    person: await issue({ person: people.researcher.id }),
    model: await issue({ model: 'model-a-1' }),
  };
});
afterAll(() => test.close());

const idsOf = (list: Response): string[] =>
  list.body.items.map((item: { id: string }) => item.id).sort();

describe("another partner's lead", () => {
  it('is told that there is no such thing, in the same words as for what does not exist', async () => {
    const { otherLead, partner, researcher } = people;
    const none = (id: string): string => id.slice(0, 4) + '0'.repeat(26);
    const publicKey = makeKey().publicKey;
    const spec = grantInput(people);
    const { termsDigest } = grant;
    const calls: [Parameters<Api['call']>[1], string, string, object?][] = [
      ['get', '/labs/', partner.id],
      ['get', '/people/', researcher.id],
      ['post', '/people/*/keys', researcher.id, { publicKey }],
      ['delete', `/people/*/keys/${researcher.kid}`, researcher.id],
      ['post', '/people/*/remove', researcher.id],
      ['get', '/grants/', grant.id],
      ['get', '/grants/*/usage', grant.id],
      ['put', '/grants/', grant.id, spec],
      ['post', '/grants/*/submit', grant.id],
      ['post', '/grants/*/close', grant.id],
      ['post', '/grants/*/accept', grant.id, { termsDigest }],
      ['get', '/orders/', orders.grant],
      ['get', '/orders/', orders.lab],
      ['get', '/orders/', orders.person],
      ['get', '/orders/', orders.model],
      ['post', '/tokens/*/revoke', tokenId],
      ['get', '/runs/', runId],
      ['post', '/runs/*/end', runId],
      ['post', '/people/*/hand-back', researcher.id],
    ];
    for (const [method, path, id, body] of calls) {
      const at = (what: string): string =>
        path.includes('*') ? path.replace('*', what) : path + what;
      const hidden = await api.call(otherLead, method, at(id), body);
      const absent = await api.call(otherLead, method, at(none(id)), body);
      expect([path, hidden.status, hidden.body.code]).toEqual([path, 404, 'not_found']);
      expect(absent.body.detail).toBe(hidden.body.detail);
    }
    expect((await api.get(people.lead, `/people/${researcher.id}`)).body.removedAt).toBeNull();
  });

  it('sees empty lists, also when asking for the other lab by name', async () => {
    const { otherLead, partner, researcher } = people;
    for (const path of [
      `/grants?lab=${partner.id}`,
      `/people?lab=${partner.id}`,
      `/tokens?person=${researcher.id}`,
      `/tokens?grant=${grant.id}`,
      `/tokens?run=${runId}`,
      `/tokens?key=${researcher.kid}`,
      `/runs?grant=${grant.id}`,
      `/runs?person=${researcher.id}`,
      '/orders',
      `/log/entries?grant=${grant.id}`,
    ]) {
      const answer = await api.get(otherLead, path);
      expect([path, answer.status, answer.body.items]).toEqual([path, 200, []]);
    }
  });

  it('sees in the log no more of the other lab than what it was itself refused', async () => {
    const { otherLead, otherPartner } = people;
    const { body } = await api.get(otherLead, `/log/entries?ref=${grant.id}`);
    expect(body.items.length).toBeGreaterThan(0);
    for (const { entry } of body.items) {
      expect([entry.kind, entry.actor.lab]).toEqual(['action.denied', otherPartner.id]);
    }
  });

  it('sees its own grants', async () => {
    const list = await api.get(people.otherLead, '/grants');
    expect(idsOf(list)).toEqual([otherGrant]);
    const byName = await api.get(people.otherLead, `/grants?lab=${people.otherPartner.id}`);
    expect(idsOf(byName)).toEqual([otherGrant]);
  });

  it('sees in no list anything that names the first partner', async () => {
    const { partner, lead, researcher } = people;
    for (const path of [
      '/labs',
      '/people',
      '/grants',
      '/tokens',
      '/runs',
      '/orders',
      '/endpoints',
      '/log/entries',
    ]) {
      const { body } = await api.get(people.otherLead, path);
      // Refusals repeat the ids that the lead had tried.
      const text = JSON.stringify(
        body.items.filter(
          ({ entry }: { entry?: { kind: string } }) => entry?.kind !== 'action.denied',
        ),
      );
      for (const id of [partner.id, partner.name, lead.id, researcher.id, grant.id])
        expect(text.includes(id) ? `${id} in ${path}` : '').toBe('');
    }
  });

  it('cannot register people in, or draft grants for, another lab', async () => {
    const { otherLead, partner } = people;
    const person = await api.post(otherLead, '/people', {
      lab: partner.id,
      name: 'Mole',
      roles: ['lead'],
      publicKey: makeKey().publicKey,
    });
    expect([person.status, person.body.code]).toEqual([404, 'not_found']);
    const drafted = await api.post(otherLead, '/grants', grantInput(people));
    expect([drafted.status, drafted.body.code]).toEqual([404, 'not_found']);
  });
});

describe("a partner's people", () => {
  it('see their own lab and the host, and nobody of the host', async () => {
    const { host, partner, lead, researcher, secondResearcher, partnerAuditor } = people;
    const labs = await api.get(researcher, '/labs');
    expect(idsOf(labs)).toEqual([host.id, partner.id].sort());
    expect((await api.get(researcher, `/labs/${host.id}`)).body.name).toBe('Host Lab');
    const list = await api.get(researcher, '/people');
    const own = [lead, researcher, secondResearcher, partnerAuditor];
    expect(idsOf(list)).toEqual(own.map((person) => person.id).sort());
    expect((await api.get(researcher, `/people/${people.admin.id}`)).status).toBe(404);
  });

  it('see the orders that touch them, with grounds but without evidence', async () => {
    const list = await api.get(people.lead, '/orders');
    expect(idsOf(list)).toEqual(Object.values(orders).sort());
    const shown = await api.get(people.researcher, `/orders/${orders.model}`);
    expect(shown.body.grounds).toBe('For the test');
    expect(shown.body).not.toHaveProperty('evidence');
    const whole = await api.get(people.admin, `/orders/${orders.model}`);
    expect(whole.body.evidence).toEqual({ class: 'written', text: 'Names of others' });
  });

  it('never see where an endpoint is; nobody sees its credential', async () => {
    for (const path of ['/endpoints', '/endpoints/demo']) {
      const partner = JSON.stringify((await api.get(people.lead, path)).body);
      expect(partner).toContain('output-classifier');
      expect(partner).not.toMatch(/upstream|127\.0\.0\.1|redential/);
    }
    const host = await api.get(people.admin, '/endpoints/demo');
    expect(host.body).toMatchObject({ upstream: 'http://127.0.0.1:9/v1', hasCredential: false });
    expect(host.body).not.toHaveProperty('credential');
  });

  it('a researcher sees their own tokens and entries only', async () => {
    const { researcher, secondResearcher } = people;
    const own = await api.get(researcher, '/tokens');
    const holders = new Set(own.body.items.map((token: { personId: string }) => token.personId));
    expect([...holders]).toEqual([researcher.id]);
    expect((await api.get(secondResearcher, `/tokens?person=${researcher.id}`)).body.items).toEqual(
      [],
    );
    const revoke = await api.post(secondResearcher, `/tokens/${tokenId}/revoke`);
    expect([revoke.status, revoke.body.code]).toEqual([404, 'not_found']);
    const entries = await api.get(secondResearcher, '/log/entries?limit=200');
    for (const { entry } of entries.body.items) expect(entry.person).toBe(secondResearcher.id);
  });
});
