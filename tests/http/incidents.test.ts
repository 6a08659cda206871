/** Incidents over the API: what belongs to them, who sees them, their clock, and the log. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Api } from '../support/api.ts';
import { incidentFromLog } from '../support/incident-from-log.ts';
import { makePeople, makePerson, type People, type TestPerson } from '../support/people.ts';
import { eventually } from '../support/running-broker.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const DAY = 86_400_000;
const iso = (ms: number): string => new Date(ms).toISOString();

interface Shown {
  id: string;
  revision: string;
  state: string;
  nextDueAt: string | null;
  overdue: boolean;
  deadlines: { kind: string; dueAt: string; state: string }[];
}

let test: TestBroker;
let people: People;
let executive: TestPerson;
let api: Api;
const clock = new SetClock();

beforeAll(async () => {
  test = await startTestBroker({ clock: clock.read });
  people = await makePeople(test);
  executive = await makePerson(test.broker, people.admin.id, people.host.id, 'Eva Executive', [
    'executive',
  ]);
  api = new Api(test);
});
afterAll(() => test.close());

/** Lets time pass. Tokens do not last that long. */
function passTo(moment: number): void {
  clock.now = moment;
  api = new Api(test);
}

const open = async (more: object = {}, who = people.safety): Promise<Shown> => {
  const body = { title: 'Outputs outside the purpose', harms: ['death'], ...more };
  const answer = await api.post(who, '/incidents', body);
  expect(answer.status).toBe(201);
  // So that ids sort in the order in which they were made.
  clock.now += 1;
  return answer.body as Shown;
};

const issueOrder = async (): Promise<string> => {
  const answer = await api.post(people.safety, '/orders?confirmed=true', {
    selector: { lab: people.partner.id },
    level: 2,
    measures: { limitsPercent: 50 },
    grounds: 'A finding',
  });
  expect(answer.status).toBe(201);
  return answer.body.id as string;
};

interface LoggedEntry {
  kind: string;
  actor: object;
  lab?: string;
  data: Record<string, unknown>;
}

const bytesOf = (id: string): Buffer[] =>
  test.broker.readers.listEntries({ from: 0, limit: 100, ref: id }).map(({ bytes }) => bytes);

const entriesOf = (id: string): LoggedEntry[] =>
  bytesOf(id).map((bytes) => JSON.parse(bytes.toString('utf8')) as LoggedEntry);

