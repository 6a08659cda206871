/** Evidence of before a log's key was replaced, checked by whoever knows the new key. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, describe, expect, it } from 'vitest';
import { evidenceBundle } from '../../src/audit/bundle.ts';
import { inclusionProof } from '../../src/core/audit/proofs.ts';
import { formatReceipt } from '../../src/core/audit/receipt.ts';
import { hashesFromTiles } from '../../src/core/audit/tiles.ts';
import {
  EVIL_KEY,
  LOG_KEY,
  NEXT_KEY,
  entriesOf,
  entryOf,
  historyOf,
  logOf,
  type VectorKey,
  type VectorLog,
} from '../vectors/kit.ts';
import { newCli } from './run-cli.ts';

const cli = newCli();
const dir = mkdtempSync(join(tmpdir(), 'sallyport-rotated-'));
afterAll(() => {
  cli.remove();
  rmSync(dir, { recursive: true, force: true });
});

const file = (name: string, content: string | Buffer): string => {
  const path = join(dir, name);
  writeFileSync(path, content);
  return path;
};

const HISTORY = historyOf(LOG_KEY, [NEXT_KEY, 300]);
const before = logOf(entriesOf(300), [LOG_KEY.signer]);
const now = logOf(entriesOf(600), [NEXT_KEY.signer]);

async function packed(
  name: string,
  log: VectorLog,
  key: VectorKey,
  keyHistory?: string,
  to = log.entries.length,
): Promise<string> {
  const bundle = evidenceBundle({
    checkpoint: log.checkpoint,
    verifierKey: key.verifierKey,
    keyHistory,
    range: { from: 0, to },
    tile: log.tile,
    entries: [log.entries.slice(0, to)],
  });
  return file(name, await buffer(bundle));
}

const NEW = ['--key', NEXT_KEY.verifierKey];
const BOTH = [...NEW, '--key', LOG_KEY.verifierKey];
const held = ['--history', file('keys.json', HISTORY)];
const archive = await packed('archive.tar', before, LOG_KEY, undefined, 256);
const bundle = await packed('bundle.tar', now, NEXT_KEY, HISTORY);
const verify = (...args: string[]) => cli.run('audit', 'verify', ...args);

describe('an archive that the replaced key signed', () => {
  it('is sound beside newer evidence, which carries the history of the keys', async () => {
    for (const keys of [NEW, BOTH]) {
      const { code, out, err } = await verify(bundle, '--archive', archive, ...keys);
      expect([code, err]).toEqual([0, '']);
      expect(out).toContain('entries 0 to 255 in the archive');
    }
    const newer = await packed('newer.tar', now, NEXT_KEY, HISTORY, 512);
    const archives = ['--archive', archive, '--archive', newer];
    expect(await verify(...archives, ...NEW)).toMatchObject({ code: 0, err: '' });
  });

  it('alone takes the history, and is not called tampered with without it', async () => {
    const { code, err } = await verify('--archive', archive, ...NEW);
    expect([code, err]).toEqual([3, expect.stringContaining('give it with --history FILE')]);
    expect(await verify('--archive', archive, ...NEW, ...held)).toMatchObject({ code: 0 });
  });

  it('is tampered with where the history is known, and does not have the key', async () => {
    const forged = logOf(entriesOf(300), [EVIL_KEY.signer]);
    const evil = await packed('evil.tar', forged, EVIL_KEY, undefined, 256);
    expect(await verify(bundle, '--archive', evil, ...NEW)).toMatchObject({ code: 1 });
    expect(await verify('--archive', evil, ...NEW, ...held)).toMatchObject({ code: 1 });
    const other = logOf(entriesOf(300).with(0, entryOf(0, { run: 'x' })), [LOG_KEY.signer]);
    const leaked = await packed('leaked.tar', other, LOG_KEY, undefined, 256);
    const found = await verify(bundle, '--archive', leaked, ...NEW);
    expect([found.code, found.out]).toEqual([1, expect.stringContaining('two versions')]);
  });
});

it('a whole bundle of that time is not sound by the new key alone, and says what it takes', async () => {
  const old = await packed('old.tar', before, LOG_KEY);
  const { code, out } = await verify(old, ...NEW);
  expect([code, out]).toEqual([1, expect.stringContaining('--history FILE')]);
  expect(await verify(old, ...NEW, ...held)).toMatchObject({ code: 0 });
});

describe('a receipt that the replaced key signed', () => {
  const proof = inclusionProof(2, 300, hashesFromTiles(300, before.tile));
  const entries = [{ index: 2, bytes: entryOf(2), proof }];
  const receipt = file('r.receipt', formatReceipt({ entry: 2 }, entries, before.checkpoint));
  const check = (...args: string[]) => cli.run('audit', 'receipt', receipt, ...args);

  it('takes the history, and is not called tampered with without it', async () => {
    const { code, err } = await check(...NEW);
    expect([code, err]).toEqual([3, expect.stringContaining('give it with --history FILE')]);
    for (const keys of [NEW, BOTH])
      expect(await check(...keys, ...held)).toMatchObject({ code: 0 });
    const other = file('other.json', historyOf(EVIL_KEY, [NEXT_KEY, 300]));
    expect(await check(...NEW, '--history', other)).toMatchObject({ code: 1 });
  });
});

it('of a log of which no key was given, nothing is said', async () => {
  const { verifierKey } = LOG_KEY;
  const [, ...rest] = verifierKey.split('+');
  const foreign = ['--key', ['other.example', ...rest].join('+')];
  const stranger = await verify(bundle, ...foreign);
  expect(stranger.code).toBe(3);
});
