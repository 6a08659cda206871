/** The other forms that octets have in base64url for whoever does not look at the last bits. */

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** The same octets in another text: bits of its last character are set that stand for nothing. */
export function withStrayBits(text = ''): string {
  const last = DIGITS.indexOf(text.at(-1) ?? '');
  const other = text.slice(0, -1) + DIGITS.charAt(last ^ 1);
  if (!Buffer.from(other, 'base64url').equals(Buffer.from(text, 'base64url')))
    throw new Error('Text of this length has no bits to spare.');
  return other;
}
