/** Whether a long log makes the proxied path slower: the same load on two brokers, one of which has recorded much. */
import { rmSync } from 'node:fs';
import type { Area } from '../harness.ts';
import { Child } from './child.ts';
import { goal } from './goals.ts';
import { takeTurn, warmUp } from './load.ts';
import { TargetRounds } from './rounds.ts';
import { Premises, startSallyport } from './sallyport.ts';
import { seed, seededFigure } from './seeding.ts';
import { targetOf } from './targets.ts';

const SHORT = { name: 'a short log', entries: 10_000 };
const LONG = { name: 'a long log', entries: 5_000_000 };

const ROUNDS = 5;
const TURN = { connections: 32, warmUpMs: 300, ms: 2_000 };

export const growth: Area = async (report) => {
  const logs: { premises: Premises; name: string }[] = [];
  for (const { name, entries } of [SHORT, LONG]) {
    const premises = await Premises.prepare();
    logs.push({ premises, name });
    report(seededFigure(name, await seed(premises, entries)));
  }
  const { model } = (logs[0] as (typeof logs)[0]).premises.facts;
  const upstream = new Child(new URL('./upstream.ts', import.meta.url));
  const clients = new Child(new URL('./clients.ts', import.meta.url));
  const port = await upstream.ask<number>({ model });
  const brokers = [];
  try {
    const targets = [];
    for (const { premises, name } of logs) {
      const begun = performance.now();
      const broker = await startSallyport(premises, `http://127.0.0.1:${port}`);
      brokers.push(broker);
      report({ name: `start on ${name}`, value: performance.now() - begun, unit: 'ms' });
      targets.push(targetOf(name, broker));
    }
    const setting = { clients, model };
    await warmUp(setting, targets);
    const rounds = await TargetRounds.run(targets, ROUNDS, (target) =>
      takeTurn(setting, target, TURN),
    );
    for (const { name } of targets) {
      const value = rounds.medianOfBoth(name, SHORT.name, (turn, other) => turn.rate / other.rate);
      report({
        name: `on ${name}, ${TURN.connections} connections`,
        value: rounds.median(name, ({ rate }) => rate),
        unit: 'a second',
        ratio: { value, to: SHORT.name },
        details: {
          'p99 ms': rounds.median(name, ({ latency }) => latency.p99),
          'processor µs': rounds.median(name, ({ processor }) => processor),
        },
        ...(name === LONG.name ? { goal: goal('throughputOnLongLog', value) } : {}),
      });
    }
  } finally {
    for (const broker of brokers) await broker.close();
    for (const child of [clients, upstream]) child.close();
    // Gigabytes, which the areas that follow may need.
    for (const { premises } of logs) rmSync(premises.facts.dataDir, { recursive: true });
  }
};
