/** Challenges to whoever prunes: what they answer shows that they have the archive at that moment, and not its digest alone. */
import { createHmac, randomBytes } from 'node:crypto';
import { isSameText } from '../lib/same-text.ts';

/** Enough to read a large file in. */
const GOOD_FOR_MS = 3_600_000;

const RANDOM_BYTES = 32;

export interface PruneChallenge {
  challenge: string;
  /** Epoch milliseconds. */
  expiresAt: number;
}

/** None is stored: each says until when it is good, under a MAC whose key this process alone has. */
export class PruneChallenges {
  readonly #secret = randomBytes(RANDOM_BYTES);

  /** A new one, for one person and one archive. @param now epoch milliseconds */
  issue(personId: string, exportId: string, now: number): PruneChallenge {
    const expiresAt = now + GOOD_FOR_MS;
    const head = `${expiresAt}.${randomBytes(RANDOM_BYTES).toString('base64url')}`;
    return { challenge: `${head}.${this.#macOf(head, personId, exportId)}`, expiresAt };
  }

  /** Whether it was made here for them, and is not over. @param now epoch milliseconds */
  isGood(challenge: string, personId: string, exportId: string, now: number): boolean {
    const end = challenge.lastIndexOf('.');
    const head = challenge.slice(0, Math.max(0, end));
    if (!isSameText(challenge.slice(end + 1), this.#macOf(head, personId, exportId))) return false;
    return now < Number(head.split('.')[0]);
  }

  #macOf(head: string, personId: string, exportId: string): string {
    const about = JSON.stringify(['prune', head, personId, exportId]);
    return createHmac('sha256', this.#secret).update(about).digest('base64url');
  }
}
