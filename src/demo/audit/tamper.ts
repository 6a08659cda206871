/** Ways to change what is on record, and what the verifier says to each. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../narrator.ts';
import { linesOf, pack, rewritten, unpack, withLines } from './evidence-files.ts';
import { INCOMPLETE, TAMPERED, said, type Scene } from './scene.ts';
import type { SealedFile } from './sealed-call.ts';

/** What `audit verify --json` says. */
interface VerifyReport {
  status?: string;
  firstBadIndex?: number;
  problem?: string;
}

export async function tamper(
  scene: Scene,
  evidence: string,
  transcript: SealedFile,
): Promise<void> {
  const { narrator, sites, desk, stranger } = scene;
  const [{ origin, logKey }] = sites;
  narrator.chapter('Five ways to change what is on record');
  const files = await unpack(evidence);
  const lines = linesOf(files);
  const at = lines.findIndex((line) => line.includes('"kind":"request.outcome"'));
  const path = join(desk, 'changed.tar');
  /** Fails unless that is what `audit verify` finds, and where. */
  const finds = async (bundle: Buffer, code: number, status: string, where?: number) => {
    writeFileSync(path, bundle);
    const ended = await stranger('audit', 'verify', path, '--key', logKey, '--json');
    const report = ended.out === '' ? {} : (JSON.parse(ended.out) as VerifyReport);
    must(
      ended.code === code && report.status === status && report.firstBadIndex === where,
      `it ends with ${said(ended)}`,
    );
    return report;
  };

  const edited = lines.with(
    at,
    (lines[at] ?? '').replace('"upstreamStatus":200', '"upstreamStatus":500'),
  );
  await finds(await pack(withLines(files, edited)), TAMPERED, 'tampered', at);
  narrator.proved(
    `Entry ${at} says that the model answered 500: tampered, at entry ${at}`,
    'an entry is its bytes',
  );

  const removed = lines.toSpliced(at, 1);
  await finds(await pack(withLines(files, removed)), TAMPERED, 'tampered', at);
  narrator.proved(
    `Entry ${at} is taken out, and the others move up: tampered, at entry ${at}`,
    'every entry has its place',
  );

  const cut = lines.slice(0, -3);
  await finds(await pack(withLines(files, cut)), INCOMPLETE, 'incomplete', cut.length);
  narrator.proved(
    `The last three entries are cut off: incomplete, from entry ${cut.length} on`,
    'the checkpoint says how many there are; what is missing is told from what was changed',
  );

  const { problem = '' } = await finds(await rewritten(origin, removed), TAMPERED, 'tampered');
  must(problem.includes('not the key you gave'), `it says ${problem}`);
  narrator.proved(
    'The whole log is written anew, and signed by another key: tampered, for that key was never this log’s',
    'a bundle that agrees with itself proves nothing',
  );

  const sealed = readFileSync(transcript.file);
  const last = sealed.length - 1;
  sealed[last] = (sealed[last] ?? 0) ^ 1;
  const flipped = join(desk, 'flipped.age');
  writeFileSync(flipped, sealed);
  const opened = await stranger('audit', 'open', flipped, ...transcript.options);
  must(opened.code === TAMPERED, `it opens with ${said(opened)}`);
  narrator.proved(
    'One bit of the sealed transcript is flipped: changed',
    'the log has the digest of the file, and a commitment to each body in it',
  );
}
