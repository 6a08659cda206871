/** Whole bodies that wait for the keeper, put together in packs of one version of a grant each. */
import type { Keeping } from '../../core/transcripts/keeping.ts';
import { recordLength, writeRecord, type WholeBody } from './kept-body.ts';

/** Bytes of one pack: what is handed out to whoever asks for one body of it. */
const PACK_BYTES = 262_144;

export interface PackOfBodies {
  keeping: Keeping;
  bodies: WholeBody[];
  /** Where the record of each ends. */
  ends: number[];
  bytes: Buffer;
}

export class WaitingBodies {
  readonly #waiting = new Map<Keeping, WholeBody[]>();

  add(keeping: Keeping, body: WholeBody): void {
    const list = this.#waiting.get(keeping);
    if (list) list.push(body);
    else this.#waiting.set(keeping, [body]);
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0;
  }

  /** Takes out those that somebody wants out. */
  takeOut(wanted: (body: WholeBody) => boolean): WholeBody[] {
    const out: WholeBody[] = [];
    for (const [keeping, bodies] of this.#waiting) {
      const left = bodies.filter((body) => !wanted(body) || out.push(body) === 0);
      if (left.length > 0) this.#waiting.set(keeping, left);
      else this.#waiting.delete(keeping);
    }
    return out;
  }

  /** Takes all of them out, in packs. */
  packs(): PackOfBodies[] {
    const packs: PackOfBodies[] = [];
    for (const [keeping, all] of this.#waiting) {
      let bodies: WholeBody[] = [];
      let length = 0;
      const end = (): void => void packs.push(packOf(keeping, bodies, length));
      for (const body of all) {
        const more = recordLength(body.head, body.bytes);
        if (length > 0 && length + more > PACK_BYTES) {
          end();
          bodies = [];
          length = 0;
        }
        bodies.push(body);
        length += more;
      }
      end();
    }
    this.#waiting.clear();
    return packs;
  }
}

function packOf(keeping: Keeping, bodies: WholeBody[], length: number): PackOfBodies {
  // Not of the pool: its memory goes to the other thread.
  const bytes = Buffer.allocUnsafeSlow(length);
  let at = 0;
  const ends = bodies.map(({ head, bytes: body }) => (at = writeRecord(bytes, at, head, body)));
  return { keeping, bodies, ends, bytes };
}
