/** Following the log: live, within reach, without gap or double, and no longer than the token is good. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { serverEvents, type ServerEvent } from '../../src/cli/event-stream.ts';
import type { EntryDraft } from '../../src/core/audit/entry.ts';
import { mintId } from '../../src/lib/ids.ts';
import { Api } from '../support/api.ts';
import {
  getToken,
  makePeople,
  makePerson,
  type People,
  type TestPerson,
} from '../support/people.ts';
import { SetClock } from '../support/set-clock.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let broker: TestBroker;
let people: People;
let api: Api;
const clock = new SetClock();

beforeAll(async () => {
  broker = await startTestBroker({ clock: clock.read });
  people = await makePeople(broker);
  api = new Api(broker);
});
afterAll(() => broker.close());

/** Appends an entry, by which it can be told. @returns its index */
async function record(draft: Partial<EntryDraft> = {}): Promise<number> {
  const at = clock.now;
  const entry = { kind: 'token.denied', at, actor: { system: 'broker' }, ...draft } as const;
  const { broker: of } = broker;
  const { index } = await of.store.write('recordEntry', {
    entry: { ...entry, id: mintId('ent', at) },
  });
  return index;
}

const newAuditor = (lab: string): Promise<TestPerson> =>
  makePerson(broker.broker, people.admin.id, lab, 'New Auditor', ['auditor']);

interface Followed {
  answer: Response;
  /** The next event that says something; undefined: the stream has ended. */
  next(): Promise<ServerEvent | undefined>;
  /** Index of the next entry. */
  index(): Promise<number | undefined>;
  stop(): void;
}

async function follow(
  who: TestPerson | string,
  query = '',
  headers: Record<string, string> = {},
): Promise<Followed> {
  const token = typeof who === 'string' ? who : await api.tokenOf(who);
  const over = new AbortController();
  onTestFinished(() => over.abort());
  const answer = await fetch(`${broker.url}/api/v1/log/tail${query}`, {
    headers: { authorization: `Bearer ${token}`, ...headers },
    signal: over.signal,
  });
  const events = serverEvents(answer.body as unknown as AsyncIterable<Uint8Array>);
  const next = async (): Promise<ServerEvent | undefined> => {
    for (;;) {
      const { value, done } = await events.next();
      if (done) return undefined;
      if (value.data !== undefined) return value;
    }
  };
  const index = async (): Promise<number | undefined> => {
    const event = await next();
    return event && (JSON.parse(event.data ?? '') as { index?: number }).index;
  };
  return { answer, next, index, stop: () => over.abort() };
}

const endOf = (event: ServerEvent | undefined): unknown =>
  event && [event.type, (JSON.parse(event.data ?? '') as { why?: string }).why];

test('entries come as they are committed, as they are, with their index as the id of the event', async () => {
  const followed = await follow(people.auditor, '?kind=token.denied');
  expect(followed.answer.headers.get('content-type')).toBe('text/event-stream');
  const index = await record({ data: { line: 'one\n: two\r\nid: 3\u2028' } });
  const event = await followed.next();
  expect(event?.lastId).toBe(String(index));
  const stored = broker.broker.readers.readEntry(index);
  expect(event?.data).toBe(`{"index":${index},"entry":${String(stored?.bytes)}}`);
});

test('the filters are those of a search', async () => {
  const followed = await follow(
    people.auditor,
    `?kind=token.denied&lab=${people.partner.id}&decision=denied`,
  );
  await record({ lab: people.partner.id });
  await record({ lab: people.otherPartner.id, decision: 'denied' });
  const wanted = await record({ lab: people.partner.id, decision: 'denied' });
  expect(await followed.index()).toBe(wanted);
});

test("a partner sees its own lab's entries, and nothing where it asks for another lab's", async () => {
  const followed = await follow(people.lead, '?kind=token.denied');
  await record();
  await record({ lab: people.host.id });
  const own = await record({ lab: people.partner.id });
  expect(await followed.index()).toBe(own);
  const others = await follow(people.lead, `?lab=${people.host.id}`);
  expect(endOf(await others.next())).toEqual(['end', 'not_found']);
});

test('whoever was cut off goes on behind the last event, without gap or double', async () => {
  const first = await follow(people.auditor, '?kind=token.denied');
  const indexes = [await record(), await record()];
  expect([await first.index(), await first.index()]).toEqual(indexes);
  first.stop();
  const missed = [await record(), await record()];
  const again = await follow(people.auditor, '?kind=token.denied', {
    'last-event-id': String(indexes[1]),
  });
  const live = await record();
  expect([await again.index(), await again.index(), await again.index()]).toEqual([
    ...missed,
    live,
  ]);
  const bad = await follow(people.auditor, '', { 'last-event-id': 'yesterday' });
  expect(bad.answer.status).toBe(400);
});

