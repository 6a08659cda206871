/** How many follow the log at a time: each is a connection, and a look at the log at each change. */
import { refuse } from '../core/denials.ts';

const MOST = 64;
const MOST_OF_PERSON = 8;

export class Followers {
  readonly #ofPerson = new Map<string, number>();
  #all = 0;

  get count(): number {
    return this.#all;
  }

  /**
   * Counts somebody in.
   *
   * @returns counts them out again
   * @throws RefusedError `too_busy`
   */
  enter(personId: string): () => void {
    const of = this.#ofPerson.get(personId) ?? 0;
    if (of >= MOST_OF_PERSON)
      refuse('too_busy', `You follow the log ${MOST_OF_PERSON} times already. End one of them.`);
    if (this.#all >= MOST)
      refuse('too_busy', `${MOST} follow the log already, which is the most. Try again later.`);
    this.#ofPerson.set(personId, of + 1);
    this.#all += 1;
    let isIn = true;
    return () => {
      if (!isIn) return;
      isIn = false;
      this.#all -= 1;
      const left = (this.#ofPerson.get(personId) ?? 1) - 1;
      if (left === 0) this.#ofPerson.delete(personId);
      else this.#ofPerson.set(personId, left);
    };
  }
}
