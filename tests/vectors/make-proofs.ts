/** Vectors of receipts, and of the consistency of two checkpoints. */
import { consistencyProof } from '../../src/core/audit/proofs.ts';
import { hashesFromTiles } from '../../src/core/audit/tiles.ts';
import { LOG_KEY, ORIGIN, entriesOf, entryOf, logOf, receiptOf } from './kit.ts';
import type { Vector } from './vectors.ts';

const log = logOf(entriesOf(11));

function receipt(
  name: string,
  about: string,
  files: { entry?: Buffer; receipt: string },
  more: Partial<Vector> = {},
): Vector {
  return {
    kind: 'receipt',
    name,
    about,
    keys: [LOG_KEY.verifierKey],
    status: 'tampered',
    firstBadIndex: null,
    files: {
      entry: files.entry ?? log.entries[6]!,
      'receipt.tlog-proof': Buffer.from(files.receipt),
    },
    ...more,
  };
}

function consistency(
  name: string,
  about: string,
  [older, newer]: [string, string],
  proof: readonly Buffer[],
  status: Vector['status'] = 'tampered',
): Vector {
  return {
    kind: 'consistency',
    name,
    about,
    keys: [LOG_KEY.verifierKey],
    status,
    firstBadIndex: null,
    files: {
      older: Buffer.from(older),
      newer: Buffer.from(newer),
      proof: Buffer.from(proof.map((hash) => `${hash.toString('base64')}\n`).join('')),
    },
  };
}

/** A line of the proof of entry 6. */
function changeLine(number: number, change: (line: string) => string[]): string {
  const lines = receiptOf(log, 6).split('\n');
  return lines.toSpliced(number, 1, ...change(lines[number] ?? '')).join('\n');
}

export function proofVectors(): Vector[] {
  const six = { firstBadIndex: 6 };
  const right = receiptOf(log, 6);
  const older = logOf(entriesOf(7));
  const proof = consistencyProof(7, 11, hashesFromTiles(11, log.tile));
  const other = logOf(entriesOf(7).with(2, entryOf(2, { run: 'another' })));
  const wrongPlace = logOf(entriesOf(11).with(6, entryOf(6, { index: 9 })));
  const wrongLog = logOf(entriesOf(11).with(6, entryOf(6, { log: 'other.example/log' })));
  const pair: [string, string] = [older.checkpoint, log.checkpoint];
  return [
    receipt('receipt', 'Entry 6 of 11.', { receipt: right }, { status: 'sound' }),
    receipt(
      'receipt-of-the-only-entry',
      'Of a log of one entry: the proof has no line.',
      { entry: entryOf(0), receipt: receiptOf(logOf(entriesOf(1)), 0) },
      { status: 'sound' },
    ),
    receipt(
      'proof-wrong-index',
      'The index was changed.',
      { receipt: receiptOf(log, 6, 7) },
      { firstBadIndex: 7 },
    ),
    receipt(
      'proof-hash-changed',
      'A hash of the proof was changed.',
      {
        receipt: changeLine(3, () => [log.root.toString('base64')]),
      },
      six,
    ),
    receipt(
      'proof-too-short',
      'The last hash is missing.',
      { receipt: changeLine(5, () => []) },
      six,
    ),
    receipt(
      'proof-too-long',
      'A hash stands twice.',
      { receipt: changeLine(5, (line) => [line, line]) },
      six,
    ),
    receipt(
      'proof-of-other-entry',
      'The entry is not the one that the proof is of.',
      { entry: entryOf(5), receipt: right },
      six,
    ),
    receipt(
      'receipt-entry-edited',
      'The entry was edited.',
      { entry: entryOf(6, { run: 'run-x' }), receipt: right },
      six,
    ),
    receipt(
      'receipt-index-beyond-size',
      'The index is not below the size.',
      { receipt: receiptOf(log, 6, 11) },
      { firstBadIndex: 11 },
    ),
    receipt('receipt-index-leading-zero', 'The index has a zero in front of it.', {
      receipt: right.replace('index 6', 'index 06'),
    }),
    receipt('receipt-header-missing', 'The first line is missing.', {
      receipt: right.slice(right.indexOf('\n') + 1),
    }),
    receipt('receipt-checkpoint-forged', "The checkpoint's size was changed.", {
      receipt: right.replace('\n11\n', '\n10\n'),
    }),
    receipt(
      'receipt-entry-says-another-index',
      'The log signed an entry at index 6 that says of itself that it is entry 9.',
      { entry: wrongPlace.entries[6]!, receipt: receiptOf(wrongPlace, 6) },
      six,
    ),
    receipt(
      'receipt-entry-says-another-log',
      `The log ${ORIGIN} signed an entry that says of itself that it is of another log.`,
      { entry: wrongLog.entries[6]!, receipt: receiptOf(wrongLog, 6) },
      six,
    ),
    consistency('consistency', 'From 7 entries to 11.', pair, proof, 'sound'),
    consistency(
      'consistency-with-itself',
      'The same checkpoint twice, and no proof.',
      [log.checkpoint, log.checkpoint],
      [],
      'sound',
    ),
    consistency(
      'consistency-from-nothing',
      'Every log continues the one without entries.',
      [logOf([]).checkpoint, log.checkpoint],
      [],
      'sound',
    ),
    consistency(
      'split-view',
      'Two signed checkpoints of seven entries have different roots: the two prove that the log was shown in two versions.',
      [older.checkpoint, other.checkpoint],
      [],
    ),
    consistency(
      'fork',
      'The newer log does not begin with the older one.',
      [other.checkpoint, log.checkpoint],
      proof,
    ),
    consistency(
      'log-shrunk',
      'The newer checkpoint has fewer entries.',
      [log.checkpoint, older.checkpoint],
      proof,
    ),
    consistency(
      'consistency-proof-too-short',
      'The last hash of the proof is missing.',
      pair,
      proof.slice(0, -1),
    ),
    consistency('consistency-proof-too-long', 'The last hash of the proof stands twice.', pair, [
      ...proof,
      ...proof.slice(-1),
    ]),
    consistency(
      'consistency-older-unsigned',
      'The older checkpoint was changed to that of another log: its signature is checked as well.',
      [
        other.checkpoint.replace(other.root.toString('base64'), older.root.toString('base64')),
        log.checkpoint,
      ],
      proof,
    ),
  ];
}
