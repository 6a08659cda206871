/** Bytes as a client may send them, through the gateway's own reader. */
import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { PassThrough } from 'node:stream';
import * as fc from 'fast-check';
import { describe } from 'vitest';
import { RefusedError } from '../../src/core/denials.ts';
import { readJsonBody, type BodyBounds } from '../../src/gateway/read-body.ts';
import { EVERYTHING, bodyOf, check, operations, someFragments } from './bodies.ts';
import { fuzz } from './fuzz.ts';
import { MODEL } from './shapes.ts';

const MOST_BYTES = 4_096;

/** Reads bytes in their chunks. Undefined where they are refused. */
async function read(
  chunks: readonly Buffer[],
  bounds: BodyBounds,
): Promise<Awaited<ReturnType<typeof readJsonBody>> | undefined> {
  const req = new PassThrough();
  const headers = { 'content-type': 'application/json' };
  const answer = readJsonBody(
    Object.assign(req, { headers }) as unknown as IncomingMessage,
    bounds,
  );
  for (const chunk of chunks) req.write(chunk);
  req.end();
  try {
    return await answer;
  } catch (error) {
    if (error instanceof RefusedError) return undefined;
    throw error;
  }
}

const bounds = (): BodyBounds => ({
  maxBytes: MOST_BYTES,
  timeoutMs: 60_000,
  memory: { used: 0, most: MOST_BYTES },
});

const spoiling = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  how: fc.constantFrom('cut', 'insert', 'replace', 'double', 'head', 'head', 'head'),
  bytes: fc.oneof(
    fc
      .constantFrom(
        '"model":"model-b-1",',
        '"\\u006dodel":"x",',
        '"__proto__":{"model":"x"},',
        '"":0,',
        '"x":-0,',
        '"x":1e-400,',
        '"x":"\\ud800",',
        '"x":[{"model":"x"}],',
        ' ',
        '\t',
        '\n',
        '"n":9007199254740993,',
        '1e999',
        '\ufeff',
        ',',
        '}',
        '{',
        '"',
        '//',
        '\\u0000',
      )
      .map((text) => Buffer.from(text)),
    fc.uint8Array({ minLength: 1, maxLength: 4 }).map((bytes) => Buffer.from(bytes)),
  ),
});

type Spoiling = typeof spoiling extends fc.Arbitrary<infer T> ? T : never;

function spoil(text: Buffer, { at, how, bytes }: Spoiling): Buffer {
  const place = Math.floor(at * text.length);
  const [before, after] = [text.subarray(0, place), text.subarray(place)];
  switch (how) {
    case 'cut':
      return before;
    case 'insert':
      return Buffer.concat([before, bytes, after]);
    case 'replace':
      return Buffer.concat([before, bytes, after.subarray(bytes.length)]);
    case 'double':
      return Buffer.concat([text, text]);
    case 'head':
      return Buffer.concat([text.subarray(0, 1), bytes, text.subarray(1)]);
  }
}

describe('a body in bytes', () => {
  fuzz(
    'of any kind is refused, or is one object; its memory is counted and given back',
    { of: 0.03 },
    fc.array(fc.uint8Array({ maxLength: 2_000 }), { maxLength: 4 }),
    async (parts) => {
      const limits = bounds();
      const got = await read(
        parts.map((part) => Buffer.from(part)),
        limits,
      );
      assert.equal(limits.memory.used, got?.bytes ?? 0);
      if (got) assert.deepEqual(got.value, JSON.parse(Buffer.concat(parts).toString()));
    },
  );

  describe.each(operations)('of %s', (_, operation) => {
    fuzz(
      'that was spoilt is refused, or is sent as it was read, and to the model that it may have',
      { of: 0.01 },
      fc.record({ fragments: someFragments(operation), spoiling, at: fc.nat() }),
      async ({ fragments, spoiling: how, at }) => {
        const text = JSON.stringify(bodyOf(operation, fragments));
        const bytes = spoil(Buffer.from(text), how);
        const cut = at % (bytes.length + 1);
        const limits = bounds();
        const got = await read([bytes.subarray(0, cut), bytes.subarray(cut)], limits);
        assert.equal(limits.memory.used, got?.bytes ?? 0);
        const checked =
          got && check(operation, got.value, { ...EVERYTHING, unknownFields: 'pass' });
        if (!checked) return false;
        const sent = JSON.parse(checked.body.toString()) as { [key: string]: unknown };
        assert.equal(sent['model'], MODEL);
        for (const [name, value] of Object.entries(got.value))
          if (value !== null && name !== 'stream_options')
            assert.deepEqual(plain(sent[name]), plain(value), name);
        return true;
      },
    );
  });
});

/** As JSON has it: in there, -0 is 0. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));
