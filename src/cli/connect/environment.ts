/** The variables that lead unmodified SDKs and harnesses to the local port. */
import { shellQuoted } from '../printable.ts';
import type { Proxy } from './proxy.ts';
import type { Granted } from './token-keeper.ts';

export interface Environment {
  set: Record<string, string>;
  /** Others that would lead past the port, or send a second credential. */
  unset: string[];
}

type Port = Pick<Proxy, 'url' | 'key'>;

const OPENAI = ['chat.completions', 'responses', 'completions', 'embeddings'];

const takesOpenai = ({ operations }: Granted): boolean =>
  OPENAI.some((operation) => operations.includes(operation));
const takesAnthropic = ({ operations }: Granted): boolean => operations.includes('messages');

function openaiEnvironment({ url, key }: Port): Environment {
  return {
    set: { OPENAI_BASE_URL: `${url}/v1`, OPENAI_API_KEY: key },
    // promptfoo prefers these two to OPENAI_BASE_URL.
    unset: ['OPENAI_API_HOST', 'OPENAI_API_BASE_URL'],
  };
}

function anthropicEnvironment({ url, key }: Port): Environment {
  return {
    set: { ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: key },
    // The first is a second credential; promptfoo prefers the second to ANTHROPIC_BASE_URL.
    unset: ['ANTHROPIC_AUTH_TOKEN', 'ANTHROPIC_API_BASE_URL'],
  };
}

/**
 * All variables for what a token gives access to.
 *
 * @param env of this process: where it names a proxy, loopback is excepted from it
 */
export function environmentFor(
  port: Port,
  granted: Granted,
  env: Readonly<Record<string, string | undefined>>,
): Environment {
  const parts = [
    ...(takesOpenai(granted) ? [openaiEnvironment(port)] : []),
    ...(takesAnthropic(granted) ? [anthropicEnvironment(port)] : []),
    pastProxies(env),
  ];
  return {
    set: Object.assign({}, ...parts.map(({ set }) => set)) as Environment['set'],
    unset: parts.flatMap(({ unset }) => unset),
  };
}

/** Python's HTTP clients would send even what is for loopback through a proxy. */
function pastProxies(env: Readonly<Record<string, string | undefined>>): Environment {
  const proxies = ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'];
  if (!proxies.some((name) => env[name])) return { set: {}, unset: [] };
  const excepted = [env['no_proxy'] || env['NO_PROXY'] || [], '127.0.0.1'].flat().join(',');
  return { set: { NO_PROXY: excepted, no_proxy: excepted }, unset: [] };
}

/** A copy of the variables of a process, changed so that the command it is for finds the port. */
export function applied(
  env: Readonly<Record<string, string | undefined>>,
  { set, unset }: Environment,
): NodeJS.ProcessEnv {
  const changed: NodeJS.ProcessEnv = { ...env, ...set };
  for (const name of unset) delete changed[name];
  return changed;
}

/** Lines to paste into a POSIX shell as they are, with the harnesses' command lines as comments. */
export function environmentLines(port: Port, granted: Granted, environment: Environment): string {
  const lines = [
    '# Paste this into the shell where your programs run:',
    ...Object.entries(environment.set).map(
      ([name, value]) => `export ${name}=${shellQuoted(value)}`,
    ),
    ...(environment.unset.length === 0 ? [] : [`unset ${environment.unset.join(' ')}`]),
  ];
  const commands = granted.models.flatMap((model) => commandLines(port, granted, model));
  if (commands.length > 0) lines.push('# Then any SDK works as it is, and so do:');
  lines.push(...commands.map((command) => `#   ${command}`));
  return `${lines.join('\n')}\n`;
}

/** Ready command lines of harnesses, with upper case where a file or task of the person's own goes. */
function commandLines({ url }: Port, { operations }: Granted, model: string): string[] {
  const may = (operation: string): boolean => operations.includes(operation);
  const promptfoo = (kind: string): string =>
    `promptfoo eval -p PROMPTS.txt -r ${shellQuoted(`${kind}:${model}`)}`;
  const lmEval = (kind: string, path: string): string =>
    `lm_eval --model ${kind} --model_args ${shellQuoted(`model=${model},base_url=${url}${path}`)}`;
  const lines: string[] = [];
  if (may('chat.completions') || may('responses')) {
    // By the model's name alone, Inspect may choose the API that the grant does not name.
    const api = `responses_api=${!may('chat.completions')}`;
    lines.push(`inspect eval TASK.py --model ${shellQuoted(`openai/${model}`)} -M ${api}`);
  }
  if (may('chat.completions')) {
    lines.push(
      promptfoo('openai:chat'),
      `${lmEval('local-chat-completions', '/v1/chat/completions')} --apply_chat_template --tasks TASK`,
    );
  }
  if (may('responses')) lines.push(promptfoo('openai:responses'));
  if (may('completions'))
    lines.push(`${lmEval('local-completions', '/v1/completions')} --tasks TASK`);
  if (may('messages')) {
    lines.push(
      `inspect eval TASK.py --model ${shellQuoted(`anthropic/${model}`)}`,
      promptfoo('anthropic:messages'),
    );
  }
  return lines;
}
