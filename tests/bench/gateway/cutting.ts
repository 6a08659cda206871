/** How soon an order ends streams that are under way, as their clients see it. */
import { z } from 'zod';
import { issuedOrderSchema, orderSchema } from '../../../src/cli/wire.ts';
import { medianOf, type Area } from '../harness.ts';
import { chatBody } from './chat.ts';
import { goal } from './goals.ts';
import { monotonicMs, type AwaitEnd, type Ended, type Hold } from './hold-streams.ts';
import { warmUp } from './load.ts';
import { prepareSetting, requestTo } from './targets.ts';

const STREAMS = 500;
const ROUNDS = 3;

/** Minutes of content: nothing but the order ends them. */
const ENDLESS = 4_000;

export const cutting: Area = async (report) => {
  const setting = await prepareSetting();
  const { sallyport, broker, clients, model, grant } = setting;
  const lastEnds: number[] = [];
  const answers: number[] = [];
  let withError = 0;
  try {
    await warmUp(setting, [sallyport]);
    for (let round = 0; round < ROUNDS; round += 1) {
      const body = chatBody(model, { stream: true, chunks: ENDLESS });
      await clients.ask({
        kind: 'hold',
        port: sallyport.port,
        request: requestTo(sallyport, body),
        streams: STREAMS,
      } satisfies Hold);
      const safety = broker.as('safety');
      // The officer has logged in; what follows is the call by itself.
      await safety.get('/orders', z.looseObject({}));
      const begun = monotonicMs();
      const { id, cut } = await safety.post('/orders', issuedOrderSchema, {
        selector: { grant },
        grounds: 'bench',
      });
      answers.push(monotonicMs() - begun);
      const ended = await clients.ask<Ended>({ kind: 'await end' } satisfies AwaitEnd);
      lastEnds.push(ended.lastAt - begun);
      withError += ended.withError;
      if (ended.withoutError > 0 || cut.length !== STREAMS)
        throw new Error(
          `Of ${STREAMS} streams, ${cut.length} were reported as cut and ${ended.withoutError} ended without an error.`,
        );
      await broker.as('admin').post(`/orders/${id}/lift`, orderSchema, { grounds: 'bench' });
    }
  } finally {
    await setting.close();
  }
  const last = medianOf(lastEnds);
  report({
    name: `from the order's call to the last of ${STREAMS} streams`,
    value: last,
    unit: 'ms',
    details: {
      'slowest round ms': Math.max(...lastEnds),
      'answer to the order ms': medianOf(answers),
    },
    goal: goal('cutMs', Math.max(...lastEnds)),
  });
  report({
    name: 'ended with the explicit error',
    value: withError,
    unit: `of ${STREAMS * ROUNDS}`,
  });
};
