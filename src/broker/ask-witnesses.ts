/**
 * Asks the configured witnesses to cosign our checkpoints, in the background. All are asked for the same checkpoint, so
 * that it comes to have the cosignatures of all; one that is down is asked again later, for the one that is current
 * then, and holds up neither the others nor the log.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { WitnessClient } from '../audit/witness-client.ts';
import { parseWitnessKey, secondsOf } from '../core/audit/cosignature.ts';
import { formatSignature, parseNote, parseSignatures, NoteError } from '../core/audit/note.ts';
import type { NoteVerifier } from '../core/audit/note.ts';
import { consistencyProof } from '../core/audit/proofs.ts';
import { hashesFromTiles } from '../core/audit/tiles.ts';
import { pauseBeforeAsking, type WitnessFailure } from '../core/audit/witness-failures.ts';
import {
  policyOf,
  type WitnessConfig,
  type WitnessSettings,
} from '../core/audit/witness-settings.ts';
import type { WitnessPolicy } from '../core/audit/witnessing.ts';
import { RefusedError } from '../core/denials.ts';
import { mintId } from '../lib/ids.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Store } from '../store/client.ts';
import type { Readers } from '../store/readers.ts';
import type { Metrics } from './metrics.ts';
import type { Policy } from './policy.ts';

/** Answers "409" that one round follows: each tells the size to go on from. */
const MOST_TRIES = 3;

/** Of one witness, it is not on record more often that it knows more than there is here: the number is its own word. */
const SAY_BEHIND_EVERY_MS = 3_600_000;

/** The broker's stop waits no longer for calls that it has ended. */
const STOP_WITHIN_MS = 900;

/** What is known of a witness since the start. */
export interface WitnessState {
  name: string;
  verifierKey: string;
  failure: WitnessFailure | undefined;
  /** Epoch milliseconds; of the last call that failed. */
  failedAt: number | undefined;
}

interface Asked extends WitnessState {
  key: NoteVerifier;
  client: WitnessClient;
  /** Of calls that failed in a row. */
  failures: number;
  /** By the monotonic clock, milliseconds. */
  notBefore: number;
  underWay: Promise<void> | undefined;
  /** The size that it said it knows, where that is not the one we last had a cosignature of. */
  known: number | undefined;
  /** The checkpoint that it needs not be asked for again. */
  done: number;
  /** Whether it is on record that it knows more than there is here, and it has not taken that back since. */
  isSaidBehind: boolean;
  /** When it was last, by the monotonic clock. */
  saidBehindAt: number;
}

interface Target {
  size: number;
  note: string;
  text: string;
}

interface Parts {
  store: Store;
  readers: Readers;
  clock: Clock;
  log: Logger;
  metrics: Metrics;
  policy: Policy;
}

export class WitnessAsker {
  readonly #parts: Parts;
  readonly #everyMs: number;
  readonly #witnesses: readonly Asked[];
  readonly #witnessPolicy: WitnessPolicy;
  readonly #stopping = new AbortController();
  #target: Target | undefined;
  #targetSince = -Infinity;

  constructor(parts: Parts, config: WitnessConfig) {
    const { witnesses, witnessing } = config;
    this.#parts = parts;
    this.#witnessPolicy = policyOf(config);
    this.#everyMs = witnessing.askEverySeconds * 1000;
    const withinMs = witnessing.answerWithinSeconds * 1000;
    this.#witnesses = witnesses.map((one) => asked(one, withinMs));
  }

  /** In the order of the configuration. */
  get states(): readonly WitnessState[] {
    return this.#witnesses;
  }

