/** Hash tiles of C2SP tlog-tiles over Node's own SHA-256. What each function does is said in tlog/tiles.ts. */
import * as neutral from '../tlog/tiles.ts';
import { tree, type HashAt } from './merkle.ts';

export {
  TILE_BYTES,
  TILE_WIDTH,
  parseTilePath,
  tileLevels,
  tilePath,
  tileWidth,
  type ReadTile,
} from '../tlog/tiles.ts';

/** See `readTileAt` of tlog/tiles.ts. The bytes are shared with the tile that was read. */
export function readTileAt(
  size: number,
  level: number,
  n: number,
  readTile: neutral.ReadTile,
): Buffer {
  const { buffer, byteOffset, length } = neutral.readTileAt(size, level, n, readTile);
  return Buffer.from(buffer, byteOffset, length);
}

/** See `hashesOfTile` of tlog/tiles.ts. */
export const hashesOfTile = (tile: Uint8Array): HashAt => neutral.hashesOfTile(tree, tile);

/** See `tileRoot` of tlog/tiles.ts. */
export const tileRoot = (tile: Uint8Array): Buffer => neutral.tileRoot(tree, tile);

/** See `hashesFromTiles` of tlog/tiles.ts. */
export const hashesFromTiles = (size: number, readTile: neutral.ReadTile): HashAt =>
  neutral.hashesFromTiles(tree, size, readTile);
