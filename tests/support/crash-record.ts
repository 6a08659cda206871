/** Holds a broker's database against what its upstream saw and what its clients were told. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { MOST_SINGLY } from '../../src/broker/repeated-denials.ts';
import { checkConsistency, openCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { rootOfLeaves } from '../../src/core/audit/merkle.ts';
import { consistencyProof } from '../../src/core/audit/proofs.ts';
import { hashesFromTiles } from '../../src/core/audit/tiles.ts';
import { LOOPS, type CrashClients } from './crash-clients.ts';
import type { RecordedRequest, ScriptedUpstream } from './scripted-upstream.ts';
import {
  LogAccount,
  NOTHING,
  leafOf,
  readStored,
  sumsOfRows,
  type StoredData,
  type StoredEntry,
  type Sums,
} from './stored-log.ts';

/** The caps of two grants: one has a budget of requests, the other one of tokens. */
export interface Caps {
  requests: number;
  tokens: number;
}

interface UnmatchedIntent {
  id: string;
  commitment: string;
  salt: Buffer;
}

/** Each check looks at what is new since the last, so that it costs the same in a long log. */
export class CrashRecord {
  /** How requests ended, counted. */
  readonly ends = new Map<string, number>();
  /** The grants under the caps, once there are any. */
  readonly capped: Partial<Record<keyof Caps, string>> = {};
  readonly #dataDir: string;
  readonly #upstream: ScriptedUpstream;
  readonly #clients: CrashClients;
  readonly #caps: Caps;
  readonly #account = new LogAccount();
  readonly #leaves: Buffer[] = [];
  readonly #published = new Map<number, string>();
  /** By the length of the body, which every intent tells. */
  readonly #unmatched = new Map<number, UnmatchedIntent[]>();
  #arrivals = 0;
  #counted = 0;
  #origin: string | undefined;
  #sums = new Map<string, Sums>();

  constructor(dataDir: string, upstream: ScriptedUpstream, clients: CrashClients, caps: Caps) {
    this.#dataDir = dataDir;
    this.#upstream = upstream;
    this.#clients = clients;
    this.#caps = caps;
  }

  /** What of a cap is settled or reserved. */
  used(cap: keyof Caps): number {
    const sums = this.#sums.get(`${this.capped[cap]} `) ?? NOTHING;
    return cap === 'requests'
      ? sums.requestsSettled + sums.requestsReserved
      : sums.tokensSettled + sums.tokensReserved;
  }

