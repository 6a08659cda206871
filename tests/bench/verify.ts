/** How long it takes to verify a log of a million entries, and in how much memory. */
import { fork } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { evidenceBundle } from '../../src/audit/bundle.ts';
import { leafHash } from '../../src/core/audit/merkle.ts';
import { EMPTY_EDGE, appendLeaves } from '../../src/core/audit/tree-edge.ts';
import { serialiseEntry, writeEntry } from '../../src/core/audit/entry.ts';
import { newLogKey } from '../audit/sample-log.ts';
import { medianOf, type Area } from './harness.ts';

const SIZE = 1_000_000;
const ROUNDS = 3;
const ORIGIN = 'audit.lab.example/sallyport';
const BATCH = 8192;

/** What a process of its own says that it took. */
export interface Took {
  status: string;
  ms: number;
  processorMs: number;
  mostMegabytes: number;
}

export const verify: Area = async (report) => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
  const file = join(folder, 'evidence.tar');
  try {
    const verifierKey = await writeBundle(file);
    const rounds: Took[] = [];
    // A process each: what one has in memory is then its own.
    for (let round = 0; round < ROUNDS; round += 1)
      rounds.push(await verifyApart(file, verifierKey));
    const median = (of: (took: Took) => number): number => medianOf(rounds.map(of));
    report({
      name: 'verifying 1,000,000 entries of 800 bytes',
      value: median(({ ms }) => ms) / 1000,
      unit: 's',
      details: {
        'processor time, s': median(({ processorMs }) => processorMs) / 1000,
        'most memory, MB': median(({ mostMegabytes }) => mostMegabytes),
      },
      goal: 'within 10 s',
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
};

/** An entry as most are: the outcome of a request. */
function entryOf(index: number): Buffer {
  const at = Date.UTC(2026, 0, 1) + index;
  const number = String(index).padStart(26, '0');
  return serialiseEntry(
    writeEntry({
      id: `ent_${number}`,
      kind: 'request.outcome',
      at,
      actor: {
        person: 'per_00000000000000000000000001',
        lab: 'lab_partner',
        roles: ['researcher'],
      },
      ref: `req_${number}`,
      lab: 'lab_partner',
      person: 'per_00000000000000000000000001',
      grant: 'grt_00000000000000000000000001',
      grantVersion: 2,
      token: 'tok_00000000000000000000000001',
      purpose: 'jailbreak-robustness',
      run: 'run-42',
      endpoint: 'frontier',
      model: 'frontier-2',
      operation: 'chat.completions',
      decision: 'allowed',
      data: {
        status: 200,
        durationMs: 812,
        bytes: 1024,
        ended: 'completed',
        tokens: { input: 300, output: 200 },
        commitment: 'a'.repeat(64),
      },
    }),
    { log: ORIGIN, index, committedAt: at, host: 'lab_host' },
  );
}

/** Returns the key. */
async function writeBundle(file: string): Promise<string> {
  const key = newLogKey(ORIGIN);
  const tiles = new Map<string, Buffer>();
  const batch = (first: number): Buffer[] =>
    Array.from({ length: Math.min(BATCH, SIZE - first) }, (_, i) => entryOf(first + i));
  let edge = EMPTY_EDGE;
  let checkpoint = '';
  for (let first = 0; first < SIZE; first += BATCH) {
    const grown = appendLeaves(edge, batch(first).map(leafHash));
    edge = grown.edge;
    for (const { level, n, hashes } of grown.rows) tiles.set(`${level}/${n}`, Buffer.from(hashes));
    checkpoint = key.sign(edge.size, grown.root);
  }
  const bundle = evidenceBundle({
    checkpoint,
    verifierKey: key.verifierKey,
    tile: (level, n) => tiles.get(`${level}/${n}`),
    entries: {
      *[Symbol.iterator]() {
        for (let first = 0; first < SIZE; first += BATCH) yield batch(first);
      },
    },
  });
  await pipeline(bundle, createWriteStream(file));
  return key.verifierKey;
}

function verifyApart(file: string, verifierKey: string): Promise<Took> {
  return new Promise((resolve, reject) => {
    const child = fork(join(import.meta.dirname, 'verify-process.ts'), [file, verifierKey]);
    let took: Took | undefined;
    child.on('message', (message) => (took = message as Took));
    child.on('error', reject);
    child.on('exit', (code) => {
      if (took?.status === 'sound') resolve(took);
      else reject(new Error(`The verification ended with ${code}: ${JSON.stringify(took)}.`));
    });
  });
}
