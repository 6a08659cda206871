/** To whom sealed transcripts are encrypted: age recipients (C2SP age v1), of type X25519 alone. */
import { hash } from 'node:crypto';
import { z } from 'zod';
import { decodeBech32, encodeBech32 } from './bech32.ts';

const KEY_BYTES = 32;

/** Most recipients of one grant: each costs a key agreement for every file. */
const MOST_RECIPIENTS = 8;

/**
 * Points of X25519 whose order is small (RFC 7748, section 7; the highest bit of the last byte is ignored): what is
 * encrypted to one of them anybody can open.
 */
const SMALL_ORDER = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

/** The public key behind a recipient; or, in words, why it is none. A secret is never repeated in the words. */
function readRecipient(text: string): Uint8Array | string {
  if (/^age-secret-key-/i.test(text))
    return 'is a secret key (AGE-SECRET-KEY-…), which belongs to its holder alone: give its recipient (age1…), and make a new key, since this one has been shown';
  if (text.startsWith('ssh-')) return 'is an SSH key: give an age recipient (age1…) of type X25519';
  const decoded = decodeBech32(text);
  if (!decoded)
    return 'is not an age recipient (age1…): a character is wrong or missing. Copy it whole';
  const { prefix, bytes } = decoded;
  if (prefix !== 'age' || bytes.length !== KEY_BYTES)
    return 'is an age recipient of another type: only X25519 (age1… with 62 characters) is supported';
  if (text !== text.toLowerCase()) return 'must be written in lower case';
  const masked = Buffer.from(bytes);
  masked[KEY_BYTES - 1] = (masked[KEY_BYTES - 1] as number) & 0x7f;
  if (SMALL_ORDER.has(masked.toString('hex')))
    return 'is a point of small order, which everybody can open: it is nobody’s key';
  return bytes;
}

const recipientSchema = z
  .string()
  .max(2_100)
  .superRefine((text, context) => {
    const read = readRecipient(text);
    if (typeof read === 'string') context.addIssue({ code: 'custom', message: read });
  });

export const recipientsSchema = z
  .array(
    z.strictObject({
      recipient: recipientSchema.describe('age1…: the public key'),
      holder: z
        .string()
        .trim()
        .min(1)
        .max(100)
        .describe('Who holds the key that opens it, in words'),
    }),
  )
  .min(1)
  .max(MOST_RECIPIENTS)
  .superRefine((list, context) => {
    const seen = list.map(({ recipient }) => recipient);
    seen.forEach((recipient, i) => {
      if (seen.indexOf(recipient) !== i)
        context.addIssue({ code: 'custom', path: [i, 'recipient'], message: 'is named twice' });
    });
  });

export type Recipients = z.infer<typeof recipientsSchema>;

/**
 * The public key of a recipient that was checked before.
 *
 * @throws where it is none
 */
export function publicKeyOf(recipient: string): Uint8Array {
  const read = readRecipient(recipient);
  if (typeof read === 'string') throw new Error(`A recipient ${read}.`);
  return read;
}

/** The recipient of a public key. */
export const recipientOf = (publicKey: Uint8Array): string => encodeBech32('age', publicKey);

/** What entries call a recipient: the first 8 bytes of the SHA-256 of its text, hex. */
export const recipientId = (recipient: string): string => hash('sha256', recipient).slice(0, 16);