  checkUnderLoad(): void {
    readStored(this.#dataDir, (data) => this.#read(data));
  }

  /** Nothing is in flight: all that the dead broker left open has been closed. */
  checkAfterStart(): void {
    readStored(this.#dataDir, (data) => this.#read(data));
    assert.deepEqual(this.#account.open, [], 'requests that recovery left open');
    this.#checkOutcomes();
    this.#checkArrivals();
  }

  /** Every entry once more from the beginning, and every checkpoint that was ever seen. */
  checkAtTheEnd(verifierKey: string): void {
    readStored(this.#dataDir, (data) => {
      this.#read(data);
      const entries = data.entries();
      assert.deepEqual(
        entries.map(({ leaf }) => leaf),
        this.#leaves,
      );
      assert.equal(entries.at(-1)?.entry.kind, 'system.stopped');
      const stored = data.checkpoints();
      for (const note of this.#clients.notes)
        assert.equal(stored.get(openCheckpoint(note, verifierKey).size), note);
      for (const [size, note] of this.#published) assert.equal(stored.get(size), note);
      const final = stored.get(entries.length);
      assert.ok(final !== undefined, 'there is no last checkpoint over the whole log');
      const hashAt = hashesFromTiles(entries.length, data.tile);
      for (const [size, note] of stored) {
        const { root } = openCheckpoint(note, verifierKey);
        assert.deepEqual(root, rootOfLeaves(this.#leaves.slice(0, size)));
        const proof = consistencyProof(size, entries.length, hashAt);
        assert.deepEqual(checkConsistency(note, final, verifierKey, proof), { consistent: true });
      }
    });
  }

  #read(data: StoredData): void {
    const rows = data.requests();
    const salts = new Map(rows.map(({ id, salt }) => [id, salt]));
    for (const stored of data.entries(this.#leaves.length)) this.#readEntry(stored, salts);
    assert.deepEqual(this.#account.faults, []);
    for (const [size, note] of data.checkpoints()) this.#published.set(size, note);
    this.#sums = data.charges();
    assert.deepEqual(this.#sums, sumsOfRows(rows), 'the sums are not those of the rows');
    assert.deepEqual(this.#sums, this.#account.sums, 'the sums are not those of the log');
    for (const cap of ['requests', 'tokens'] as const)
      assert.ok(this.used(cap) <= this.#caps[cap], `${this.used(cap)} ${cap} are over the cap`);
    for (const sums of this.#sums.values())
      for (const sum of Object.values(sums)) assert.ok(sum >= 0);
  }

  #readEntry({ idx, leaf, bytes, entry }: StoredEntry, salts: Map<string, Buffer>): void {
    this.#origin ??= entry.log;
    assert.equal(idx, this.#leaves.length);
    assert.equal(entry.index, idx);
    assert.equal(entry.log, this.#origin);
    assert.deepEqual(leaf, leafOf(bytes));
    this.#leaves.push(leaf);
    this.#account.add(entry);
    if (entry.kind !== 'request.intent') return;
    const id = entry.ref ?? '';
    const intent = this.#account.intents.get(id);
    const salt = salts.get(id);
    assert.ok(intent && salt, `${id} has no row in the ledger`);
    const waiting = this.#unmatched.get(intent.requestBytes) ?? [];
    waiting.push({ id, commitment: intent.requestCommitment, salt });
    this.#unmatched.set(intent.requestBytes, waiting);
  }

  /** What clients were told stands in the log; what nobody knows the end of keeps its whole reservation. */
  #checkOutcomes(): void {
    const { intents, outcomes } = this.#account;
    for (const id of this.#clients.begun) assert.ok(intents.has(id), `${id} has no intent`);
    for (const id of this.#clients.complete) assert.equal(outcomes.get(id)?.end, 'completed', id);
    for (const [id, code] of this.#clients.refused)
      if (code !== 'log_unavailable') this.#checkRefusal(id, code);
    for (const [id, { end, charged, data }] of [...outcomes].slice(this.#counted)) {
      this.ends.set(end, (this.ends.get(end) ?? 0) + 1);
      const intent = intents.get(id);
      if (end !== 'unknown' || !intent) continue;
      const { tokens, spendNanoUsd } = intent;
      assert.deepEqual(charged, { requests: 1, tokens, spendNanoUsd });
      assert.equal(data['recovered'], true);
    }
    this.#counted = outcomes.size;
  }

  /** On record by itself, or behind so many that are; what is only counted a kill takes along. */
  #checkRefusal(id: string, code: string): void {
    const { denials, denialsOfToken } = this.#account;
    if (denials.has(id)) return assert.equal(denials.get(id), code, id);
    const singly = denialsOfToken.get(this.#clients.refusedTokens.get(id) ?? '') ?? 0;
    assert.ok(singly >= MOST_SINGLY - LOOPS, `${id} is not on record, behind ${singly} that are`);
  }

  /** Every body that the upstream saw is committed to by an intent of its own. */
  #checkArrivals(): void {
    const arrived = this.#upstream.requests.slice(this.#arrivals);
    this.#arrivals += arrived.length;
    for (const request of arrived) {
      const id = this.#takeIntentOf(request);
      assert.ok(id !== undefined, 'a request reached the upstream without an intent');
    }
  }

  #takeIntentOf({ raw, headers }: RecordedRequest): string | undefined {
    const waiting = this.#unmatched.get(Number(headers['content-length'])) ?? [];
    const at = waiting.findIndex(
      ({ salt, commitment }) =>
        // Of a body that the kill cut short only the length is known.
        raw.length === 0 || createHmac('sha256', salt).update(raw).digest('base64') === commitment,
    );
    return at === -1 ? undefined : waiting.splice(at, 1)[0]?.id;
  }
}
