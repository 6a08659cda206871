/** Only requests at 32 connections, for whoever profiles. */
import { parseArgs } from 'node:util';
import { chatAnswer, chatBody } from './chat.ts';
import { warmUp } from './load.ts';
import { processorSeconds } from './processor.ts';
import type { Requests, RequestsSent } from './send-requests.ts';
import { prepareSetting, requestTo } from './targets.ts';

const { values: options } = parseArgs({
  options: {
    'cpu-prof': { type: 'string' },
    only: { type: 'string', multiple: true, default: ['direct', 'pipe', 'sallyport'] },
    connections: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    prompt: { type: 'string', default: '120' },
  },
});
const setting = await prepareSetting({ profileInto: options['cpu-prof'] });
await warmUp(
  setting,
  setting.targets.filter(({ name }) => options.only.includes(name)),
);
const body = chatBody(setting.model, { promptLength: Number(options.prompt) });
for (let round = 1; round <= Number(options.rounds); round += 1) {
  let pipe = 0;
  for (const target of setting.targets) {
    if (!options.only.includes(target.name)) continue;
    const used = processorSeconds(target.pid);
    const work: Requests = {
      kind: 'requests',
      port: target.port,
      request: requestTo(target, body),
      connections: Number(options.connections),
      warmUpMs: 500,
      ms: Number(options.seconds) * 1000,
      expectedBytes: chatAnswer(setting.model).length,
    };
    const { total, count, seconds, latency } = await setting.clients.ask<RequestsSent>(work);
    const each = (processorSeconds(target.pid) - used) / total;
    const rate = count / seconds;
    if (target.name === 'pipe') pipe = rate;
    const ratio = pipe > 0 ? `  ${(rate / pipe).toFixed(3)} × pipe` : '';
    process.stdout.write(
      `${target.name.padEnd(10)} ${rate.toFixed(0).padStart(7)}/s  p50 ${latency.p50.toFixed(2)} ms  p99 ${latency.p99.toFixed(2)} ms  ${(each * 1e6).toFixed(0)} µs of processor each${ratio}\n`,
    );
  }
}
await setting.close();
