/** One sequence: the broker and the model beside it, and how a command is tried on both. */
import * as fc from 'fast-check';
import type { LiveTestRequest } from '../../support/live-request.ts';
import { RefusedError } from '../../../src/core/denials.ts';
import type { LocalBroker } from '../../support/local-broker.ts';
import type { Subject } from './oracle.ts';
import type { Model, ModelPerson, ModelToken } from './state.ts';

/** A stream that is held open, and what it was admitted for. */
interface Stream {
  live: Pick<LiveTestRequest, 'id' | 'cancellation'>;
  subject: Subject;
  token: ModelToken;
  restored: readonly string[];
  /** The model says that it was to be cut. */
  isCut: boolean;
}

/** How often each command was tried, and how often it was allowed. */
export type Tally = Map<string, { tried: number; allowed: number }>;

export interface Run {
  local: LocalBroker;
  model: Model;
  streams: Stream[];
  /** Commands that were run. */
  steps: number;
  tally: Tally;
  /** Requests that the broker and the model decided, and how many passed. */
  decisions: { compared: number; allowed: number };
}

/** A number that stands for a choice among whatever there is then. */
export const pick = fc.nat({ max: 9_999 });

/**
 * Who tries what on which: mostly those who may; at 7, somebody of the same office who may not, such as whoever wrote it;
 * and else anybody on anything.
 */
export const whoAndWhat = { wild: fc.nat({ max: 9 }), who: pick, what: pick };

interface WhoAndWhat {
  wild: number;
  who: number;
  what: number;
}

export const oneOf = <T>(list: readonly T[], choice: number): T | undefined =>
  list[choice % Math.max(1, list.length)];

/**
 * Chooses who acts and on what.
 *
 * @param isAllowed by the model
 */
export function choose<T>(
  { model }: Run,
  { wild, who, what }: WhoAndWhat,
  things: readonly T[],
  isAllowed: (actor: ModelPerson, thing: T) => boolean,
): { actor: ModelPerson; thing: T } | undefined {
  const allowed =
    wild <= NEAR
      ? things.flatMap((thing) =>
          model.people
            .filter((actor) => isAllowed(actor, thing))
            .map((actor) => ({ actor, thing })),
        )
      : [];
  const chosen = oneOf(allowed, who + what);
  if (chosen && wild < NEAR) return chosen;
  if (chosen) return { ...chosen, actor: nearMiss(model, chosen, isAllowed, who) };
  // Where nobody may, it is tried now and then all the same.
  if (wild < 7 && who % 4 > 0) return undefined;
  const thing = oneOf(things, what);
  const actor = oneOf(model.people, who);
  return thing === undefined || actor === undefined ? undefined : { actor, thing };
}

const NEAR = 7;

/** Somebody of the same office as one who may, and who may not. */
function nearMiss<T>(
  { people }: Model,
  { actor, thing }: { actor: ModelPerson; thing: T },
  isAllowed: (actor: ModelPerson, thing: T) => boolean,
  choice: number,
): ModelPerson {
  const others = people.filter(
    (one) =>
      one.kind === actor.kind &&
      one.roles.some((role) => actor.roles.includes(role)) &&
      !isAllowed(one, thing),
  );
  return oneOf(others, choice) ?? actor;
}

/** A command of a sequence. */
export class Command implements fc.AsyncCommand<object, Run> {
  readonly #name: string;
  readonly #seed: unknown;
  readonly #run: (run: Run) => Promise<void>;

  constructor(name: string, seed: unknown, run: (run: Run) => Promise<void>) {
    this.#name = name;
    this.#seed = seed;
    this.#run = run;
  }

  check(): boolean {
    return true;
  }

  async run(_: object, run: Run): Promise<void> {
    // Ids begin with the time: whatever comes later sorts later.
    advance(run, 1_000);
    await this.#run(run);
  }

  toString(): string {
    return `${this.#name}(${JSON.stringify(this.#seed)})`;
  }
}

/** Makes the commands of a kind. */
export function command<T>(
  name: string,
  seed: fc.Arbitrary<T>,
  run: (run: Run, seed: T) => Promise<void>,
): fc.Arbitrary<Command> {
  return seed.map((value) => new Command(name, value, (real) => run(real, value)));
}

export function advance({ local, model }: Run, ms: number): void {
  local.time.now += ms;
  model.now += ms;
}

/**
 * Tries something on the broker.
 *
 * @param expected whether the model allows it; undefined: it does not say
 * @returns undefined where it was refused
 * @throws where the broker allows what the model does not, or the other way round
 */
export async function attempt<T>(
  { tally }: Run,
  name: string,
  expected: boolean | undefined,
  act: () => Promise<T>,
): Promise<T | undefined> {
  const counts = tally.get(name) ?? { tried: 0, allowed: 0 };
  tally.set(name, counts);
  counts.tried += 1;
  let result: T;
  try {
    result = await act();
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    const { code, message } = error.refusal;
    if (expected === true)
      throw new Error(`${name} must be allowed: ${code}, ${message}`, { cause: error });
    return undefined;
  }
  counts.allowed += 1;
  if (expected === false) throw new Error(`${name} must be refused, and was allowed.`);
  return result;
}
