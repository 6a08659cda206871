import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../src/audit/verify-receipt.ts';
import { MOST_SINGLY } from '../../src/broker/repeated-denials.ts';
import { openCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { leafHash } from '../../src/core/audit/merkle.ts';
import {
  HELLO,
  post,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { openaiJson } from '../support/scripted-upstream.ts';
import { SetClock } from '../support/set-clock.ts';
import type { TestPerson } from '../support/people.ts';

let running: RunningBroker;
let access: Access;
let other: Access;
const clock = new SetClock();
/** UTC day on which the log took the first entries in. */
let today: string;
/** Ids of requests, as their answers name them. */
const requests: string[] = [];

interface Statement {
  person: string;
  run: string | null;
  day: string;
  requests: number;
  refusals: number;
  answered: number;
  outcomes: number;
  inputTokens: number;
  outputTokens: number;
  entries: number;
  first: number;
  last: number;
  digest: string;
}

interface Stated {
  index: number;
  kind: string;
  request: string | null;
  leaf: string;
}

const chat = async (who: Access, body: object = HELLO): Promise<string> => {
  const answer = await post(`${running.url}/v1/chat/completions`, who.token, body);
  await answer.text();
  return answer.headers.get('x-request-id') ?? '';
};

const state = async (who: TestPerson, query = '') =>
  (await running.api.get(who, `/statements${query}`)).body as {
    checkpoint: { origin: string; size: number; root: string; note: string };
    items: Statement[];
    next: string | null;
  };

const stated = async (who: TestPerson, query = '') =>
  (await running.api.get(who, `/statements/entries${query}`)).body as {
    checkpoint: { size: number };
    items: Stated[];
    next: string | null;
  };

beforeAll(async () => {
  running = await startRunningBroker({ clock: clock.read });
  running.upstream.respond(openaiJson());
  access = await running.access();
  other = await running.access({}, await running.newResearcher());
  for (let i = 0; i < 3; i += 1) requests.push(await chat(access));
  requests.push(await chat(access, { ...HELLO, model: 'no-such-model' }));
  await chat(other);
  const [intent] = running.entries({ kind: 'request.intent' });
  today = String((intent as { committedAt?: unknown } | undefined)?.committedAt).slice(0, 10);
});
afterAll(() => running.close());

describe('a statement', () => {
  it('says what the calls of a person under a run left on a day, as of a checkpoint', async () => {
    const { researcher } = running.people;
    const { checkpoint, items, next } = await state(researcher);
    const outcomes = running.entries({ kind: 'request.outcome', grant: access.grant.id });
    const sum = (part: 'inputTokens' | 'outputTokens'): number =>
      outcomes.reduce((total, { data }) => total + (data?.usage?.[part] ?? 0), 0);
    expect(next).toBeNull();
    expect(items).toMatchObject([
      {
        person: researcher.id,
        run: expect.stringMatching(/^run_/) as string,
        day: today,
        requests: 3,
        outcomes: 3,
        refusals: 1,
        answered: 0,
        inputTokens: sum('inputTokens'),
        outputTokens: sum('outputTokens'),
        entries: 7,
      },
    ]);
    expect(sum('outputTokens')).toBeGreaterThan(0);
    const opened = openCheckpoint(checkpoint.note, running.test.broker.store.verifierKey);
    expect([opened.origin, opened.size, opened.root.toString('base64')]).toEqual([
      checkpoint.origin,
      checkpoint.size,
      checkpoint.root,
    ]);
    expect(items[0]?.last).toBeLessThan(checkpoint.size);
  });

  it('has the digest over the leaf hashes of the entries that it lists', async () => {
    const { researcher } = running.people;
    const { items } = await state(researcher);
    const list = await stated(researcher);
    const digest = createHash('sha256');
    for (const { index, leaf } of list.items) {
      const bytes = running.test.broker.readers.readEntry(index)?.bytes ?? Buffer.of();
      expect(leafHash(bytes).toString('base64')).toBe(leaf);
      digest.update(Buffer.from(leaf, 'base64'));
    }
    expect(digest.digest('base64')).toBe(items[0]?.digest);
    expect(list.items).toHaveLength(7);
    expect(new Set(list.items.map(({ request }) => request))).toEqual(new Set(requests));
  });

  it('counts exactly what there are receipts of', async () => {
    const { researcher } = running.people;
    const { items } = await stated(researcher);
    const answer = await running.api.get(
      researcher,
      `/log/receipts?requests=${requests.join(',')}`,
    );
    const receipts = answer.body.items as { request: string; receipt: string }[];
    const key = running.test.broker.store.verifierKey;
    const leafs = receipts.flatMap(({ receipt }) => {
      const report = verifyReceipt(Buffer.from(receipt), [key]);
      expect(report.status).toBe('sound');
      return report.entries.map(({ leaf }) => leaf);
    });
    expect(leafs.toSorted()).toEqual(items.map(({ leaf }) => leaf).toSorted());
  });

  it('is read in pages that are all as of one checkpoint', async () => {
    const { lead } = running.people;
    const first = await state(lead, '?limit=1');
    expect(first.items).toHaveLength(1);
    await chat(other);
    const size = `&size=${first.checkpoint.size}`;
    const second = await state(lead, `?limit=1&cursor=${first.next ?? ''}${size}`);
    expect(second.checkpoint).toEqual(first.checkpoint);
    expect(second.next).toBeNull();
    expect(new Set([first, second].map(({ items }) => items[0]?.person))).toEqual(
      new Set([access.person.id, other.person.id]),
    );
    const whole = await state(lead, `?limit=50${size}`);
    expect(whole.items).toEqual([...first.items, ...second.items]);

    const one = await stated(lead, `?person=${access.person.id}&limit=3${size}`);
    const two = await stated(
      lead,
      `?person=${access.person.id}&limit=50&cursor=${one.next ?? ''}${size}`,
    );
    const all = await stated(lead, `?person=${access.person.id}${size}`);
    expect([one.items.length, two.next]).toEqual([3, null]);
    expect([...one.items, ...two.items]).toEqual(all.items);
  });

  it('is of the day on which the log took the entries in', async () => {
    const { researcher } = running.people;
    const entries = async (query: string): Promise<number[]> =>
      (await state(researcher, query)).items.map((item) => item.entries);
    expect(await entries(`?day=${today}`)).toEqual([7]);
    expect(await entries(`?since=${today}`)).toEqual([7]);
    expect(await entries('?day=2020-02-29')).toEqual([]);
    expect(await entries('?since=2999-01-01')).toEqual([]);
    expect((await stated(researcher, '?day=2020-02-29')).items).toEqual([]);
    expect((await stated(researcher, `?day=${today}`)).items).toHaveLength(7);
  });

  it('as of an earlier size has no run that began after it', async () => {
    const { lead } = running.people;
    const before = await state(lead);
    const fourth = await running.access({}, await running.newResearcher());
    await chat(fourth);
    expect((await state(lead)).items).toHaveLength(before.items.length + 1);
    const again = await state(lead, `?size=${before.checkpoint.size}`);
    expect(again.items).toEqual(before.items);
  });

  it('counts refusals that were recorded together, which have no receipt', async () => {
    const third = await running.access({}, await running.newResearcher());
    const more = 5;
    for (let i = 0; i < MOST_SINGLY + more; i += 1)
      await chat(third, { ...HELLO, model: 'no-such-model' });
    clock.now += 61_000;
    await running.test.broker.repeatedDenials.flush();
    const query = `?person=${third.person.id}`;
    expect((await state(running.people.lead, query)).items).toMatchObject([
      { requests: 0, outcomes: 0, refusals: MOST_SINGLY + more, entries: MOST_SINGLY + 1 },
    ]);
    const { items } = await stated(running.people.lead, query);
    expect(items.at(-1)).toMatchObject({ kind: 'request.denied_repeatedly', request: null });
  });
});

describe('reach', () => {
  it("is a person's own calls, a lab's for those who answer for it, and all for auditors", async () => {
    const { researcher, lead, partnerAuditor, auditor, outsideAuditor } = running.people;
    const whose = async (who: TestPerson, query = ''): Promise<string[]> => [
      ...new Set((await state(who, query)).items.map(({ person }) => person)),
    ];
    expect(await whose(researcher)).toEqual([researcher.id]);
    expect(await whose(other.person)).toEqual([other.person.id]);
    const all = await whose(auditor);
    expect(all.length).toBeGreaterThanOrEqual(2);
    for (const who of [lead, partnerAuditor, outsideAuditor]) expect(await whose(who)).toEqual(all);
    expect(await whose(auditor, `?lab=${researcher.labId}`)).toEqual(all);
    expect(await whose(auditor, `?lab=${running.people.otherPartner.id}`)).toEqual([]);
  });

  it("of others ends where their things begin: another lab's are none, by person, lab and run", async () => {
    const { researcher, otherLead, otherResearcher } = running.people;
    const { items } = await state(researcher);
    const run = items[0]?.run ?? '';
    for (const who of [otherLead, otherResearcher])
      for (const query of [
        '',
        `?person=${researcher.id}`,
        `?lab=${researcher.labId}`,
        `?run=${run}`,
        `?day=${today}`,
        `?cursor=${researcher.id}.${run}.2026-05-31`,
      ]) {
        const answer = await running.api.get(who, `/statements${query}`);
        expect([query, answer.status, answer.body.items]).toEqual([query, 200, []]);
      }
    for (const query of [
      `?person=${researcher.id}`,
      `?run=${run}`,
      `?cursor=${researcher.id}.${run}.2026-05-31.0`,
    ])
      expect((await stated(otherLead, query)).items).toEqual([]);
    expect((await stated(other.person, `?run=${run}`)).items).toEqual([]);
  });

  it('and what was asked is on record', async () => {
    const { lead } = running.people;
    await state(lead, `?day=${today}`);
    await stated(lead, `?person=${access.person.id}&day=${today}`);
    expect(running.entries({ kind: 'audit.read' }).slice(-2)).toMatchObject([
      { actor: { person: lead.id }, data: { what: 'statements', day: today } },
      {
        actor: { person: lead.id },
        data: { what: 'stated entries', person: access.person.id, found: 7 },
      },
    ]);
  });
});

describe('bad input', () => {
  it.each([
    '?day=2026-13-01',
    '?day=yesterday',
    '?since=2026-02-30',
    '?size=0',
    '?size=999999999',
    '?run=run_1',
    '?person=me',
    '?limit=0',
    '?cursor=x',
    `?cursor=per_${'0'.repeat(26)}..2026-99-99`,
    '?what=1',
  ])('is refused: %s', async (query) => {
    for (const path of ['/statements', '/statements/entries']) {
      const answer = await running.api.get(running.people.auditor, `${path}${query}`);
      expect([path, answer.status, answer.body.code]).toEqual([path, 400, 'invalid_request']);
    }
  });
});