  /** Begins what is to be asked. Called every second; where nothing is new, it costs one lookup. */
  look(): void {
    if (this.#witnesses.length === 0 || this.#stopping.signal.aborted) return;
    // A cosignature that cannot be stored would be asked for again and again.
    if (!this.#parts.store.isWritable) return;
    const target = this.#aim();
    if (!target) return;
    const now = performance.now();
    for (const witness of this.#witnesses) {
      if (witness.underWay || witness.notBefore > now || witness.done === target.size) continue;
      // It said that it has a newer one: there is none yet to ask it for.
      if ((witness.known ?? 0) > target.size) continue;
      witness.underWay = this.#ask(witness, target).finally(() => (witness.underWay = undefined));
    }
  }

  /** Abandons what is under way. Resolves within a second. */
  async close(): Promise<void> {
    this.#stopping.abort();
    const left = Promise.all(this.#witnesses.flatMap(({ underWay }) => underWay ?? []));
    await Promise.race([left, delay(STOP_WITHIN_MS, undefined, { ref: false })]);
    for (const { client } of this.#witnesses) client.close();
  }

  /** The checkpoint that all are asked for: the same one for a while, and then the newest. */
  #aim(): Target | undefined {
    const now = performance.now();
    if (this.#target && now - this.#targetSince < this.#everyMs) return this.#target;
    const newest = this.#parts.readers.latestCheckpoint();
    if (!newest || newest.size === this.#target?.size) return this.#target;
    this.#targetSince = now;
    const { size, note } = newest;
    this.#target = { size, note, text: parseNote(note).text };
    return this.#target;
  }

  async #ask(witness: Asked, target: Target): Promise<void> {
    const { log, metrics, clock } = this.#parts;
    let failure: WitnessFailure | undefined;
    try {
      failure = await this.#askUntilDone(witness, target);
    } catch (error) {
      log.error({ witness: witness.name, err: String(error) }, 'a witness could not be asked');
      failure = error instanceof RefusedError ? 'not_stored' : 'refused';
    }
    if (this.#stopping.signal.aborted && failure !== undefined) return;
    metrics.witnessAsked(witness.name, failure ?? 'cosigned');
    if (failure === undefined) {
      if (witness.failure !== undefined) log.info({ witness: witness.name }, 'it cosigns again');
      Object.assign(witness, { failure, failures: 0, notBefore: 0, done: target.size });
      return;
    }
    if (witness.failure !== failure)
      log.warn({ witness: witness.name, failure }, 'a witness does not cosign; it is asked again');
    const failures = witness.failures + 1;
    const notBefore = performance.now() + pauseBeforeAsking(failures, Math.random());
    Object.assign(witness, { failure, failures, notBefore, failedAt: clock() });
  }

  /** @returns why it did not cosign; undefined if it did */
  async #askUntilDone(witness: Asked, target: Target): Promise<WitnessFailure | undefined> {
    const { readers } = this.#parts;
    const { size, note } = target;
    let old = witness.known ?? readers.lastCosignature(witness.verifierKey)?.size ?? 0;
    if (old > size) return undefined;
    for (let tries = 0; tries < MOST_TRIES; tries += 1) {
      const proof = consistencyProof(old, size, hashesFromTiles(size, readers.readTile));
      const asking = { old, proof, note };
      const answer = await witness.client.addCheckpoint(asking, this.#stopping.signal);
      if (answer.kind === 'failed') return answer.failure;
      if (answer.kind === 'cosigned') return this.#keep(witness, target, answer.lines);
      if (answer.size === old) return 'disagrees';
      if (answer.size > size) return this.#isAhead(witness, answer.size);
      witness.known = answer.size;
      old = answer.size;
    }
    return 'refused';
  }

  async #keep(
    witness: Asked,
    { size, text }: Target,
    lines: string,
  ): Promise<WitnessFailure | undefined> {
    const { store, clock } = this.#parts;
    const good = goodLine(witness.key, text, lines);
    if (!good) return 'bad_answer';
    const { isKept } = await store.write('keepCosignature', {
      size,
      text,
      witnessKey: witness.verifierKey,
      line: good.line,
      signedAt: good.seconds * 1000,
      at: clock(),
      policy: this.#witnessPolicy,
    });
    if (!isKept) return 'not_stored';
    witness.known = undefined;
    witness.isSaidBehind = false;
    return undefined;
  }

  /** It knows more than it is asked for: of a newer checkpoint of ours, or of one that this log does not have. */
  async #isAhead(witness: Asked, known: number): Promise<WitnessFailure> {
    const { store, readers, clock, policy, log } = this.#parts;
    if (known <= readers.logSize()) {
      // It may be: an answer was lost. It has not cosigned what it was asked for, and is asked for the next one from there.
      witness.known = known;
      witness.isSaidBehind = false;
      return 'ahead';
    }
    const now = performance.now();
    if (!witness.isSaidBehind && now - witness.saidBehindAt >= SAY_BEHIND_EVERY_MS) {
      const at = clock();
      const { name, verifierKey } = witness;
      const to = [...policy.labs()].map(({ id }) => ({ labId: id }));
      log.error({ witness: name, known }, 'a witness has cosigned more entries than this log has');
      const entryId = mintId('ent', at);
      await store.write('noteBehind', { entryId, at, witness: name, verifierKey, size: known, to });
      Object.assign(witness, { isSaidBehind: true, saidBehindAt: now });
    }
    return 'behind';
  }
}

function asked({ name, url, verifierKey }: WitnessSettings, withinMs: number): Asked {
  return {
    name,
    verifierKey,
    key: parseWitnessKey(verifierKey),
    client: new WitnessClient(url, withinMs),
    failure: undefined,
    failedAt: undefined,
    failures: 0,
    notBefore: 0,
    underWay: undefined,
    known: undefined,
    done: -1,
    isSaidBehind: false,
    saidBehindAt: -Infinity,
  };
}

/** The cosignature by this key among the lines of an answer; undefined where there is none, or a wrong one. */
function goodLine(
  key: NoteVerifier,
  text: string,
  lines: string,
): { line: string; seconds: number } | undefined {
  const body = Buffer.from(text, 'utf8');
  try {
    const found = parseSignatures(lines).find(
      ({ name, keyId, signature }) =>
        name === key.name && keyId === key.keyId && key.verify(body, signature),
    );
    const seconds = found && secondsOf(found.signature);
    return found && seconds !== undefined ? { line: formatSignature(found), seconds } : undefined;
  } catch (error) {
    if (error instanceof NoteError) return undefined;
    throw error;
  }
}
