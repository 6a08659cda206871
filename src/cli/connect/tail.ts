/** Finds the refusal in an answer that passes by: an error's body, or the last event of a stream. */
import { z } from 'zod';

const errorSchema = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** What the broker refuses with. */
export interface PassedRefusal {
  code: string;
  message: string;
}

/** No error of the broker's is longer. */
const MOST_BYTES = 8 * 1024;

/** Remembers the end of what passes. */
export class Tail {
  #bytes = Buffer.alloc(0);

  see(chunk: Buffer): void {
    const joined = chunk.length >= MOST_BYTES ? chunk : Buffer.concat([this.#bytes, chunk]);
    this.#bytes = Buffer.from(joined.subarray(-MOST_BYTES));
  }

  /** The refusal that the answer ended with, if it did. */
  refusal(): PassedRefusal | undefined {
    const text = this.#bytes.toString('utf8').trimEnd();
    const line = text.slice(text.lastIndexOf('\n') + 1);
    // Text of the model's is only ever inside of a string there.
    return refusalIn(line.startsWith('data:') ? line.slice('data:'.length) : text);
  }
}

/** The refusal that a text is, if it is one. */
export function refusalIn(text: string): PassedRefusal | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const parsed = errorSchema.safeParse(value);
  return parsed.success ? parsed.data.error : undefined;
}
