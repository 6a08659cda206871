/** Runs sequences of commands on a broker and on the model, and holds the one against the other after every step. */
import assert from 'node:assert/strict';
import { setImmediate as tick } from 'node:timers/promises';
import * as fc from 'fast-check';
import { LocalBroker } from '../../support/local-broker.ts';
import { entriesIn, replayOf, stateIn, stateTold } from '../../support/replayed.ts';
import { checkStep } from './checks.ts';
import { grantCommands } from './grant-commands.ts';
import { orderCommands } from './order-commands.ts';
import { peopleCommands } from './people-commands.ts';
import { dateReview } from './grant-rules.ts';
import { rosterCommands } from './roster-commands.ts';
import type { Command, Run, Tally } from './run.ts';
import { CONFIG, type World } from './setting.ts';
import { tokenCommands } from './token-commands.ts';

const MOST_COMMANDS = 40;

/** Each command, with the check of everything after it. */
class Checked implements fc.AsyncCommand<object, Run> {
  readonly #command: Command;

  constructor(one: Command) {
    this.#command = one;
  }

  check(): boolean {
    return this.#command.check();
  }

  async run(model: object, run: Run): Promise<void> {
    await this.#command.run(model, run);
    for (const grant of run.model.grants) dateReview(grant, run.model.now);
    checkStep(run, (run.steps += 1));
  }

  toString(): string {
    return this.#command.toString();
  }
}

type Weighted = { weight: number; arbitrary: fc.Arbitrary<Command> }[];

const times = (factor: number, some: Weighted): Weighted =>
  some.map(({ weight, arbitrary }) => ({ weight: weight * factor, arbitrary }));

/** What there is most of. */
const MIXES = {
  grants: [
    ...times(2, grantCommands),
    ...orderCommands,
    ...peopleCommands,
    ...rosterCommands,
    ...tokenCommands,
  ],
  orders: [
    ...grantCommands,
    ...times(2, orderCommands),
    ...peopleCommands,
    ...rosterCommands,
    ...tokenCommands,
  ],
} satisfies Record<string, Weighted>;

export type Mix = keyof typeof MIXES;

const sequencesOf = (mix: Mix) =>
  fc.commands([fc.oneof(...MIXES[mix]).map((one) => new Checked(one))], {
    maxCommands: MOST_COMMANDS,
    size: 'max',
  });

/** The log alone tells what the database has. */
function checkReplay({ local, model }: Run): void {
  const { db } = local.writer.context;
  const told = replayOf(entriesIn(db));
  assert.deepEqual(told.gaps, [], 'what the log does not tell');
  assert.deepEqual(stateTold(told, model.now), stateIn(db, model.now));
}

export interface Outcome {
  sequences: number;
  commands: number;
  decisions: Run['decisions'];
  tally: Tally;
}

/**
 * Runs sequences from one world.
 *
 * @throws with the smallest sequence that was found to fail
 */
export async function runSequences(
  world: World,
  { mix, numRuns, seed }: { mix: Mix; numRuns: number; seed: number },
): Promise<Outcome> {
  const tally: Tally = new Map();
  const decisions = { compared: 0, allowed: 0 };
  let steps = 0;
  let sequences = 0;
  const property = fc.asyncProperty(sequencesOf(mix), async (sequence) => {
    const model = structuredCloneOf(world);
    const local = LocalBroker.copyOf(world.template, CONFIG, model.now);
    const run: Run = { local, model, streams: [], tally, steps: 0, decisions };
    sequences += 1;
    if (sequences % 50 === 0) await tick();
    try {
      await fc.asyncModelRun(() => ({ model: {}, real: run }), sequence);
      checkReplay(run);
    } finally {
      steps += run.steps;
      await local.discard();
    }
  });
  const details = await fc.check(property, { numRuns, seed });
  if (details.failed)
    throw new Error(await fc.asyncDefaultReportMessage(details), { cause: details.errorInstance });
  return { sequences: details.numRuns, commands: steps, decisions, tally };
}

/** Keys are shared: they are never changed, and cannot be cloned. */
function structuredCloneOf({ model }: World): Run['model'] {
  const { people, grants, ...rest } = model;
  return {
    ...structuredClone(rest),
    grants: structuredClone(grants),
    people: people.map((person) => ({
      ...person,
      attributes: { ...person.attributes },
      attributesUntil: { ...person.attributesUntil },
      keys: [...person.keys],
    })),
  };
}

/** What has to have happened, each at least so often in a thousand sequences: where everything is refused, nothing is proven. */
const AT_LEAST: Record<string, number> = {
  'grant create': 100,
  'grant amend': 4,
  'grant amend in force': 60,
  'grant amend next': 80,
  'grant submit': 100,
  'grant approve': 100,
  'grant approve narrowed': 4,
  'grant accept': 15,
  'grant return': 2,
  'grant reject': 2,
  'grant withdraw': 5,
  'grant revoke': 25,
  'grant close': 25,
  'order issue 0': 30,
  'order issue 1': 30,
  'order issue 2': 50,
  'order issue 3': 50,
  'order issue 4': 50,
  'order issue 5': 10,
  'order issue legal': 20,
  'order ratify': 30,
  'order review': 10,
  'order supplement': 20,
  'order acknowledge': 4,
  'order lift': 30,
  'order lower': 25,
  'order object': 30,
  'dispute decide affirmed': 2,
  'dispute decide modified': 1,
  'dispute decide vacated': 2,
  'person create': 20,
  'person remove': 50,
  'person add key': 20,
  'person remove key': 20,
  'hand back': 50,
  invite: 50,
  join: 10,
  'token issue': 200,
  'tokens revoke': 15,
  'run end': 5,
  'stream begin': 40,
};

/** The commands that were allowed too seldom for anything to follow. */
export function tooSeldom({ sequences, tally }: Outcome): string[] {
  return Object.entries(AT_LEAST)
    .filter(
      ([name, least]) => (tally.get(name)?.allowed ?? 0) < Math.floor((least * sequences) / 1_000),
    )
    .map(([name]) => `${name}: ${tally.get(name)?.allowed ?? 0} of ${tally.get(name)?.tried ?? 0}`);
}

/** The part of everything tried that was allowed. */
export function partAllowed({ tally }: Outcome): number {
  const counts = [...tally.values()];
  const sum = (part: 'tried' | 'allowed'): number =>
    counts.reduce((total, one) => total + one[part], 0);
  return sum('allowed') / sum('tried');
}
