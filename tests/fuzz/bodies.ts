/** Bodies and grants as they come, and the check that decides on them. */
import type { IncomingMessage } from 'node:http';
import * as fc from 'fast-check';
import { RefusedError } from '../../src/core/denials.ts';
import { endpointSchema } from '../../src/core/endpoints.ts';
import type { JsonObject } from '../../src/core/scope/inspection.ts';
import { SWITCHES, featuresSchema, type Features, type Switch } from '../../src/core/vocabulary.ts';
import type { Caller } from '../../src/gateway/caller.ts';
import { checkContent, type Checked } from '../../src/gateway/check-content.ts';
import type { Gateway } from '../../src/gateway/gateway.ts';
import type { ProxiedOperation } from '../../src/gateway/operations/operation.ts';
import { OPERATIONS } from '../../src/gateway/operations/table.ts';
import { RESEARCHER, aGrant, aSpec, idOf } from '../support/facts.ts';
import { DATA, MODEL, SHAPES, type Fragment } from './shapes.ts';

const ALL = Object.keys(SWITCHES) as Switch[];

export interface Terms {
  granted: Features;
  offered: Features;
  unknownFields: 'refuse' | 'pass';
}

export function featuresOf(switches: readonly Switch[], more: Partial<Features> = {}): Features {
  return featuresSchema.parse({
    ...Object.fromEntries(switches.map((name) => [name, true])),
    ...more,
  });
}

export const EVERYTHING: Terms = {
  granted: featuresOf(ALL, { n: 128, maxOutputTokens: 1_000_000 }),
  offered: featuresOf(ALL, { n: 128, maxOutputTokens: 1_000_000 }),
  unknownFields: 'refuse',
};

const someFeatures = fc
  .record({
    switches: fc.oneof(fc.subarray(ALL), fc.subarray(ALL, { minLength: 10 }), fc.constant(ALL)),
    n: fc.constantFrom(1, 4),
    maxOutputTokens: fc.constantFrom(100, 4_096),
  })
  .map(({ switches, ...rest }) => featuresOf(switches, rest));

export const terms: fc.Arbitrary<Terms> = fc.record({
  granted: someFeatures,
  offered: someFeatures,
  unknownFields: fc.constantFrom('refuse', 'pass'),
});

/** Checks a body as the gateway does. Null where it is refused; whatever else is thrown is a defect. */
export function check(
  operation: ProxiedOperation,
  asked: JsonObject,
  { granted, offered, unknownFields }: Terms,
  headers: IncomingMessage['headers'] = {},
): Checked | null {
  const endpoint = endpointSchema.parse({
    id: 'demo',
    dialects: [operation.dialect.name],
    upstream: 'http://127.0.0.1:9',
    models: [MODEL],
    features: offered,
  });
  const grant = aGrant({
    spec: aSpec({
      endpoints: [{ endpoint: 'demo', models: [MODEL] }],
      operations: [operation.name],
      features: granted,
      unknownFields,
    }),
  });
  const gateway = {
    broker: { endpoints: new Map([['demo', endpoint]]), policy: { orders: [] } },
    addressOf: () => '192.0.2.7',
    settings: { body: { maxBytes: 1_048_576 } },
  } as unknown as Gateway;
  const caller = {
    grant,
    member: RESEARCHER,
    token: { id: idOf('tok', 'one') },
    access: { purpose: 'hallucination', run: idOf('run', 'one') },
    narrowing: null,
  } as unknown as Caller;
  try {
    return checkContent(gateway, { headers } as IncomingMessage, { caller, operation }, asked);
  } catch (error) {
    if (error instanceof RefusedError) return null;
    throw error;
  }
}

export const operations: [string, ProxiedOperation][] = [...OPERATIONS.values()].map(
  (operation) => [operation.name, operation],
);

/** Some of an operation's fragments, in an order in which they can follow each other. */
export function someFragments({ name }: ProxiedOperation): fc.Arbitrary<Fragment[]> {
  const { fragments } = SHAPES[name];
  return fc.subarray(fragments, { maxLength: Math.min(5, fragments.length) });
}

