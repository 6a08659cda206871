/** Streams: nothing depends on how the bytes were split, and text is never taken for an event. */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { describe } from 'vitest';
import type { ProxiedOperation } from '../../src/gateway/operations/operation.ts';
import { OPERATIONS } from '../../src/gateway/operations/table.ts';
import { EventSplitter, dataOf } from '../../src/gateway/sse.ts';
import { fuzz } from './fuzz.ts';
import { sampleStreamOf } from './sample-streams.ts';

/** Where a stream is split: parts of its length, so that they fit any. */
const splits = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 30 });

function split(bytes: Buffer, at: readonly number[]): Buffer[] {
  const cuts = [...at.map((part) => Math.floor(part * bytes.length)), bytes.length].sort(
    (a, b) => a - b,
  );
  return cuts.map((cut, i) => bytes.subarray(i === 0 ? 0 : cuts[i - 1], cut));
}

/** Each byte by itself. */
const single = (bytes: Buffer): Buffer[] => Array.from(bytes, (_, i) => bytes.subarray(i, i + 1));

/** Events come in Latin-1, a character for a byte. */
const bytesOf = (event: string): Buffer => Buffer.from(event, 'latin1');

function eventsOf(chunks: readonly Buffer[]): { whole: string[]; rest: string | undefined } {
  const splitter = new EventSplitter();
  const whole = chunks.flatMap((chunk) => splitter.push(chunk));
  return { whole, rest: splitter.end() };
}

const dataIn = (events: readonly string[]): string[] =>
  events.map(dataOf).filter((data) => data !== '');

const BYTE_ORDER_MARK = Buffer.from('\ufeff');

/** Bytes that mean something in such a stream, and any others. */
const anyBytes = fc
  .array(
    fc.oneof(
      fc.constantFrom('\n', '\r', '\r\n', '\n\n', '\r\n\r\n', ': ', 'data:', 'data: ', 'event: x'),
      fc.constantFrom('[DONE]', '{"error":{}}', '{"type":"message_stop"}', 'é', '世', '🦀'),
      fc.string({ maxLength: 5 }),
      fc.uint8Array({ maxLength: 5 }),
    ),
    { maxLength: 40 },
  )
  .map((parts) => Buffer.concat(parts.map((part) => Buffer.from(part as string))));

describe('the splitter', () => {
  fuzz(
    'keeps every byte, whatever they are and however they are split',
    { of: 0.06 },
    fc.record({ bytes: anyBytes, at: splits }),
    ({ bytes, at }) => {
      const { whole, rest } = eventsOf(split(bytes, at));
      const hasMark = bytes.indexOf(BYTE_ORDER_MARK) === 0;
      const kept = bytesOf(whole.join(''));
      const sent = hasMark ? bytes.subarray(BYTE_ORDER_MARK.length) : bytes;
      assert.ok(kept.equals(sent.subarray(0, kept.length)));
      const left = sent.subarray(kept.length).toString().trimEnd();
      assert.equal(rest && bytesOf(rest).toString(), left === '' ? undefined : `${left}\n\n`);
    },
  );

  fuzz(
    'finds the same events, however they are split',
    { of: 0.06 },
    fc.record({ bytes: anyBytes, at: splits }),
    ({ bytes, at }) => {
      const { whole, rest } = eventsOf([bytes]);
      for (const chunks of [split(bytes, at), single(bytes)]) {
        const again = eventsOf(chunks);
        assert.deepEqual(dataIn(again.whole), dataIn(whole));
        assert.equal(again.rest && dataOf(again.rest), rest && dataOf(rest));
      }
    },
  );
});

/** What a model may say to be taken for something else. */
const text = fc.oneof(
  fc.constantFrom(
    '[DONE]',
    'data: [DONE]\n\n',
    '\n\ndata: {"error":{"message":"x"}}\n\n',
    '"error":{',
    '{"type":"message_stop"}',
    'event: message_stop',
    'message_delta',
    '"usage":{"a":1}',
    '"type":"response.completed","response":{}',
    '"response"',
    '\r\r',
    '\u2028',
    '\u0000',
    '世界 🦀🏳️‍🌈',
    '\\"',
    '\ud800',
    '"model":"other"',
    '',
  ),
  fc.string({ unit: 'binary', maxLength: 12 }),
);

/** Between the events. */
const noise = fc.constantFrom('', ': keep-alive\n\n', 'retry: 100\n\n', 'id: 7\n', ':\n\n', '\n');

