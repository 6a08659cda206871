import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../src/audit/verify-receipt.ts';
import { serialiseEntry, writeEntry, type EntryKind } from '../../src/core/audit/entry.ts';
import { formatKeyHistory } from '../../src/core/audit/key-history.ts';
import { inclusionProof } from '../../src/core/audit/proofs.ts';
import { formatReceipt, parseReceipt, type ReceiptOf } from '../../src/core/audit/receipt.ts';
import { hashesFromTiles } from '../../src/core/audit/tiles.ts';
import { logOf, newLogKey, sampleEntry, type SampleLog } from './sample-log.ts';

const REQUEST = `req_${'1'.repeat(26)}`;
const OTHER = `req_${'2'.repeat(26)}`;
const key = newLogKey();

const requestEntry = (index: number, kind: EntryKind, ref: string): Buffer =>
  serialiseEntry(
    writeEntry({
      id: `ent_${index}`,
      kind,
      at: index,
      actor: { system: 'broker' },
      ref,
      run: 'prüfung',
      data: { text: 'a\nline -----END ENTRY 7-----' },
    }),
    { log: 'audit.lab.example/sallyport', index, committedAt: index, host: 'lab_host' },
  );

const KINDS: Record<number, [EntryKind, string]> = {
  7: ['request.intent', REQUEST],
  8: ['request.denied', OTHER],
  260: ['request.outcome', REQUEST],
  261: ['request.outcome', OTHER],
};

const log = logOf(
  Array.from({ length: 300 }, (_, index) => {
    const [kind, ref] = KINDS[index] ?? [];
    return kind && ref ? requestEntry(index, kind, ref) : sampleEntry(index);
  }),
  key,
);

function receiptOf(of: ReceiptOf, indexes: number[], from: SampleLog = log): Buffer {
  const size = from.lines.length;
  const hashes = hashesFromTiles(size, (level, n) => from.tiles.get(`${level}/${n}`));
  const entries = indexes.map((index) => ({
    index,
    bytes: from.lines[index] as Buffer,
    proof: inclusionProof(index, size, hashes),
  }));
  return Buffer.from(formatReceipt(of, entries, from.checkpoint), 'utf8');
}

const whole = receiptOf({ request: REQUEST }, [7, 260]);
const FIRST_LINE = whole.indexOf('\n') + 1;
const check = (bytes: Uint8Array, keys = [log.verifierKey]) => verifyReceipt(bytes, keys);

describe('a receipt', () => {
  it('is sound where the log holds both entries of the request, and says what they are', () => {
    expect(check(whole)).toMatchObject({
      status: 'sound',
      of: { request: REQUEST },
      origin: 'audit.lab.example/sallyport',
      size: 300,
      entries: [
        { index: 7, kind: 'request.intent', ref: REQUEST, run: 'prüfung' },
        { index: 260, kind: 'request.outcome', ref: REQUEST },
      ],
    });
  });

  it('is sound of a request that was refused, and of any one entry', () => {
    expect(check(receiptOf({ request: OTHER }, [8])).status).toBe('sound');
    expect(check(receiptOf({ entry: 20 }, [20])).status).toBe('sound');
    expect(check(receiptOf({ entry: 299 }, [299])).status).toBe('sound');
  });

  it('is read as it was written', () => {
    const receipt = parseReceipt(whole);
    expect(receipt).toMatchObject({ of: { request: REQUEST } });
    expect('parts' in receipt && receipt.parts.map(({ entry }) => Buffer.from(entry))).toEqual([
      log.lines[7],
      log.lines[260],
    ]);
  });

  it('is never sound with one bit flipped, wherever it is', () => {
    for (let at = 0; at < whole.length; at += 1) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      const { status } = check(flipped);
      // With another first line it is no receipt at all, or one of a later version.
      const wanted = at < FIRST_LINE ? ['tampered', 'could_not_run'] : ['tampered'];
      expect([at, wanted.includes(status)]).toEqual([at, true]);
    }
  });

  it('is incomplete where it was cut off, wherever that is', () => {
    for (let length = 0; length < whole.length; length += 1)
      expect([length, check(whole.subarray(0, length)).status]).toEqual([length, 'incomplete']);
  });

  it('is never sound after any change of some of its bytes', () => {
    fc.assert(
      fc.property(
        fc.nat(whole.length - 1),
        fc.nat(40),
        fc.uint8Array({ maxLength: 40 }),
        (at, removed, put) => {
          const bytes = Buffer.concat([whole.subarray(0, at), put, whole.subarray(at + removed)]);
          fc.pre(!bytes.equals(whole));
          expect(check(bytes).status).not.toBe('sound');
        },
      ),
    );
  });
});

describe('a receipt that was put together', () => {
  const of = { request: REQUEST };

  it.each([
    ["another request's outcome in it", receiptOf(of, [7, 261]), 'tampered', OTHER.slice(0, 4)],
    ['a refusal of another request', receiptOf(of, [8]), 'tampered', 'not of'],
    ['an outcome alone', receiptOf(of, [260]), 'incomplete', 'intent'],
    ['an intent alone', receiptOf(of, [7]), 'incomplete', 'outcome'],
    ['the outcome first', receiptOf(of, [260, 7]), 'tampered', 'outcome, request.intent'],
    ['the intent twice', receiptOf(of, [7, 7]), 'tampered', 'request.intent, request.intent'],
    ['an entry of another index', receiptOf({ entry: 21 }, [20]), 'tampered', 'entry 21'],
    ['two entries of one', receiptOf({ entry: 20 }, [20, 21]), 'tampered', 'not only'],
  ])('with %s', (_what, bytes, status, problem) => {
    const report = check(bytes);
    expect(report.status).toBe(status);
    expect(report.problem).toContain(problem);
  });

  it('from two checkpoints is tampered', () => {
    const shorter = logOf(log.lines.slice(0, 280), key);
    const one = receiptOf(of, [7], shorter).toString('utf8');
    const two = receiptOf(of, [260]).toString('utf8');
    const mixed = one + two.slice(two.indexOf('-----BEGIN ENTRY'));
    expect(check(Buffer.from(mixed)).problem).toContain('different checkpoints');
  });

  it('that another key of that name signed is tampered by a history without that key, and else undecided', () => {
    const { verifierKey } = newLogKey();
    const report = check(whole, [verifierKey]);
    expect(report.status).toBe('could_not_run');
    expect(report.problem).toContain('--history FILE');
    const history = formatKeyHistory(verifierKey, []);
    expect(verifyReceipt(whole, [verifierKey], history).status).toBe('tampered');
    expect(check(whole, [newLogKey('other.example/log').verifierKey, log.verifierKey]).status).toBe(
      'sound',
    );
  });
});

describe('what is no receipt', () => {
  it.each([
    ['some other text', 'c2sp.org/tlog-proof@v1\n', 'does not begin'],
    ['bytes', Buffer.from([0xff, 0xfe, 0]), 'does not begin'],
    ['a receipt of a later version', 'sallyport-receipt/v2\n', 'newer'],
  ])('cannot be checked: %s', (_what, bytes, problem) => {
    const report = check(Buffer.from(bytes as string));
    expect(report.status).toBe('could_not_run');
    expect(report.problem).toContain(problem);
  });

  it('nor can anything be, without a key that is one', () => {
    expect(check(whole, ['a'])).toMatchObject({ status: 'could_not_run' });
  });
});
