/** Only requests at 32 connections, or many streams at a time, for whoever profiles. */
import { parseArgs } from 'node:util';
import { chatAnswer, chatBody, eventsOf } from './chat.ts';
import { warmUp } from './load.ts';
import { processorSeconds } from './processor.ts';
import type { Requests, RequestsSent } from './send-requests.ts';
import { allAtOnce, runStreamsOn } from './streaming.ts';
import { MODES } from './transcript-modes.ts';
import { prepareSetting, requestTo, type Target } from './targets.ts';

const { values: options } = parseArgs({
  options: {
    'cpu-prof': { type: 'string' },
    only: { type: 'string', multiple: true, default: ['direct', 'pipe', 'sallyport'] },
    connections: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    prompt: { type: 'string', default: '120' },
    /** So many at a time, in place of requests. */
    streams: { type: 'string' },
    /** How transcripts are kept: a mode of the area `transcripts`. */
    transcripts: { type: 'string', default: 'digest' },
  },
});
const setting = await prepareSetting({
  profileInto: options['cpu-prof'],
  grant: MODES[options.transcripts] ?? {},
});
await warmUp(
  setting,
  setting.targets.filter(({ name }) => options.only.includes(name)),
);
const body = chatBody(setting.model, { promptLength: Number(options.prompt) });
const ms = Number(options.seconds) * 1000;
const say = (target: Target, what: string): boolean =>
  process.stdout.write(`${target.name.padEnd(10)} ${what}\n`);

/** Many streams at a time. What it costs to begin and end them is counted to their events. */
async function runStreams(target: Target, lanes: number): Promise<void> {
  const used = processorSeconds(target.pid);
  const turn = allAtOnce(lanes, ms);
  const { gap, firstByte, refused } = await runStreamsOn(setting, target, turn);
  const each = (processorSeconds(target.pid) - used) / (lanes * eventsOf(turn.chunks));
  say(
    target,
    `gap p50 ${gap.p50.toFixed(1)} ms  p99 ${gap.p99.toFixed(1)} ms  first byte p50 ${firstByte.p50.toFixed(2)} ms  refused ${refused}  ${(each * 1e6).toFixed(1)} µs of processor each`,
  );
}

/** @returns requests a second */
async function runRequests(target: Target, pipe: number): Promise<number> {
  const used = processorSeconds(target.pid);
  const work: Requests = {
    kind: 'requests',
    port: target.port,
    request: requestTo(target, body),
    connections: Number(options.connections),
    warmUpMs: 500,
    ms,
    expectedBytes: chatAnswer(setting.model).length,
  };
  const { total, count, seconds, latency } = await setting.clients.ask<RequestsSent>(work);
  const each = (processorSeconds(target.pid) - used) / total;
  const rate = count / seconds;
  const ratio = pipe > 0 ? `  ${(rate / pipe).toFixed(3)} × pipe` : '';
  say(
    target,
    `${rate.toFixed(0).padStart(7)}/s  p50 ${latency.p50.toFixed(2)} ms  p99 ${latency.p99.toFixed(2)} ms  ${(each * 1e6).toFixed(0)} µs of processor each${ratio}`,
  );
  return rate;
}

for (let round = 1; round <= Number(options.rounds); round += 1) {
  let pipe = 0;
  for (const target of setting.targets) {
    if (!options.only.includes(target.name)) continue;
    if (options.streams !== undefined) {
      await runStreams(target, Number(options.streams));
      continue;
    }
    const rate = await runRequests(target, pipe);
    if (target.name === 'pipe') pipe = rate;
  }
}
await setting.close();
