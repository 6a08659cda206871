/** Rounds in which everything has its turn: what slows the machine in one round slows all of it. */
import { medianOf } from '../harness.ts';
import type { Target } from './targets.ts';

export class TargetRounds<T> {
  readonly #rounds: ReadonlyMap<string, T>[] = [];

  /** Measures each target once a round. */
  static async run<T>(
    targets: readonly Target[],
    count: number,
    measure: (target: Target) => Promise<T>,
  ): Promise<TargetRounds<T>> {
    const rounds = new TargetRounds<T>();
    for (let i = 0; i < count; i += 1) {
      const round = new Map<string, T>();
      for (const target of targets) {
        try {
          round.set(target.name, await measure(target));
        } catch (error) {
          throw new Error(`"${target.name}" failed in round ${i + 1}.`, { cause: error });
        }
      }
      rounds.#rounds.push(round);
    }
    return rounds;
  }

  median(name: string, figure: (turn: T) => number): number {
    return medianOf(this.#rounds.map((round) => figure(turnOf(round, name))));
  }

  /** Of each round by itself. */
  medianOfBoth(name: string, other: string, figure: (turn: T, other: T) => number): number {
    return medianOf(this.#rounds.map((round) => figure(turnOf(round, name), turnOf(round, other))));
  }
}

function turnOf<T>(round: ReadonlyMap<string, T>, name: string): T {
  const turn = round.get(name);
  if (turn === undefined) throw new Error(`"${name}" was not measured.`);
  return turn;
}
