/** Duties: what follows when access ends, for whatever reason, until it is done. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runAgenda } from '../../src/broker/run-agenda.ts';
import type { Grant } from '../../src/core/grants.ts';
import { Api } from '../support/api.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { admitForTest } from '../support/live-request.ts';
import { makePeople, makePerson, type People } from '../support/people.ts';
import { entriesSince } from '../support/refusals.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const clock = new SetClock();
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
let test: TestBroker;
let people: People;
let api: Api;

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
  api = new Api(test);
});
afterAll(() => test.close());

/** Tokens of the control API live no longer than a quarter of an hour: new ones are got after it. */
function moveTo(now: number): void {
  clock.now = now;
  api = new Api(test);
}

const at = (ms: number): string => new Date(ms).toISOString();
const DUTIES = [
  { kind: 'destroy_tokens' as const, text: 'Every token ends', within: '1d' },
  {
    kind: 'certificate_of_destruction' as const,
    text: 'Destroy the transcripts, and say so',
    within: '14d',
  },
];
const withDuties = (more: object = {}): Promise<Grant> =>
  makeActiveGrant(test, people, {
    duties: DUTIES,
    window: { from: at(clock.now - HOUR), until: at(clock.now + 2 * DAY) },
    ...more,
  });

interface Shown {
  id: string;
  kind: string;
  state: string;
  cause: string;
  person: string | null;
  overdue: boolean;
  dueAt: string;
  statement: string | null;
}

/** Those of a grant, in the order of its text. */
const dutiesOf = async (grant: Grant): Promise<Shown[]> =>
  ((await api.get(people.lead, `/duties?grant=${grant.id}&limit=200`)).body.items as Shown[]).sort(
    (a, b) => b.kind.localeCompare(a.kind),
  );

