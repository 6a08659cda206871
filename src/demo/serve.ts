/** `sallyport demo --serve`: a broker that can be tried at once. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { sallyport } from '../cli/command-line.ts';
import { operationSchema } from '../core/vocabulary.ts';
import { createLogger } from '../lib/log.ts';
import { firstStopSignal, untilStopped } from '../stop.ts';
import { HOST_LAB, PARTNER_LAB } from './cast.ts';
import { demoGrant, withOverrides } from './grant.ts';
import { startDemoModel, type DemoModel } from './model.ts';
import { DEMO_MODEL } from './model-reply.ts';
import { makeActiveGrant, startDemoWorld, type DemoWorld } from './world.ts';

export interface DemoServeOptions {
  port?: number;
  host?: string;
  data?: string;
  upstream?: string;
  model?: string;
  grant?: string;
  json?: boolean;
}

/** Serves until SIGTERM or SIGINT. @returns the exit code */
export async function serveDemo(
  options: DemoServeOptions,
  out: (text: string) => void,
): Promise<number> {
  const model = options.upstream === undefined ? await startDemoModel() : undefined;
  try {
    return await serveWith(options, model, out);
  } finally {
    await model?.close();
  }
}

async function serveWith(
  options: DemoServeOptions,
  model: DemoModel | undefined,
  out: (text: string) => void,
): Promise<number> {
  const log = createLogger({ level: 'warn' });
  const signalled = firstStopSignal();
  const names = [options.model ?? DEMO_MODEL];
  const world = await startDemoWorld({
    dataDir:
      options.data === undefined
        ? mkdtempSync(join(tmpdir(), 'sallyport-demo-'))
        : resolve(options.data),
    host: options.host ?? '127.0.0.1',
    port: options.port ?? 8787,
    upstream: model?.url ?? (options.upstream as string),
    models: names,
    dialects: model ? ['openai', 'anthropic'] : ['openai'],
    log,
  });
  try {
    const facts = await prepare(world, options, names);
    out(options.json ? `${JSON.stringify(facts)}\n` : introduction(facts, model !== undefined));
  } catch (error) {
    await world.server.close();
    throw error;
  }
  return untilStopped(world.server, log, signalled);
}

/** Makes sure that there is an active grant, and a token. */
async function prepare(
  world: DemoWorld,
  options: DemoServeOptions,
  models: string[],
): Promise<Facts> {
  const { server, labs, people } = world;
  const spec = withOverrides(
    demoGrant({
      lab: labs.partner,
      people: [people.researcher.id, people.lead.id],
      models,
      operations:
        options.upstream === undefined ? operationSchema.options : ['chat.completions', 'models'],
      now: Date.now(),
    }),
    options.grant,
  );
  // A grant of an earlier start is used again, unless this start asks for another.
  const grant =
    world.grant !== undefined && options.grant === undefined
      ? world.grant
      : await makeActiveGrant(world, spec);
  world.keepGrant(grant);
  const inForce = server.broker.policy.grant(grant)?.spec ?? spec;
  const [purpose = 'hallucination'] = inForce.purposes.allowed;
  const { access_token: token } = await people.researcher.client.requestToken({
    type: 'model_access',
    grant,
    purpose,
    run: 'demo',
  });
  const model = inForce.endpoints[0]?.models[0] ?? DEMO_MODEL;
  return factsOf(world, { token, grant, model, purpose });
}

interface Facts {
  url: string;
  token: string;
  grant: string;
  model: string;
  purpose: string;
  person: string;
  dataDir: string;
  log: { origin: string; verifierKey: string };
  labs: { id: string; kind: string; name: string }[];
  people: { id: string; lab: string; name: string; role: string; keyFile: string }[];
}

function factsOf(
  world: DemoWorld,
  parts: Pick<Facts, 'token' | 'grant' | 'model' | 'purpose'>,
): Facts {
  const { server, labs, people } = world;
  const { origin, verifierKey } = server.broker.store;
  return {
    url: server.url,
    ...parts,
    person: people.researcher.id,
    dataDir: server.dataDir,
    log: { origin, verifierKey },
    labs: [
      { id: labs.host, kind: 'host', name: HOST_LAB },
      { id: labs.partner, kind: 'partner', name: PARTNER_LAB },
    ],
    people: Object.values(people).map(({ id, lab, name, role, keyFile }) => ({
      id,
      lab: labs[lab],
      name,
      role,
      keyFile,
    })),
  };
}

function introduction(facts: Facts, hasDemoModel: boolean): string {
  const { url, token, grant, model, dataDir, people, log } = facts;
  const researcher = people.find(({ role }) => role === 'researcher');
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello!' }] });
  const rows = people.map(
    ({ id, name, role, lab, keyFile }) =>
      `    ${role.padEnd(11)} ${name.padEnd(15)} ${id}  ${basename(keyFile).padEnd(14)}  ${facts.labs.find((entry) => entry.id === lab)?.name}`,
  );
  const command = sallyport(process.env);
  return `
Sallyport is running at ${url}  (API: ${url}/api/docs)

Call the protected model as ${researcher?.name}, researcher of the partner lab, under grant ${grant}:

curl ${url}/v1/chat/completions -H 'authorization: Bearer ${token}' -H 'content-type: application/json' -d '${body}'

For the OpenAI SDKs:
  export OPENAI_BASE_URL=${url}/v1
  export OPENAI_API_KEY=${token}
For the Anthropic SDKs:
  export ANTHROPIC_BASE_URL=${url}
  export ANTHROPIC_AUTH_TOKEN=${token}
The model is "${model}". The token lasts an hour. For as long as you like, bound to a key and renewed, without a
token in your hands:
  ${command} login --profile demo-researcher --url ${url} --person ${researcher?.id} --key ${join(dataDir, 'people', 'researcher.pem')}
  ${command} connect --profile demo-researcher --grant ${grant} --purpose ${facts.purpose} --run first-try

What is demo about it: ${hasDemoModel ? 'the model is a script that answers always alike; ' : ''}the labs and people are invented, and
all their keys lie together in ${join(dataDir, 'people')}:
${rows.join('\n')}
The grants, limits, orders and the audit log are the real thing. Become one of the people with, for example:
  ${command} login --profile demo --url ${url} --person ${people.find(({ role }) => role === 'safety')?.id} --key ${join(dataDir, 'people', 'safety.pem')}
  ${command} order suspend --all --grounds "trying it out"
or, once that is lifted, stop the partner's people of one attribute alone (${researcher?.name}; the others work on):
  ${command} order preview --level 3 --attribute export_status=restricted --grounds "trying it out"
  ${command} order issue --level 3 --attribute export_status=restricted --grounds "trying it out"
The log's verifier key: ${log.verifierKey}

To start for real: ${command} init --help
Stop with Ctrl-C. The data and the keys stay in ${dataDir}.
`;
}
