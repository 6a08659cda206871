/** Requests with a prompt of 200 KB: reading, checking and writing it are what counts. */
import type { Area } from '../harness.ts';
import { takeTurn, warmUp } from './load.ts';
import { rateFigure } from './rates.ts';
import { TargetRounds } from './rounds.ts';
import { prepareSetting } from './targets.ts';

const ROUNDS = 3;
const TURN = { promptLength: 200_000, connections: 8, warmUpMs: 500, ms: 2_000 };

export const prompts: Area = async (report, { peers }) => {
  const setting = await prepareSetting({ peers });
  try {
    await warmUp(setting, setting.targets);
    const rounds = await TargetRounds.run(setting.targets, ROUNDS, (target) =>
      takeTurn(setting, target, TURN),
    );
    for (const { name } of setting.targets) {
      report(rateFigure(rounds, name, `200 KB, ${TURN.connections} connections`));
    }
  } finally {
    await setting.close();
  }
};
