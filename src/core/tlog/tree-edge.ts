/** The growing end of the tree: what of its tiles is not full. */
import { hashesOfTile } from './tiles.ts';
import { HASH_BYTES, type Tree } from './tree.ts';

/** The size of a tree and, for each level of tiles, the hashes of its last, partial tile (0 to 255 of them). */
export interface TreeEdge<B extends Uint8Array = Uint8Array> {
  size: number;
  /** By level, concatenated. A level whose last tile is full, or that does not exist yet, is empty. */
  partial: readonly B[];
}

/** Root of the tree with this edge (RFC 6962, 2.1). */
export function edgeRoot<H extends Uint8Array>(tree: Tree<H>, edge: TreeEdge): H {
  let root: H | undefined;
  // Right to left, smallest subtree first: each further one to the left is joined on top.
  for (const tile of edge.partial) {
    const hashes = hashesOfTile(tree, tile);
    let end = tile.length / HASH_BYTES;
    for (let level = 0; end > 0; level += 1) {
      const count = 2 ** level;
      if (Math.floor(end / count) % 2 === 1) {
        const peak = hashes(level, end / count - 1);
        root = root === undefined ? tree.copy(peak) : tree.nodeHash(peak, root);
        end -= count;
      }
    }
  }
  return root ?? tree.emptyRoot();
}
