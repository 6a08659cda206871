/**
 * The demo's world: a broker with a host lab, a partner lab, people in each role, and grants that went
 * through the whole procedure. Everything but the first person is made through the public API.
 */
import { randomBytes, type KeyObject } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { digestOfTerms } from '../broker/manage-grants.ts';
import { initialise } from '../broker/manage-people.ts';
import { BrokerClient } from '../cli/broker-client.ts';
import { publicJwkOf } from '../cli/public-key.ts';
import { processSurroundings } from '../cli/surroundings.ts';
import { parseConfig } from '../config/load.ts';
import type { Config, configSchema } from '../config/schema.ts';
import type { Role } from '../core/people.ts';
import { createKeyFile, loadKeyFile } from '../lib/key-file.ts';
import type { Logger } from '../lib/log.ts';
import { startServer, type RunningServer } from '../server.ts';
import { CAST, HOST_LAB, PARTNER_LAB, type CastMember } from './cast.ts';
import type { GrantInput } from './grant.ts';

/** What is remembered of a demo between two starts on the same data directory. */
const savedSchema = z.object({
  origin: z.string(),
  labs: z.object({ host: z.string(), partner: z.string() }),
  people: z.record(z.string(), z.string()),
  grant: z.string().optional(),
});

type Saved = z.infer<typeof savedSchema>;

export interface DemoPerson {
  id: string;
  part: CastMember['part'];
  name: string;
  lab: 'host' | 'partner';
  role: Role;
  keyFile: string;
  client: BrokerClient;
}

export interface DemoWorld {
  server: RunningServer;
  labs: Saved['labs'];
  people: Record<CastMember['part'], DemoPerson>;
  /** The grant of an earlier start on this data directory. */
  grant: string | undefined;
  /** Remembers a grant for the next start. */
  keepGrant(id: string): void;
}

export interface DemoOptions {
  dataDir: string;
  host: string;
  port: number;
  /** Base URL of the protected model. */
  upstream: string;
  models: string[];
  dialects: ('openai' | 'anthropic')[];
  log: Logger;
  /** Name of the log; by itself a new one. */
  origin?: string;
  /** Who cosigns its checkpoints, and whose it cosigns, as in the configuration file. */
  witnesses?: WitnessInput;
}

type WitnessInput = Partial<
  Pick<z.input<typeof configSchema>, 'witnesses' | 'witnessPolicy' | 'witnessed' | 'witnessing'>
>;

const anything = z.looseObject({ id: z.string() });

/** Starts a broker and peoples it; on a data directory of an earlier demo, with the people of then. */
export async function startDemoWorld(options: DemoOptions): Promise<DemoWorld> {
  const saveFile = join(options.dataDir, 'demo.json');
  const known = existsSync(saveFile)
    ? savedSchema.parse(JSON.parse(readFileSync(saveFile, 'utf8')))
    : undefined;
  const origin =
    known?.origin ?? options.origin ?? `demo.sallyport.invalid/${randomBytes(4).toString('hex')}`;
  const server = await startServer({ config: demoConfig(options, origin), log: options.log });
  try {
    const keys = openKeys(join(options.dataDir, 'people'));
    const saved = known ?? { origin, ...(await begin(server, keys)) };
    await addMissing(server, keys, saved);
    const save = (): void => writeAtomically(saveFile, JSON.stringify(saved, null, 2));
    save();
    const people = Object.fromEntries(
      CAST.map((member) => [member.part, toPerson(server, member, saved, keys)]),
    );
    return {
      server,
      labs: saved.labs,
      people: people as DemoWorld['people'],
      grant: saved.grant,
      keepGrant(id) {
        saved.grant = id;
        save();
      },
    };
  } catch (error) {
    await server.close();
    throw error;
  }
}

/** Takes a grant through the whole procedure: lead, admin, safety officer, lead, researcher. */
export async function makeActiveGrant(world: DemoWorld, spec: GrantInput): Promise<string> {
  const { admin, safety, lead, researcher } = world.people;
  const { id } = await lead.client.post('/grants', anything, spec);
  await lead.client.post(`/grants/${id}/submit`, anything);
  await admin.client.post(`/grants/${id}/approve`, anything);
  await safety.client.post(`/grants/${id}/approve`, anything);
  const termsDigest = digestOfTerms(spec);
  for (const person of [lead, researcher])
    await person.client.post(`/grants/${id}/accept`, anything, { termsDigest });
  return id;
}

