/** Opens files of transcripts, and holds their bodies against what entries of the log commit to. No I/O. */
import { createHash, createHmac, timingSafeEqual, type Hmac, type KeyObject } from 'node:crypto';
import { RecordReader, type BodyPart, type BodyRecord } from '../../core/transcripts/records.ts';
import { transcriptFactsSchema } from '../../core/transcripts/facts.ts';
import { AgeFailure } from './age-failure.ts';
import { AgeOpener } from './age-open.ts';

const AGE_BEGINS = Buffer.from('age-encryption.org/');

/** What entries say of one body. */
export interface CommittedBody {
  request: string;
  part: BodyPart;
  /** HMAC-SHA-256 under the salt, base64. */
  commitment: string | undefined;
  /** The file that it is in; undefined where the entry does not say. */
  file: NamedFile | undefined;
}

/** A file, as an entry names it. */
interface NamedFile {
  /** Hex. */
  sha256: string;
  bytes: number;
}

/** A file that was read. */
interface ReadFile extends NamedFile {
  /** Whether its end is there: the last chunk of an age file, or the last record of each body. */
  isWhole: boolean;
  /** The one body that it has, where that is known. */
  only: Pick<CommittedBody, 'request' | 'part'> | undefined;
}

/** What was found of one body in a file. */
export interface FoundBody {
  request: string;
  part: BodyPart;
  bytes: number;
  commitment: string;
  /** Whether its last record was there. */
  isWhole: boolean;
}

/** Opens a file, sealed or not, as its bytes come. */
export class TranscriptOpener {
  readonly #identities: readonly KeyObject[];
  readonly #records = new RecordReader();
  readonly #sum = createHash('sha256');
  readonly #bodies = new Map<string, { hmac: Hmac; found: FoundBody }>();
  #begins: Buffer | undefined = Buffer.alloc(0);
  #age: AgeOpener | undefined;
  #length = 0;
  #hasAgeEnded = false;

  /** @param identities of whoever opens it; none are needed for what is kept in full */
  constructor(identities: readonly KeyObject[]) {
    this.#identities = identities;
  }

