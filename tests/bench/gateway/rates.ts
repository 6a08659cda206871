/** Lines of the report about requests a second. */
import type { Figure } from '../harness.ts';
import type { TurnTaken } from './load.ts';
import type { TargetRounds } from './rounds.ts';

/** How one target did, held against the bare pipe. */
export function rateFigure(
  rounds: TargetRounds<TurnTaken>,
  name: string,
  what: string,
): Figure & Required<Pick<Figure, 'ratio'>> {
  const toPipe = rounds.medianOfBoth(name, 'pipe', (turn, pipe) => turn.rate / pipe.rate);
  return {
    name: `${name}, ${what}`,
    value: rounds.median(name, ({ rate }) => rate),
    unit: 'a second',
    ratio: { value: toPipe, to: 'pipe' },
    details: {
      'p50 ms': rounds.median(name, ({ latency }) => latency.p50),
      'p99 ms': rounds.median(name, ({ latency }) => latency.p99),
      'processor µs': rounds.median(name, ({ processor }) => processor),
    },
  };
}