describe('duties begin', () => {
  it.each<[string, string, (grant: Grant) => Promise<unknown>]>([
    [
      'when the host revokes the grant',
      'revoked',
      ({ id }) => api.post(people.safety, `/grants/${id}/revoke`, { grounds: 'Over' }),
    ],
    [
      'when the partner hands it back',
      'closed',
      ({ id }) => api.post(people.lead, `/grants/${id}/close`),
    ],
    [
      'when its window is over',
      'expired',
      async () => {
        moveTo(clock.now + 2 * DAY);
        test.broker.live.decideAgain();
        await runAgenda(test.broker);
      },
    ],
  ])('%s, and what is running is cut', async (_when, cause, end) => {
    const grant = await withDuties();
    const live = await admitForTest(test, grant, people.researcher);
    const from = test.broker.readers.logSize();
    await end(grant);
    expect(live.cancellation.isCancelled).toBe(true);
    await live.end();
    const duties = await dutiesOf(grant);
    expect(duties.map(({ kind, state, person }) => [kind, state, person])).toEqual([
      ['destroy_tokens', 'done', null],
      ['certificate_of_destruction', 'open', null],
    ]);
    expect(new Set(duties.map((duty) => duty.cause))).toEqual(new Set([cause]));
    expect(duties[1]?.dueAt).toBe(at(clock.now + 14 * DAY));
    const kinds = entriesSince(test, from).map(({ kind }) => kind);
    expect(kinds).toEqual(expect.arrayContaining([`grant.${cause}`, 'duty.begun']));
    for (const kind of ['grant.ended', 'duty.begun']) {
      const told = await api.get(people.lead, `/notices?ref=${grant.id}&kind=${kind}`);
      expect(told.body.items.length).toBeGreaterThan(0);
    }
    expect((await api.get(people.lead, `/grants/${grant.id}`)).body.endedAt).toBe(at(clock.now));
  });

  it.each<[string, string, (grant: Grant, person: string) => Promise<unknown>]>([
    [
      'hands their place back',
      'handed_back',
      ({ id }, person) => api.post(people.lead, `/people/${person}/hand-back`, { grant: id }),
    ],
    [
      'is taken off the roster',
      'taken_off',
      ({ id }, person) => api.call(people.lead, 'delete', `/grants/${id}/people/${person}`),
    ],
    [
      'is removed',
      'person_removed',
      (_grant, person) => api.post(people.lead, `/people/${person}/remove`),
    ],
  ])('for one person who %s, and for nobody else', async (_how, cause, end) => {
    const { broker } = test;
    const { partner, lead } = people;
    const person = await makePerson(broker, lead.id, partner.id, `Leaver ${cause}`, ['researcher']);
    const grant = await withDuties({ people: [{ person: lead.id }, { person: person.id }] });
    const { termsDigest } = grant;
    await api.post(person, `/grants/${grant.id}/accept`, { termsDigest });
    await end(grant, person.id);
    const duties = await dutiesOf(grant);
    expect(duties).toHaveLength(2);
    expect(duties.map((duty) => [duty.cause, duty.person])).toEqual([
      [cause, person.id],
      [cause, person.id],
    ]);
    expect((await api.get(lead, `/grants/${grant.id}`)).body.status).toBe('active');
  });

  it('with a recall, once executive and auditor have acted, and once only', async () => {
    const executive = await makePerson(test.broker, people.admin.id, people.host.id, 'Exe', [
      'executive',
    ]);
    const [grant, other] = [
      await withDuties({ endpoints: [{ endpoint: 'demo', models: ['model-b-1'] }] }),
      await withDuties({ endpoints: [{ endpoint: 'demo', models: ['model-a-1'] }] }),
    ];
    const recall = { level: 5, selector: { model: 'model-b-1' }, grounds: 'A finding' };
    const order = await api.post(executive, '/orders?confirmed=true', recall);
    expect(order.status).toBe(201);
    expect(await dutiesOf(grant)).toEqual([]);
    expect((await api.post(people.auditor, `/orders/${order.body.id}/ratify`)).status).toBe(200);
    const begun = await dutiesOf(grant);
    expect(begun.map(({ kind, state, cause }) => [kind, state, cause])).toEqual([
      ['destroy_tokens', 'done', 'recalled'],
      ['certificate_of_destruction', 'open', 'recalled'],
    ]);
    expect(await dutiesOf(other)).toEqual([]);
    // Its end asks anew for what was done, and not twice for what is still open.
    await api.post(people.safety, `/grants/${grant.id}/revoke`, { grounds: 'Over' });
    const [certificates, all] = [
      (await dutiesOf(grant)).filter(({ kind }) => kind === 'certificate_of_destruction'),
      await dutiesOf(grant),
    ];
    expect([certificates.length, all.length]).toEqual([1, 3]);
    const second = await makePerson(test.broker, people.admin.id, people.host.id, 'Exe Two', [
      'executive',
    ]);
    await api.post(second, `/orders/${order.body.id}/lift`, { grounds: 'Over' });
  });

  it('with the recall of an authority at once, for the people that it is about alone', async () => {
    const grant = await withDuties();
    const order = await api.post(people.safety, '/orders', {
      level: 5,
      selector: { model: 'model-a-1', grant: grant.id, person: people.researcher.id },
      grounds: 'Court order',
      authority: { kind: 'legal', instrument: 'file 12/26' },
    });
    expect(order.status).toBe(201);
    const duties = await dutiesOf(grant);
    expect(duties.map(({ cause, person }) => [cause, person])).toEqual([
      ['recalled', people.researcher.id],
      ['recalled', people.researcher.id],
    ]);
    await api.post(people.safety, `/orders/${order.body.id}/lift`, { grounds: 'Over' });
  });

  it('anew for the time after one was reported, and however long the texts are', async () => {
    const { broker } = test;
    const { partner, lead } = people;
    const person = await makePerson(broker, lead.id, partner.id, 'Comes Again', ['researcher']);
    const long = Array.from({ length: 15 }, (_, i) => ({
      kind: 'other' as const,
      text: `${i} ${'ü'.repeat(990)}`,
      within: '14d',
    }));
    const grant = await withDuties({
      people: [{ person: lead.id }, { person: person.id }],
      duties: [...DUTIES.slice(1), ...long],
    });
    await api.post(person, `/grants/${grant.id}/accept`, { termsDigest: grant.termsDigest });
    const off = () => api.call(lead, 'delete', `/grants/${grant.id}/people/${person.id}`);
    expect((await off()).status).toBe(200);
    const first = (await dutiesOf(grant)).find(({ kind }) => kind !== 'other');
    await api.post(lead, `/duties/${first?.id}/report`, { statement: 'Done' });
    await api.post(lead, `/grants/${grant.id}/people`, { person: person.id });
    await off();
    const certificates = (await dutiesOf(grant)).filter(({ kind }) => kind !== 'other');
    expect(certificates.map(({ state }) => state).sort((a, b) => a.localeCompare(b))).toEqual([
      'open',
      'reported',
    ]);
    expect(
      (await api.post(people.safety, `/grants/${grant.id}/revoke`, { grounds: 'x' })).status,
    ).toBe(200);
  });

  it('not for access that never was', async () => {
    const grant = await withDuties({
      people: [{ person: people.lead.id }, { person: people.secondResearcher.id }],
    });
    // Never accepted the terms, so there was no token.
    await api.call(
      people.lead,
      'delete',
      `/grants/${grant.id}/people/${people.secondResearcher.id}`,
    );
    expect(await dutiesOf(grant)).toEqual([]);
  });
});

