/** Requests a second through the proxied path, and what each takes. */
import type { Area, Figure } from '../harness.ts';
import { goal } from './goals.ts';
import { takeTurn, warmUp, type TurnTaken } from './load.ts';
import { rateFigure } from './rates.ts';
import { TargetRounds } from './rounds.ts';
import { prepareSetting, type Setting } from './targets.ts';

const ROUNDS = 3;

const TURN = { warmUpMs: 300, ms: 1_500 };

/** The number of connections that goals of throughput are for. */
const BUSY = 32;

/** Too many for anything to wait for nothing; too few to measure more than waiting in a queue. */
const CONNECTIONS = [1, 8, BUSY, 128];

export const throughput: Area = async (report, { peers }) => {
  const setting = await prepareSetting({ peers });
  try {
    await warmUp(setting, setting.targets);
    for (const connections of CONNECTIONS) await measure(setting, connections, report);
  } finally {
    await setting.close();
  }
};

async function measure(
  setting: Setting,
  connections: number,
  report: (figure: Figure) => void,
): Promise<void> {
  const rounds = await TargetRounds.run(setting.targets, ROUNDS, (target) =>
    takeTurn(setting, target, { connections, ...TURN }),
  );
  for (const { name } of setting.targets) {
    const figure = rateFigure(rounds, name, `${connections} connections`);
    const isAsked = name === 'sallyport' && connections === BUSY;
    report(isAsked ? { ...figure, goal: goal('throughputOfPipe', figure.ratio.value) } : figure);
  }
  if (connections === BUSY && setting.targets.some(({ name }) => name === 'portkey')) {
    const value = rounds.medianOfBoth(
      'sallyport',
      'portkey',
      (turn, other) => turn.rate / other.rate,
    );
    const asked = goal('throughputOfPortkey', value);
    report({ name: 'sallyport against portkey', value, unit: '×', goal: asked });
  }
  if (connections === 1) for (const figure of added(rounds)) report(figure);
}

function added(rounds: TargetRounds<TurnTaken>): Figure[] {
  const by = (to: string, quantile: 'p50' | 'p99'): number =>
    rounds.medianOfBoth(
      'sallyport',
      to,
      (turn, other) => turn.latency[quantile] - other.latency[quantile],
    );
  const figure = (to: string, quantile: 'p50' | 'p99'): Figure => ({
    name: `sallyport adds to ${to}, ${quantile}`,
    value: by(to, quantile),
    unit: 'ms',
  });
  const p50 = figure('pipe', 'p50');
  const p99 = figure('pipe', 'p99');
  return [
    { ...p50, goal: goal('addedMsP50', p50.value) },
    { ...p99, goal: goal('addedMsP99', p99.value) },
    figure('direct', 'p50'),
    figure('direct', 'p99'),
  ];
}
