/** A file's thread that hangs, as in a system call on a disk that does not answer, holds up nobody but its own file. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { forwardSchema } from '../../src/core/forwarding.ts';
import { FileForwarder } from '../../src/forward/file.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-file-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const THREAD = new URL('../../dist/file-forwarder.js', import.meta.url);

/** Stands still for a second and a half before each answer, whatever is asked of it meanwhile. */
const HELD_THREAD = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from 'node:worker_threads';
    parentPort.on('message', () => {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);
      parentPort.postMessage({});
    });`)}`,
);

/** Ends instead of answering. */
const DYING_THREAD = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from 'node:worker_threads';
    parentPort.on('message', () => process.exit(1));`)}`,
);

function forwarder(path: string, thread: URL, failures: string[] = []): FileForwarder {
  const { files } = forwardSchema.parse({ files: [{ id: 'f', path }] });
  const made = new FileForwarder(files[0] as (typeof files)[0], thread, (why) =>
    failures.push(why),
  );
  onTestFinished(() => made.close());
  return made;
}

const entry = (index: number) => ({ index, bytes: Buffer.from(JSON.stringify({ index })) });
const patient = (): AbortSignal => new AbortController().signal;

test('lines are on the disk when they are said to be', async () => {
  const path = join(folder, 'out.jsonl');
  const file = forwarder(path, THREAD);
  expect(await file.forward([entry(0), entry(1)], 0, patient())).toEqual({ delivered: true });
  expect(readFileSync(path, 'utf8')).toBe('{"index":0}\n{"index":1}\n');
});

test('what cannot be written is said to be so, with the reason for the operator', async () => {
  const failures: string[] = [];
  const file = forwarder(join(folder, 'none', 'out.jsonl'), THREAD, failures);
  const unwritable = { delivered: false, failure: 'unwritable' };
  expect(await file.forward([entry(0)], 0, patient())).toEqual(unwritable);
  expect(failures).toEqual([expect.stringContaining('ENOENT')]);
  const dying = forwarder(join(folder, 'x.jsonl'), DYING_THREAD, failures);
  expect(await dying.forward([entry(0)], 0, patient())).toEqual(unwritable);
  // Another thread is started for the next attempt.
  expect(await dying.forward([entry(0)], 0, patient())).toEqual(unwritable);
});

test('files are read and names looked up while more files hang than Node has threads for that', async () => {
  const hung = Array.from({ length: 8 }, (_, i) =>
    forwarder(join(folder, `hung-${i}`), HELD_THREAD).forward([entry(0)], 0, patient()),
  );
  const begun = performance.now();
  for (let i = 0; i < 20; i += 1) await readFile(new URL(import.meta.url));
  const took = performance.now() - begun;
  const first = await Promise.race([...hung, Promise.resolve('still hanging')]);
  expect([first, took < 1_400]).toEqual(['still hanging', true]);
  await Promise.all(hung);
});

test('an attempt that was given up while the one before hung writes nothing', async () => {
  const file = forwarder(join(folder, 'late.jsonl'), HELD_THREAD);
  const first = file.forward([entry(0)], 0, patient());
  const given = new AbortController();
  const second = file.forward([entry(0)], 0, given.signal);
  const third = file.forward([entry(0)], 0, patient());
  given.abort();
  expect(await first).toEqual({ delivered: true });
  expect(await second).toEqual({ delivered: false, failure: 'unwritable' });
  expect(await third).toEqual({ delivered: true });
});
