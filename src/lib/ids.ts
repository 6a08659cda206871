import { randomFillSync } from 'node:crypto';

/** Every kind of identifier the broker mints, by its prefix. */
export type IdPrefix =
  | 'lab'
  | 'per'
  | 'grt'
  | 'ord'
  | 'run'
  | 'tok'
  | 'req'
  | 'ent'
  | 'exp'
  | 'stp'
  | 'inv'
  | 'ntc'
  | 'dlv'
  | 'dsp'
  | 'inc'
  | 'dty'
  | 'spv'
  | 'tds';

/** Crockford's base 32 in lower case: no i, l, o, u, so that an id survives being read aloud. */
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** Randomness for 256 identifiers at a time: asking for 16 bytes costs as much as asking for a page. */
const pool = Buffer.alloc(4096);
let used = pool.length;

const CODES = Buffer.from(ALPHABET, 'latin1');
const characters = Buffer.alloc(16);

function sixteenRandomCharacters(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  for (let i = 0; i < 16; i += 1) {
    characters[i] = CODES[(pool[used + i] as number) & 31] as number;
    // Used once, and not left in memory for anybody to find.
    pool[used + i] = 0;
  }
  used += 16;
  return characters.toString('latin1');
}

/**
 * Mints an identifier: `prefix_` + 10 characters of time + 16 of randomness (80 bits), so that ids of
 * one kind sort by the time they were made and cannot collide or be guessed.
 *
 * @param prefix kind of thing
 * @param now epoch milliseconds
 */
export function mintId(prefix: IdPrefix, now: number): string {
  return firstIdAt(prefix, now) + sixteenRandomCharacters();
}

/** The time that was written last: many identifiers are of the same millisecond. */
let lastMoment = NaN;
let lastTime = '';

/**
 * What sorts before every identifier minted at a moment or later, and after every earlier one.
 *
 * @param now epoch milliseconds
 */
export function firstIdAt(prefix: IdPrefix, now: number): string {
  if (now !== lastMoment) {
    lastMoment = now;
    lastTime = '';
    for (let rest = Math.floor(now), i = 0; i < 10; i += 1) {
      lastTime = ALPHABET.charAt(rest % 32) + lastTime;
      rest = Math.floor(rest / 32);
    }
  }
  return `${prefix}_${lastTime}`;
}
