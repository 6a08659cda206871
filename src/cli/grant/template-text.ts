/** The text of a grant to start from. What each field means comes from the schemas, so that it stays true. */
import { budgetsSchema, limitsSchema } from '../../core/limits.ts';
import {
  PURPOSES,
  SWITCHES,
  type Dialect,
  type Operation,
  type Purpose,
  type Switch,
} from '../../core/vocabulary.ts';
import type { Endpoint } from '../wire.ts';

/** What is known already. The rest is filled in by whoever writes the grant. */
export interface TemplateFacts {
  lab?: string;
  endpoint?: string;
  model?: string[];
  researcher?: string[];
  maxPeople?: number;
  /** What the endpoint offers at most; undefined where that is not known. */
  offered?: Offered | undefined;
}

type Offered = Pick<Endpoint, 'dialects' | 'features'>;

const DAY = 86_400_000;

/** Allowed in the template: what an ordinary chat client needs. */
const USUAL: ReadonlySet<Switch> = new Set(['streaming', 'systemPrompt']);
const FIRST_PURPOSE: Purpose = 'jailbreak_robustness';

/**
 * Writes the template: valid as soon as lab, endpoint, model and person are filled in.
 *
 * @param now epoch milliseconds: the window begins then and lasts thirty days
 * @param command what runs the command line
 */
export function grantTemplate(facts: TemplateFacts, now: number, command: string): string {
  const { lab = 'lab_FILL_IN', endpoint = 'FILL_IN', model = [], researcher = [] } = facts;
  const models = model.length > 0 ? model : ['FILL IN'];
  const { maxPeople, offered } = facts;
  const people = researcher.length > 0 || maxPeople !== undefined ? researcher : ['per_FILL_IN'];
  const from = Math.floor(now / 1000) * 1000;
  return `# A grant: what one partner lab may do. Everything that is not named here is not allowed.
# Fill it in, then: ${command} grant new --file THIS_FILE

title: Robustness tests, first round

# The partner lab ("${command} lab list").
lab: ${quoted(lab)}

# Endpoints, and at each the pinned models that may be called ("${command} endpoint list").
endpoints:
  - endpoint: ${quoted(endpoint)}
    models: [${models.map(quoted).join(', ')}]

# API operations. OpenAI: chat.completions, responses, completions, embeddings. Anthropic: messages,
# messages.count_tokens. Either: models (the list of models). With completions, researchers write the whole prompt:
# also what is a system prompt or the beginning of an answer to the model.
operations: [${operations(offered).join(', ')}]

# Features of requests.
features:
${switches(offered)}
  # Most answers to one request
  n: 1
  # Most output tokens of one answer
  maxOutputTokens: ${mostOutputTokens(offered)}
  # Values of anthropic-beta and openai-beta that are passed on
  betaHeaders: []

# Categories of test. A token is for one of them.
purposes:
  allowed:
${purposes()}
  # What is not allowed above is refused anyway; naming it here says so to whoever reads the grant.
  excluded: []

# The roster: the named people who may use the grant ("${command} person list").
${roster(people, from + 14 * DAY)}

# Most people on the roster: up to it, the lead invites more without a new approval ("${command} person invite --grant").
# Without this line, only those named above.
${maxPeople === undefined ? '# maxPeople: 10' : `maxPeople: ${maxPeople}`}

# How fast. null: no limit.
limits:
${caps(limitsSchema.shape, { requestsPerMinute: 60, concurrent: 4 }, '  ')}

# How much in all. null: no cap.
budgets:
${caps(budgetsSchema.shape, { requests: 10_000, tokens: 5_000_000 }, '  ')}

# The same for each person on the roster.
perPerson:
  limits:
${caps(limitsSchema.shape, {}, '    ')}
  budgets:
${caps(budgetsSchema.shape, {}, '    ')}

# Addresses that requests may come from, such as [192.0.2.0/24]. null: from anywhere.
networks: null

# none: whoever has a token can use it. dpop: tokens are bound to a key of the client, and SDKs go through
# "${command} connect".
binding: none

# What is kept of prompts and answers. Only digest (hashes) so far.
transcripts: digest

# Body fields, and values of them, that the gateway does not know: refuse or pass. "pass" can let features through
# that are not granted, at a cost that is not reserved. Parts, blocks, items and tools of unknown types never pass.
unknownFields: refuse

# When: from (included) until (excluded), RFC 3339.
window:
  from: ${instant(from)}
  until: ${instant(from + 30 * DAY)}

# How long a token lives, in seconds (60 to 3600). Short is good: clients get new ones.
tokenLifetimeSeconds: 900

# What the partner lab and each person accept before they can use the grant. They accept this very text.
terms:
  version: "1"
  text: |
    The access is for the purposes above and no others.
    Findings are reported to the host lab before they are published.
    Outputs that could cause harm are not passed on.
`;
}

function roster(people: string[], until: number): string {
  if (people.length === 0) return 'people: []';
  const lines = people.map(
    (person) =>
      `  - person: ${quoted(person)}\n    # until: ${instant(until)}   # leaves the roster then`,
  );
  return `people:\n${lines.join('\n')}`;
}

function switches(offered: Offered | undefined): string {
  const isOn = (name: string): boolean =>
    USUAL.has(name as Switch) && (!offered || offered.features[name] === true);
  return Object.entries(SWITCHES)
    .map(([name, text]) => `  # ${text}\n  ${name}: ${isOn(name)}`)
    .join('\n');
}

/** What is done through an endpoint, by how it is spoken to. */
const OPERATION_OF: Record<Dialect, Operation> = {
  openai: 'chat.completions',
  anthropic: 'messages',
};

function operations(offered: Offered | undefined): Operation[] {
  const dialects = (Object.keys(OPERATION_OF) as Dialect[]).filter(
    (dialect) => !offered || offered.dialects.includes(dialect),
  );
  return [...dialects.map((dialect) => OPERATION_OF[dialect]), 'models'];
}

const USUAL_OUTPUT_TOKENS = 4096;

function mostOutputTokens(offered: Offered | undefined): number {
  const most = offered?.features['maxOutputTokens'];
  return typeof most === 'number' ? Math.min(most, USUAL_OUTPUT_TOKENS) : USUAL_OUTPUT_TOKENS;
}

function purposes(): string {
  return Object.entries(PURPOSES)
    .map(([name, text]) => `    ${name === FIRST_PURPOSE ? '' : '# '}- ${name}   # ${text}`)
    .join('\n');
}

function caps(
  shape: Record<string, { description?: string | undefined }>,
  values: Record<string, number>,
  indent: string,
): string {
  return Object.entries(shape)
    .map(([name, { description }]) => {
      const value = values[name] ?? null;
      return `${indent}${name}: ${value}   # ${description ?? ''}`;
    })
    .join('\n');
}

/** JSON's strings are YAML's. */
const quoted = (text: string): string => JSON.stringify(text);

const instant = (at: number): string => new Date(at).toISOString().replace('.000Z', 'Z');
