/** What `sallyport init` does. */
import { DEFAULT_RULES } from './core/authority-rules.ts';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { initialise } from './broker/manage-people.ts';
import { commandLine } from './cli/command-line.ts';
import { printJson } from './cli/output.ts';
import { failed } from './cli/problems.ts';
import { publicJwkOf } from './cli/public-key.ts';
import { processSurroundings } from './cli/surroundings.ts';
import { WITNESS_KEY_FILE, openWitnessKey, witnessNameOf } from './audit/witness-key.ts';
import { parseConfig } from './config/load.ts';
import { nameSchema } from './core/people.ts';
import { systemClock } from './lib/clock.ts';
import { mintId } from './lib/ids.ts';
import { createKeyFile } from './lib/key-file.ts';
import { WRITER_THREAD } from './server.ts';
import { Store } from './store/client.ts';
import { prepareDataDirectory } from './store/data-directory.ts';

export interface InitOptions {
  dir: string;
  lab: string;
  admin: string;
  origin?: string;
  json?: boolean;
}

export async function initialiseBroker(options: InitOptions): Promise<void> {
  const dir = resolve(options.dir);
  const paths = {
    config: join(dir, 'sallyport.yaml'),
    dataDir: join(dir, 'data'),
    key: join(dir, 'admin.pem'),
  };
  for (const name of [options.lab, options.admin]) {
    if (!nameSchema.safeParse(name).success)
      throw failed(`"${name}" cannot be a name: 1 to 120 printable characters.`);
  }
  for (const path of Object.values(paths)) {
    if (existsSync(path))
      throw failed(`${path} exists already, and nothing is overwritten. Choose another --dir.`);
  }
  const now = systemClock();
  const origin =
    options.origin ??
    `${
      options.lab
        .toLowerCase()
        .replaceAll(/[^a-z0-9]+/g, '-')
        .replaceAll(/^-|-$/g, '') || 'lab'
    }/sallyport-${mintId('lab', now).slice(-8)}`;
  const text = configText(origin);
  // Checked before anything is made: an origin that the log could not have is refused here.
  parseConfig({ log: { origin } }, 'that init would write');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const directory = prepareDataDirectory(paths.dataDir);
  const key = createKeyFile(paths.key);
  const witness = openWitnessKey(join(directory.keys, WITNESS_KEY_FILE), witnessNameOf(origin));
  const store = await Store.open(
    WRITER_THREAD,
    { dataDir: directory.path, origin, rules: DEFAULT_RULES },
    systemClock,
  );
  try {
    const admin = {
      name: options.admin,
      roles: ['admin' as const],
      attributes: {},
      publicKey: publicJwkOf(key),
    };
    const made = await initialise({ clock: systemClock, store }, options.lab, admin);
    writeFileSync(paths.config, text, { mode: 0o600, flag: 'wx' });
    const facts = {
      config: paths.config,
      dataDir: paths.dataDir,
      lab: made.lab.id,
      admin: made.admin.id,
      key: paths.key,
      log: { origin, verifierKey: store.verifierKey },
      witness: { verifierKey: witness.verifierKey },
    };
    if (options.json) printJson(processSurroundings(), facts);
    else process.stdout.write(report(facts));
  } finally {
    await store.close();
  }
}

function report(facts: {
  config: string;
  key: string;
  lab: string;
  admin: string;
  log: { verifierKey: string };
}): string {
  const show = (path: string): string => relative('.', path) || path;
  const run = (words: string): string => commandLine({ env: process.env }, words);
  return `Made the host lab ${facts.lab} and its admin ${facts.admin}.

Verifier key of the audit log; give it to the partner labs and auditors, by another way than this broker:
  ${facts.log.verifierKey}

Next:
  1. Describe the endpoint to protect in ${show(facts.config)}
  2. ${run(`serve --config ${show(facts.config)}`)}
  3. ${run(`login --url http://127.0.0.1:8787 --person ${facts.admin} --key ${show(facts.key)}`)}
  4. Two people approve a grant: invite a safety officer ("${run('person invite')}")
`;
}

function configText(origin: string): string {
  return `# Configuration of this broker. Every option, with what it does: config/sallyport.example.yaml
server:
  host: 127.0.0.1
  port: 8787
  # Needed as soon as anybody else is to reach it, with tls or behindProxy:
  # publicUrl: https://sallyport.example.org

dataDir: ./data

log:
  # The name of the audit log. It can never change.
  origin: ${origin}

# The endpoints to protect. Remove the "# " in front, and put in what is yours:
# endpoints:
#   - id: frontier
#     description: Research endpoint without the output classifier
#     dialects: [openai]
#     upstream: https://models.internal.example/v1
#     credential: env:FRONTIER_API_KEY
#     models: [frontier-2026-06-01]
#     safeguardsLifted:
#       - safeguard: output-classifier
#         reason: Its refusals would hide what is tested
#         owner: Name of whoever answers for it
#     features: { streaming: true, systemPrompt: true, maxOutputTokens: 8192 }
#     prices: { inputUsdPerMillion: 3, outputUsdPerMillion: 15 }
`;
}
