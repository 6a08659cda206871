/** Key files whatever happens while they are made. */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createKeyFile, loadKeyFile, openSecretFile } from '../../src/lib/key-file.ts';

let folder: string;
beforeEach(() => void (folder = fs.mkdtempSync(join(tmpdir(), 'sallyport-key-file-'))));
afterEach(() => fs.rmSync(folder, { recursive: true }));

/** Nothing is done any more from the first call of this function on, as when a process is killed. */
function killedAt(step: 'writeFileSync' | 'fsyncSync' | 'linkSync', action: () => void): void {
  const killed = vi.fn<() => never>(() => {
    throw new Error('killed');
  });
  const spies = [
    vi.spyOn(fs, step).mockImplementation(killed),
    vi.spyOn(fs, 'rmSync').mockImplementation(() => undefined),
  ];
  syncBuiltinESMExports();
  try {
    expect(action).toThrow('killed');
  } finally {
    for (const spy of spies) spy.mockRestore();
    syncBuiltinESMExports();
  }
  expect(killed).toHaveBeenCalledOnce();
}

const MAKERS = [
  ['a key', createKeyFile],
  ['a secret', openSecretFile],
] as const;

describe.each(MAKERS)('%s', (_name, make) => {
  it.each(['writeFileSync', 'fsyncSync', 'linkSync'] as const)(
    'whose making was killed at %s is in nobody’s way, and is made by the next attempt',
    (step) => {
      const path = join(folder, 'made');
      killedAt(step, () => make(path));
      expect(fs.existsSync(path)).toBe(false);
      make(path);
      expect(fs.statSync(path).mode & 0o777).toBe(0o600);
      const left = fs.readdirSync(folder).filter((name) => name !== 'made');
      expect(left).toEqual([expect.stringMatching(/^made\..*\.part$/)]);
    },
  );

  it('leaves no other file behind', () => {
    make(join(folder, 'made'));
    expect(fs.readdirSync(folder)).toEqual(['made']);
  });
});

describe('what is there', () => {
  it('is never overwritten by a key, and opened again as a secret', () => {
    const path = join(folder, 'made');
    const key = createKeyFile(path);
    expect(() => createKeyFile(path)).toThrow('never overwritten');
    expect(loadKeyFile(path).equals(key)).toBe(true);
    const secret = join(folder, 'secret');
    expect(openSecretFile(secret)).toEqual(openSecretFile(secret));
    expect(fs.readdirSync(folder).sort()).toEqual(['made', 'secret']);
  });
});
