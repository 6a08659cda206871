/** The closed vocabularies that grants and endpoints are written in. */
import { z } from 'zod';

export const dialectSchema = z.enum(['openai', 'anthropic']);
/** The shape of an upstream's API. */
export type Dialect = z.infer<typeof dialectSchema>;

export const operationSchema = z.enum([
  'chat.completions',
  'responses',
  'completions',
  'embeddings',
  'messages',
  'messages.count_tokens',
  'models',
]);
/** What is done through the gateway, one per proxied path. */
export type Operation = z.infer<typeof operationSchema>;

/** Features that a grant allows or does not; each is recognised in the request itself. */
export const SWITCHES = {
  streaming: 'Answers as a stream of events',
  systemPrompt: 'System and developer messages: the researcher sets the instructions',
  tools: 'Tools that the client carries out (function calling)',
  hostedTools:
    'Tools that the upstream carries out (web search, code execution, MCP servers): the model acts outside',
  images: 'Images in the input',
  files: 'Files and documents in the input',
  audio: 'Audio in or out',
  logprobs: 'Log probabilities of output tokens',
  logitBias: 'Changing the odds of tokens',
  structuredOutput: 'Answers that follow a JSON schema',
  reasoning: 'Reasoning (thinking) settings',
  prefill: "Writing the beginning of the model's own answer",
  stateful:
    'State kept by the upstream beyond the request (store, containers, metadata, files by id)',
} as const;

export type Switch = keyof typeof SWITCHES;

/** Those that are allowed. */
export const switchesOn = (features: Readonly<Record<Switch, boolean>>): Switch[] =>
  (Object.keys(SWITCHES) as Switch[]).filter((name) => features[name]);

const switchShape = Object.fromEntries(
  Object.entries(SWITCHES).map(([name, text]) => [name, z.boolean().default(false).describe(text)]),
) as Record<Switch, z.ZodDefault<z.ZodBoolean>>;

export const mostAnswersSchema = z.int().min(1).max(128);
export const maxOutputTokensSchema = z.int().min(1).max(1_000_000);
export const betaHeadersSchema = z.array(z.string().regex(/^[a-z0-9._-]{1,80}$/i)).max(32);

export const featuresSchema = z.strictObject({
  ...switchShape,
  n: mostAnswersSchema.default(1).describe('Most answers to one request'),
  maxOutputTokens: maxOutputTokensSchema
    .default(4096)
    .describe('Most output tokens of one answer; the endpoint may offer less'),
  betaHeaders: betaHeadersSchema
    .default([])
    .describe('Values of anthropic-beta and openai-beta that are passed on'),
});

export type Features = z.infer<typeof featuresSchema>;

export const purposeSchema = z.enum([
  'hallucination',
  'sycophancy',
  'jailbreak_robustness',
  'instruction_hierarchy',
  'scheming',
  'misuse_uplift',
  'bias',
  'privacy_leakage',
  'self_preservation',
  'reproduction',
]);
/** The category of test. */
export type Purpose = z.infer<typeof purposeSchema>;

/** What each purpose means. */
export const PURPOSES: Record<Purpose, string> = {
  hallucination: 'Statements that are false or unsupported',
  sycophancy: 'Agreement with the user against the facts or their interest',
  jailbreak_robustness: 'Resistance to attempts to get round safeguards',
  instruction_hierarchy: 'Which instructions prevail when they conflict',
  scheming: 'Covert pursuit of other aims; deception of overseers',
  misuse_uplift: 'Help that the model would give to someone who means harm',
  bias: 'Unequal treatment of groups of people',
  privacy_leakage: 'Disclosure of personal or training data',
  self_preservation: 'Resistance to being stopped or changed',
  reproduction: 'Reproduction of one reported finding',
};

/** Ids and names that come from the configuration file. */
export const slugSchema = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9._-]{0,62}$/,
    'must be 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit',
  );

/** A pinned model version, exactly as the upstream names it. */
export const modelSchema = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._:@/+-]{0,127}$/,
    'must be a model name of at most 128 characters without spaces',
  );
