/** `sallyport demo`: the story of a grant, step by step, with the real SDKs; each step says what it proves. */
import Anthropic from '@anthropic-ai/sdk';
import OpenAI, { APIError } from 'openai';
import { readFileSync, writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { digestOfTerms } from '../broker/manage-grants.ts';
import { verifyBundle } from '../audit/verify-bundle.ts';
import { demoGrant, type GrantInput } from './grant.ts';
import { DEMO_MODEL } from './model-reply.ts';
import { must, refusedWith, type Narrator } from './narrator.ts';
import { tell } from './tell.ts';
import { makeActiveGrant, type DemoWorld } from './world.ts';

const anything = z.looseObject({ id: z.string() });
const grantAnswer = z.looseObject({ id: z.string(), status: z.string() });
const orderAnswer = z.looseObject({
  id: z.string(),
  cut: z.array(z.looseObject({ requestId: z.string() })),
});

/** What a stream is asked for that must still be running when it is cut. */
const LONG_ANSWER = 'Please count to 2000.';

interface Scene {
  world: DemoWorld;
  narrator: Narrator;
  openai: OpenAI;
  anthropic: Anthropic;
  grant: string;
}

/** Tells the story. @returns 0, or 1 as soon as a step is not as it should be */
export const tellStory = (out: (text: string) => void): Promise<number> =>
  tell(out, async ({ world, narrator, folder }) => {
    const scene = { narrator, world, ...(await reachAgreement(world, narrator)) };
    await callTheModel(scene);
    await meetTheLimits(scene);
    await cutTheStream(scene);
    await proveTheRecord(scene, folder);
  });

/** From a request to an active grant and a token. */
async function reachAgreement(
  world: DemoWorld,
  narrator: Narrator,
): Promise<Omit<Scene, 'world' | 'narrator'>> {
  const { admin, safety, lead, researcher, deputy } = world.people;
  const spec: GrantInput = { ...grantFor(world), limits: { concurrent: 1 } };

  narrator.chapter('Two labs agree');
  const { id: grant } = await lead.client.post('/grants', anything, spec);
  await lead.client.post(`/grants/${grant}/submit`, anything);
  narrator.proved(
    `${lead.name} (lead, partner lab) asks for access: ${grant}`,
    'a grant begins with a request that names models, purposes and people',
  );

  const once = await admin.client.post(`/grants/${grant}/approve`, grantAnswer);
  must(once.status === 'submitted', `after one approval the grant is ${once.status}`);
  await refusedWith('grant_not_active', researcher.client.requestToken(access(grant, 'too early')));
  narrator.proved(
    `${admin.name} (admin) approves, and that is not enough`,
    'no token is issued on one approval',
  );

  const own = await admin.client.post('/grants', anything, spec);
  await admin.client.post(`/grants/${own.id}/submit`, anything);
  await refusedWith(
    'author_may_not_decide',
    admin.client.post(`/grants/${own.id}/approve`, anything),
  );
  await refusedWith('role_required', lead.client.post(`/grants/${grant}/approve`, anything));
  narrator.proved(
    'Who wrote a grant may not approve it, and no one of the partner lab may',
    'two people decide, neither of them the author, both of the host',
  );

  await refusedWith('already_decided', admin.client.post(`/grants/${grant}/approve`, anything));
  const twice = await safety.client.post(`/grants/${grant}/approve`, grantAnswer);
  must(twice.status === 'approved', `after two approvals the grant is ${twice.status}`);
  await refusedWith('illegal_transition', deputy.client.post(`/grants/${grant}/approve`, anything));
  narrator.proved(
    `${safety.name} (safety) approves too: approved`,
    'one admin and one safety officer; the same person twice does not count',
  );

  await refusedWith(
    'grant_not_active',
    researcher.client.requestToken(access(grant, 'before the terms')),
  );
  const termsDigest = digestOfTerms(spec);
  const active = await lead.client.post(`/grants/${grant}/accept`, grantAnswer, { termsDigest });
  must(active.status === 'active', `after the lead accepted, the grant is ${active.status}`);
  await refusedWith(
    'terms_not_accepted',
    researcher.client.requestToken(access(grant, 'before her own yes')),
  );
  await researcher.client.post(`/grants/${grant}/accept`, anything, { termsDigest });
  narrator.proved(
    'The lead accepts the terms for the lab, the researcher for herself: active',
    'nobody gets a token for terms they have not accepted',
  );

  const { access_token: token } = await researcher.client.requestToken(access(grant, 'first look'));
  narrator.proved(
    `${researcher.name} (researcher) gets a token: for one grant, purpose and run, for an hour at most`,
    'access is short-lived and names who, for what and why',
  );
  return { grant, ...sdks(world, token) };
}

async function callTheModel({ openai, anthropic, narrator }: Scene): Promise<void> {
  const messages = [{ role: 'user' as const, content: 'Which of these did you make up?' }];
  narrator.chapter('The researcher works, with the SDKs she has');

  const plain = await openai.chat.completions.create({ model: DEMO_MODEL, messages });
  must(Boolean(plain.choices[0]?.message.content), 'the answer is empty');
  const streamed = await openai.chat.completions.create({
    model: DEMO_MODEL,
    messages,
    stream: true,
  });
  let text = '';
  for await (const chunk of streamed) text += chunk.choices[0]?.delta.content ?? '';
  must(
    text === plain.choices[0]?.message.content,
    'the streamed answer differs from the plain one',
  );
  narrator.proved(
    `openai: chat, plain and streamed (${plain.usage?.total_tokens} tokens)`,
    'an unmodified SDK works by base URL and key alone',
  );

  const message = await anthropic.messages.create({ model: DEMO_MODEL, max_tokens: 256, messages });
  must(message.content[0]?.type === 'text', 'the answer has no text');
  const final = await anthropic.messages
    .stream({ model: DEMO_MODEL, max_tokens: 256, messages })
    .finalMessage();
  must(final.stop_reason === 'end_turn', `the stream ended with ${final.stop_reason}`);
  narrator.proved(
    `@anthropic-ai/sdk: messages, plain and streamed (${final.usage.output_tokens} output tokens)`,
    'so does the other one, under the same origin and token',
  );

  const elsewhere = openai.chat.completions.create({ model: 'frontier-unreleased', messages });
  await refusedWith('model_not_granted', elsewhere);
  narrator.proved(
    'A model outside the grant is refused, by name',
    'what is not named is not allowed',
  );
}

async function meetTheLimits({ world, openai, narrator }: Scene): Promise<void> {
  narrator.chapter('Limits hold');
  const occupied = await openai.chat.completions.create({
    model: DEMO_MODEL,
    messages: [{ role: 'user', content: 'Please count to 60.' }],
    stream: true,
  });
  const started = performance.now();
  const [, waited] = await Promise.all([
    drain(occupied),
    openai.chat.completions
      .create({ model: DEMO_MODEL, messages: [{ role: 'user', content: 'Me too' }] })
      .then(() => performance.now() - started),
  ]);
  must(waited >= 1000, `the second request was not held back (${waited.toFixed(0)} ms)`);
  narrator.proved(
    `One request at a time is the limit: the SDK waited ${(waited / 1000).toFixed(1)} s and succeeded`,
    'a limit that refills soon is a 429 with Retry-After, and SDKs know what to do',
  );

  const spec: GrantInput = {
    ...grantFor(world),
    title: 'Narrow reproduction (demo)',
    budgets: { requests: 1 },
  };
  const narrow = await makeActiveGrant(world, spec);
  const { access_token: token } = await world.people.researcher.client.requestToken(
    access(narrow, 'reproduction'),
  );
  const attempts = { count: 0 };
  const { openai: counted } = sdks(world, token, (...args) => {
    attempts.count += 1;
    return fetch(...args);
  });
  const ask = (): Promise<unknown> =>
    counted.chat.completions.create({
      model: DEMO_MODEL,
      messages: [{ role: 'user', content: 'Again' }],
    });
  await ask();
  attempts.count = 0;
  await refusedWith('quota_exhausted', ask());
  must(attempts.count === 1, `the SDK tried ${attempts.count} times`);
  narrator.proved(
    'A budget of one request: the second is refused once, and not retried',
    'a used-up budget is final, so it is a 403 and no harness waits for it',
  );
}

async function cutTheStream({ world, openai, narrator, grant }: Scene): Promise<void> {
  const { safety, deputy } = world.people;
  narrator.chapter('The safety officer stops it');
  const stream = await openai.chat.completions.create({
    model: DEMO_MODEL,
    messages: [{ role: 'user', content: LONG_ANSWER }],
    stream: true,
  });
  let chunks = 0;
  const ended = (async (): Promise<{ error: unknown; at: number }> => {
    try {
      for await (const _ of stream) chunks += 1;
      return { error: undefined, at: performance.now() };
    } catch (error) {
      return { error, at: performance.now() };
    }
  })();
  await delay(500);
  const ordered = performance.now();
  const order = await safety.client.post('/orders', orderAnswer, {
    selector: { grant },
    grounds: 'An answer named a real person. Stopped until it is understood.',
  });
  const acknowledged = performance.now();
  const { error, at } = await ended;
  if (!(error instanceof APIError)) {
    throw new Error(`Expected the SDK to raise; the stream ended after ${chunks} chunks.`);
  }
  must(error.message.includes(order.id), 'the error does not name the order');
  must(order.cut.length === 1, `the order says it cut ${order.cut.length} requests`);
  const ms = at - ordered;
  must(ms < 250, `from order to cut took ${ms.toFixed(0)} ms`);
  narrator.proved(
    `${safety.name} suspends the grant during a stream (${chunks} chunks in): the SDK raised ${ms.toFixed(0)} ms after the order was sent; the order was acknowledged after ${(acknowledged - ordered).toFixed(0)} ms`,
    'an order cuts open streams with an explicit error, never a clean end',
  );
  await refusedWith(
    'grant_suspended',
    openai.chat.completions.create({
      model: DEMO_MODEL,
      messages: [{ role: 'user', content: 'Still there?' }],
    }),
  );
  narrator.proved(
    'New requests are refused, by the order',
    'once the order is acknowledged, nothing passes',
  );

  await refusedWith(
    'second_person_needed',
    safety.client.post(`/orders/${order.id}/lift`, anything, { grounds: 'Understood.' }),
  );
  await deputy.client.post(`/orders/${order.id}/lift`, anything, {
    grounds: 'Understood: the name was invented.',
  });
  await openai.chat.completions.create({
    model: DEMO_MODEL,
    messages: [{ role: 'user', content: 'Back again' }],
  });
  narrator.proved(
    `Who issued the order cannot lift it; ${deputy.name} (safety) does, and calls pass again`,
    'tightening takes one person, loosening another',
  );
}

async function proveTheRecord({ world, narrator }: Scene, folder: string): Promise<void> {
  const { auditor } = world.people;
  const { verifierKey } = world.server.broker.store;
  const file = join(folder, 'evidence.tar');
  narrator.chapter('The auditor proves the record');
  const { body } = await auditor.client.request('POST', '/exports', {});
  await writeFile(file, body ?? '');
  const sound = await verifyBundle(file, verifierKey);
  must(sound.status === 'sound', `the export verifies as ${sound.status}: ${sound.problem}`);
  narrator.proved(
    `${auditor.name} exports ${sound.size} entries and verifies them offline: sound`,
    'the evidence needs neither the server nor its database, only the public key',
  );

  const bytes = readFileSync(file);
  // In the first refusal of the record.
  const target = bytes.indexOf('"decision":"denied"');
  bytes[target + '"decision":"'.length] = 'D'.charCodeAt(0);
  const forged = join(folder, 'forged.tar');
  writeFileSync(forged, bytes);
  const tampered = await verifyBundle(forged, verifierKey);
  must(
    tampered.status === 'tampered' && tampered.firstBadIndex === entryAt(bytes, target),
    `the forgery verifies as ${tampered.status}, at ${tampered.firstBadIndex}`,
  );
  narrator.proved(
    `One byte of the export changed: tampered, at entry ${tampered.firstBadIndex}`,
    'any change is found, and named',
  );
}

/** Index of the entry whose line spans this byte, by what the entry says itself. */
function entryAt(bundle: Buffer, at: number): number {
  const line = bundle.subarray(bundle.lastIndexOf('\n', at) + 1, bundle.indexOf('\n', at));
  return z.object({ index: z.int() }).parse(JSON.parse(line.toString('utf8'))).index;
}

function grantFor(world: DemoWorld): GrantInput {
  const { researcher } = world.people;
  return demoGrant({
    lab: world.labs.partner,
    people: [researcher.id],
    models: [DEMO_MODEL],
    operations: ['chat.completions', 'messages', 'models'],
    now: Date.now(),
  });
}

const access = (grant: string, run: string): object => ({
  type: 'model_access',
  grant,
  purpose: 'hallucination',
  run,
});

function sdks(
  world: DemoWorld,
  token: string,
  fetchWith: typeof fetch = fetch,
): Pick<Scene, 'openai' | 'anthropic'> {
  const { url } = world.server;
  return {
    openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: token, fetch: fetchWith }),
    anthropic: new Anthropic({ baseURL: url, authToken: token, apiKey: null, fetch: fetchWith }),
  };
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}
