/** Vectors of a log whose key was replaced, after four of its five entries. */
import {
  EVIL_KEY,
  LOG_KEY,
  NEXT_KEY,
  bundleOf,
  entriesOf,
  entryOf,
  historyOf,
  logOf,
  mirrorOf,
  type Files,
  type VectorKey,
} from './kit.ts';
import type { Vector } from './vectors.ts';

const OLD = LOG_KEY;
const NEW = NEXT_KEY;
const HISTORY = historyOf(OLD, [NEW, 4]);
/** What somebody writes who holds the old key after it was replaced. */
const FORGED_HISTORY = historyOf(OLD, [EVIL_KEY, 4]);

const entries = entriesOf(5);
const otherFour = entriesOf(4).with(3, entryOf(3, { run: 'forged' }));
/** Signed by both keys, over another log. */
const OTHER_HISTORY = historyOf(OLD, [NEW, 4, otherFour]);
const byNew = logOf(entries, [NEW.signer]);
const byBoth = logOf(entries, [NEW.signer, OLD.signer]);
const forgedEntries = entries.with(4, entryOf(4, { run: 'forged' }));
const byEvil = logOf(forgedEntries, [EVIL_KEY.signer]);
const byOld = logOf(forgedEntries, [OLD.signer]);

function vector(
  kind: Vector['kind'],
  name: string,
  about: string,
  trusted: readonly VectorKey[],
  status: Vector['status'],
  files: Files,
  history?: string,
): Vector {
  const keys = trusted.map(({ verifierKey }) => verifierKey);
  const held = history === undefined ? {} : { history };
  return { kind, name, about, keys, ...held, status, firstBadIndex: null, files };
}

const mirror = (log: typeof byNew, history?: string): Files => ({
  ...mirrorOf(log),
  ...(history === undefined ? {} : { keys: Buffer.from(history) }),
});

export async function rotationVectors(): Promise<Vector[]> {
  const bundle = async (
    log: typeof byNew,
    key: VectorKey,
    history: string | undefined,
  ): Promise<Files> => ({ 'bundle.tar': await bundleOf(log, key, history) });
  const forged = await bundle(byEvil, EVIL_KEY, FORGED_HISTORY);
  const without = await bundle(byOld, OLD, undefined);
  const rotated = await bundle(byNew, NEW, HISTORY);
  const damaged = HISTORY.replace(String.raw`\n4\n`, String.raw`\n3\n`);
  return [
    vector(
      'bundle',
      'rotated-bundle-old-key',
      'The key was replaced, and the old one is trusted: the history leads to the new one.',
      [OLD],
      'sound',
      rotated,
    ),
    vector(
      'bundle',
      'rotated-bundle-both-keys',
      'Both keys are trusted, and both stand in the history.',
      [OLD, NEW],
      'sound',
      rotated,
    ),
    vector(
      'bundle',
      'rotated-bundle-of-the-old-time',
      'Made before the key was replaced: whoever has the history trusts either key for it.',
      [NEW],
      'sound',
      await bundle(logOf(entriesOf(4)), OLD, undefined),
      HISTORY,
    ),
    vector(
      'bundle',
      'rotated-bundle-forged-history',
      'A replaced key wrote another end to the history, and its key signed: the new key that is trusted does not stand in it.',
      [OLD, NEW],
      'tampered',
      forged,
    ),
    vector(
      'bundle',
      'rotated-bundle-other-history-held',
      'The same forgery; whoever checks trusts the old key and has the history.',
      [OLD],
      'tampered',
      forged,
      HISTORY,
    ),
    vector(
      'bundle',
      'rotated-bundle-history-left-out',
      'A replaced key signed, and the history was left out: nobody can say whether that key counts.',
      [OLD, NEW],
      'could_not_run',
      without,
    ),
    vector(
      'bundle',
      'rotated-bundle-replaced-key-signed',
      'The same forgery; whoever checks has the history, by which the old key signed for no more than four entries.',
      [OLD, NEW],
      'tampered',
      without,
      HISTORY,
    ),
    vector(
      'bundle',
      'rotated-bundle-other-root-of-the-step',
      'A replaced key signed another log of exactly as many entries as it signed for.',
      [NEW],
      'tampered',
      await bundle(logOf(otherFour), OLD, undefined),
      HISTORY,
    ),
    vector(
      'bundle',
      'rotated-bundle-history-of-another-log',
      'Both keys signed the step, over another log than the one that the bundle has.',
      [NEW],
      'tampered',
      await bundle(byNew, NEW, OTHER_HISTORY),
    ),
    vector(
      'bundle',
      'rotated-bundle-two-histories',
      'Both keys signed two steps, with different roots for one size: the log was shown in two versions.',
      [NEW],
      'tampered',
      rotated,
      OTHER_HISTORY,
    ),
    vector(
      'log',
      'rotated-log-history-of-another-log',
      'Both keys signed the step, over another log than the one that the mirror has.',
      [NEW],
      'tampered',
      mirror(byNew, OTHER_HISTORY),
    ),
    vector(
      'log',
      'rotated-log',
      'A mirror with the history; both keys signed, as they do for some time.',
      [OLD],
      'sound',
      mirror(byBoth, HISTORY),
    ),
    vector(
      'log',
      'rotated-log-history-held',
      'A mirror without the history, which whoever checks has.',
      [OLD],
      'sound',
      mirror(byNew),
      HISTORY,
    ),
    vector(
      'log',
      'rotated-log-forged-history',
      'A mirror with a history that a replaced key wrote another end to.',
      [OLD, NEW],
      'tampered',
      mirror(byEvil, FORGED_HISTORY),
    ),
    vector(
      'log',
      'rotated-log-history-damaged',
      'The size of a step was changed after it was signed.',
      [OLD],
      'tampered',
      mirror(byNew, damaged),
    ),
  ];
}
