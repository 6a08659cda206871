/** `sallyport join`: from a link to a person with a key of their own. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { defineCommand, withJson } from '../define.ts';
import type { Offer } from '../invitation-wire.ts';
import { fetchIssuer } from '../issuer.ts';
import { defaultKeyPath, holdKey } from '../new-key.ts';
import { note, printJson, say, type JsonOption } from '../output.ts';
import { failed, wrongUsage } from '../problems.ts';
import {
  profileName,
  profilesPath,
  readProfiles,
  saveProfile,
  type Profile,
} from '../profiles.ts';
import type { Surroundings } from '../surroundings.ts';
import { parseLink } from './link.ts';
import { acceptsTerms, askOrFail, showOffer } from './offer.ts';
import { fetchOffer, register } from './register.ts';

interface JoinOptions extends JsonOption {
  key?: string;
  profile: string;
  yes?: boolean;
}

export function addJoin(program: Command, around: Surroundings): void {
  const command = defineCommand(program, 'join', {
    summary: 'Join by an invitation: shows who invites you to what, and makes your key',
    details:
      'The link works once. Your private key is made on this machine and never leaves it; the broker learns its public half. Under a grant that is in force, joining accepts its terms, which are shown in full before you are asked.',
    examples: [
      "sallyport join 'https://sallyport.lab.example/join#inv_01….…'",
      "sallyport join 'https://sallyport.lab.example/join#inv_01….…' --key ~/.sallyport/key.pem --profile lab",
    ],
  });
  withJson(command)
    .argument('<link>', 'the whole link, between quotation marks')
    .option('--key <file>', 'where your private key goes, or one that you have already')
    .option('--profile <name>', 'a name for it, to have several brokers side by side', 'default')
    .option('--yes', 'join, and accept the terms, without being asked')
    .action((link: string, options: JoinOptions) => join(around, link, options));
}

async function join(around: Surroundings, text: string, options: JoinOptions): Promise<void> {
  const link = parseLink(text);
  const name = profileName(options.profile);
  if (Object.hasOwn(readProfiles(around.env).profiles, name)) {
    throw wrongUsage(
      `You have a profile "${name}" already. Give this one a name of its own with --profile.`,
    );
  }
  const issuer = await fetchIssuer(link.url);
  const offer = await fetchOffer(link);
  const termsDigest = showOffer(around, offer, options);
  if (!options.yes) await askOrFail(around, offer);

  const purpose = link.invitation.slice(-8);
  const held = holdKey(
    options.key === undefined
      ? defaultKeyPath(around.env, link.url, purpose)
      : resolve(options.key),
  );
  const person = await register(around, link, issuer, held, termsDigest);
  const profile = { url: link.url, issuer, person: person.id, key: held.path };
  save(around, name, profile);

  if (options.json) {
    printJson(around, { profile: name, ...profile, person, grant: offer.grant?.id ?? null });
    return;
  }
  say(around, `You are ${person.name} (${person.id}), ${person.roles.join(', ')} at ${offer.lab.name}.`);
  note(around, `Your key is in ${held.path}. Whoever has it can act as you: keep it to yourself.`);
  note(around, `Kept as profile "${name}" in ${profilesPath(around.env)}; it is the default now.`);
  for (const line of whatNext(offer)) note(around, line);
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
      `You are registered as ${person}, with the key in ${key}, but the profile was not kept: ${why} Then run "sallyport login --url ${url} --person ${person} --key ${key}".`,
      error,
    );
  }
}

function whatNext(offer: Offer): string[] {
  const { grant } = offer;
  if (!grant) return ['Next: sallyport whoami'];
  const [purpose = 'PURPOSE'] = grant.purposes;
  const connect = `sallyport connect --grant ${grant.id} --purpose ${purpose} --run NAME`;
  return acceptsTerms(offer)
    ? [`You have accepted the terms of ${grant.id}. Next: ${connect}`]
    : [
        `The grant is not in force yet. Once it is: sallyport grant accept ${grant.id}`,
        `and then: ${connect}`,
      ];
}