test('one follow leaves one entry, with what was asked for', async () => {
  const readings = (): number =>
    broker.broker.readers.listEntries({ from: 0, limit: 10_000, kind: 'audit.read' }).length;
  const before = readings();
  const followed = await follow(people.auditor, `?kind=token.denied&kind=run.ended`);
  for (let i = 0; i < 5; i += 1) await record();
  for (let i = 0; i < 5; i += 1) await followed.index();
  expect(readings()).toBe(before + 1);
  const [entry] = broker.broker.readers
    .listEntries({ from: 0, limit: 10_000, kind: 'audit.read' })
    .slice(-1);
  expect(JSON.parse(String(entry?.bytes))).toMatchObject({
    actor: { person: people.auditor.id },
    data: { follow: true, kind: ['token.denied', 'run.ended'] },
  });
});

test('many entries at once all come, in order', async () => {
  const followed = await follow(people.auditor, '?kind=token.denied');
  const indexes = await Promise.all(Array.from({ length: 700 }, () => record()));
  for (const index of indexes.toSorted((one, other) => one - other))
    expect(await followed.index()).toBe(index);
});

test('it ends when its token ends, and says why', async () => {
  const revoked = await getToken(broker, people.auditor);
  const one = await follow(revoked, '?kind=run.ended');
  const { jti } = JSON.parse(Buffer.from(revoked.split('.')[1] ?? '', 'base64url').toString()) as {
    jti: string;
  };
  expect((await api.post(people.auditor, `/tokens/${jti}/revoke`)).status).toBe(200);
  expect(endOf(await one.next())).toEqual(['end', 'token_revoked']);
  expect(await one.next()).toBeUndefined();
});

test('it ends when the person is removed', async () => {
  const leaving = await newAuditor(people.host.id);
  const followed = await follow(leaving, '?kind=run.ended');
  expect((await api.post(people.admin, `/people/${leaving.id}/remove`)).status).toBeLessThan(300);
  expect(endOf(await followed.next())).toEqual(['end', 'token_revoked']);
});

test('a role that is taken away takes its reach away, in the middle', async () => {
  const changing = await newAuditor(people.partner.id);
  const followed = await follow(changing, '?kind=token.denied');
  const seen = await record({ lab: people.partner.id });
  expect(await followed.index()).toBe(seen);
  const roles = { roles: ['researcher'] };
  const changed = await api.post(people.admin, `/people/${changing.id}/roles`, roles);
  expect([changed.status, changed.body.code]).toEqual([200, undefined]);
  await record({ lab: people.partner.id });
  const own = await record({ lab: people.partner.id, person: changing.id });
  expect(await followed.index()).toBe(own);
});

test('so many follow at a time and no more, and a place is free again when one has left', async () => {
  const person = await newAuditor(people.host.id);
  const open: Followed[] = [];
  for (let i = 0; i < 8; i += 1) open.push(await follow(person, '?kind=run.ended'));
  expect(open.map(({ answer }) => answer.status)).toEqual(Array.from({ length: 8 }, () => 200));
  const refused = await follow(person);
  expect(refused.answer.status).toBe(503);
  const { followers } = broker.broker;
  const count = followers.count;
  open[0]?.stop();
  await expect.poll(() => followers.count, { timeout: 5_000 }).toBe(count - 1);
  expect((await follow(person)).answer.status).toBe(200);
});

test('it ends after so many seconds where that was asked for', async () => {
  const followed = await follow(people.auditor, '?kind=run.ended&seconds=0');
  expect(endOf(await followed.next())).toEqual(['end', 'time_is_up']);
});

test('a question for the head alone holds nothing open', async () => {
  const token = await api.tokenOf(people.auditor);
  const before = broker.broker.followers.count;
  const answer = await fetch(`${broker.url}/api/v1/log/tail`, {
    method: 'HEAD',
    headers: { authorization: `Bearer ${token}` },
  });
  expect(answer.status).toBe(200);
  await expect.poll(() => broker.broker.followers.count, { timeout: 5_000 }).toBe(before);
});

test('it ends at once when the broker stops', async () => {
  const own = await startTestBroker();
  const staff = await makePeople(own);
  const token = await getToken(own, staff.auditor);
  const answer = await fetch(`${own.url}/api/v1/log/tail?kind=run.ended`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const text = answer.text();
  await own.close();
  expect(await text).toContain('{"why":"shutting_down"}');
});

test('at the end of its time the token ends it', async () => {
  const followed = await follow(await getToken(broker, people.auditor), '?kind=run.ended');
  clock.now += 601_000;
  // Nothing happens but that the log goes on.
  await record();
  expect(endOf(await followed.next())).toEqual(['end', 'token_expired']);
});