function demoConfig(
  { dataDir, host, port, upstream, models, dialects, witnesses }: DemoOptions,
  origin: string,
): Config {
  return parseConfig(
    {
      server: { host, port, shutdownSeconds: 5 },
      dataDir,
      log: { origin },
      ...witnesses,
      endpoints: [
        {
          id: 'demo',
          description: 'The demo endpoint',
          dialects,
          upstream,
          models,
          safeguardsLifted: [
            {
              safeguard: 'output-classifier',
              reason: 'Its refusals would hide what is tested',
              owner: 'Tomas Reyes',
            },
          ],
          features: {
            streaming: true,
            systemPrompt: true,
            tools: true,
            structuredOutput: true,
            n: 8,
            maxOutputTokens: 16_384,
          },
          prices: { inputUsdPerMillion: 3, outputUsdPerMillion: 15 },
        },
      ],
    },
    'of the demo',
  );
}

function openKeys(folder: string): Map<string, { file: string; key: KeyObject }> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return new Map(
    CAST.map(({ part }) => {
      const file = join(folder, `${part}.pem`);
      return [part, { file, key: existsSync(file) ? loadKeyFile(file) : createKeyFile(file) }];
    }),
  );
}

type Keys = ReturnType<typeof openKeys>;

const inputOf = (
  { part, name, role, attributes = {} }: CastMember,
  keys: Keys,
): {
  name: string;
  roles: Role[];
  attributes: Record<string, string>;
  publicKey: ReturnType<typeof publicJwkOf>;
} => ({ name, roles: [role], attributes, publicKey: publicJwkOf(keyOf(keys, part).key) });

/** The two labs, and the first person. */
async function begin(server: RunningServer, keys: Keys): Promise<Omit<Saved, 'origin'>> {
  const [first] = CAST;
  const { lab: host, admin } = await initialise(server.broker, HOST_LAB, inputOf(first, keys));
  const client = clientOf(server, admin.id, keyOf(keys, first.part).key);
  const partner = await client.post('/labs', anything, { name: PARTNER_LAB, kind: 'partner' });
  return { labs: { host: host.id, partner: partner.id }, people: { [first.part]: admin.id } };
}

/** Registers those of the cast who are not there: all but the first, or who came into it since an earlier start. */
async function addMissing(server: RunningServer, keys: Keys, saved: Saved): Promise<void> {
  const [first, ...others] = CAST;
  const admin = saved.people[first.part];
  if (admin === undefined) return;
  const client = clientOf(server, admin, keyOf(keys, first.part).key);
  for (const member of others) {
    if (saved.people[member.part] !== undefined) continue;
    const { id } = await client.post('/people', anything, {
      lab: saved.labs[member.lab],
      ...inputOf(member, keys),
    });
    saved.people[member.part] = id;
  }
}

function toPerson(server: RunningServer, member: CastMember, saved: Saved, keys: Keys): DemoPerson {
  const id = saved.people[member.part];
  if (id === undefined)
    throw new Error(
      `The demo in this data directory has no ${member.part}. Use another directory.`,
    );
  const { file, key } = keyOf(keys, member.part);
  return { ...member, id, keyFile: file, client: clientOf(server, id, key) };
}

function keyOf(keys: Keys, part: string): { file: string; key: KeyObject } {
  const found = keys.get(part);
  if (!found) throw new Error(`There is no key for the part "${part}".`);
  return found;
}

function clientOf({ url }: RunningServer, person: string, key: KeyObject): BrokerClient {
  return new BrokerClient(processSurroundings(), { url, issuer: url, person, key });
}

/** All or nothing: a demo that was interrupted while it was set up is not taken for a whole one. */
function writeAtomically(path: string, text: string): void {
  writeFileSync(`${path}.part`, text, { mode: 0o600 });
  renameSync(`${path}.part`, path);
}
