/** `sallyport lab identity set` */
import type { Command } from 'commander';
import { z } from 'zod';
import { id } from '../../arguments.ts';
import { connect } from '../../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../../define.ts';
import { jsonOf } from '../../http.ts';
import { readInputFile } from '../../input-file.ts';
import { printJson } from '../../output.ts';
import { wrongUsage } from '../../problems.ts';
import type { Surroundings } from '../../surroundings.ts';
import { labSchema } from '../../wire.ts';
import { printLab } from '../print.ts';

interface IdentitySetOptions extends BrokerOptions {
  issuer: string;
  jwks?: string;
  jwksUrl?: string;
}

/** RFC 7518, section 6: what a private or shared key has. */
const PRIVATE_PARTS = ['d', 'k'];

const keySetSchema = z.looseObject({ keys: z.array(z.looseObject({})) });

export function addLabIdentitySet(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'set', {
    summary: 'Register what a lab signs for its people with',
    details:
      'From then on, an assertion that the lab signed (RFC 7523) gives the person that it names a token. Have issuer and keys from the lab itself, by a way that you trust: whoever holds those keys can speak for all of its people. Tokens that it vouched for under another identity end at once.',
    examples: [
      'sallyport lab identity set lab_01… --issuer https://sallyport.partner.example --jwks-url https://sallyport.partner.example/oauth/jwks',
      'sallyport lab identity set lab_01… --issuer https://id.partner.example --jwks partner-keys.json',
    ],
  })
    .argument('<lab>', 'the lab', id('lab'))
    .requiredOption('--issuer <url>', 'what the lab calls itself in its assertions')
    .option('--jwks <file>', 'its public keys, as a JWK set')
    .option('--jwks-url <url>', 'where it publishes them')
    .action(async (labId: string, options: IdentitySetOptions) => {
      const { issuer, jwks, jwksUrl } = options;
      if ((jwks === undefined) === (jwksUrl === undefined))
        throw wrongUsage('It takes one of --jwks and --jwks-url.');
      const keys = jwks === undefined ? { jwksUrl } : { jwks: readKeySet(jwks) };
      const broker = await connect(around, options);
      const response = await broker.request('PUT', `/labs/${labId}/identity`, { issuer, ...keys });
      const lab = await jsonOf(response, labSchema);
      if (options.json) printJson(around, lab);
      else printLab(around, lab);
    });
}

/** The broker looks at each key; but a private one is not even sent. */
function readKeySet(path: string): { keys: object[] } {
  let value: unknown;
  try {
    value = JSON.parse(readInputFile(path, 'JWK set'));
  } catch (error) {
    if (error instanceof SyntaxError) throw wrongUsage(`${path} is not JSON.`, error);
    throw error;
  }
  const set = keySetSchema.safeParse(value);
  if (!set.success) throw wrongUsage(`${path} is not a JWK set: an object with a list of "keys".`);
  if (set.data.keys.some((key) => PRIVATE_PARTS.some((part) => part in key)))
    throw wrongUsage(`${path} holds private keys, which nobody but the lab should have.`);
  return { keys: set.data.keys };
}
