/** Researchers of the partner lab who are at work when an order comes. */
import OpenAI from 'openai';
import { join } from 'node:path';
import { z } from 'zod';
import { digestOfTerms } from '../broker/manage-grants.ts';
import { BrokerClient } from '../cli/broker-client.ts';
import { publicJwkOf } from '../cli/public-key.ts';
import { processSurroundings } from '../cli/surroundings.ts';
import { createKeyFile } from '../lib/key-file.ts';
import { demoGrant } from './grant.ts';
import { DEMO_MODEL } from './model-reply.ts';
import type { Narrator } from './narrator.ts';
import type { DemoWorld } from './world.ts';

const anything = z.looseObject({ id: z.string() });

/** How many researchers have each standing. */
const OF_EACH = 3;

export interface Colleague {
  id: string;
  status: 'restricted' | 'cleared';
  client: BrokerClient;
  openai: OpenAI;
}

/** A stream that is being read. */
export interface Reading {
  colleague: Colleague;
  chunks: number;
  endedAt: number | undefined;
  error: unknown;
  done: Promise<void>;
  stop(): void;
}

/** Six researchers of the partner, one grant, a token each. */
export async function assemble(
  world: DemoWorld,
  dataDir: string,
  narrator: Narrator,
): Promise<Colleague[]> {
  const { lead, admin, safety } = world.people;
  const { url } = world.server;
  narrator.chapter('Six researchers of a partner lab are at work');
  const statuses = [
    ...Array.from({ length: OF_EACH }, () => 'restricted' as const),
    ...Array.from({ length: OF_EACH }, () => 'cleared' as const),
  ];
  const people = await Promise.all(
    statuses.map(async (status, i) => {
      const key = createKeyFile(join(dataDir, `colleague-${i}.pem`));
      const { id } = await lead.client.post('/people', anything, {
        lab: world.labs.partner,
        name: `Colleague ${i + 1}`,
        roles: ['researcher'],
        attributes: { export_status: status },
        publicKey: publicJwkOf(key),
      });
      const client = new BrokerClient(processSurroundings(), { url, issuer: url, person: id, key });
      return { id, status, client };
    }),
  );
  const spec = demoGrant({
    lab: world.labs.partner,
    people: people.map(({ id }) => id),
    models: [DEMO_MODEL],
    operations: ['chat.completions', 'models'],
    now: Date.now(),
  });
  const { id: grant } = await lead.client.post('/grants', anything, spec);
  await lead.client.post(`/grants/${grant}/submit`, anything);
  for (const officer of [admin, safety])
    await officer.client.post(`/grants/${grant}/approve`, anything);
  const termsDigest = digestOfTerms(spec);
  await lead.client.post(`/grants/${grant}/accept`, anything, { termsDigest });
  const colleagues = await Promise.all(
    people.map(async (one) => {
      await one.client.post(`/grants/${grant}/accept`, anything, { termsDigest });
      return { ...one, openai: await sdkFor(world, one.client, grant) };
    }),
  );
  narrator.proved(
    `${OF_EACH} of them have the export status "restricted", ${OF_EACH} are "cleared"; all are on the grant ${grant}`,
    'attributes of people are on record, and their lab keeps them',
  );
  return colleagues;
}

async function sdkFor(world: DemoWorld, client: BrokerClient, grant: string): Promise<OpenAI> {
  const { access_token: apiKey } = await client.requestToken({
    type: 'model_access',
    grant,
    purpose: 'hallucination',
    run: 'survey',
  });
  return new OpenAI({ baseURL: `${world.server.url}/v1`, apiKey, maxRetries: 0 });
}

/** Begins a long stream, and returns when its first chunk is there. */
export async function read(colleague: Colleague): Promise<Reading> {
  const stream = await colleague.openai.chat.completions.create({
    model: DEMO_MODEL,
    messages: [{ role: 'user', content: 'Please count to 2000.' }],
    stream: true,
  });
  const reading: Reading = {
    colleague,
    chunks: 0,
    endedAt: undefined,
    error: undefined,
    done: Promise.resolve(),
    stop: () => stream.controller.abort(),
  };
  let begun: () => void = () => undefined;
  const first = new Promise<void>((resolve) => {
    begun = resolve;
  });
  reading.done = (async () => {
    try {
      for await (const _ of stream) {
        reading.chunks += 1;
        begun();
      }
    } catch (error) {
      reading.error = error;
    }
    reading.endedAt = performance.now();
    begun();
  })();
  await first;
  return reading;
}

const TOOL = {
  type: 'function' as const,
  function: { name: 'look_up', parameters: { type: 'object', properties: {} } },
};

/** One question, with or without a tool at hand. */
export const ask = ({ openai }: Colleague, withTools = false): Promise<unknown> =>
  openai.chat.completions.create({
    model: DEMO_MODEL,
    messages: [{ role: 'user', content: 'Which of these did you make up?' }],
    ...(withTools && { tools: [TOOL] }),
  });
