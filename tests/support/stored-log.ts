/** What a data directory holds, read past the broker: the log, the ledger, and one held against the other. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { JOURNAL_FILE, TAKEN_OVER, framesAfter } from '../../src/store/journal.ts';

export interface LogEntry {
  log: string;
  index: number;
  id: string;
  kind: string;
  ref?: string;
  person?: string;
  grant?: string;
  token?: string;
  reason?: string;
  data?: Record<string, unknown>;
}

export interface StoredEntry {
  idx: number;
  leaf: Buffer;
  bytes: Buffer;
  entry: LogEntry;
}

export interface StoredRequest {
  id: string;
  grantId: string;
  personId: string;
  state: 'open' | 'settled' | 'unknown';
  requests: number;
  tokensReserved: number;
  spendReserved: number;
  tokensCharged: number;
  spendCharged: number;
  salt: Buffer;
}

/** Charges of a grant (person '') or of a person under it. */
export interface Sums {
  requestsSettled: number;
  requestsReserved: number;
  tokensSettled: number;
  tokensReserved: number;
  spendSettled: number;
  spendReserved: number;
}

/**
 * Waits until the database holds what the journal holds, as a running broker sees to by itself: a second at most, for a
 * broker that cannot or does not run. Synchronously, as everything here reads.
 */
export function untilCarriedOver(dataDir: string): void {
  const until = performance.now() + 1_000;
  while (journalled(dataDir).length > 0 && performance.now() < until) Atomics.wait(NEVER, 0, 0, 2);
}

const NEVER = new Int32Array(new SharedArrayBuffer(4));

/** Entries that are durable in the journal and not in the database yet. */
export function journalled(dataDir: string): LogEntry[] {
  const db = new Database(join(dataDir, 'sallyport.db'), { readonly: true, fileMustExist: true });
  const taken = db.prepare('SELECT value FROM meta WHERE key = ?').pluck();
  try {
    for (;;) {
      const before = (taken.get(TAKEN_OVER) as string | undefined) ?? '0';
      const frames = framesAfter(readFileSync(join(dataDir, JOURNAL_FILE)), BigInt(before));
      // Carried over meanwhile: what was read may be of another generation.
      if (((taken.get(TAKEN_OVER) as string | undefined) ?? '0') !== before) continue;
      return frames
        .flatMap(({ entries }) => entries)
        .map(({ bytes }) => JSON.parse(bytes.toString('utf8')) as LogEntry);
    }
  } finally {
    db.close();
  }
}

export class StoredData {
  readonly #db: Database.Database;

  constructor(dataDir: string) {
    this.#db = new Database(join(dataDir, 'sallyport.db'), { readonly: true, fileMustExist: true });
  }

  close(): void {
    this.#db.close();
  }

  /** Reads everything in `read` from one state of the database. */
  snapshot<T>(read: () => T): T {
    return this.#db.transaction(read)();
  }

  entries(from = 0): StoredEntry[] {
    const rows = this.#db
      .prepare('SELECT idx, leaf, bytes FROM entries WHERE idx >= ? ORDER BY idx')
      .all(from) as Omit<StoredEntry, 'entry'>[];
    return rows.map((row) => ({ ...row, entry: JSON.parse(row.bytes.toString()) as LogEntry }));
  }

  requests(): StoredRequest[] {
    return this.#db
      .prepare(
        `SELECT id, grant_id AS grantId, person_id AS personId, state, requests,
           tokens_reserved AS tokensReserved, spend_reserved_nano AS spendReserved,
           tokens_charged AS tokensCharged, spend_charged_nano AS spendCharged, salt
         FROM requests`,
      )
      .all() as StoredRequest[];
  }

  /** The ledger's sums, by grant and person. */
  charges(): Map<string, Sums> {
    const rows = this.#db
      .prepare(
        `SELECT grant_id AS grantId, person_id AS personId,
           requests_settled AS requestsSettled, requests_reserved AS requestsReserved,
           tokens_settled AS tokensSettled, tokens_reserved AS tokensReserved,
           spend_settled_nano AS spendSettled, spend_reserved_nano AS spendReserved
         FROM charges`,
      )
      .all() as (Sums & { grantId: string; personId: string })[];
    return new Map(
      rows.map(({ grantId, personId, ...sums }) => [scopeKey(grantId, personId), sums]),
    );
  }

  checkpoints(): Map<number, string> {
    const rows = this.#db.prepare('SELECT size, note FROM checkpoints').all() as {
      size: number;
      note: string;
    }[];
    return new Map(rows.map(({ size, note }) => [size, note]));
  }

  readonly tile = (level: number, n: number): Uint8Array | undefined =>
    this.#db.prepare('SELECT hashes FROM tiles WHERE level = ? AND n = ?').pluck().get(level, n) as
      Buffer | undefined;
}

