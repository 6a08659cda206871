/** Finds out which broker to talk to and as whom: from options, a profile or the environment. */
import { loadKeyFile } from '../lib/key-file.ts';
import { idSchema } from '../core/ids.ts';
import { isLoopback } from '../core/loopback.ts';
import { BrokerClient } from './broker-client.ts';
import { sallyport } from './command-line.ts';
import { vouchedFor } from './credential.ts';
import { fetchIssuer } from './issuer.ts';
import { wrongUsage } from './problems.ts';
import { profileName, profileNamed, readProfiles, type Profile } from './profiles.ts';
import type { Surroundings } from './surroundings.ts';
import { assertionSchema } from './wire.ts';

/** Options of every command that talks to a broker. */
export interface ConnectionOptions {
  profile?: string;
  url?: string;
  person?: string;
  key?: string;
}

/** Opens a connection. The key file is read here, and the issuer where no profile knows it. @throws CliError */
export async function connect(
  around: Surroundings,
  options: ConnectionOptions,
): Promise<BrokerClient> {
  const known = fromProfile(around, options) ?? fromParts(around, options);
  if ('via' in known) return connectVia(around, known, known.via);
  const key = loadKeyFile(known.key);
  const issuer = known.issuer ?? (await fetchIssuer(known.url));
  return new BrokerClient(around, { ...known, issuer, key });
}

/**
 * Opens a connection as somebody whom their own lab vouches for.
 *
 * @param via the profile at the broker of that lab
 * @throws CliError
 */
export function connectVia(
  around: Surroundings,
  broker: { url: string; issuer: string; person: string },
  via: string,
): BrokerClient {
  const own = profileNamed(around.env, readProfiles(around.env), via);
  if (!('key' in own))
    throw wrongUsage(
      `The profile "${via}" goes by the word of another broker itself. Name one with a key, at the broker of your own lab.`,
    );
  const home = new BrokerClient(around, { ...own, key: loadKeyFile(own.key) });
  const credential = vouchedFor(async () => {
    const body = { audience: broker.issuer };
    return (await home.post('/assertions', assertionSchema, body)).assertion;
  }, broker.url);
  return new BrokerClient(around, { ...broker, credential });
}

/** The broker's URL alone, for what anybody may ask. @throws CliError */
export function urlOf(
  { env }: Surroundings,
  { profile, url }: Pick<ConnectionOptions, 'profile' | 'url'>,
): string {
  if (profile !== undefined && url !== undefined) throw excluded(['--url']);
  const given = url ?? (profile === undefined ? env['SALLYPORT_URL'] || undefined : undefined);
  return given === undefined ? chosenProfile(env, profile).url : brokerUrl(given);
}

interface Parts {
  url: string;
  /** Absent where nobody has asked the broker for it yet. */
  issuer?: string;
  person: string;
  key: string;
}

function fromProfile({ env }: Surroundings, options: ConnectionOptions): Profile | undefined {
  const parts = PARTS.filter(({ name }) => options[name] !== undefined);
  if (options.profile === undefined) {
    if (parts.length > 0 || PARTS.some(({ variable }) => env[variable])) return undefined;
  } else if (parts.length > 0) throw excluded(parts.map(({ name }) => `--${name}`));
  return chosenProfile(env, options.profile);
}

/** The profile of this name, or the default. */
function chosenProfile(env: Surroundings['env'], name: string | undefined): Profile {
  const profiles = readProfiles(env);
  const chosen = name === undefined ? profiles.default : profileName(name);
  if (chosen !== null) return profileNamed(env, profiles, chosen);
  const names = Object.keys(profiles.profiles);
  throw wrongUsage(
    names.length === 0
      ? `No broker is known yet. Log in with "${sallyport(env)} login --url URL --person ID --key FILE".`
      : `No profile is the default. Choose one with --profile: ${names.join(', ')}.`,
  );
}

/** Where somebody names whom a command is about by the option that says who calls. */
const NOT_OF = ' --person says who you are; a command about somebody else takes --of.';

const excluded = (flags: string[]) =>
  wrongUsage(
    `--profile and ${flags.join(', ')} exclude each other: give one or the other.${flags.includes('--person') ? NOT_OF : ''}`,
  );

const PARTS = [
  { name: 'url', variable: 'SALLYPORT_URL' },
  { name: 'person', variable: 'SALLYPORT_PERSON' },
  { name: 'key', variable: 'SALLYPORT_KEY' },
] as const;

function fromParts(around: Surroundings, options: ConnectionOptions): Parts {
  const value = ({ name, variable }: (typeof PARTS)[number]): string | undefined =>
    options[name] ?? (around.env[variable] || undefined);
  const missing = PARTS.filter((part) => value(part) === undefined);
  const [url, person, key] = PARTS.map(value);
  if (url === undefined || person === undefined || key === undefined) {
    throw wrongUsage(
      `Without a profile it takes url, person and key; missing: ${missing.map(({ name, variable }) => `--${name} (or ${variable})`).join(', ')}.${options.person === undefined ? '' : NOT_OF}`,
    );
  }
  return { url: brokerUrl(url), person: personId(person), key, ...issuerFrom(around.env) };
}

/** An escape for brokers that are reached by another address than their public one. */
function issuerFrom(env: Surroundings['env']): { issuer?: string } {
  const issuer = env['SALLYPORT_ISSUER'];
  return issuer ? { issuer: brokerUrl(issuer) } : {};
}

/** A broker's base URL, without a slash at its end. @throws CliError */
export function brokerUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol))
    throw wrongUsage(
      `"${text}" is not the URL of a broker, such as https://sallyport.lab.example.`,
    );
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    throw wrongUsage(`The URL of a broker has no user, password, query or fragment.`);
  if (url.protocol === 'http:' && !isLoopback(url.hostname))
    throw wrongUsage(
      `${url.origin} is not encrypted, so tokens would travel in the clear. Use https; http is for brokers on this machine.`,
    );
  return url.href.replace(/\/+$/, '');
}

function personId(text: string): string {
  const parsed = idSchema('per').safeParse(text);
  if (parsed.success) return parsed.data;
  throw wrongUsage(`The person "${text}" ${parsed.error.issues[0]?.message ?? 'is not valid'}.`);
}
