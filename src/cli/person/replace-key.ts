/** `sallyport person replace-key`: a new key in place of a profile's. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { loadKeyFile } from '../../lib/key-file.ts';
import { BrokerClient } from '../broker-client.ts';
import { commandLine } from '../command-line.ts';
import { defineCommand, withJson } from '../define.ts';
import { jsonOf } from '../http.ts';
import { defaultKeyPath, holdKey, type HeldKey } from '../new-key.ts';
import { moment, note, printJson, say, type JsonOption } from '../output.ts';
import { CliError, wrongUsage } from '../problems.ts';
import {
  profileName,
  profileNamed,
  readProfiles,
  replaceProfile,
  type Profile,
} from '../profiles.ts';
import { publicKeyOf } from '../public-key.ts';
import { isDecided } from '../refusal.ts';
import type { Surroundings } from '../surroundings.ts';
import { personSchema, type Person } from '../wire.ts';

interface ReplaceKeyOptions extends JsonOption {
  profile?: string;
  key?: string;
}

type OwnProfile = Extract<Profile, { key: string }>;

export function addPersonReplaceKey(group: Command, around: Surroundings): void {
  const command = defineCommand(group, 'replace-key', {
    summary: 'Make a new key of yours, and take the old one out of use',
    details:
      'Registers the new key, switches the profile to it and removes the old one: tokens that were got with that end at once. Until it says so, the old key works: if it was interrupted or failed, run the same command again, which goes on where it was. If others may have the old key, run this now; if you have lost it, your lead or an admin ends it with "person remove-key", or removes you and invites you anew.',
    examples: [
      'sallyport person replace-key',
      'sallyport person replace-key --profile lab --key ~/.sallyport/new.pem',
    ],
  });
  withJson(command)
    .option('--profile <name>', 'whose key, instead of the one of the last login')
    .option('--key <file>', 'where the new private key goes')
    .action((options: ReplaceKeyOptions) => replaceKey(around, options));
}

/**
 * After each step there is a key that works in the profile, so that an interruption locks nobody out: a new key
 * that was made or registered, but is not in the profile yet, is taken up by the next run, as its file is named
 * after the old key; and the old key stands in the profile until it is removed, which is then all that the next
 * run does.
 */
async function replaceKey(around: Surroundings, options: ReplaceKeyOptions): Promise<void> {
  const [name, profile] = chosen(around, options.profile);
  const own = loadKeyFile(profile.key);
  const broker = new BrokerClient(around, { ...profile, key: own });
  const { kid } = await publicKeyOf(own);
  if (profile.replaces !== undefined) {
    const person = await endOldKey(around, broker, name, profile);
    report(around, { name, key: profile.key, kid, removed: profile.replaces, person }, options);
    note(around, 'That was left over from an earlier run: no other key was made.');
    return;
  }
  const purpose = `${profile.person.slice(-8)}-after-${kid.slice(0, 8)}`;
  const held = holdKey(
    options.key === undefined
      ? defaultKeyPath(around.env, profile.url, purpose)
      : resolve(options.key),
  );
  const { kid: newKid } = await publicKeyOf(held.key);
  if (newKid === kid)
    throw wrongUsage('That is the key which the profile has already. Name a new file.');

  await register(broker, held, newKid);
  // With the new key, so that it is known to work before the old one goes.
  const renewed = new BrokerClient(around, { ...profile, key: held.key });
  await renewed.get(`/people/${profile.person}`, personSchema);
  const replaced = { ...profile, key: held.path, replaces: kid };
  replaceProfile(around.env, name, replaced);
  const person = await endOldKey(around, renewed, name, replaced);
  report(around, { name, key: held.path, kid: newKid, removed: kid, person }, options);
  note(around, `The file ${profile.key} opens nothing any more at this broker.`);
}

/** Removes the key that a profile's replaces, where it is still there, and forgets it then. @throws CliError */
async function endOldKey(
  around: Surroundings,
  broker: BrokerClient,
  name: string,
  { replaces, ...profile }: OwnProfile,
): Promise<Person> {
  const path = `/people/${profile.person}`;
  let person: Person;
  try {
    person = await broker.get(path, personSchema);
    if (person.keys.some(({ kid }) => kid === replaces)) {
      const response = await broker.request('DELETE', `${path}/keys/${replaces}`);
      person = await jsonOf(response, personSchema);
    }
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    throw new CliError(
      `The new key ${profile.key} is in use, but the old one still works, as far as is known: ${error.message} To end it, run "${commandLine(around, 'person replace-key', name)}" again: it makes no other key.`,
      error.exitCode,
      error,
    );
  }
  replaceProfile(around.env, name, profile);
  return person;
}

interface Replaced {
  name: string;
  /** Path of the new key's file, and its kid. */
  key: string;
  kid: string;
  /** The kid of the old key. */
  removed: string;
  person: Person;
}

function report(
  around: Surroundings,
  { name, key, kid, removed, person }: Replaced,
  { json }: JsonOption,
): void {
  if (json) printJson(around, { profile: name, key, removed, person });
  else say(around, `Profile "${name}" has the new key ${key}; the old one is removed.`);
  for (const other of otherKeys(around, name, person, kid)) note(around, other);
}

function chosen({ env }: Surroundings, given: string | undefined): [string, OwnProfile] {
  const profiles = readProfiles(env);
  const name = given === undefined ? profiles.default : profileName(given);
  if (name === null)
    throw wrongUsage('No profile is the default. Name the one whose key is replaced: --profile.');
  const profile = profileNamed(env, profiles, name);
  if ('key' in profile) return [name, profile];
  throw wrongUsage(
    `The profile "${name}" has no key: its person is vouched for by their own lab. Replace the key of the profile "${profile.via}".`,
  );
}

/** Makes the new key known; one that an earlier run made known is left as it is. */
async function register(broker: BrokerClient, held: HeldKey, kid: string): Promise<void> {
  const { keys } = await broker.get(`/people/${broker.person}`, personSchema);
  if (keys.some((key) => key.kid === kid)) return;
  try {
    const publicKey = await publicKeyOf(held.key);
    await broker.post(`/people/${broker.person}/keys`, personSchema, { publicKey });
  } catch (error) {
    if (isDecided(error)) held.undo();
    throw error;
  }
}

const otherKeys = (
  around: Surroundings,
  profile: string,
  { id, keys }: Person,
  kid: string,
): string[] =>
  keys
    .filter((key) => key.kid !== kid)
    .map(
      (key) =>
        `Another key of yours is in use, since ${moment(key.addedAt)}. If you do not know it: ${commandLine(around, `person remove-key ${id}`, profile)} -- ${key.kid}`,
    );
