import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EventSplitter, EventTooLong, dataOf, isNamedError } from '../../src/gateway/sse.ts';
import { DELTA_FIELDS, TextMeter } from '../../src/gateway/text-meter.ts';

/** Events come in Latin-1, a character for a byte. */
const bytesOf = (event: string): Buffer => Buffer.from(event, 'latin1');
const strings = (events: string[]): string[] => events.map((event) => bytesOf(event).toString());

/** All events of these reads, the rest included. */
function split(reads: Buffer[]): string[] {
  const splitter = new EventSplitter();
  const events = reads.flatMap((read) => splitter.push(read));
  const rest = splitter.end();
  return strings(rest ? [...events, rest] : events);
}

function cut(bytes: Buffer, at: number[]): Buffer[] {
  const cuts = [...new Set(at.map((one) => one % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...cuts].map((from, i) => bytes.subarray(from, cuts[i] ?? bytes.length));
}

const line = fc.oneof(
  fc.constant('data: [DONE]'),
  fc.constant(': a comment'),
  fc.constant('retry: 10'),
  fc.string({ unit: 'grapheme' }).map((text) => `data: ${text.replaceAll(/[\r\n]/g, ' ')}`),
);
const events = fc.array(fc.array(line, { minLength: 1, maxLength: 4 }), { maxLength: 6 });

describe('events of a stream', () => {
  it('are the same wherever the reads are split, whatever ends the lines', () => {
    fc.assert(
      fc.property(
        events,
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.array(fc.nat()),
        fc.boolean(),
        (texts, eol, at, marked) => {
          const expected = texts.map((lines) => `${lines.join(eol)}${eol}${eol}`);
          const bytes = Buffer.from(`${marked ? '\ufeff' : ''}${expected.join('')}`);
          expect(split(cut(bytes, at))).toEqual(expected);
        },
      ),
    );
  });

  it('lose no byte, whatever is in them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0x0a, 0x0d, 0x61, 0xef, 0x20), { maxLength: 40 }),
        fc.array(fc.nat()),
        (bytes, at) => {
          const whole = Buffer.from(bytes);
          const splitter = new EventSplitter();
          const passed = bytesOf(
            cut(whole, at)
              .flatMap((read) => splitter.push(read))
              .join(''),
          );
          expect(whole.subarray(0, passed.length).equals(passed)).toBe(true);
          expect(whole.subarray(passed.length).toString().trimEnd()).toBe(
            bytesOf(splitter.end() ?? '')
              .toString()
              .trimEnd(),
          );
        },
      ),
    );
  });

  it('go out as soon as their blank line is there', () => {
    for (const eol of ['\n', '\r\n', '\r']) {
      const event = `data: 1${eol}${eol}`;
      const splitter = new EventSplitter();
      const before = splitter.push(Buffer.from(event.slice(0, -1)));
      expect(before).toEqual([]);
      expect(strings(splitter.push(Buffer.from(event.slice(-1))))).toEqual([event]);
    }
  });

  it('may be of 8 MiB, and not of more', () => {
    const chunk = Buffer.alloc(65_536, 'x');
    const splitter = new EventSplitter();
    for (let i = 0; i < 128; i += 1) expect(splitter.push(chunk)).toEqual([]);
    expect(() => splitter.push(chunk)).toThrow(EventTooLong);
  });

  it('may come in very many pieces', () => {
    const event = Buffer.from(`data: ${'x'.repeat(5_000)}\n\n`);
    const splitter = new EventSplitter();
    const passed = Array.from(event, (byte) => splitter.push(Buffer.of(byte))).flat();
    expect(strings(passed)).toEqual([event.toString()]);
  });
});

describe('the data of an event', () => {
  it.each([
    ['data: {"a":1}\n\n', '{"a":1}'],
    ['data:{"a":1}\n\n', '{"a":1}'],
    ['event: x\r\nid: 1\r\ndata: one\r\ndata:  two\r\nretry: 5\r\n\r\n', 'one\n two'],
    ['data: one\rdata: two\r\r', 'one\ntwo'],
    [': data: no\ndatax: no\n\n', ''],
    ['data: à 世\n\n', 'à 世'],
  ])('%j is %j', (event, data) => {
    expect(dataOf(Buffer.from(event).toString('latin1'))).toBe(data);
  });
});

it.each([
  ['event: error\ndata: {}\n\n', true],
  ['event:error\r\n\r\n', true],
  ['data: {}\revent: error\r\r', true],
  ['event: errors\ndata: error\n\n', false],
  ['data: event: error\n\n', false],
  [': event: error\n\n', false],
])('%j goes by the name of an error: %s', (event, isNamed) => {
  expect(isNamedError(event)).toBe(isNamed);
});

describe('the text of events', () => {
  const bytesIn = (...texts: string[]): number => {
    const meter = new TextMeter(DELTA_FIELDS);
    for (const text of texts) meter.see(text);
    return meter.bytes;
  };

  it.each([
    ['{"choices":[{"delta":{"content":"12345678"}}]}', 8],
    ['{"choices":[{"delta":{"content": "12345678"}}]}', 8],
    ['{"delta":{"type":"text_delta","text":"12345678"}}', 8],
    ['{"delta":{"content":null,"reasoning_content":"12345678"}}', 8],
    ['{"choices":[{"delta":{"content" :\t"12345678"}}]}', 8],
    // Several fields in one event.
    ['{"delta":{"content":"1234","tool_calls":[{"function":{"arguments":"12345678"}}]}}', 12],
    // One text under two names.
    ['{"delta":{"reasoning":"12345678","reasoning_content":"12345678"}}', 8],
    // What a text says is no field.
    [String.raw`{"delta":{"content":"\"text\":\"12"}}`, 13],
    // Of a string, the escapes count as they are written.
    [String.raw`{"delta":{"content":"\"1234\\"}}`, 8],
    // Two answers in one event.
    ['[{"delta":{"content":"12345678"}},{"delta":{"content":"12345678"}}]', 16],
    // One token at least.
    ['{"delta":{"content":"a"}}', 4],
    ['{"delta":{"role":"assistant","content":""}}', 0],
    ['{"type":"ping"}', 0],
    ['{"delta":{"content":"12345678', 8],
    ['{"delta":{"content":', 0],
  ])('%s: %i bytes', (event, bytes) => {
    expect(bytesIn(event)).toBe(bytes);
  });

  it('is found again when it moves to another field', () => {
    expect(
      bytesIn('{"thinking":"12345678"}', '{"text":"12345678"}', '{"partial_json":"12345678"}'),
    ).toBe(24);
  });
});
