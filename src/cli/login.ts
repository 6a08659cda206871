/** `sallyport login`: checks that a broker knows the person, and keeps how to reach it as a profile. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { loadKeyFile } from '../lib/key-file.ts';
import { id } from './arguments.ts';
import { BrokerClient } from './broker-client.ts';
import { brokerUrl, connectVia } from './connection.ts';
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
import { meSchema, type Me } from './wire.ts';

interface LoginOptions extends JsonOption {
  url?: string;
  person?: string;
  key?: string;
  via?: string;
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
      'sallyport login --url https://sallyport.other-lab.example --via home --profile other-lab',
      'sallyport login --list',
      'sallyport login --forget demo',
    ],
  });
  withJson(command)
    .option('--url <url>', 'the broker')
    .option('--person <id>', 'who you are', id('per'))
    .option('--key <file>', 'your private key, as "sallyport person keygen" makes it')
    .option(
      '--via <profile>',
      'instead of --person and --key, where your own lab vouches for you: your profile at its broker',
    )
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
  const { profile, me } = await checked(around, options);
  saveProfile(around.env, name, profile);

  if (options.json) {
    printJson(around, { profile: name, ...profile, ...me });
    return;
  }
  say(
    around,
    `Logged in to ${profile.url} as ${me.person.name} (${me.person.id}, ${me.person.roles.join(', ')} at ${me.lab.name}).`,
  );
  note(around, `Kept as profile "${name}" in ${profilesPath(around.env)}; it is the default now.`);
}

interface Checked {
  profile: Profile;
  me: Me;
}

/** Asks the broker who it takes the person for. @throws CliError */
async function checked(around: Surroundings, options: LoginOptions): Promise<Checked> {
  const { url, person, key, via, profile } = options;
  if (via !== undefined) {
    if (url === undefined || person !== undefined || key !== undefined)
      throw wrongUsage(
        '--via takes --url, and neither --person nor --key: the broker says who you are to it.',
      );
    if (via === profile)
      throw wrongUsage('Give the new profile another name (--profile) than the one it goes via.');
    return checkedVia(around, await addressOf(url, options), profileName(via));
  }
  if (url === undefined || person === undefined || key === undefined) {
    const missing = Object.entries({ url, person, key }).flatMap(([part, value]) =>
      value === undefined ? `--${part}` : [],
    );
    throw wrongUsage(
      `It takes --url, --person and --key (or --url and --via; or --list, or --forget); missing: ${missing.join(', ')}.`,
    );
  }
  const path = resolve(key);
  const privateKey = loadKeyFile(path);
  const address = await addressOf(url, options);
  const broker = new BrokerClient(around, { ...address, person, key: privateKey });
  const me = await broker.get('/me', meSchema);
  return { profile: { ...address, person, key: path }, me };
}

async function checkedVia(
  around: Surroundings,
  address: Awaited<ReturnType<typeof addressOf>>,
  via: string,
): Promise<Checked> {
  // Which person that is, the broker says itself.
  const broker = connectVia(around, { ...address, person: '' }, via);
  const me = await broker.get('/me', meSchema);
  return { profile: { ...address, person: me.person.id, via }, me };
}

async function addressOf(
  given: string,
  { issuer }: LoginOptions,
): Promise<{ url: string; issuer: string }> {
  const url = brokerUrl(given);
  return { url, issuer: await fetchIssuer(url, issuer && brokerUrl(issuer)) };
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
    list.map((item) => [
      item.profile,
      item.default ? 'yes' : '',
      item.url,
      item.person,
      'key' in item ? item.key : `(via ${item.via})`,
    ]),
  );
}

function forget(around: Surroundings, name: string, { json }: JsonOption): void {
  forgetProfile(around.env, name);
  if (json) printJson(around, { forgotten: name });
  else say(around, `Forgot the profile "${name}". Key files stay where they are.`);
}
