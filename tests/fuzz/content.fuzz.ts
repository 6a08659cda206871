/** Invariant 4 on arbitrary bodies: what is authorised is what is dispatched, for every operation. */
import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';
import * as fc from 'fast-check';
import { describe } from 'vitest';
import type { JsonObject } from '../../src/core/scope/inspection.ts';
import { isObject } from '../../src/core/scope/inspection.ts';
import type { Switch } from '../../src/core/vocabulary.ts';
import {
  EVERYTHING,
  anyBody,
  bodyOf,
  check,
  featuresOf,
  operations,
  partsOf,
  reparsed,
  someFragments,
  terms,
} from './bodies.ts';
import { fuzz } from './fuzz.ts';
import { MODEL } from './shapes.ts';

/** A name that no API has. */
const MARK = 'zz_unheard_of';

const anyValue = fc.constantFrom<unknown>(null, false, 0, 'x', [], {}, [{}], { a: ['b'] });

/** Fields that the gateway fills in where the request leaves them open. */
const FILLED_IN = new Set(['max_tokens', 'max_completion_tokens', 'max_output_tokens', 'store']);

describe.each(operations)('%s', (_, operation) => {
  fuzz(
    'whatever the body is: it is refused, or what is dispatched is what was checked',
    { of: 0.04 },
    fc.record({ asked: anyBody(operation), under: terms }),
    ({ asked, under }) => {
      const before = structuredClone(asked);
      const checked = check(operation, asked, under);
      assert.deepEqual(asked, before);
      if (!checked) return false;
      const sent = JSON.parse(checked.body.toString()) as JsonObject;
      assert.equal(sent['model'], MODEL);
      assertOnlyFilledIn(asked, sent);
      // Whoever reads what was sent finds what was found, and would send the same.
      assert.deepEqual(operation.inspect(sent), checked.inspection);
      assert.equal(check(operation, sent, under)?.body.toString(), checked.body.toString());
      assert.ok(Number.isSafeInteger(checked.amount.tokens));
      assert.ok(checked.amount.tokens >= 0);
      return true;
    },
  );

  fuzz(
    'a feature passes where grant and endpoint have it, and nowhere else',
    { of: 0.025 },
    fc.record({ fragments: someFragments(operation), under: terms }),
    ({ fragments, under: { granted, offered } }) => {
      const has = (feature: Switch): boolean => granted[feature] && offered[feature];
      const used = fragments.flatMap(([uses]) => uses);
      const checked = check(operation, bodyOf(operation, fragments), {
        granted,
        offered,
        unknownFields: 'refuse',
      });
      assert.equal(checked !== null, used.every(has));
      return checked !== null;
    },
  );

  fuzz(
    'an unknown field, however deep, is refused; where the grant passes them it is sent',
    { of: 0.02 },
    fc.record({ fragments: someFragments(operation), at: fc.nat(), value: anyValue }),
    ({ fragments, at, value }) => {
      const body = bodyOf(operation, fragments);
      const objects = partsOf(body).filter((part): part is JsonObject => !Array.isArray(part));
      (objects[at % objects.length] as JsonObject)[MARK] = value;
      assert.equal(check(operation, body, EVERYTHING), null);
      const passed = check(operation, body, { ...EVERYTHING, unknownFields: 'pass' });
      assert.ok(passed?.body.includes(MARK));
    },
  );

  fuzz(
    'of its headers, those that the upstream gets are of the dialect, and granted',
    { of: 0.01 },
    fc.record({
      headers: fc.dictionary(
        fc.constantFrom(
          'anthropic-version',
          'anthropic-beta',
          'openai-beta',
          'openai-organization',
          'authorization',
          'x-api-key',
          'host',
          'cookie',
          'x-model',
          'content-length',
        ),
        fc.oneof(
          fc.constantFrom('2023-06-01', 'beta-1', 'beta-1, beta-2', 'beta-2', ' , ', 'BETA-1'),
          fc.string(),
        ),
      ),
      betaHeaders: fc.subarray(['beta-1', 'beta-2']),
    }),
    ({ headers, betaHeaders }) => {
      const granted = featuresOf([], { betaHeaders });
      const body = bodyOf(operation, []);
      const checked = check(operation, body, { ...EVERYTHING, granted }, headers);
      const { dialect, betas = [] } = operation;
      // Names and values by turns.
      const sent = checked?.headers ?? [];
      for (let i = 0; i < sent.length; i += 2) {
        const [name = '', value = ''] = sent.slice(i);
        if (name === dialect.betaHeader)
          for (const one of value.split(',')) assert.ok([...betaHeaders, ...betas].includes(one));
        else {
          assert.equal(name, 'anthropic-version');
          assert.match(value, /^\d{4}-\d{2}-\d{2}$/);
        }
      }
      return checked !== null;
    },
  );
});

/** What is sent is what was asked for, field for field, but for what the gateway says where the request does not. */
function assertOnlyFilledIn(asked: JsonObject, sent: JsonObject): void {
  for (const name of new Set([...Object.keys(asked), ...Object.keys(sent)])) {
    const was = Object.hasOwn(asked, name) ? asked[name] : undefined;
    const is = Object.hasOwn(sent, name) ? sent[name] : undefined;
    if (isDeepStrictEqual(was, is)) continue;
    const isFilledIn = FILLED_IN.has(name) && (was ?? null) === null;
    const isUsage =
      name === 'stream_options' &&
      isDeepStrictEqual(is, { ...(isObject(was) ? reparsed(was) : {}), include_usage: true });
    assert.ok(isFilledIn || isUsage, `"${name}" is sent as ${JSON.stringify(is)}`);
  }
}
