/** What keeping transcripts costs: the same calls under a grant of each mode, and what sealing by itself takes. */
import { Encrypter } from 'age-encryption';
import { newIdentity } from '../../../src/audit/sealing/age-identity.ts';
import { seal } from '../../../src/audit/sealing/age-seal.ts';
import { Rounds, costOf, type Area, type Cost, type Figure } from '../harness.ts';
import { Child } from './child.ts';
import { goal } from './goals.ts';
import { takeTurn, warmUp, type TurnTaken } from './load.ts';
import { TargetRounds } from './rounds.ts';
import { Premises, startSallyport, type RunningSallyport } from './sallyport.ts';
import { targetOf } from './targets.ts';
import { MODES } from './transcript-modes.ts';

const ROUNDS = 5;

const TURN = { connections: 32, warmUpMs: 300, ms: 2_000 };

const LONG_TURN = { connections: 8, warmUpMs: 300, ms: 1_500, promptLength: 200_000 };

export const transcripts: Area = async (report) => {
  for (const figure of await sealingAlone()) report(figure);
  const upstream = new Child(new URL('./upstream.ts', import.meta.url));
  const clients = new Child(new URL('./clients.ts', import.meta.url));
  const brokers: [string, RunningSallyport][] = [];
  try {
    let model = '';
    let url = '';
    for (const [name, mode] of Object.entries(MODES)) {
      const premises = await Premises.prepare(mode);
      if (url === '') {
        ({ model } = premises.facts);
        url = `http://127.0.0.1:${await upstream.ask<number>({ model })}`;
      }
      brokers.push([name, await startSallyport(premises, url)]);
    }
    const targets = brokers.map(([name, broker]) => targetOf(name, broker));
    await warmUp({ clients, model }, targets);
    for (const [what, turn] of [
      ['32 connections', TURN],
      ['200 KB, 8 connections', LONG_TURN],
    ] as const) {
      const rounds = await TargetRounds.run(targets, ROUNDS, (target) =>
        takeTurn({ clients, model }, target, turn),
      );
      for (const { name } of targets) report(modeFigure(rounds, name, what, turn === TURN));
    }
  } finally {
    for (const [, broker] of brokers) await broker.close();
    for (const child of [clients, upstream]) child.close();
  }
};

function modeFigure(
  rounds: TargetRounds<TurnTaken>,
  name: string,
  what: string,
  isAsked: boolean,
): Figure {
  const value = rounds.medianOfBoth(name, 'digest', (turn, other) => turn.rate / other.rate);
  const figure: Figure = {
    name: `${name}, ${what}`,
    value: rounds.median(name, ({ rate }) => rate),
    unit: 'a second',
    ratio: { value, to: 'digest' },
    details: {
      'p50 ms': rounds.median(name, ({ latency }) => latency.p50),
      'p99 ms': rounds.median(name, ({ latency }) => latency.p99),
      'processor µs': rounds.median(name, ({ processor }) => processor),
    },
  };
  return isAsked && name === 'sealed' ? { ...figure, goal: goal('sealedOfDigest', value) } : figure;
}

/** Bytes of a short body with what stands in front of it. */
const SHORT_BODY = Buffer.alloc(600, 'x');

/** A file for one recipient, by ours and by age-encryption, which is pure JavaScript. */
async function sealingAlone(): Promise<Figure[]> {
  const { recipient } = newIdentity();
  const ours = (): Promise<Cost> =>
    costOf(200, () => {
      for (let i = 0; i < 200; i += 1) {
        const file = seal([recipient]);
        file.update(SHORT_BODY);
        file.final();
      }
      return Promise.resolve();
    });
  const theirs = (): Promise<Cost> =>
    costOf(20, async () => {
      for (let i = 0; i < 20; i += 1) {
        const encrypter = new Encrypter();
        encrypter.addRecipient(recipient);
        await encrypter.encrypt(new Uint8Array(SHORT_BODY));
      }
    });
  const rounds = await Rounds.run(5, async () => ({
    'an age file': await ours(),
    'by age-encryption': await theirs(),
  }));
  return [rounds.time('an age file'), { ...rounds.time('by age-encryption', 'an age file') }];
}