  /**
   * @returns the records that the bytes open
   * @throws AgeFailure, NotRecords
   */
  push(bytes: Uint8Array): BodyRecord[] {
    this.#sum.update(bytes);
    this.#length += bytes.length;
    if (!this.#begins) return this.#read(this.#open(bytes));
    this.#begins = Buffer.concat([this.#begins, bytes]);
    if (this.#begins.length < AGE_BEGINS.length) return [];
    return this.#begin();
  }

  /**
   * Ends the file.
   *
   * @throws AgeFailure, NotRecords; `cut` where what is there is right, and its end is missing
   */
  end(): BodyRecord[] {
    const begun = this.#begins ? this.#begin() : [];
    const ended = this.#age ? [this.#age.end()] : [];
    this.#hasAgeEnded = this.#age !== undefined;
    const last = this.#read(ended);
    if (this.#records.left > 0) throw new AgeFailure('cut', 'Its last record is not whole.');
    return [...begun, ...last];
  }

  /** The file that was read. Asked when it has ended or does not open further. */
  file(): ReadFile {
    const found = [...this.#bodies.values()].map((body) => body.found);
    const isWhole = found.length > 0 && found.every((body) => body.isWhole);
    return {
      sha256: this.#sum.copy().digest('hex'),
      bytes: this.#length,
      isWhole: this.#age ? this.#hasAgeEnded : isWhole && this.#records.left === 0,
      // What is not sealed has one body.
      only: this.#age ? undefined : found[0],
    };
  }

  /** The bodies that were found. Asked once, when the file has ended or does not open further. */
  bodies(): FoundBody[] {
    return [...this.#bodies.values()].map(({ hmac, found }) => ({
      ...found,
      commitment: hmac.digest('base64'),
    }));
  }

  #begin(): BodyRecord[] {
    const begins = this.#begins ?? Buffer.alloc(0);
    this.#begins = undefined;
    if (begins.subarray(0, AGE_BEGINS.length).equals(AGE_BEGINS)) {
      if (this.#identities.length === 0)
        throw new AgeFailure(
          'not_for_this_key',
          'It is sealed: give the key of one of its recipients.',
        );
      this.#age = new AgeOpener(this.#identities);
    }
    return this.#read(this.#open(begins));
  }

  #open(bytes: Uint8Array): Uint8Array[] {
    return this.#age ? this.#age.push(bytes) : [bytes];
  }

  #read(pieces: readonly Uint8Array[]): BodyRecord[] {
    const records = pieces.flatMap((piece) => this.#records.push(piece));
    for (const { head, bytes } of records) {
      const { request, part, salt } = head;
      const key = `${request}:${part}`;
      let body = this.#bodies.get(key);
      if (!body) {
        const found = { request, part, bytes: 0, commitment: '', isWhole: false };
        body = { hmac: createHmac('sha256', Buffer.from(salt, 'base64')), found };
        this.#bodies.set(key, body);
      }
      body.hmac.update(bytes);
      body.found.bytes += bytes.length;
      body.found.isWhole = head.last;
    }
    return records;
  }
}

/** What an entry commits to; none where it is not of a request. @param entry as JSON, from outside */
export function committedBy(entry: unknown): CommittedBody[] {
  if (typeof entry !== 'object' || entry === null) return [];
  const { kind, ref, data } = entry as { kind?: unknown; ref?: unknown; data?: unknown };
  if (typeof ref !== 'string' || typeof data !== 'object' || data === null) return [];
  const said = data as Record<string, unknown>;
  const text = (value: unknown): string | undefined =>
    typeof value === 'string' ? value : undefined;
  if (kind === 'request.intent')
    return [
      {
        request: ref,
        part: 'request',
        commitment: text(said['requestCommitment']),
        file: undefined,
      },
    ];
  if (kind !== 'request.outcome') return [];
  const facts = transcriptFactsSchema.safeParse(said['transcript']).data;
  return [
    { request: ref, part: 'request', commitment: undefined, file: facts?.request },
    {
      request: ref,
      part: 'response',
      commitment: text(said['responseCommitment']),
      file: facts?.response,
    },
  ];
}

/**
 * Whether the file is one of those that the entries name: `named`; `cut`: it is shorter than each of them, and its end is
 * missing; `other`: it was changed, or another was put in its place; `unknown`: none of the entries names a file.
 */
export function standingOf(
  file: ReadFile,
  committed: readonly CommittedBody[],
): 'named' | 'cut' | 'other' | 'unknown' {
  const named = committed.flatMap((one) => one.file ?? []);
  if (named.length === 0) return 'unknown';
  if (named.some(({ sha256 }) => sha256 === file.sha256)) return 'named';
  const { only, isWhole } = file;
  const isOfThese =
    only === undefined ||
    committed.some(({ request, part }) => request === only.request && part === only.part);
  const isShorter = named.every(({ bytes }) => file.bytes < bytes);
  return isShorter && isOfThese && !isWhole ? 'cut' : 'other';
}

/**
 * `matches`: it is what the log commits to; `differs`: it is not; `cut`: its end is missing, so that cannot be said;
 * `unknown`: no entry that was given says.
 */
export type Verdict = 'matches' | 'differs' | 'cut' | 'unknown';

/** Holds a body that was found against the entries that were given. */
export function verdictOn(
  found: FoundBody,
  file: { sha256: string; standing: ReturnType<typeof standingOf> },
  committed: readonly CommittedBody[],
): Verdict {
  const isCut = file.standing === 'cut';
  if (isCut && !found.isWhole) return 'cut';
  const about = committed.filter(
    ({ request, part }) => request === found.request && part === found.part,
  );
  const commitments = about.flatMap(({ commitment }) => commitment ?? []);
  const files = about.flatMap((one) => one.file ?? []);
  if (!isCut && files.some(({ sha256 }) => sha256 !== file.sha256)) return 'differs';
  if (!commitments.every((commitment) => isSame(commitment, found.commitment))) return 'differs';
  return commitments.length === 0 ? 'unknown' : 'matches';
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length === b.length && timingSafeEqual(a, b);
}
