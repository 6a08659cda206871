/** Witnesses for tests: brokers that watch each other, a log that a test writes itself, and a witness that it scripts. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { mkdirSync } from 'node:fs';
import { openWitnessKey, witnessNameOf, WITNESS_KEY_FILE } from '../../src/audit/witness-key.ts';
import { createLogKey } from '../../src/audit/log-key.ts';
import { formatAddCheckpoint } from '../../src/core/audit/add-checkpoint.ts';
import { formatCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { leafHash, nodeHash, rootOfLeaves, type HashAt } from '../../src/core/audit/merkle.ts';
import { ed25519Signer, formatVerifierKey, rawPublicKey } from '../../src/core/audit/note-keys.ts';
import { signNote } from '../../src/core/audit/note.ts';
import { consistencyProof } from '../../src/core/audit/proofs.ts';

/** A log of somebody else's, kept in memory, which a test can have lie. */
export class SampleLog {
  readonly origin: string;
  readonly privateKey: KeyObject;
  readonly verifierKey: string;
  #leaves: Buffer[] = [];

  constructor(origin: string, privateKey = generateKeyPairSync('ed25519').privateKey) {
    this.origin = origin;
    this.privateKey = privateKey;
    this.verifierKey = formatVerifierKey(origin, rawPublicKey(privateKey));
  }

  /** Grows to so many entries. @param as what the new entries say, so that two logs can differ */
  growTo(size: number, as = 'entry'): this {
    while (this.#leaves.length < size)
      this.#leaves.push(leafHash(Buffer.from(`${as} ${this.#leaves.length}`)));
    return this;
  }

  /** Another log by the same key: the same up to here. */
  fork(at: number): SampleLog {
    const other = new SampleLog(this.origin, this.privateKey);
    other.#leaves = this.#leaves.slice(0, at);
    return other;
  }

  readonly hashAt: HashAt = (level, index) =>
    level === 0
      ? (this.#leaves[index] as Buffer)
      : nodeHash(this.hashAt(level - 1, 2 * index), this.hashAt(level - 1, 2 * index + 1));

  /** The signed checkpoint of this size. */
  checkpoint(size = this.#leaves.length): string {
    const root = rootOfLeaves(this.#leaves.slice(0, size));
    const { origin, privateKey } = this;
    return signNote(formatCheckpoint({ origin, size, root }), [ed25519Signer(origin, privateKey)]);
  }

  proof(old: number, size = this.#leaves.length): Buffer[] {
    return consistencyProof(old, size, this.hashAt);
  }

  /** What a witness is sent. */
  asking(old: number, size = this.#leaves.length): string {
    return formatAddCheckpoint({ old, proof: this.proof(old, size), note: this.checkpoint(size) });
  }
}

/** Gives a data directory its keys before its broker starts: each of two needs the other's. */
export function keysInAdvance(dataDir: string, origin: string): { log: string; witness: string } {
  const folder = join(dataDir, 'keys');
  mkdirSync(folder, { mode: 0o700, recursive: true });
  return {
    log: createLogKey(join(folder, 'log.pem'), origin).verifierKey,
    witness: openWitnessKey(join(folder, WITNESS_KEY_FILE), witnessNameOf(origin)).verifierKey,
  };
}

/** A witness that answers as a test says. */
export class ScriptedWitness {
  readonly #server = createServer((req, res) => void this.#serve(req, res));
  /** Bodies that it was sent. */
  readonly asked: string[] = [];
  /** How many calls it had at the same time, at most. */
  mostAtOnce = 0;
  #atOnce = 0;
  answer: (body: string, res: ServerResponse) => void | Promise<void>;

  constructor(answer: ScriptedWitness['answer']) {
    this.answer = answer;
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => void this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/prefix`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => void this.#server.close(resolve));
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    this.#atOnce += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.#atOnce);
    res.on('close', () => (this.#atOnce -= 1));
    let body = '';
    for await (const chunk of req) body += String(chunk);
    this.asked.push(`${req.method} ${req.url}\n${body}`);
    await this.answer(body, res);
  }
}
