/** The checkpoint that a proof leads to: the newest one, as soon as it covers what is to be proven. */
import { setTimeout as delay } from 'node:timers/promises';
import { refuse } from '../core/denials.ts';
import type { Broker } from './broker.ts';

/** Whoever waits looks this often: a checkpoint follows the log within about a second, whoever asks. */
const LOOK_EVERY_MS = 50;

/** Longer than checkpoints are apart. Where the log cannot be written, none comes. */
const PATIENCE_MS = 5_000;

/**
 * Waits for a checkpoint that covers an entry, and has one made where none was made within the last second: those who
 * ask for proofs cannot fill the log's list of checkpoints.
 *
 * @param index of an entry that is in the log
 * @throws RefusedError `log_unavailable` where none comes
 */
export async function coveringCheckpoint(
  { readers, store, clock }: Pick<Broker, 'readers' | 'store' | 'clock'>,
  index: number,
): Promise<{ size: number; note: string }> {
  const begun = performance.now();
  for (;;) {
    const newest = readers.latestCheckpoint();
    if (newest && newest.size > index) return newest;
    const made = await store.write('coverEntry', { at: clock(), index });
    if (made && made.size > index) return made;
    if (performance.now() - begun > PATIENCE_MS)
      refuse(
        'log_unavailable',
        'The log has signed no checkpoint that covers this entry yet. Try again soon.',
      );
    await delay(LOOK_EVERY_MS);
  }
}