describe('opening an incident', () => {
  it('starts the clock at awareness, by the shortest span of its kinds of harm', async () => {
    const order = await issueOrder();
    const awareAt = clock.now - DAY;
    const incident = await open({
      harms: ['other_serious_harm', 'cybersecurity'],
      awareAt: iso(awareAt),
      description: 'Seen in run 12',
      orders: [order],
      entries: [0],
    });
    expect(incident).toMatchObject({
      state: 'open',
      awareAt: iso(awareAt),
      openedBy: people.safety.id,
      openedAt: iso(clock.now - 1),
      nextDueAt: iso(awareAt + 5 * DAY),
      overdue: false,
      deadlines: [{ kind: 'initial', dueAt: iso(awareAt + 5 * DAY), doneAt: null, state: 'open' }],
      links: [
        { order, by: people.safety.id },
        { entry: 0, removed: null },
      ],
    });
    expect(entriesOf(incident.id)).toMatchObject([
      {
        kind: 'incident.opened',
        data: {
          title: 'Outputs outside the purpose',
          description: 'Seen in run 12',
          harms: [
            { kind: 'other_serious_harm', within: '15d' },
            { kind: 'cybersecurity', within: '5d' },
          ],
          updateEvery: '28d',
          finalReportWithin: '60d',
          awareAt: iso(awareAt),
          orders: [order],
          entries: [0],
        },
      },
    ]);
  });

  it.each([
    ['a moment that has not come', () => ({ awareAt: iso(clock.now + 1) }), 409, 'incident_clock'],
    [
      'a kind of harm that the rules do not name',
      () => ({ harms: ['hurt'] }),
      400,
      'invalid_request',
    ],
    ['an order that is not there', () => ({ orders: [`ord_${'0'.repeat(26)}`] }), 404, 'not_found'],
    ['an entry that is not there', () => ({ entries: [999_999] }), 404, 'not_found'],
    ['no kind of harm', () => ({ harms: [] }), 400, 'invalid_request'],
  ])('refuses %s', async (_name, more, status, code) => {
    const body = { title: 'x', harms: ['death'], ...more() };
    const answer = await api.post(people.safety, '/incidents', body);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  it('names the kinds of harm there are', async () => {
    const answer = await api.post(people.safety, '/incidents', { title: 'x', harms: ['hurt'] });
    expect(answer.body.detail).toContain('critical_infrastructure, cybersecurity, death');
  });
});

describe('from awareness to the final report', () => {
  const step = async (
    id: string,
    what: string,
    body: object,
    who = people.admin,
  ): Promise<Shown> => {
    const answer = await api.post(who, `/incidents/${id}/${what}`, body);
    expect([answer.status, answer.body.detail]).toEqual([200, undefined]);
    return answer.body as Shown;
  };
  const sent = (kind: string) => ({ kind, text: 'What is known', to: ['The authority'] });

  it('goes through its states, and the log alone tells the same', async () => {
    const order = await issueOrder();
    const opened = await open();
    const { id } = opened;
    await step(id, 'links', { order, comment: 'Stopped it' });
    await step(id, 'unlink', { order, grounds: 'Another matter' });
    await step(id, 'links', { entry: 3 });
    await step(id, 'findings', {
      text: 'Seen again with model-a-1',
      evidence: 'reproduced',
      reference: 'ticket 4711',
      sha256: 'ab'.repeat(32),
    });
    await step(id, 'correct', {
      awareAt: iso(clock.now - 2 * DAY),
      addHarms: ['cybersecurity'],
      grounds: 'A mail of the day before was found',
    });
    expect((await step(id, 'reports', sent('initial'), executive)).state).toBe('reported');
    await step(id, 'reports', { ...sent('update'), sha256: 'cd'.repeat(32) });
    const resolved = await step(id, 'resolve', { text: 'Mended' });
    expect(resolved.deadlines.at(-1)).toMatchObject({
      kind: 'final',
      dueAt: iso(clock.now + 60 * DAY),
      state: 'open',
    });
    await step(id, 'reopen', { grounds: 'Seen again' });
    await step(id, 'resolve', { text: 'Mended for good', resolvedAt: iso(clock.now) });
    const closed = await step(id, 'reports', sent('final'));
    expect(closed).toMatchObject({ state: 'closed', nextDueAt: null, overdue: false });

    const kinds = entriesOf(id).map(({ kind }) => kind.slice('incident.'.length));
    expect(kinds.join(' ')).toBe(
      'opened linked unlinked linked found corrected reported reported resolved reopened resolved reported',
    );
    expect(entriesOf(id).every((entry) => entry.lab === undefined)).toBe(true);
    expect(incidentFromLog(bytesOf(id))).toEqual(test.broker.readers.readIncident(id));
  });

  it('refuses what its state does not allow, and says what comes next', async () => {
    const { id } = await open();
    const answer = await api.post(people.admin, `/incidents/${id}/reopen`, { grounds: 'x' });
    expect([answer.status, answer.body.code]).toEqual([409, 'incident_state']);
    expect(answer.body.detail).toContain('the first report comes next');
    expect(
      test.broker.readers.listEntries({ from: 0, limit: 9, ref: id, kind: 'action.denied' }),
    ).toHaveLength(1);
  });

  it('never moves awareness to a later moment', async () => {
    const { id, nextDueAt } = await open({ awareAt: iso(clock.now - DAY) });
    const answer = await api.post(people.admin, `/incidents/${id}/correct`, {
      awareAt: iso(clock.now - 1),
      grounds: 'It would be handy',
    });
    expect([answer.status, answer.body.code, answer.body.param]).toEqual([
      409,
      'incident_clock',
      'awareAt',
    ]);
    expect((await api.get(people.admin, `/incidents/${id}`)).body.nextDueAt).toBe(nextDueAt);
  });

  it('changes what was read alone, where If-Match says so', async () => {
    const { id } = await open();
    const read = await api.get(people.admin, `/incidents/${id}`);
    const etag = read.headers['etag'] as string;
    expect(etag).toBe(`"${read.body.revision}"`);
    const find = (): Promise<{ status: number; body: { code?: string } }> =>
      api.call(
        people.admin,
        'post',
        `/incidents/${id}/findings`,
        { text: 'Seen', evidence: 'written' },
        { 'if-match': etag },
      );
    expect((await find()).status).toBe(200);
    const stale = await find();
    expect([stale.status, stale.body.code]).toEqual([412, 'stale_version']);
  });
});

describe('who sees incidents', () => {
  it('the host and the auditors; no partner, not in the log and not by a notice either', async () => {
    const order = await issueOrder();
    const { id } = await open({ orders: [order] });
    for (const who of [
      people.admin,
      people.safety,
      people.auditor,
      executive,
      people.outsideAuditor,
    ])
      expect((await api.get(who, `/incidents/${id}`)).status).toBe(200);
    for (const who of [people.lead, people.researcher, people.otherLead]) {
      expect((await api.get(who, `/incidents/${id}`)).status).toBe(403);
      expect((await api.get(who, '/incidents')).status).toBe(403);
      expect((await api.get(who, `/log/entries?ref=${id}`)).body.items).toEqual([]);
      expect((await api.get(who, '/notices?limit=200')).text).not.toContain(id);
    }
    const told = await api.get(people.auditor, '/notices?kind=incident.opened');
    expect(told.text).toContain(id);
  });

  it('auditors change nothing in them', async () => {
    const { id } = await open();
    for (const who of [people.auditor, people.outsideAuditor]) {
      const answer = await api.post(who, `/incidents/${id}/resolve`, { text: 'x' });
      expect([answer.status, answer.body.code]).toEqual([403, 'role_required']);
    }
  });
});

describe('the list', () => {
  it('is found by state and by what is overdue, page by page', async () => {
    const late = [await open({ awareAt: iso(clock.now - 11 * DAY) })];
    late.push(await open({ awareAt: iso(clock.now - 10 * DAY) }));
    const soon = await open({ awareAt: iso(clock.now - 9 * DAY) });
    const list = async (query: string): Promise<{ items: Shown[]; next: string | null }> => {
      const answer = await api.get(people.auditor, `/incidents${query}`);
      expect(answer.status).toBe(200);
      return answer.body as { items: Shown[]; next: string | null };
    };
    const ids = async (query: string): Promise<string[]> =>
      (await list(query)).items.map(({ id }) => id);
    expect(await ids('?overdue=true&state=open')).toEqual(late.map(({ id }) => id).toReversed());
    expect(await ids('?overdue=false&limit=1')).toEqual([soon.id]);
    const [closed] = (await list('?state=closed')).items;
    expect(closed).toMatchObject({ state: 'closed', overdue: false });
    const first = await list('?limit=2');
    expect(first.items.map(({ id }) => id)).toEqual([soon.id, late[1]?.id]);
    expect((await ids(`?limit=2&cursor=${first.next}`))[0]).toBe(late[0]?.id);
    expect((await api.get(people.auditor, '/incidents?state=gone')).status).toBe(400);
  });
});

describe('the clock', () => {
  it('reminds before a deadline, records once that it was missed, and stops with the report', async () => {
    const { id } = await open();
    const due = clock.now - 1 + 10 * DAY;
    const notices = async (kind: string): Promise<{ title: string; ref: string }[]> => {
      const answer = await api.get(people.safety, `/notices?kind=${kind}&limit=200`);
      return (answer.body as { items: { title: string; ref: string }[] }).items.filter(
        ({ ref }) => ref === id,
      );
    };
    const overdue = (): LoggedEntry[] =>
      entriesOf(id).filter(({ kind }) => kind === 'incident.overdue');
    expect(await notices('incident.deadline')).toEqual([]);
    for (const [left, count] of [
      [7, 1],
      [1, 2],
    ] as const) {
      passTo(due - left * DAY);
      await eventually(async () => expect(await notices('incident.deadline')).toHaveLength(count));
    }
    expect(overdue()).toEqual([]);

    passTo(due);
    await eventually(() => expect(overdue()).toHaveLength(1));
    expect(overdue()[0]).toMatchObject({
      actor: { system: 'broker' },
      data: { report: 'initial', dueAt: iso(due) },
    });
    expect(await notices('incident.overdue')).toHaveLength(1);
    expect((await api.get(people.safety, `/incidents/${id}`)).body).toMatchObject({
      overdue: true,
      deadlines: [{ kind: 'initial', state: 'overdue' }],
    });

    passTo(due + DAY);
    const reported = await api.post(people.safety, `/incidents/${id}/reports`, {
      kind: 'initial',
      text: 'Late',
      to: ['The authority'],
    });
    expect(reported.body.deadlines).toMatchObject([
      { kind: 'initial', state: 'late' },
      { kind: 'update', dueAt: iso(due + 29 * DAY), state: 'open' },
    ]);
    passTo(due + 29 * DAY);
    await eventually(() => expect(overdue()).toHaveLength(2));
    expect(incidentFromLog(bytesOf(id))).toEqual(test.broker.readers.readIncident(id));
  });

  it('of what was due before it was opened is overdue at once', async () => {
    const { id } = await open({ awareAt: iso(clock.now - 20 * DAY) });
    await eventually(() =>
      expect(entriesOf(id).map(({ kind }) => kind)).toContain('incident.overdue'),
    );
  });
});
