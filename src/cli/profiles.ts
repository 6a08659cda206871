/**
 * Profiles: which broker to talk to, as whom, and where that person's key is. Never the key itself, and
 * never a token.
 */
import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { idSchema } from '../core/ids.ts';
import { sallyport } from './command-line.ts';
import { fileTrouble, wrongUsage } from './problems.ts';
import type { Surroundings } from './surroundings.ts';

type Env = Surroundings['env'];

/** Permission bits with which somebody else could put another broker into the file. */
const OTHERS_WRITE = 0o022;

const nameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/);

const brokerShape = {
  url: z.url({ protocol: /^https?$/ }),
  /** What assertions are addressed to: the broker's issuer, as it was at login. */
  issuer: z.url({ protocol: /^https?$/ }),
  person: idSchema('per'),
};

const profileSchema = z.union([
  z.strictObject({
    ...brokerShape,
    /** Absolute path of the key file. */
    key: z.string().min(1),
    /** The kid of the key before, as long as it is not known to be removed. */
    replaces: z.string().min(1).optional(),
  }),
  z.strictObject({
    ...brokerShape,
    /** The profile at the broker of the person's own lab, which vouches for them. */
    via: nameSchema,
  }),
]);

const profilesSchema = z.strictObject({
  /** The profile of the last login. */
  default: z.string().nullable(),
  profiles: z.record(nameSchema, profileSchema),
});

export type Profile = z.infer<typeof profileSchema>;
export type Profiles = z.infer<typeof profilesSchema>;

/** Where profiles are kept: `$SALLYPORT_HOME`, else in the user's configuration folder. */
export function profilesPath(env: Env): string {
  const home = nonEmpty(env['SALLYPORT_HOME']);
  if (home !== undefined) return join(resolve(home), 'profiles.json');
  const config = nonEmpty(env['XDG_CONFIG_HOME']);
  return join(
    config ?? join(nonEmpty(env['HOME']) ?? homedir(), '.config'),
    'sallyport',
    'profiles.json',
  );
}

/** All profiles; none when nobody has logged in yet. @throws CliError */
export function readProfiles(env: Env): Profiles {
  const path = profilesPath(env);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { default: null, profiles: {} };
    throw wrongUsage(`Cannot read the profiles in ${path}: ${fileTrouble(error)}.`, error);
  }
  refuseOthersWriting(env, path);
  try {
    return profilesSchema.parse(JSON.parse(text));
  } catch (error) {
    throw wrongUsage(
      `The profiles in ${path} are damaged. Remove the file and log in again with "${sallyport(env)} login".`,
      error,
    );
  }
}

/** Keeps a profile and makes it the default. @throws CliError */
export function saveProfile(env: Env, name: string, profile: Profile): void {
  const { profiles } = readProfiles(env);
  writeProfiles(env, { default: name, profiles: { ...profiles, [name]: profile } });
}

/** Puts another one in place of a profile. Which one is the default stays. @throws CliError */
export function replaceProfile(env: Env, name: string, profile: Profile): void {
  const known = readProfiles(env);
  writeProfiles(env, { ...known, profiles: { ...known.profiles, [name]: profile } });
}

/** Forgets a profile; when it was the default, there is none until the next login. @throws CliError */
export function forgetProfile(env: Env, name: string): void {
  const known = readProfiles(env);
  profileNamed(env, known, name);
  const profiles = Object.fromEntries(
    Object.entries(known.profiles).filter(([other]) => other !== name),
  );
  writeProfiles(env, { default: known.default === name ? null : known.default, profiles });
}

/** The profile of that name. @throws CliError */
export function profileNamed(env: Env, { profiles }: Profiles, name: string): Profile {
  const profile = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (profile) return profile;
  const names = Object.keys(profiles);
  throw wrongUsage(
    names.length === 0
      ? `There is no profile "${name}". Make it with "${sallyport(env)} login --profile ${name}".`
      : `There is no profile "${name}". There are: ${names.join(', ')}.`,
  );
}

/** A name that a profile can have. @throws CliError */
export function profileName(name: string): string {
  if (nameSchema.safeParse(name).success) return name;
  throw wrongUsage(
    `"${name}" cannot name a profile: use letters, digits, dots, underscores and hyphens.`,
  );
}

function writeProfiles(env: Env, profiles: Profiles): void {
  const path = profilesPath(env);
  const draft = `${path}.${randomUUID()}`;
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    // Whole or not at all: a reader never sees half a file.
    writeFileSync(draft, `${JSON.stringify(profiles, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw wrongUsage(`Cannot write the profiles in ${path}: ${fileTrouble(error)}.`, error);
  }
}

function refuseOthersWriting(env: Env, path: string): void {
  for (const place of [dirname(path), path]) {
    if ((statSync(place).mode & OTHERS_WRITE) !== 0) {
      throw wrongUsage(
        `Others than you can write to ${place}, and could send you to another broker. Run "chmod go-w ${place}", and check the profiles with "${sallyport(env)} login --list".`,
      );
    }
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === undefined || text === '' ? undefined : text;
}
