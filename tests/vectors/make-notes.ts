/** Vectors of signed checkpoints. */
import { formatCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { signNote, type NoteSigner } from '../../src/core/audit/note.ts';
import {
  COLLIDING_KEY,
  FOREIGN_KEY,
  LOG_KEY,
  NEXT_KEY,
  ORIGIN,
  WITNESS_KEY,
  entriesOf,
  flipped,
  historyOf,
  logOf,
} from './kit.ts';
import type { Vector } from './vectors.ts';

const log = logOf(entriesOf(5));
const BODY = formatCheckpoint({ origin: ORIGIN, size: 5, root: log.root });
const signed = (body: string, ...signers: NoteSigner[]): string =>
  signNote(body, signers.length === 0 ? [LOG_KEY.signer] : signers);

function note(
  name: string,
  about: string,
  content: string | Buffer,
  more: Partial<Vector> = {},
): Vector {
  return {
    kind: 'note',
    name,
    about,
    keys: [LOG_KEY.verifierKey],
    status: 'tampered',
    firstBadIndex: null,
    files: { checkpoint: Buffer.from(content) },
    ...more,
  };
}

export function noteVectors(): Vector[] {
  const { checkpoint } = log;
  const [, , signature = ''] = /^([^]*\n)\n([^]*)$/.exec(checkpoint) ?? [];
  const sound = { status: 'sound' } as const;
  return [
    note('checkpoint', 'A checkpoint of five entries.', checkpoint, sound),
    note(
      'checkpoint-of-nothing',
      'A log without entries: its root is the hash of nothing.',
      logOf([]).checkpoint,
      sound,
    ),
    note(
      'checkpoint-with-unknown-signature',
      'A signature by a key that is not known proves nothing, and harms nothing.',
      signed(BODY, WITNESS_KEY.signer, LOG_KEY.signer),
      sound,
    ),
    note(
      'checkpoint-two-keys-trusted',
      'The key was replaced: the old one and the new one are trusted, with the history, and the new one signed.',
      signed(BODY, NEXT_KEY.signer),
      {
        ...sound,
        keys: [LOG_KEY.verifierKey, NEXT_KEY.verifierKey],
        history: historyOf(LOG_KEY, [NEXT_KEY, 4]),
      },
    ),
    note(
      'checkpoint-two-keys-without-history',
      'Two keys of the log are trusted, and nobody says when each of them counts: one that was replaced could sign anything.',
      signed(BODY, LOG_KEY.signer),
      { status: 'could_not_run', keys: [LOG_KEY.verifierKey, NEXT_KEY.verifierKey] },
    ),
    note(
      'checkpoint-key-id-shared',
      'The trusted key and another have one name and one key id; the signature is by the trusted one.',
      signed(BODY, COLLIDING_KEY.signer),
      { ...sound, keys: [COLLIDING_KEY.verifierKey] },
    ),
    note(
      'checkpoint-forged',
      'The size was changed after it was signed.',
      checkpoint.replace('\n5\n', '\n4\n'),
    ),
    note(
      'checkpoint-root-changed',
      'The root was changed after it was signed.',
      checkpoint.replace(log.root.toString('base64'), logOf(entriesOf(6)).root.toString('base64')),
    ),
    note(
      'checkpoint-foreign-key',
      "Signed under the log's name by a key that was never the log's.",
      signed(BODY, FOREIGN_KEY.signer),
    ),
    note(
      'checkpoint-key-id-collision',
      "Signed by a foreign key that has the log's name and, by chance, its key id.",
      signed(BODY, COLLIDING_KEY.signer),
    ),
    note(
      'note-unknown-key-only',
      'Only a witness signed, whose key is not trusted.',
      signed(BODY, WITNESS_KEY.signer),
    ),
    note(
      'note-bad-signature-beside-good',
      'A trusted key signed, and another signature that claims to be by a trusted key is wrong.',
      `${checkpoint}${signed('another text\n').split('\n\n')[1]}`,
    ),
    note(
      'note-no-blank-line',
      'Text and signatures are not separated.',
      checkpoint.replace('\n\n', '\n'),
    ),
    note('note-no-signature', 'There is no signature after the blank line.', `${BODY}\n`),
    note('note-no-final-newline', 'The last line does not end.', checkpoint.slice(0, -1)),
    note(
      'note-control-character',
      'The text holds a tab.',
      signature && checkpoint.replace('\n5\n', '\n5\t\n'),
    ),
    note(
      'note-not-utf8',
      'The text holds a byte that is not UTF-8.',
      flipped(Buffer.from(checkpoint), 3, 0x80),
    ),
    note(
      'note-base64-not-canonical',
      'The signature is in base64 with bits that say nothing and are not zero.',
      checkpoint.replace(/([A-Za-z0-9+/])==?\n$/, (end, last: string) =>
        end.replace(last, nextCharacter(last)),
      ),
    ),
    note(
      'note-hyphen-for-dash',
      'The signature line begins with a hyphen in place of U+2014.',
      checkpoint.replace('\u2014', '-'),
    ),
    note(
      'origin-mismatch',
      "Signed by the log's key, and of another log.",
      signed(BODY.replace(ORIGIN, 'other.example/log')),
    ),
    note(
      'size-leading-zero',
      'The size is signed with a zero in front of it.',
      signed(BODY.replace('\n5\n', '\n05\n')),
    ),
    note(
      'size-not-decimal',
      'The size is signed in another base.',
      signed(BODY.replace('\n5\n', '\n0x5\n')),
    ),
    note(
      'size-too-large',
      'The size is signed and beyond what can be counted exactly (2^53).',
      signed(BODY.replace('\n5\n', '\n9007199254740993\n')),
    ),
    note(
      'root-too-short',
      'The root is signed and has 31 bytes.',
      signed(BODY.replace(log.root.toString('base64'), log.root.subarray(1).toString('base64'))),
    ),
    note('extension-line', 'A fourth line is signed.', signed(`${BODY}extension\n`)),
    note('key-damaged', 'The key that was given does not have its own key id.', checkpoint, {
      status: 'could_not_run',
      keys: [LOG_KEY.verifierKey.replace(/\+(.)/, (_, c: string) => `+${c === '0' ? '1' : '0'}`)],
    }),
  ];
}

/** The next in base64's alphabet: it differs in the lowest bit, which the padding makes meaningless. */
function nextCharacter(character: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  return alphabet.charAt(alphabet.indexOf(character) + 1);
}
