/** What the broker's process holds of memory: before a load, in it, and after it. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Area } from '../harness.ts';
import { goal } from './goals.ts';
import { takeTurn } from './load.ts';
import { residentBytes } from './processor.ts';
import { runStreamsOn } from './streaming.ts';
import { prepareSetting } from './targets.ts';

/** A process that has done nothing yet has not even loaded its code: idle is after it did some work, and rested. */
const WARM_UP = { connections: 32, warmUpMs: 0, ms: 3_000 };

const REST_MS = 10_000;

const REQUESTS = { connections: 128, warmUpMs: 0, ms: 10_000 };
const LONG_PROMPTS = { connections: 32, warmUpMs: 0, ms: 5_000, promptLength: 200_000 };
const STREAMS = {
  chunks: 100,
  lanes: 500,
  streamsEach: 2,
  rampMs: 1_000,
  countFromMs: 0,
  countUntilMs: Infinity,
};

const LOOK_EVERY_MS = 100;

const MIB = 1 << 20;

export const memory: Area = async (report) => {
  const setting = await prepareSetting();
  const { sallyport } = setting;
  const now = (): number => residentBytes(sallyport.pid) / MIB;
  try {
    const started = now();
    await takeTurn(setting, sallyport, WARM_UP);
    await delay(REST_MS);
    const idle = now();
    let most = 0;
    const look = setInterval(() => (most = Math.max(most, now())), LOOK_EVERY_MS);
    try {
      await takeTurn(setting, sallyport, REQUESTS);
      await runStreamsOn(setting, sallyport, STREAMS);
      await takeTurn(setting, sallyport, LONG_PROMPTS);
    } finally {
      clearInterval(look);
    }
    await delay(REST_MS);
    const after = now();
    const row = (name: string, value: number): void =>
      report({ name, value, unit: 'MiB', ratio: { value: value / idle, to: 'idle' } });
    row('started', started);
    row('idle: warmed up, rested for 10 s', idle);
    row('most under load', most);
    const ratio = { value: after / idle, to: 'idle' };
    const asked = goal('memoryAfterLoad', ratio.value);
    report({ name: '10 s after the load', value: after, unit: 'MiB', ratio, goal: asked });
  } finally {
    await setting.close();
  }
};