describe('a duty', () => {
  const ended = async (): Promise<Shown> => {
    const grant = await withDuties();
    await api.post(people.lead, `/grants/${grant.id}/close`);
    return (await dutiesOf(grant))[1] as Shown;
  };
  const step = (by: keyof People, { id }: Shown, name: string, body: object = {}) =>
    api.post(people[by] as never, `/duties/${id}/${name}`, body);
  const statement = 'All transcripts were destroyed on 3 May.';

  it('is reported by the lead, returned, reported again, and confirmed by somebody of the host', async () => {
    const duty = await ended();
    const from = test.broker.readers.logSize();
    const documentDigest = 'a'.repeat(64);
    const first = await step('lead', duty, 'report', { statement, documentDigest });
    expect(first.body).toMatchObject({ state: 'reported', statement, documentDigest });
    const back = await step('auditor', duty, 'return', { grounds: 'It names another grant.' });
    expect(back.body).toMatchObject({
      state: 'open',
      returnGrounds: 'It names another grant.',
    });
    await step('lead', duty, 'report', { statement });
    const done = await step('safety', duty, 'confirm');
    expect(done.body).toMatchObject({
      state: 'done',
      confirmedBy: people.safety.id,
      documentDigest: null,
    });
    const kinds = entriesSince(test, from).map(({ kind }) => kind);
    expect(kinds.filter((kind) => String(kind).startsWith('duty.'))).toEqual([
      'duty.reported',
      'duty.returned',
      'duty.reported',
      'duty.confirmed',
    ]);
  });

  it('is not judged by those who owe it, nor reported by those who judge it', async () => {
    const duty = await ended();
    expect((await step('admin', duty, 'report', { statement })).body.code).toBe('role_required');
    expect((await step('researcher', duty, 'report', { statement })).body.code).toBe(
      'role_required',
    );
    expect((await step('otherLead', duty, 'report', { statement })).body.code).toBe('not_found');
    expect((await api.get(people.otherLead, `/duties/${duty.id}`)).body.code).toBe('not_found');
    await step('lead', duty, 'report', { statement });
    expect((await step('lead', duty, 'confirm')).body.code).toBe('role_required');
    expect((await step('partnerAuditor', duty, 'confirm')).body.code).toBe('role_required');
    expect((await step('outsideAuditor', duty, 'confirm')).status).toBe(200);
  });

  it('takes each step once, in its order', async () => {
    const duty = await ended();
    const refused = async (name: string, body: object = {}) => {
      const by = name === 'report' ? 'lead' : 'admin';
      const answer = await step(by, duty, name, body);
      expect([name, answer.status, answer.body.code]).toEqual([name, 409, 'illegal_transition']);
    };
    await refused('confirm');
    await refused('return', { grounds: 'Why' });
    const both = await Promise.all([
      step('lead', duty, 'report', { statement }),
      step('lead', duty, 'report', { statement }),
    ]);
    expect(new Set(both.map(({ status }) => status))).toEqual(new Set([200, 409]));
    await step('admin', duty, 'confirm');
    await refused('report', { statement });
    await refused('return', { grounds: 'Why' });
  });

  it('is reminded of, and overdue until it is done', async () => {
    const duty = await ended();
    const notices = async (kind: string): Promise<number> => {
      await runAgenda(test.broker);
      const answer = await api.get(people.lead, `/notices?ref=${duty.id}&kind=${kind}`);
      return answer.body.items.length as number;
    };
    const due = Date.parse(duty.dueAt);
    moveTo(due - 7 * DAY - 1);
    expect(await notices('duty.due')).toBe(0);
    moveTo(due - DAY);
    expect(await notices('duty.due')).toBe(2);
    moveTo(due);
    const from = test.broker.readers.logSize();
    expect(await notices('duty.overdue')).toBe(1);
    const overdue = entriesSince(test, from).filter(
      ({ kind, ref }) => kind === 'duty.overdue' && ref === duty.id,
    );
    expect(overdue).toHaveLength(1);
    expect((await api.get(people.lead, `/duties/${duty.id}`)).body.overdue).toBe(true);
    await step('lead', duty, 'report', { statement });
    expect((await step('admin', duty, 'confirm')).body.overdue).toBe(false);
  });
});