export function bodyOf({ name }: ProxiedOperation, fragments: readonly Fragment[]): JsonObject {
  let body: unknown = SHAPES[name].least;
  for (const [, adds] of fragments) body = merge(body, adds);
  return structuredClone(body) as JsonObject;
}

function merge(into: unknown, from: unknown): unknown {
  if (Array.isArray(into) && Array.isArray(from)) return [...(into as unknown[]), ...from];
  if (!isPlainObject(into) || !isPlainObject(from)) return from;
  const merged = { ...into };
  for (const [key, value] of Object.entries(from))
    merged[key] = key in merged ? merge(merged[key], value) : value;
  return merged;
}

function isPlainObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Every object and list in a body, but those that are the client's data. */
export function partsOf(body: JsonObject): (JsonObject | unknown[])[] {
  const parts: (JsonObject | unknown[])[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null || DATA in value) return;
    parts.push(value as JsonObject | unknown[]);
    for (const inner of Object.values(value)) visit(inner);
  };
  visit(body);
  return parts;
}

/** Names that mean something somewhere, or to JavaScript. */
const names = fc.oneof(
  fc.constantFrom(
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'hasOwnProperty',
    'length',
    '',
    'model',
    'models',
    'messages',
    'input',
    'prompt',
    'content',
    'role',
    'type',
    'tools',
    'stream',
    'stream_options',
    'n',
    'best_of',
    'max_tokens',
    'max_output_tokens',
    'store',
    'system',
    'instructions',
    'source',
    'file',
    'file_id',
    'tool_calls',
    'metadata',
    'text',
  ),
  fc.string({ maxLength: 8 }),
);

const values = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -1,
    1,
    2,
    1.5,
    1e21,
    2 ** 53,
    '',
    [],
    {},
    [[]],
    [null],
    [{}],
    'user',
    'assistant',
    'system',
    'text',
    'function',
    'web_search',
    MODEL,
    'model-b-1',
  ),
  fc.jsonValue({ maxDepth: 3 }),
);

const mutation = fc.record({
  part: fc.nat(),
  key: fc.nat(),
  how: fc.constantFrom('replace', 'insert', 'remove', 'wrap', 'move', 'bury'),
  name: names,
  value: values,
});

type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never;

function mutate(body: JsonObject, { part, key, how, name, value: shared }: Mutation): void {
  const value = structuredClone(shared);
  const parts = partsOf(body);
  const target = parts[part % parts.length] as JsonObject;
  const keys = Object.keys(target);
  const slot = keys[key % Math.max(1, keys.length)] ?? '0';
  const set = (at: string, to: unknown): void => {
    if (Array.isArray(target)) target.push(to);
    // As a parser does: "__proto__" is a key like any other.
    else
      Object.defineProperty(target, at, {
        value: to,
        enumerable: true,
        configurable: true,
        writable: true,
      });
  };
  switch (how) {
    case 'replace':
      target[slot] = value;
      break;
    case 'insert':
      set(name, value);
      break;
    case 'remove':
      if (Array.isArray(target)) target.pop();
      else delete target[slot];
      break;
    case 'wrap':
      target[slot] = [target[slot]];
      break;
    case 'move':
      set(name, structuredClone(parts[key % parts.length]));
      break;
    case 'bury':
      for (let i = 0; i < 150; i += 1) target[slot] = { [name]: target[slot] };
      break;
  }
}

/** Bodies that were requests once, and now and then anything at all. */
export function anyBody(operation: ProxiedOperation): fc.Arbitrary<JsonObject> {
  const mutated = fc
    .tuple(someFragments(operation), fc.array(mutation, { maxLength: 3 }))
    .map(([fragments, mutations]) => {
      const body = bodyOf(operation, fragments);
      for (const one of mutations) mutate(body, one);
      return reparsed(body);
    });
  const anything = fc.dictionary(names, values).map(reparsed);
  return fc.oneof({ arbitrary: mutated, weight: 9 }, { arbitrary: anything, weight: 1 });
}

/** What comes out of a parser when this went in. */
export function reparsed(body: unknown): JsonObject {
  return JSON.parse(JSON.stringify(body)) as JsonObject;
}
