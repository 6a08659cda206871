/** Bodies of completions and embeddings: inputs that are text or tokens. */
import { describe, expect, test } from 'vitest';
import { inspectCompletions } from '../../src/core/scope/completions.ts';
import { inspectEmbeddings } from '../../src/core/scope/embeddings.ts';
import { MalformedBody, type JsonObject } from '../../src/core/scope/inspection.ts';

const complete = (changes: JsonObject): ReturnType<typeof inspectCompletions> =>
  inspectCompletions({ model: 'm', prompt: 'Once', ...changes });

const embed = (changes: JsonObject): ReturnType<typeof inspectEmbeddings> =>
  inspectEmbeddings({ model: 'm', input: 'Once', ...changes });

/** One or several inputs, and how many they are. */
const INPUTS: [unknown, number][] = [
  ['Once', 1],
  ['', 1],
  [['Once', 'twice'], 2],
  [[1, 2, 3], 1],
  [[[1, 2], [3]], 2],
  [['Once', [1, 2]], 2],
];

const NO_INPUTS: unknown[] = [
  7,
  {},
  [],
  true,
  [{}],
  [1, 'x'],
  [[1, 'x']],
  [[['x']]],
  [-1],
  [1.5],
  [null],
];

describe('completions', () => {
  test('a plain prompt', () => {
    expect(complete({})).toEqual({
      model: 'm',
      stream: false,
      uses: [],
      n: 1,
      answers: 1,
      maxOutputTokens: null,
      unknownFields: [],
      mediaParts: 0,
      messages: 1,
      tools: false,
    });
  });

  test('what needs no feature', () => {
    const changes = {
      max_tokens: 5,
      temperature: 0,
      stop: ['x'],
      seed: 1,
      user: 'u',
      echo: true,
      suffix: 'x',
      best_of: 1,
      top_k: 1,
      logprobs: null,
      stream_options: { include_usage: true },
    };
    expect(complete(changes)).toMatchObject({ uses: [], unknownFields: [], maxOutputTokens: 5 });
  });

  test.each<[JsonObject, string]>([
    [{ stream: true }, 'streaming at stream'],
    [{ logprobs: 0 }, 'logprobs at logprobs'],
    [{ logprobs: 1 }, 'logprobs at logprobs'],
    [{ prompt_logprobs: 1 }, 'logprobs at prompt_logprobs'],
    [{ logit_bias: { 5: 1 } }, 'logitBias at logit_bias'],
    [{ guided_choice: ['a'] }, 'structuredOutput at guided_choice'],
  ])('%j: %s', (changes, expected) => {
    const { uses } = complete(changes);
    expect(uses.map(({ feature, field }) => `${feature} at ${field}`)).toEqual([expected]);
  });

  test.each(INPUTS)('%j: as many prompts', (prompt, count) => {
    expect(complete({ prompt })).toMatchObject({ messages: count, answers: count, n: 1 });
  });

  test('without a prompt, the model begins with nothing', () => {
    expect(complete({ prompt: null }).answers).toBe(1);
    expect(complete({ prompt: undefined }).answers).toBe(1);
  });

  test('as many answers are made as there are prompts, each as often as is asked for', () => {
    const prompt = ['a', 'b', 'c'];
    expect(complete({ prompt, n: 2 })).toMatchObject({ n: 2, answers: 6 });
    // All of them are made, whatever comes back.
    expect(complete({ prompt, n: 2, best_of: 5 })).toMatchObject({ n: 5, answers: 15 });
    expect(complete({ prompt, n: 4, best_of: 1 })).toMatchObject({ n: 4, answers: 12 });
  });

  test('an answer can be of no tokens: for the log probabilities of the prompt', () => {
    expect(complete({ max_tokens: 0, echo: true }).maxOutputTokens).toBe(0);
    // Where the prompt is not wanted back, there are servers that take it for no limit.
    for (const changes of [{}, { echo: false }, { echo: null }, { echo: 'true' }])
      expect(() => complete({ max_tokens: 0, ...changes })).toThrow(MalformedBody);
    expect(() => complete({ max_tokens: -1, echo: true })).toThrow(MalformedBody);
  });

  test.each(NO_INPUTS)('%j is no prompt', (prompt) => {
    expect(() => complete({ prompt })).toThrow(
      expect.objectContaining({ field: 'prompt' }) as Error,
    );
  });

  test.each<[JsonObject, string]>([
    [{ messages: [] }, 'messages'],
    [{ tools: [] }, 'tools'],
    [{ max_completion_tokens: 5 }, 'max_completion_tokens'],
    [{ service_tier: 'auto' }, 'service_tier'],
    [JSON.parse('{"__proto__":1}') as JsonObject, '__proto__'],
    [{ constructor: 1 }, 'constructor'],
    [{ stream_options: { x: 1 } }, 'stream_options.x'],
  ])('%j: %s is not known', (changes, expected) => {
    expect(complete(Object.fromEntries(Object.entries(changes)))).toMatchObject({
      unknownFields: [expected],
    });
  });
});

describe('embeddings', () => {
  test.each(INPUTS)('%j: as many inputs', (input, count) => {
    expect(embed({ input, dimensions: 8, encoding_format: 'base64', user: 'u' })).toEqual({
      model: 'm',
      stream: false,
      uses: [],
      n: 1,
      answers: 1,
      maxOutputTokens: null,
      unknownFields: [],
      mediaParts: 0,
      messages: count,
      tools: false,
    });
  });

  test.each([...NO_INPUTS, undefined, null])('%j is no input', (input) => {
    expect(() => embed({ input })).toThrow(expect.objectContaining({ field: 'input' }) as Error);
  });

  test.each(['messages', 'stream', 'n', 'max_tokens', 'constructor', 'toString'])(
    '%s is not known',
    (field) => {
      expect(embed({ [field]: 1 }).unknownFields).toEqual([field]);
    },
  );

  test('a field that would be plain cannot hide others', () => {
    expect(() => embed({ dimensions: { hidden: 1 } })).toThrow(MalformedBody);
  });
});
