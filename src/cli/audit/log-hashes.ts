/** Hashes of a log's tree, a tile at a time: out of an evidence bundle, or from a running broker. */
import { bundleTiles } from '../../audit/bundle-layout.ts';
import { readExact, readSmall } from '../../audit/expected-file.ts';
import { CHECKPOINT_PATH, MANIFEST_PATH, VERIFIER_KEY_PATH } from '../../audit/bundle-layout.ts';
import { openBundle } from '../../audit/open-bundle.ts';
import { MOST_REPORT_MANIFEST_BYTES } from '../../audit/report-layout.ts';
import { HASH_BYTES, type HashAt } from '../../core/audit/merkle.ts';
import { seenCheckpoint } from '../../core/audit/split-view.ts';
import { hashesFromTiles, tilePath, tileWidth } from '../../core/audit/tiles.ts';
import { send } from '../http.ts';

/** Gives a tile with at least so many hashes; undefined where there is none. */
export type FetchTile = (level: number, n: number, width: number) => Promise<Buffer | undefined>;

const MOST_BYTES = 64 * 1024;

/**
 * Works with the hashes of a tree of so many leaves. Nothing says that they are right: what is made of them has to come
 * to a root that somebody signed.
 *
 * @param otherwise what it comes to where a tile cannot be had
 */
export async function withHashes<T>(
  size: number,
  fetch: FetchTile,
  work: (hashAt: HashAt) => T,
  otherwise: T,
): Promise<T> {
  const held = new Map<string, Buffer>();
  for (;;) {
    let lacking: { level: number; n: number } | undefined;
    const hashAt = hashesFromTiles(size, (level, n) => {
      const tile = held.get(`${level}/${n}`);
      if (!tile) lacking = { level, n };
      return tile;
    });
    try {
      return work(hashAt);
    } catch (error) {
      // Which tiles it takes shows by what it asks for: each round loads one.
      if (!lacking) throw error;
    }
    const { level, n } = lacking;
    const width = tileWidth(size, level, n);
    const tile = await fetch(level, n, width);
    if (!tile || tile.length < width * HASH_BYTES) return otherwise;
    held.set(`${level}/${n}`, tile);
  }
}

/** Of a running broker. @param url without a slash at its end */
export function hashesFromBroker(url: string): FetchTile {
  return async (level, n, width) => {
    const response = await send(`${url}/api/v1/log/${tilePath({ level, n, width })}`);
    if (!response.ok) {
      await response.body?.cancel();
      return undefined;
    }
    return Buffer.from(await response.arrayBuffer());
  };
}

/** Of a bundle, whose tiles are read into memory: 32 bytes for each entry. */
export async function hashesFromBundle(path: string): Promise<FetchTile> {
  const reader = await openBundle(path);
  try {
    await readSmall(reader, MANIFEST_PATH, MOST_REPORT_MANIFEST_BYTES);
    const note = await readSmall(reader, CHECKPOINT_PATH, MOST_BYTES);
    await readSmall(reader, VERIFIER_KEY_PATH, MOST_BYTES);
    const { size } = seenCheckpoint(note.toString('utf8'));
    const tiles = new Map<string, Buffer>();
    for (const tile of bundleTiles(size)) {
      const { content } = await readExact(reader, tile.path, size, tile.width * HASH_BYTES);
      tiles.set(`${tile.level}/${tile.n}`, content);
    }
    return (level, n) => Promise.resolve(tiles.get(`${level}/${n}`));
  } finally {
    await reader.close();
  }
}
