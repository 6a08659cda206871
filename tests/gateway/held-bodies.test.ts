/** The memory that bodies take up counts from their first byte until their request has ended. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  HELLO,
  eventually,
  post,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { openaiJson } from '../support/scripted-upstream.ts';

const BYTES = 262_144;

let running: RunningBroker;
beforeAll(async () => {
  running = await startRunningBroker({ gateway: { maxBodyBytes: BYTES, maxBufferedBytes: BYTES } });
});
afterAll(() => running.close());

const withStops = (stop: string): string =>
  `{"model":"${HELLO.model}","messages":[{"role":"user","content":"x"}],"stop":[${stop}]}`;

it('as what is dispatched, which can be longer than what came', async () => {
  const { token } = await running.access();
  const send = (body: string): Promise<Response> =>
    post(`${running.url}/v1/chat/completions`, token, body);
  let release = (): void => undefined;
  running.upstream.respond(async (req, res) => {
    await new Promise<void>((resolve) => (release = resolve));
    await openaiJson()(req, res);
  });
  // 60 kB, written out 204 kB.
  const long = send(withStops(`${'1e15,'.repeat(12_000)}1`));
  await eventually(() => expect(running.upstream.requests).toHaveLength(1));
  const further = withStops(`"${'x'.repeat(100_000)}"`);
  expect(await (await send(further)).json()).toMatchObject({ error: { code: 'too_busy' } });
  release();
  expect((await long).status).toBe(200);
  running.upstream.respond(openaiJson());
  await eventually(async () => expect((await send(further)).status).toBe(200));
  running.checkUpstream();
});
