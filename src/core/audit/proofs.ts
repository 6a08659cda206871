/** Inclusion and consistency proofs over Node's own SHA-256. What each function does is said in tlog/proofs.ts. */
import * as neutral from '../tlog/proofs.ts';
import { tree, type HashAt } from './merkle.ts';

/** See `inclusionProof` of tlog/proofs.ts. */
export const inclusionProof = (index: number, size: number, hashAt: HashAt): Buffer[] =>
  neutral.inclusionProof(tree, index, size, hashAt);

/** See `verifyInclusion` of tlog/proofs.ts. */
export const verifyInclusion = (claim: neutral.InclusionClaim): boolean =>
  neutral.verifyInclusion(tree, claim);

/** See `consistencyProof` of tlog/proofs.ts. */
export const consistencyProof = (oldSize: number, newSize: number, hashAt: HashAt): Buffer[] =>
  neutral.consistencyProof(tree, oldSize, newSize, hashAt);

/** See `verifyConsistency` of tlog/proofs.ts. */
export const verifyConsistency = (claim: neutral.ConsistencyClaim): boolean =>
  neutral.verifyConsistency(tree, claim);

/** See `pastByProof` of tlog/proofs.ts. */
export const pastByProof = (
  claim: Omit<neutral.ConsistencyClaim, 'oldRoot'>,
): Uint8Array | undefined => neutral.pastByProof(tree, claim);
