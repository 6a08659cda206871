/** Where in a chunk of the log the entries of a term stand: kept as a list of 16-bit numbers, or as one bit for each entry. */

/** Entries of a chunk. */
export const CHUNK = 4_096;

const WORDS = CHUNK / 32;
const BITMAP_BYTES = CHUNK / 8;

/** Places of a chunk, one bit for each. */
export type Bits = Uint32Array;

export const noPlaces = (): Bits => new Uint32Array(WORDS);

export const allPlaces = (): Bits => new Uint32Array(WORDS).fill(0xffff_ffff);

/** Marks the places `from` to `to - 1`. */
export function markRange(bits: Bits, from: number, to: number): void {
  for (let place = from; place < to; place += 1) mark(bits, place);
}

export function mark(bits: Bits, place: number): void {
  bits[place >>> 5] = (bits[place >>> 5] as number) | (1 << (place & 31));
}

/** @param places ascending */
export function encodePlaces(places: readonly number[]): Buffer {
  if (places.length * 2 < BITMAP_BYTES) {
    const list = Buffer.allocUnsafe(places.length * 2);
    for (const [i, place] of places.entries()) list.writeUInt16LE(place, i * 2);
    return list;
  }
  const bytes = Buffer.alloc(BITMAP_BYTES);
  for (const place of places)
    bytes[place >>> 3] = (bytes[place >>> 3] as number) | (1 << (place & 7));
  return bytes;
}

/** Adds the places of a row to those that are marked. */
export function addPlaces(bits: Bits, row: Buffer): void {
  if (row.length < BITMAP_BYTES) {
    for (let at = 0; at < row.length; at += 2) mark(bits, row.readUInt16LE(at));
    return;
  }
  for (let word = 0; word < WORDS; word += 1)
    bits[word] = (bits[word] as number) | row.readUInt32LE(word * 4);
}

/** Keeps of `bits` what is marked in `others` as well. */
export function keepCommon(bits: Bits, others: Bits): void {
  for (let word = 0; word < WORDS; word += 1)
    bits[word] = (bits[word] as number) & (others[word] as number);
}

/** The places that are marked, ascending. */
export function placesOf(bits: Bits): number[] {
  const places: number[] = [];
  for (let word = 0; word < WORDS; word += 1) {
    for (let left = bits[word] as number; left !== 0; left &= left - 1)
      places.push(word * 32 + (31 - Math.clz32(left & -left)));
  }
  return places;
}
