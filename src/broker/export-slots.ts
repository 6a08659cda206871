/** How many exports and reports are made at once, and for whom a place among them is kept. */
import { refuse } from '../core/denials.ts';
import type { Lab, LabKind } from '../core/people.ts';

/** Of all and of one lab: each has a thread, and reads the disk that requests wait for. */
const MOST = 4;
const MOST_OF_LAB = 2;

/** Kept for them whatever others do: nobody else is to keep from the log those who watch over it. */
const KEPT: Readonly<Partial<Record<LabKind, number>>> = { host: 1, auditor: 1 };

/** Exports and reports have places of their own: neither waits for the other. */
export type Making = 'export' | 'report';

type LabOf = Pick<Lab, 'id' | 'kind'>;

/** A place. Whoever took it gives it back, or has it held by the thread that it was taken for. */
export class ExportSlot {
  readonly #giveBack: () => void;
  #isHeld = false;

  constructor(giveBack: () => void) {
    this.#giveBack = giveBack;
  }

  /** From now on it is given back when a thread has ended, and not before. */
  holdUntil(ended: Promise<void>): void {
    this.#isHeld = true;
    void ended.then(this.#giveBack);
  }

  /** Gives it back, if no thread holds it. */
  cancel(): void {
    if (!this.#isHeld) this.#giveBack();
  }
}

export class ExportSlots {
  readonly #taken: Record<Making, Set<{ lab: LabOf }>> = { export: new Set(), report: new Set() };

  /**
   * Takes a place at once, before anything is waited for: who looked and took it later would find others in it.
   *
   * @throws RefusedError `too_busy` where there is none for this lab
   */
  take(making: Making, lab: LabOf): ExportSlot {
    const taken = this.#taken[making];
    const running = [...taken];
    if (running.filter((one) => one.lab.id === lab.id).length >= MOST_OF_LAB)
      refuse('too_busy', `${MOST_OF_LAB} ${making}s of your lab are running. Wait for one to end.`);
    let free = MOST - running.length;
    for (const [kind, kept = 0] of Object.entries(KEPT))
      if (kind !== lab.kind)
        free -= Math.max(0, kept - running.filter((one) => one.lab.kind === kind).length);
    if (free <= 0)
      refuse('too_busy', `As many ${making}s are running as may at once. Try again in a minute.`);
    const one = { lab };
    taken.add(one);
    return new ExportSlot(() => void taken.delete(one));
  }
}
