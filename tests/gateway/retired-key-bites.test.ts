/** A signing key that leaked takes its tokens with it, and the streams that run on them (invariant 5). */
import { decodeProtectedHeader } from 'jose';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { retireSigningKey, rotateSigningKeys } from '../../src/broker/manage-signing-keys.ts';
import {
  HELLO,
  codeOf,
  drain,
  errorOf,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold, openaiJson } from '../support/scripted-upstream.ts';

/** How long after the acknowledgement a stream in scope may go on. */
const BITE_MS = 250;

let running: RunningBroker;
beforeAll(async () => {
  running = await startRunningBroker();
});
afterAll(() => running.close());

it('cuts streams of the tokens that the key signed, and no others', async () => {
  const { broker } = running.test;
  const { admin, safety } = running.people;
  const hit = await running.access();
  await rotateSigningKeys(broker, admin.id, { now: true });
  const spared = await running.tokenFor(hit.person, hit.grant);
  const leaked = decodeProtectedHeader(hit.token).kid as string;
  expect(decodeProtectedHeader(spared.token).kid).not.toBe(leaked);

  const held = hold();
  running.upstream.respond(held);
  const ask = { ...HELLO, stream: true as const };
  const cut = await hit.openai.chat.completions.create(ask);
  const goesOn = await spared.openai.chat.completions.create(ask);
  const ending = errorOf(drain(cut)).then((error) => ({ error, at: performance.now() }));

  const retired = await retireSigningKey(broker, safety.id, leaked, 'Test');
  const acknowledged = performance.now();
  expect(retired.tokensEnded).toBe(1);
  const { error, at } = await ending;
  expect(codeOf(error)).toBe('token_revoked');
  expect(at - acknowledged).toBeLessThan(BITE_MS);

  held.release();
  await drain(goesOn);
  running.upstream.respond(openaiJson());
  const asked = running.upstream.requests.length;
  // It was revoked with its key; but whoever holds it did nothing, and a new one will do.
  expect(codeOf(await errorOf(hit.openai.chat.completions.create(HELLO)))).toBe('invalid_token');
  expect(running.upstream.requests.length).toBe(asked);
  await spared.openai.chat.completions.create(HELLO);
  await (await running.tokenFor(hit.person, hit.grant)).openai.chat.completions.create(HELLO);
  running.checkUpstream();
});
