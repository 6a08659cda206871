/** `sallyport login`: checks that a broker knows the person, and keeps how to reach it as a profile. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { loadKeyFile } from '../lib/key-file.ts';
import { id } from './arguments.ts';
import { BrokerClient } from './broker-client.ts';
import { brokerUrl } from './connection.ts';
import { defineCommand, withJson } from './define.ts';
import { fetchIssuer } from './issuer.ts';
import { note, printJson, printTable, say, type JsonOption } from './output.ts';
import { wrongUsage } from './problems.ts';
import {
  forgetProfile,
  profileName,
  profilesPath,
  readProfiles,
  saveProfile,
  type Profile,
} from './profiles.ts';
import type { Surroundings } from './surroundings.ts';
import { meSchema } from './wire.ts';

interface LoginOptions extends JsonOption {
  url?: string;
  person?: string;
  key?: string;
  profile: string;
  issuer?: string;
  list?: boolean;
  forget?: string;
}

export function addLogin(program: Command, around: Surroundings): void {
  const command = defineCommand(program, 'login', {
    summary: 'Check that a broker knows you, and remember it',
    details:
      'Keeps the URL, your id and the path of your key file; never the key or a token. The last login is what every other command uses unless it is given --profile.',
    examples: [
      'sallyport login --url https://sallyport.lab.example --person per_01… --key ~/.sallyport/key.pem',
      'sallyport login --url http://127.0.0.1:8787 --person per_01… --key key.pem --profile demo',
      'sallyport login --list',
      'sallyport login --forget demo',
    ],
  });
  withJson(command)
    .option('--url <url>', 'the broker')
    .option('--person <id>', 'who you are', id('per'))
    .option('--key <file>', 'your private key, as "sallyport person keygen" makes it')
    .option('--profile <name>', 'a name for it, to have several side by side', 'default')
    .option('--issuer <url>', 'what the broker calls itself, if that is not its URL')
    .option('--list', 'list the profiles')
    .option('--forget <name>', 'forget a profile')
    .action(async (options: LoginOptions) => {
      if (options.list) listProfiles(around, options);
      else if (options.forget !== undefined) forget(around, options.forget, options);
      else await login(around, options);
    });
}

async function login(around: Surroundings, options: LoginOptions): Promise<void> {
  const name = profileName(options.profile);
  const { url: givenUrl, person, key: keyFile } = options;
  if (givenUrl === undefined || person === undefined || keyFile === undefined) {
    const missing = (['url', 'person', 'key'] as const).filter((part) => !options[part]);
    throw wrongUsage(
      `It takes --url, --person and --key (or --list, or --forget); missing: ${missing.map((part) => `--${part}`).join(', ')}.`,
    );
  }
  const url = brokerUrl(givenUrl);
  const path = resolve(keyFile);
  const key = loadKeyFile(path);
  const issuer = await fetchIssuer(url, options.issuer && brokerUrl(options.issuer));
  const broker = new BrokerClient(around, { url, issuer, person, key });
  const me = await broker.get('/me', meSchema);
  saveProfile(around.env, name, { url, issuer, person, key: path });

  if (options.json) {
    printJson(around, { profile: name, url, issuer, key: path, ...me });
    return;
  }
  say(
    around,
    `Logged in to ${url} as ${me.person.name} (${me.person.id}, ${me.person.roles.join(', ')} at ${me.lab.name}).`,
  );
  note(around, `Kept as profile "${name}" in ${profilesPath(around.env)}; it is the default now.`);
}

function listProfiles(around: Surroundings, { json }: JsonOption): void {
  const { default: chosen, profiles } = readProfiles(around.env);
  const list = Object.entries(profiles).map(([name, profile]: [string, Profile]) => ({
    profile: name,
    default: name === chosen,
    ...profile,
  }));
  if (json) {
    printJson(around, { items: list, next: null });
    return;
  }
  printTable(
    around,
    ['profile', 'default', 'url', 'person', 'key'],
    list.map((item) => [item.profile, item.default ? 'yes' : '', item.url, item.person, item.key]),
  );
}

function forget(around: Surroundings, name: string, { json }: JsonOption): void {
  forgetProfile(around.env, name);
  if (json) printJson(around, { forgotten: name });
  else say(around, `Forgot the profile "${name}". The key file is still where it was.`);
}
