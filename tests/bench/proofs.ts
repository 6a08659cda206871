/** Proofs, receipts and statements on a log of five million entries, as the HTTP API gives them. */
import { rmSync } from 'node:fs';
import type { BrokerClient } from '../../src/cli/broker-client.ts';
import { Child } from './gateway/child.ts';
import { Premises, startSallyport } from './gateway/sallyport.ts';
import type { CallsOrder, SeededCalls } from './gateway/seed-calls.ts';
import type { Area } from './harness.ts';

/** SALLYPORT_BENCH_ENTRIES=500000 for a first look. */
const ENTRIES = Number(process.env['SALLYPORT_BENCH_ENTRIES'] ?? 5_000_000);

/** People whose calls they are: the researcher, whose statements are asked for, and others. */
const PEOPLE = 100;

const ROUNDS = 200;

/** What is asked of a proof. */
const MOST_MS = 50;

export const proofs: Area = async (report) => {
  const premises = await Premises.prepare();
  const { facts } = premises;
  const researcher = facts.people.find(({ role }) => role === 'researcher');
  if (!researcher) throw new Error('There is no researcher.');
  const seeder = new Child(new URL('./gateway/seed-calls.ts', import.meta.url));
  try {
    const others = Array.from(
      { length: PEOPLE - 1 },
      (_, i) => `per_${String(i).padStart(26, '0')}`,
    );
    const seeded = await seeder.ask<SeededCalls>({
      dataDir: facts.dataDir,
      origin: facts.log.origin,
      entries: ENTRIES,
      labId: researcher.lab,
      grantId: facts.grant,
      model: facts.model,
      people: [researcher.id, ...others],
    } satisfies CallsOrder);
    const { entries, seconds, requests } = seeded;
    const details = { 'a second': entries / seconds };
    report({ name: 'entries, seeded', value: entries, unit: 'entries', details });
    const begun = performance.now();
    const broker = await startSallyport(premises, 'http://127.0.0.1:9');
    report({ name: 'start', value: performance.now() - begun, unit: 'ms' });
    try {
      const auditor = broker.as('auditor');
      const researcherClient = broker.as('researcher');
      const pick = (): number => Math.floor(Math.random() * entries);
      const measure = async (
        name: string,
        goal: string | undefined,
        ask: () => Promise<unknown>,
        rounds = ROUNDS,
      ): Promise<void> => {
        await ask();
        const times: number[] = [];
        for (let i = 0; i < rounds; i += 1) {
          const from = performance.now();
          await ask();
          times.push(performance.now() - from);
        }
        times.sort((a, b) => a - b);
        const p50 = quantile(times, 0.5);
        const p99 = quantile(times, 0.99);
        const missed = goal !== undefined && p99 > MOST_MS ? ' MISSED' : '';
        report({
          name,
          value: p50,
          unit: 'ms',
          details: { 'p99 ms': p99 },
          ...(goal === undefined ? {} : { goal: `${goal}${missed}` }),
        });
      };
      const within = `p99 ≤ ${MOST_MS}`;
      await measure('proof of any entry', within, () =>
        text(auditor, `/log/entries/${pick()}/proof`),
      );
      await measure('receipt of any request', within, () =>
        text(auditor, `/log/receipts/${requests[pick() % requests.length] ?? ''}`),
      );
      await measure('100 receipts', undefined, () =>
        text(auditor, `/log/receipts?requests=${requests.slice(0, 100).join(',')}`),
      );
      const size = JSON.parse(await text(auditor, `/statements?limit=1`)) as {
        checkpoint: { size: number };
      };
      const asOf = `size=${size.checkpoint.size}`;
      const day = new Date(Date.now() - 10 * 86_400_000).toISOString().slice(0, 10);
      await measure('statements of a day, 20 runs', within, () =>
        text(researcherClient, `/statements?day=${day}&${asOf}`),
      );
      await measure(
        `statements of all, ${ENTRIES / PEOPLE} entries in 620`,
        undefined,
        () => allStatements(researcherClient, asOf),
        5,
      );
      await measure('entry bundle', undefined, () => bundle(auditor, Math.floor(pick() / 256)));
    } finally {
      await broker.close();
    }
  } finally {
    seeder.close();
    rmSync(facts.dataDir, { recursive: true });
  }
};

async function text(client: BrokerClient, path: string): Promise<string> {
  return (await client.request('GET', path)).text();
}

async function allStatements(client: BrokerClient, asOf: string): Promise<void> {
  let cursor = '';
  do {
    const page = JSON.parse(await text(client, `/statements?limit=200&${asOf}${cursor}`)) as {
      next: string | null;
    };
    cursor = page.next === null ? '' : `&cursor=${page.next}`;
  } while (cursor !== '');
}

async function bundle(client: BrokerClient, n: number): Promise<void> {
  const digits = [Math.floor(n / 1000), n % 1000].map((part) => String(part).padStart(3, '0'));
  const name = n < 1000 ? digits[1] : `x${digits.join('/')}`;
  await text(client, `/log/tile/entries/${name ?? ''}`);
}

const quantile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
