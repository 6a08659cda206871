import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { bundleOf, newLogKey, repack, sampleLog, unpack } from '../audit/sample-log.ts';
import { newCli } from './run-cli.ts';

const cli = newCli();
const log = sampleLog(300);
const file = (name: string, content: Buffer | string): string => {
  const path = join(cli.folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
};
const tar = await bundleOf(log);
const sound = file('sound.tar', tar);

/** Damage that a profile or the network would show by. */
file('home/profiles.json', 'not JSON');
const noFetch = vi.spyOn(globalThis, 'fetch').mockRejectedValue(new Error('no network here'));

afterAll(() => cli.remove());

async function tamperedBundle(): Promise<string> {
  const files = await unpack(tar);
  const entries = files.find(({ name }) => name.startsWith('entries/'));
  if (!entries) throw new Error('no entries');
  const text = entries.content.toString('utf8').replace('"ent_17"', '"ent_71"');
  entries.content = Buffer.from(text, 'utf8');
  return file('tampered.tar', await repack(files));
}

describe('audit verify', () => {
  it('of a sound bundle ends with 0 and says what was checked', async () => {
    const { code, out, err } = await cli.run('audit', 'verify', sound, '--key', log.verifierKey);
    expect(code).toBe(0);
    expect(out).toContain('ok   checkpoint of 300 entries');
    expect(out).toContain('SOUND: all 300 entries of audit.lab.example/sallyport');
    expect(err).toBe('');
  });

  it('takes the key from a file, and the bundle from a folder', async () => {
    for (const { name, content } of await unpack(tar)) file(`folder/${name}`, content);
    const key = `@${file('log.vkey', `${log.verifierKey}\n`)}`;
    const folder = join(cli.folder, 'folder');
    expect((await cli.run('audit', 'verify', folder, '--key', key)).code).toBe(0);
  });

  it('of a tampered bundle ends with 1 and names the first bad index', async () => {
    const path = await tamperedBundle();
    const { code, out } = await cli.run('audit', 'verify', path, '--key', log.verifierKey);
    expect(code).toBe(1);
    expect(out).toContain('BAD');
    expect(out).toContain('TAMPERED');
    expect(out).toContain('The first bad index is 17.');
  });

  it('of a bundle that was cut short ends with 2', async () => {
    const path = file('cut.tar', tar.subarray(0, tar.length - 20_000));
    const { code, out } = await cli.run('audit', 'verify', path, '--key', log.verifierKey);
    expect(code).toBe(2);
    expect(out).toContain('INCOMPLETE');
    const own = await cli.run('audit', 'verify', path, '--trust-key-in-bundle');
    expect(own.code).toBe(2);
  });

  it("with another log's key ends with 1", async () => {
    const { verifierKey } = newLogKey();
    const { code, out } = await cli.run('audit', 'verify', sound, '--key', verifierKey);
    expect(code).toBe(1);
    expect(out).toContain('not the key you gave');
  });

  it.each([
    ['no key', [sound], 'sallyport audit key'],
    ['two keys', [sound, '--key', 'a', '--trust-key-in-bundle'], 'exclude each other'],
    ['a key that is none', [sound, '--key', 'a'], 'Not a verifier key'],
    ['a key file that is not there', [sound, '--key', '@/no/key'], 'there is no such file'],
    ['no bundle there', ['/no/bundle', '--key', log.verifierKey], 'there is no such file'],
    ['no bundle there to take a key from', ['/no/b', '--trust-key-in-bundle'], 'no such file'],
    ['no bundle named', [], 'Say what to check: a bundle, a directory, a URL, or --archive FILE.'],
    ['an option that does not exist', [sound, '--kye', 'a'], "Unknown option '--kye'"],
  ])('with %s ends with 3, not with a verdict', async (_what, args, expected) => {
    const { code, out, err } = await cli.run('audit', 'verify', ...args);
    expect(err).toContain(expected);
    expect(err.split('\n')).toHaveLength(err.includes('came out of') ? 3 : 2);
    expect(out).toBe('');
    expect(code).toBe(3);
  });

  it('with the key in the bundle says how little that shows', async () => {
    const { code, out, err } = await cli.run('audit', 'verify', sound, '--trust-key-in-bundle');
    expect(code).toBe(0);
    expect(out).toContain('SOUND');
    expect(err).toContain('not who made it');
  });

  it('gives programs one document, also when something is wrong', async () => {
    expect(await cli.json('audit', 'verify', sound, '--key', log.verifierKey)).toMatchObject({
      status: 'sound',
      size: 300,
      entriesChecked: 300,
      keyFrom: 'caller',
    });
    const path = await tamperedBundle();
    const tampered = await cli.run('audit', 'verify', path, '--key', log.verifierKey, '--json');
    expect(tampered.code).toBe(1);
    expect(JSON.parse(tampered.out)).toMatchObject({ status: 'tampered', firstBadIndex: 17 });
    const without = await cli.run('audit', 'verify', path, '--json');
    expect(without.code).toBe(3);
    expect(JSON.parse(without.out)).toMatchObject({ status: 'could_not_run' });
  });

  // The last: it looks back on all the others.
  it('never touched the network or a profile', async () => {
    expect(noFetch).not.toHaveBeenCalled();
    expect((await cli.run('whoami')).err).toContain('are damaged');
  });
});
