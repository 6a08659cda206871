/** How many exports and reports are made at once, whoever pushes. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { ExportThreads } from '../../src/broker/export-threads.ts';
import { mintId } from '../../src/lib/ids.ts';
import { Api } from '../support/api.ts';
import { exported } from '../support/exports.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makePeople, type People, type TestPerson } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

let test: TestBroker;
let people: People;
let api: Api;
let grant: { id: string };

vi.setConfig({ testTimeout: 60_000 });

/** More than connections and threads hold of what nobody reads. */
const ENTRIES = 900;
const LENGTH = 50_000;

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  api = new Api(test);
  grant = await makeActiveGrant(test, people);
  const at = test.broker.clock();
  for (let done = 0; done < ENTRIES; done += 100) {
    const write = (i: number): Promise<unknown> => {
      const lab = i % 2 === 0 ? people.partner.id : people.otherPartner.id;
      const data = { text: `${done + i} `.repeat(LENGTH).slice(0, LENGTH) };
      const actor = { system: 'broker' } as const;
      const entry = { id: mintId('ent', at), kind: 'audit.read' as const, at, actor, lab, data };
      return test.broker.store.write('recordEntry', { entry }, { deadlineMs: 20_000 });
    };
    await Promise.all(Array.from({ length: 100 }, (_, i) => write(i)));
  }
}, 60_000);
afterAll(() => test.close());

async function ask(who: TestPerson, path: string, init: RequestInit = {}): Promise<Response> {
  const headers = {
    authorization: `Bearer ${await api.tokenOf(who)}`,
    'content-type': 'application/json',
  };
  return fetch(`${test.url}/api/v1${path}`, { ...init, headers });
}

const begin = (who: TestPerson, signal: AbortSignal): Promise<Response> =>
  ask(who, '/exports', { method: 'POST', body: JSON.stringify({ format: 'jsonl' }), signal });

/** Sends so many requests, of which none is put on record until all have been refused or wait for it. */
async function together(
  operation: string,
  count: number,
  send: () => Promise<Response>,
): Promise<{ waited: number; statuses: number[] }> {
  const { store } = test.broker;
  const write = store.write.bind(store);
  let waited = 0;
  let refused = 0;
  let go = (): void => undefined;
  const all = new Promise<void>((resolve) => (go = resolve));
  const look = (): void => {
    if (waited + refused === count) go();
  };
  store.write = (async (name: string, ...rest: unknown[]) => {
    if (name === operation) {
      waited += 1;
      look();
      await all;
    }
    return (write as (...args: unknown[]) => unknown)(name, ...rest);
  }) as typeof write;
  try {
    const statuses = await Promise.all(
      Array.from({ length: count }, async () => {
        const { status, body } = await send();
        if (status !== 200) {
          refused += 1;
          look();
        }
        await body?.cancel();
        return status;
      }),
    );
    return { waited, statuses: statuses.toSorted((a, b) => a - b) };
  } finally {
    store.write = write;
  }
}

const times = (count: number, value: number): number[] => Array<number>(count).fill(value);

describe('at the same moment', () => {
  it('sixteen exports of one lead are two', async () => {
    await api.tokenOf(people.lead);
    const never = new AbortController();
    const { waited, statuses } = await together('recordExport', 16, () =>
      begin(people.lead, never.signal),
    );
    expect(waited).toBe(2);
    expect(statuses).toEqual([...times(2, 200), ...times(14, 503)]);
  });

  it('thirty reports for one lab are two', async () => {
    await api.tokenOf(people.lead);
    const { waited, statuses } = await together('recordGrantReport', 30, () =>
      ask(people.lead, `/reports/grant/${grant.id}`),
    );
    expect(waited).toBe(2);
    expect(statuses).toEqual([...times(2, 200), ...times(28, 503)]);
  });
});

describe('partners that open exports and do not read them', () => {
  it('keep neither auditors nor reports waiting', async () => {
    const over = new AbortController();
    // What was read before may still be ending.
    await vi.waitFor(() => {
      const slot = test.broker.exports.takeSlot('export', people.partner);
      try {
        test.broker.exports.takeSlot('export', people.partner).cancel();
      } finally {
        slot.cancel();
      }
    }, 30_000);
    const opened = await begin(people.lead, over.signal);
    const others = [
      await begin(people.otherLead, over.signal),
      await begin(people.lead, over.signal),
      await begin(people.otherLead, over.signal),
    ];
    expect([opened, ...others].map(({ status }) => status)).toEqual([200, 200, 503, 503]);
    for (const who of [people.auditor, people.outsideAuditor])
      expect((await exported(test, api, who, { format: 'csv', to: 5 })).status).toBe(200);
    const report = await ask(people.auditor, `/reports/grant/${grant.id}`);
    expect(report.status).toBe(200);
    over.abort();
  });
});

describe('a report or a measurement that nobody waits for any more', () => {
  /** A thread that never comes to an end by itself. */
  const ENDLESS = new URL('data:text/javascript,setInterval(() => undefined, 60_000)');

  it('is ended, and its place is free again', async () => {
    const { broker } = test;
    const real = broker.exports;
    const endless = new ExportThreads(ENDLESS, '', () => false);
    const make = vi.spyOn(endless, 'make');
    broker.exports = endless;
    try {
      await api.tokenOf(people.lead);
      const gone = new AbortController();
      const path = `/reports/grant/${grant.id}`;
      const asked = [1, 2].map(() => ask(people.lead, path, { signal: gone.signal }));
      await vi.waitFor(() => expect(make).toHaveBeenCalledTimes(2));
      expect((await ask(people.lead, path)).status).toBe(503);
      gone.abort();
      for (const one of asked) await expect(one).rejects.toThrow('aborted');
      await vi.waitFor(() => endless.takeSlot('report', people.partner).cancel(), 30_000);
    } finally {
      broker.exports = real;
      await endless.close();
    }
  });

  it('is measured no further', async () => {
    const endless = new ExportThreads(ENDLESS, '', () => false);
    const gone = new AbortController();
    const plan = { id: 'exp_x', format: 'csv' } as Parameters<typeof endless.measure>[0];
    const measured = endless.measure(plan, gone.signal);
    gone.abort(new Error('nobody waits'));
    await expect(measured).rejects.toThrow('nobody waits');
  });
});
