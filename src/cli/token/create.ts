/** `sallyport token create`: the token alone on standard output, so that a shell can take it up. */
import { Option, type Command } from 'commander';
import { purposeSchema } from '../../core/vocabulary.ts';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { moment, note, printJson } from '../output.ts';
import { shellQuoted } from '../printable.ts';
import { failed } from '../problems.ts';
import type { Surroundings } from '../surroundings.ts';

type Sdk = 'openai' | 'anthropic';

interface TokenCreateOptions extends BrokerOptions {
  grant: string;
  purpose: string;
  run: string;
  env?: Sdk;
}

/** What an access token consists of: three parts in base64url. Nothing else is handed to a shell. */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

export function addTokenCreate(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'create', {
    summary: 'Get a token for one grant, one purpose and one run',
    details:
      'Prints the token and nothing else on standard output; it is kept nowhere. When it ends is said on standard error.',
    examples: [
      'export OPENAI_API_KEY=$(sallyport token create --grant grt_01… --purpose jailbreak_robustness --run pilot)',
      'eval "$(sallyport token create --grant grt_01… --purpose bias --run pilot --env anthropic)"',
    ],
  })
    .requiredOption('--grant <id>', 'the grant', id('grt'))
    .addOption(
      new Option('--purpose <purpose>', 'the category of test')
        .choices(purposeSchema.options)
        .makeOptionMandatory(),
    )
    .requiredOption('--run <name>', 'a name for this piece of work, such as "round 1"')
    .addOption(
      new Option('--env <sdk>', 'print lines that set base URL and key for this SDK')
        .choices(['openai', 'anthropic'])
        .conflicts('json'),
    )
    .action(async (options: TokenCreateOptions) => {
      const { grant, purpose, run, env, json } = options;
      const broker = await connect(around, options);
      const answer = await broker.requestToken({ type: 'model_access', grant, purpose, run });
      const token = answer.access_token;
      if (!JWT.test(token))
        throw failed('The broker answered with something that is not an access token.');
      const expiresAt = moment(around.clock() + answer.expires_in * 1000);
      if (json) {
        printJson(around, { ...answer, expires_at: expiresAt });
        return;
      }
      around.out(env ? exportLines(env, broker.url, token) : `${token}\n`);
      note(around, `The token is good until about ${expiresAt}.`);
    });
}

function exportLines(sdk: Sdk, url: string, token: string): string {
  const variables: [string, string][] =
    sdk === 'openai'
      ? [
          ['OPENAI_BASE_URL', `${url}/v1`],
          ['OPENAI_API_KEY', token],
        ]
      : [
          ['ANTHROPIC_BASE_URL', url],
          ['ANTHROPIC_AUTH_TOKEN', token],
        ];
  return variables.map(([name, value]) => `export ${name}=${shellQuoted(value)}\n`).join('');
}