/** Reads a data directory once. */
export function readStored<T>(dataDir: string, read: (data: StoredData) => T): T {
  const data = new StoredData(dataDir);
  try {
    return data.snapshot(() => read(data));
  } finally {
    data.close();
  }
}

/** RFC 6962's leaf hash, written down once more: the test must not agree with a slip of the code. */
export const leafOf = (bytes: Uint8Array): Buffer =>
  createHash('sha256').update(Buffer.of(0)).update(bytes).digest();

const scopeKey = (grantId: string, personId: string): string => `${grantId} ${personId}`;

export const NOTHING: Sums = {
  requestsSettled: 0,
  requestsReserved: 0,
  tokensSettled: 0,
  tokensReserved: 0,
  spendSettled: 0,
  spendReserved: 0,
};

class Summing {
  readonly sums = new Map<string, Sums>();

  add(grantId: string, personId: string, delta: Partial<Sums>): void {
    for (const person of ['', personId]) {
      const key = scopeKey(grantId, person);
      const sums = { ...(this.sums.get(key) ?? NOTHING) };
      for (const [name, by] of Object.entries(delta)) sums[name as keyof Sums] += by;
      this.sums.set(key, sums);
    }
  }
}

/** The sums as the ledger's rows make them. */
export function sumsOfRows(rows: readonly StoredRequest[]): Map<string, Sums> {
  const summing = new Summing();
  for (const row of rows) {
    summing.add(
      row.grantId,
      row.personId,
      row.state === 'open'
        ? {
            requestsReserved: 1,
            tokensReserved: row.tokensReserved,
            spendReserved: row.spendReserved,
          }
        : {
            requestsSettled: row.requests,
            tokensSettled: row.tokensCharged,
            spendSettled: row.spendCharged,
          },
    );
  }
  return summing.sums;
}

interface Intent {
  grantId: string;
  personId: string;
  tokens: number;
  spendNanoUsd: number;
  requestBytes: number;
  requestCommitment: string;
}

interface Outcome {
  end: string;
  reason: string | undefined;
  charged: { requests: number; tokens: number; spendNanoUsd: number };
  data: Record<string, unknown>;
}

/** The account of requests as the log alone gives it. */
export class LogAccount {
  readonly intents = new Map<string, Intent>();
  readonly outcomes = new Map<string, Outcome>();
  /** Reasons of refusals, by request. */
  readonly denials = new Map<string, string | undefined>();
  /** How many of them have an entry each, by token. */
  readonly denialsOfToken = new Map<string, number>();
  /** What should not be: an outcome without an intent, two of them, and the like. */
  readonly faults: string[] = [];
  readonly #summing = new Summing();

  add(entry: LogEntry): void {
    const { index, kind, ref = '', grant = '', person = '', token = '', reason, data = {} } = entry;
    if (kind === 'request.denied') {
      this.denials.set(ref, reason);
      this.denialsOfToken.set(token, (this.denialsOfToken.get(token) ?? 0) + 1);
    }
    if (kind === 'request.intent') {
      if (this.intents.has(ref)) this.faults.push(`entry ${index}: a second intent of ${ref}`);
      const { tokens, spendNanoUsd } = data['reserved'] as Pick<Intent, 'tokens' | 'spendNanoUsd'>;
      this.intents.set(ref, {
        grantId: grant,
        personId: person,
        tokens,
        spendNanoUsd,
        requestBytes: data['requestBytes'] as number,
        requestCommitment: data['requestCommitment'] as string,
      });
      this.#summing.add(grant, person, {
        requestsReserved: 1,
        tokensReserved: tokens,
        spendReserved: spendNanoUsd,
      });
    }
    if (kind === 'request.outcome') {
      const intent = this.intents.get(ref);
      if (!intent) return void this.faults.push(`entry ${index}: an outcome without an intent`);
      if (this.outcomes.has(ref)) this.faults.push(`entry ${index}: a second outcome of ${ref}`);
      const charged = data['charged'] as Outcome['charged'];
      this.outcomes.set(ref, { end: data['end'] as string, reason, charged, data });
      this.#summing.add(grant, person, {
        requestsSettled: charged.requests,
        requestsReserved: -1,
        tokensSettled: charged.tokens,
        tokensReserved: -intent.tokens,
        spendSettled: charged.spendNanoUsd,
        spendReserved: -intent.spendNanoUsd,
      });
    }
  }

  get sums(): Map<string, Sums> {
    return this.#summing.sums;
  }

  /** Requests that were admitted and have no outcome. */
  get open(): string[] {
    return [...this.intents.keys()].filter((id) => !this.outcomes.has(id));
  }
}

/** The account of a whole log. */
export function accountOf(entries: readonly StoredEntry[]): LogAccount {
  const account = new LogAccount();
  for (const { entry } of entries) account.add(entry);
  return account;
}
