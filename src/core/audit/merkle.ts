/** The Merkle tree of RFC 6962 over Node's own SHA-256. What each function does is said in tlog/tree.ts. */
import { hash } from 'node:crypto';
import { treeOver } from '../tlog/tree.ts';

export { HASH_BYTES, type HashAt } from '../tlog/tree.ts';

/** The tree, as functions of tlog/ take it. */
export const tree = treeOver<Buffer>({
  sha256: (bytes) => hash('sha256', bytes, 'buffer'),
  copy: (bytes) => Buffer.from(bytes),
});

export const { leafHash, nodeHash, emptyRoot, rootOfLeaves, rootAt, createRootAccumulator } = tree;
