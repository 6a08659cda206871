/** The transcript of one call: the body that goes out, and the answer as it comes. */
import type { Keeping } from '../core/transcripts/keeping.ts';
import { RefusedError, refusal, type Refusal } from '../core/denials.ts';
import type { TranscriptStore } from '../store/transcripts/client.ts';
import type { KeptBody } from '../store/transcripts/kept-body.ts';
import type { StoredFile } from '../store/transcripts/messages.ts';
import {
  transcriptMember,
  type BodyFacts,
  type TranscriptFacts,
} from '../core/transcripts/facts.ts';
import type { BodyPart } from '../core/transcripts/records.ts';

/** A call waits so long for any part of its request to be stored, and is refused within a second of a disk that hangs. */
const REQUEST_PATIENCE_MS = 850;

/** An answer that has begun must not be lost for a slow disk. */
const RESPONSE_PATIENCE_MS = 10_000;

/** In its own words: that nothing is forwarded would not be true any more. */
const WITHHELD = refusal(
  'transcript_unavailable',
  'The transcript of this call could not be kept, so the end of its answer is withheld.',
);

function withhold(): never {
  throw new RefusedError(WITHHELD);
}

type Stored = { file: StoredFile | undefined } | { lost: Refusal };

export class CallTranscript {
  readonly #store: TranscriptStore;
  readonly #requestId: string;
  readonly #keeping: Keeping;
  readonly #request: KeptBody;
  readonly #response: KeptBody;
  #requestStored: Promise<Stored> | undefined;

  /** @param salt of the commitments in the call's entries: from here on, it is nowhere else */
  constructor(store: TranscriptStore, keeping: Keeping, requestId: string, salt: string) {
    this.#store = store;
    this.#requestId = requestId;
    this.#keeping = keeping;
    const body = { request: requestId, salt };
    const [asked, answered] = [REQUEST_PATIENCE_MS, RESPONSE_PATIENCE_MS];
    this.#request = store.keep(keeping, { ...body, part: 'request', patienceMs: asked });
    this.#response = store.keep(keeping, { ...body, part: 'response', patienceMs: answered });
  }

  /** Begins to store the request: meanwhile, its intent is recorded. */
  storeRequest(body: Uint8Array): void {
    this.#requestStored ??= settled(this.#storeRequest(body));
  }

  /** Nothing came of it: what is stored goes. */
  drop(): void {
    if (this.#requestStored) this.#request.drop();
  }

  /**
   * Resolves when the request is durable. Nothing may be forwarded before.
   *
   * @throws RefusedError `transcript_unavailable`
   */
  async requestStored(): Promise<void> {
    const stored = await this.#requestStored;
    if (stored && 'lost' in stored) throw new RefusedError(stored.lost);
  }

  /**
   * Takes bytes of the answer.
   *
   * @returns a promise where no more is to be read until it has resolved
   * @throws RefusedError `transcript_unavailable`
   */
  received(chunk: Uint8Array): Promise<void> | undefined {
    try {
      return this.#response.write(chunk)?.catch(withhold);
    } catch {
      return withhold();
    }
  }

  /**
   * Ends the answer.
   *
   * @param rest its last bytes
   * @param quoted whether it quoted a credential of the host: `withheld` takes back what is kept of it
   * @returns once all of it is durable, or has failed: what the outcome says of it, as a JSON member; and why the call
   *   may not end well, where something was lost
   */
  async end(
    rest: Uint8Array | undefined,
    quoted: TranscriptFacts['quoted'],
  ): Promise<{ member: string; lost: Refusal | undefined }> {
    const ending = quoted === 'withheld' ? this.#takeBack() : this.#endResponse(rest);
    const [request, response] = await Promise.all([this.#requestStored, settled(ending)]);
    const bodies: BodyFacts[] = [];
    if (request) put(bodies, 'request', request);
    put(bodies, 'response', response);
    const { mode, recipientIds } = this.#keeping;
    const isLost = bodies.some(({ file }) => file === 'lost');
    return {
      member: transcriptMember(mode, recipientIds, bodies, quoted),
      lost: isLost ? WITHHELD : undefined,
    };
  }

  async #endResponse(rest: Uint8Array | undefined): Promise<StoredFile | undefined> {
    if (rest) await this.#response.write(rest);
    return this.#response.end();
  }

  async #takeBack(): Promise<undefined> {
    this.#response.drop();
    await this.#store.withdraw({ request: this.#requestId, part: 'response' });
  }

  async #storeRequest(body: Uint8Array): Promise<StoredFile | undefined> {
    await this.#request.write(body);
    return this.#request.end();
  }
}

async function settled(storing: Promise<StoredFile | undefined>): Promise<Stored> {
  try {
    return { file: await storing };
  } catch (error) {
    if (error instanceof RefusedError) return { lost: error.refusal };
    return { lost: refusal('transcript_unavailable') };
  }
}

function put(bodies: BodyFacts[], part: BodyPart, stored: Stored): void {
  if ('lost' in stored) bodies.push({ part, file: 'lost' });
  else if (stored.file) bodies.push({ part, file: stored.file });
}
