/** `sallyport join`: from a link to a person with a key of their own. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { BrokerClient } from '../broker-client.ts';
import { commandLine } from '../command-line.ts';
import { mustConfirm, type ConfirmOption } from '../confirm.ts';
import { defineCommand, withJson } from '../define.ts';
import { noteLacking } from '../grant/lacking.ts';
import type { Offer } from '../invitation-wire.ts';
import { fetchIssuer } from '../issuer.ts';
import { defaultKeyPath, holdKey } from '../new-key.ts';
import { note, printJson, say, type JsonOption } from '../output.ts';
import { CliError, RefusedByBroker, failed, wrongUsage } from '../problems.ts';
import { profileName, profilesPath, readProfiles, saveProfile, type Profile } from '../profiles.ts';
import type { Surroundings } from '../surroundings.ts';
import { grantSchema, type Grant } from '../wire.ts';
import { loginWith, parseLink, type Link } from './link.ts';
import { acceptsTerms, questionOf, showOffer } from './offer.ts';
import { fetchOffer, register } from './register.ts';

interface JoinOptions extends JsonOption, ConfirmOption {
  key?: string;
  profile: string;
}

export function addJoin(program: Command, around: Surroundings): void {
  const command = defineCommand(program, 'join', {
    summary: 'Join by an invitation: shows who invites you to what, and makes your key',
    details:
      'Without a link it asks for it, or reads it from standard input: on the command line, other users of this machine could see it, and it would stay in the history of your shell. The link works once. Your private key is made on this machine and never leaves it; the broker learns its public half. Under a grant that is in force, joining accepts its terms, which are shown in full before you are asked.',
    examples: [
      'sallyport join',
      'sallyport join --key ~/.sallyport/key.pem --profile lab',
      'sallyport join --yes < link.txt',
    ],
  });
  withJson(command)
    .argument('[link]', 'the whole link, between quotation marks; "-" is as without it')
    .option('--key <file>', 'where your private key goes, or one that you have already')
    .option('--profile <name>', 'a name for it, to have several brokers side by side', 'default')
    .option('--yes', 'join, and accept the terms, without being asked')
    .action((link: string | undefined, options: JoinOptions) => join(around, link, options));
}

async function join(
  around: Surroundings,
  given: string | undefined,
  options: JoinOptions,
): Promise<void> {
  const name = profileName(options.profile);
  const link = parseLink(await readLink(around, given));
  if (Object.hasOwn(readProfiles(around.env).profiles, name)) {
    throw wrongUsage(
      `You have a profile "${name}" already. Give this one a name of its own with --profile.`,
    );
  }
  const keyPath =
    options.key === undefined
      ? defaultKeyPath(around.env, link.url, link.invitation.slice(-8))
      : resolve(options.key);
  const issuer = await fetchIssuer(link.url);
  const offer = await offerOf(around, link, keyPath);
  const termsDigest = showOffer(around, offer, options);
  await mustConfirm(around, questionOf(offer), options);

  const held = holdKey(keyPath);
  const person = await register(around, link, issuer, held, termsDigest);
  const profile = { url: link.url, issuer, person: person.id, key: held.path };
  save(around, name, profile);

  if (options.json) {
    printJson(around, { profile: name, ...profile, person, grant: offer.grant?.id ?? null });
    return;
  }
  say(
    around,
    `You are ${person.name} (${person.id}), ${person.roles.join(', ')} at ${offer.lab.name}.`,
  );
  note(around, `Your key is in ${held.path}. Whoever has it can act as you: keep it to yourself.`);
  note(around, `Kept as profile "${name}" in ${profilesPath(around.env)}; it is the default now.`);
  const client = new BrokerClient(around, { ...profile, key: held.key });
  const grant = offer.grant && (await grantOf(around, client, offer.grant.id));
  if (grant) noteLacking(around, grant, person.id);
  for (const line of whatNext(around, offer, name)) note(around, line);
}

function readLink(around: Surroundings, given: string | undefined): Promise<string> {
  if (given !== undefined && given !== '-') return Promise.resolve(given);
  return around.interactive ? around.secret('Paste the link that you were sent.') : around.input();
}

/** What the link offers. One that an earlier run used up says how to go on with the key of that run. @throws CliError */
async function offerOf(around: Surroundings, link: Link, keyPath: string): Promise<Offer> {
  try {
    return await fetchOffer(link);
  } catch (error) {
    const isUsed = error instanceof RefusedByBroker && error.code === 'invitation_not_valid';
    if (!isUsed || !existsSync(keyPath)) throw error;
    throw failed(
      `${error.message} But there is a key in ${keyPath} already: if you have joined with it, ask whoever invited you for your id, then run "${loginWith(around, link.url, 'per_…', keyPath)}".`,
      error,
    );
  }
}

/** The broker has registered the key: what was lost here would lock its owner out. */
function save(
  around: Surroundings,
  name: string,
  profile: Extract<Profile, { key: string }>,
): void {
  try {
    saveProfile(around.env, name, profile);
  } catch (error) {
    const { url, person, key } = profile;
    const why = error instanceof Error ? error.message : String(error);
    throw failed(
      `You are registered as ${person}, with the key in ${key}, but the profile was not kept: ${why} Then run "${loginWith(around, url, person, key)}".`,
      error,
    );
  }
}

/** The grant as whoever joined sees it. They have joined: what goes wrong here is no failure of that. */
async function grantOf(
  around: Surroundings,
  client: BrokerClient,
  id: string,
): Promise<Grant | undefined> {
  try {
    return await client.get(`/grants/${id}`, grantSchema);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    note(around, `What the grant requires of you could not be looked up: ${error.message}`);
    return undefined;
  }
}

function whatNext(around: Surroundings, offer: Offer, profile: string): string[] {
  const { grant } = offer;
  if (!grant) return [`Next: ${commandLine(around, 'whoami', profile)}`];
  const [purpose = 'PURPOSE'] = grant.purposes;
  const words = `connect --grant ${grant.id} --purpose ${purpose} --run NAME`;
  const connect = commandLine(around, words, profile);
  return acceptsTerms(offer)
    ? [`You have accepted the terms of ${grant.id}. Next: ${connect}`]
    : [
        `The grant is not in force yet. Once it is: ${commandLine(around, `grant accept ${grant.id}`, profile)}`,
        `and then: ${connect}`,
      ];
}
