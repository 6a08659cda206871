/** The header of an age file (c2sp.org/age): the file key, wrapped for each recipient, and a MAC over all of it. */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  timingSafeEqual,
  type KeyObject,
} from 'node:crypto';
import { AgeFailure } from './age-failure.ts';
import { hkdf } from './hkdf.ts';
import { agree, newKeyPair, publicKeyFrom, publicOf, rawPublicKey } from './x25519.ts';

export const FILE_KEY_BYTES = 16;
const TAG_BYTES = 16;
const SHARE_BYTES = 32;

const VERSION_LINE = 'age-encryption.org/v1';
const WRAP_INFO = 'age-encryption.org/v1/X25519';
const NO_SALT = Buffer.alloc(0);
const ZERO_NONCE = Buffer.alloc(12);

/** Lines of a stanza's body have so many columns; a shorter one is its last. */
const COLUMNS = 64;

/** A header with 8 recipients has about 900 bytes; those of others may be longer. */
const MOST_HEADER_BYTES = 65_536;

/** A recipient, ready to be encrypted to again and again. */
export interface ReadyRecipient {
  raw: Uint8Array;
  key: KeyObject;
}

export const readyRecipient = (raw: Uint8Array): ReadyRecipient => ({
  raw,
  key: publicKeyFrom(raw),
});

const base64 = (bytes: Uint8Array): string =>
  Buffer.from(bytes).toString('base64').replace(/=+$/, '');

/** @returns undefined where it is not the one form that these bytes have */
function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return base64(bytes) === text ? bytes : undefined;
}

/** Wraps a file key for one recipient, with an ephemeral secret that serves once. */
function stanzaFor({ raw, key }: ReadyRecipient, fileKey: Uint8Array): string {
  const ephemeral = newKeyPair();
  const share = rawPublicKey(ephemeral.publicKey);
  const secret = agree(ephemeral.privateKey, key);
  if (!secret) throw new Error('A recipient is a point of small order, which is nobody’s key.');
  const wrapKey = hkdf(secret, Buffer.concat([share, raw]), WRAP_INFO);
  const cipher = createCipheriv('chacha20-poly1305', wrapKey, ZERO_NONCE, {
    authTagLength: TAG_BYTES,
  });
  const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
  return `-> X25519 ${base64(share)}\n${base64(body)}\n`;
}

const macOf = (fileKey: Uint8Array, header: string): Buffer =>
  createHmac('sha256', hkdf(fileKey, NO_SALT, 'header'))
    .update(header)
    .digest();

/** Writes the header of a file. */
export function writeHeader(recipients: readonly ReadyRecipient[], fileKey: Uint8Array): Buffer {
  const stanzas = recipients.map((recipient) => stanzaFor(recipient, fileKey)).join('');
  const header = `${VERSION_LINE}\n${stanzas}---`;
  return Buffer.from(`${header} ${base64(macOf(fileKey, header))}\n`, 'latin1');
}

interface Stanza {
  args: string[];
  body: Buffer;
}

interface Header {
  stanzas: Stanza[];
  /** What the MAC is over. */
  authenticated: string;
  mac: Buffer;
  length: number;
}

const notAge = (): never => {
  throw new AgeFailure(
    'not_age',
    'It is not an age file, or not whole: its header cannot be read.',
  );
};

/**
 * Finds the header at the beginning of a file.
 *
 * @returns undefined where more bytes are needed
 * @throws AgeFailure
 */
export function readHeader(bytes: Uint8Array): Header | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  const begins = `${VERSION_LINE}\n`;
  if (!text.startsWith(begins.slice(0, text.length))) notAge();
  const at = text.indexOf('\n---');
  const end = at === -1 ? -1 : text.indexOf('\n', at + 1);
  if (end === -1) return bytes.length > MOST_HEADER_BYTES ? notAge() : undefined;
  const [mark, mac = '', ...more] = text.slice(at + 1, end).split(' ');
  const macBytes = fromBase64(mac);
  if (mark !== '---' || more.length > 0 || macBytes?.length !== 32) return notAge();
  const stanzas = readStanzas(text.slice(begins.length, at + 1));
  return { stanzas, authenticated: text.slice(0, at + 4), mac: macBytes, length: end + 1 };
}

function readStanzas(text: string): Stanza[] {
  const lines = text.split('\n');
  // Behind the last line feed.
  lines.pop();
  const stanzas: Stanza[] = [];
  for (let i = 0; i < lines.length;) {
    const [arrow, ...args] = (lines[i] as string).split(' ');
    if (arrow !== '->' || args.length === 0 || args.some((arg) => !/^[\x21-\x7e]+$/.test(arg)))
      notAge();
    let body = '';
    let line: string | undefined;
    do {
      i += 1;
      line = lines[i];
      if (line === undefined || line.length > COLUMNS) return notAge();
      body += line;
    } while (line.length === COLUMNS);
    i += 1;
    stanzas.push({ args, body: fromBase64(body) ?? notAge() });
  }
  return stanzas.length === 0 ? notAge() : stanzas;
}

/**
 * The file key, by the first identity that one of the stanzas is for.
 *
 * @throws AgeFailure
 */
export function unwrapFileKey(header: Header, identities: readonly KeyObject[]): Buffer {
  for (const identity of identities) {
    const raw = rawPublicKey(publicOf(identity));
    for (const { args, body } of header.stanzas) {
      const fileKey = args[0] === 'X25519' ? unwrap(args, body, identity, raw) : undefined;
      if (!fileKey) continue;
      if (!timingSafeEqual(macOf(fileKey, header.authenticated), header.mac))
        throw new AgeFailure('changed', 'Its header was changed since it was sealed.');
      return fileKey;
    }
  }
  throw new AgeFailure('not_for_this_key', 'It is sealed to other keys than this one.');
}

function unwrap(
  args: readonly string[],
  body: Buffer,
  identity: KeyObject,
  raw: Uint8Array,
): Buffer | undefined {
  const share = args.length === 2 ? fromBase64(args[1] as string) : undefined;
  // The length is checked first, against partitioning oracles.
  if (share?.length !== SHARE_BYTES || body.length !== FILE_KEY_BYTES + TAG_BYTES) return notAge();
  const secret = agree(identity, publicKeyFrom(share));
  if (!secret) return notAge();
  const wrapKey = hkdf(secret, Buffer.concat([share, raw]), WRAP_INFO);
  const decipher = createDecipheriv('chacha20-poly1305', wrapKey, ZERO_NONCE, {
    authTagLength: TAG_BYTES,
  });
  decipher.setAuthTag(body.subarray(FILE_KEY_BYTES));
  try {
    return Buffer.concat([decipher.update(body.subarray(0, FILE_KEY_BYTES)), decipher.final()]);
  } catch {
    return undefined;
  }
}