const stream = fc.record({
  texts: fc.array(fc.record({ text, noise }), { maxLength: 8 }),
  usage: fc.record({ inputTokens: fc.nat(1_000_000), outputTokens: fc.nat(1_000_000) }),
  end: fc.constantFrom('terminal', 'error', 'none'),
  /** Whether the events carry their names beside their data. */
  named: fc.boolean(),
  /** JSON over several lines, each of which is a data line. */
  tall: fc.boolean(),
  mark: fc.boolean(),
  lineEnd: fc.constantFrom('\n', '\r\n', '\r'),
  /** Without the blank line at its very end. */
  short: fc.boolean(),
  at: splits,
});

type Stream = typeof stream extends fc.Arbitrary<infer T> ? T : never;

/** What the scanner made of a stream: what it said of each event with data, and what it knows at the end. */
function scan(operation: ProxiedOperation, asked: object, chunks: readonly Buffer[]): object {
  const scanner = operation.scanner({ ...asked });
  const { whole, rest } = eventsOf(chunks);
  const verdicts = [...whole, ...(rest ? [rest] : [])]
    .map((event) => ({
      verdict: scanner.see(event),
      data: dataOf(event),
    }))
    .filter(({ data }) => data !== '');
  return { verdicts, usage: scanner.usage(), model: scanner.model() };
}

/** The stream's bytes, the data of its events, and what the last of these is. */
function written(operation: ProxiedOperation, one: Stream): { bytes: Buffer; data: string[] } {
  const sample = sampleStreamOf(operation.name);
  const events: (object | string)[] = [
    ...one.texts.map((piece) => sample.delta(piece.text)),
    ...sample.reports(one.usage, 'model-a-1'),
    ...(one.end === 'none' ? [] : [one.end === 'error' ? sample.error : sample.terminal]),
  ];
  const data = events.map((event) =>
    typeof event === 'string' ? event : JSON.stringify(event, null, one.tall ? 1 : 0),
  );
  const lines = data.map((body, i) => {
    const event = events[i] as { type?: string };
    const name = one.named && event.type !== undefined ? `event: ${event.type}\n` : '';
    const dataLines = body
      .split('\n')
      .map((line) => `data: ${line}\n`)
      .join('');
    return `${one.texts[i]?.noise ?? ''}${name}${dataLines}\n`;
  });
  const whole = (one.mark ? '\ufeff' : '') + lines.join('');
  const ended = one.short ? whole.trimEnd() : whole;
  return { bytes: Buffer.from(ended.replaceAll('\n', one.lineEnd)), data };
}

const streaming = [...OPERATIONS.values()]
  .filter(({ charges }) => charges === 'input and output')
  .map((operation) => [operation.name, operation] as const);

describe.each(streaming)('the scanner of %s', (_, operation) => {
  const { asked } = sampleStreamOf(operation.name);

  fuzz(
    'sees the end where it is and nowhere else, and what was used',
    { of: 0.03 },
    stream,
    (one) => {
      const { bytes, data } = written(operation, one);
      const { verdicts, usage, model } = scan(operation, asked, split(bytes, one.at)) as {
        verdicts: { verdict: string; data: string }[];
        usage: object;
        model: string;
      };
      assert.deepEqual(
        verdicts.map((seen) => seen.data),
        data,
      );
      const ends = verdicts.flatMap(({ verdict }, i) =>
        verdict === 'pass' || verdict === 'drop' ? [] : [`${verdict} ${i}`],
      );
      // Anthropic's SDKs skip what has no name.
      const isUnheard = one.end === 'error' && operation.name === 'messages' && !one.named;
      const end = isUnheard ? 'failure' : one.end;
      assert.deepEqual(ends, one.end === 'none' ? [] : [`${end} ${data.length - 1}`]);
      assert.deepEqual(usage, { ...one.usage });
      assert.equal(model, 'model-a-1');
    },
  );

  fuzz(
    'comes to the same, however the bytes are split, also where they are no such stream',
    { of: 0.02 },
    fc.record({ one: stream, broken: anyBytes, at: splits }),
    ({ one, broken, at }) => {
      const { bytes } = written(operation, one);
      const place = bytes.length >> 1;
      const spoilt = Buffer.concat([bytes.subarray(0, place), broken, bytes.subarray(place)]);
      const whole = scan(operation, asked, [spoilt]);
      assert.deepEqual(scan(operation, asked, split(spoilt, at)), whole);
      assert.deepEqual(scan(operation, asked, single(spoilt)), whole);
    },
  );
});
