import { generateKeyPairSync } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { bundleOf, logOf, newLogKey, sampleEntry, type SampleLog } from '../audit/sample-log.ts';
import { startTestBroker } from '../support/test-broker.ts';
import { mirrorOf, type Files } from '../vectors/kit.ts';
import { newCli, type Cli } from './run-cli.ts';

const key = newLogKey();
const linesOf = (size: number): Buffer[] =>
  Array.from({ length: size }, (_, index) => sampleEntry(index));
const filesOf = (log: SampleLog): Files =>
  mirrorOf({
    entries: log.lines,
    root: Buffer.alloc(0),
    checkpoint: log.checkpoint,
    tile: (level, n) => log.tiles.get(`${level}/${n}`),
  });
const filesOfSize = (size: number): Files => filesOf(logOf(linesOf(size), key));
const forked = (size: number): Files =>
  filesOf(logOf(linesOf(size).with(10, sampleEntry(9_999)), key));

/** What the server has; who may not see the entries; and what it answers besides. */
let served: Files = {};
let refuseEntries: { status: number; code: string } | undefined;
let broken = new Set<string>();
let endless = new Set<string>();
/** What happens, once, before a path is answered. */
let held: Record<string, () => Promise<unknown>> = {};
const PREFIX = '/api/v1/log/';

const server = createServer((req, res) => {
  const path = (req.url ?? '').slice(PREFIX.length);
  const answer = (status: number, body: object | Buffer): void => {
    res.writeHead(status, {
      'content-type': Buffer.isBuffer(body)
        ? 'application/octet-stream'
        : 'application/problem+json',
    });
    res.end(Buffer.isBuffer(body) ? body : JSON.stringify(body));
  };
  if (req.url === '/oauth/token') {
    answer(200, { access_token: 'token-of-an-auditor', expires_in: 600, token_type: 'Bearer' });
    return;
  }
  const isEntries = path.startsWith('tile/entries/');
  const isLoggedIn = req.headers.authorization === 'Bearer token-of-an-auditor';
  const refused = isEntries ? (isLoggedIn ? refuseEntries : { status: 401, code: 'x' }) : undefined;
  const bytes = served[path];
  if (endless.has(path)) {
    const chunk = Buffer.alloc(65_536);
    const more = (): void => {
      while (!res.destroyed && res.write(chunk));
    };
    res.on('drain', more);
    more();
    return;
  }
  const { [path]: meanwhile } = held;
  delete held[path];
  if (meanwhile) {
    void meanwhile().then(() => (bytes ? answer(200, bytes) : answer(404, { code: 'not_found' })));
    return;
  }
  if (broken.has(path)) answer(500, { detail: 'Something went wrong.', code: 'unexpected' });
  else if (refused) answer(refused.status, { detail: 'That is not for you.', code: refused.code });
  else if (bytes) answer(200, bytes);
  else answer(404, { detail: 'There is no such tile.', code: 'not_found' });
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

let cli: Cli;
const clis: Cli[] = [];

beforeEach(() => {
  cli = newCli();
  clis.push(cli);
  served = filesOfSize(300);
  refuseEntries = undefined;
  broken = new Set();
  endless = new Set();
  held = {};
});

afterAll(() => {
  server.close();
  for (const one of clis) one.remove();
});

/** A profile of an auditor, as "login" leaves it. */
function logIn(): void {
  const home = join(cli.folder, 'home');
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' });
  writeFileSync(join(home, 'auditor.pem'), pem, { mode: 0o600 });
  const profile = {
    url,
    issuer: url,
    person: 'per_01jzzzzzzzzzzzzzzzzzzzzzzz',
    key: join(home, 'auditor.pem'),
  };
  writeFileSync(
    join(home, 'profiles.json'),
    JSON.stringify({ default: 'auditor', profiles: { auditor: profile } }),
    { mode: 0o600 },
  );
}

const verify = (target = url, ...more: string[]) =>
  cli.run('audit', 'verify', target, '--key', key.verifierKey, ...more);

const seenFolder = (): string => join(cli.folder, 'home', 'seen');

function writeMirror(name: string, files: Files): string {
  const root = join(cli.folder, name);
  rmSync(root, { recursive: true, force: true });
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

describe('audit verify of a running broker', () => {
  it('without a login checks the hashes of everything, and says so', async () => {
    const { code, out, err } = await verify();
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('entries not checked: you are not logged in');
    expect(out).toContain('SOUND: the hashes of all 300 entries of audit.lab.example/sallyport');
    expect((await verify(`${url}/api/v1/log`)).code).toBe(0);
    expect((await verify(url, '--entries')).code).toBe(3);
  });

  it('as an auditor checks every entry', async () => {
    logIn();
    const { code, out } = await verify(url, '--entries');
    expect(code).toBe(0);
    expect(out).toContain('SOUND: all 300 entries');
    expect((await verify(url, '--hashes-only')).out).toContain('you asked for hashes only');
    served['tile/entries/000'] = Buffer.from(served['tile/entries/000'] ?? '');
    served['tile/entries/000'].writeUInt8(0x20, 900);
    const tampered = await verify();
    expect(tampered.code).toBe(1);
    expect(tampered.out).toMatch(/Entry \d+ was changed\.[^]*The first bad index is \d+\./);
  });

  it('as somebody who may not see the entries checks the hashes, and says why', async () => {
    logIn();
    refuseEntries = { status: 403, code: 'role_required' };
    const { code, out } = await verify();
    expect(code).toBe(0);
    expect(out).toContain('entries not checked: the broker refused (role_required)');
  });

  it('tells a tile that is missing from one that is wrong and from a broker that fails', async () => {
    const tile = served['tile/0/000'] ?? Buffer.alloc(0);
    delete served['tile/0/000'];
    expect(await verify()).toMatchObject({
      code: 2,
      out: expect.stringContaining('tile/0/000 is missing'),
    });
    served['tile/0/000'] = Buffer.alloc(tile.length);
    expect((await verify()).code).toBe(1);
    broken.add('tile/0/000');
    expect(await verify()).toMatchObject({ code: 3, out: '' });
    expect((await verify('http://127.0.0.1:9')).code).toBe(3);
    expect((await verify('http://broker.example')).err).toContain('not encrypted');
  });

  it.each(['checkpoint', 'keys', 'tile/0/000'])('does not read %s without an end', async (path) => {
    endless.add(path);
    const { code, err } = await verify();
    expect(code).toBe(3);
    expect(err).toMatch(/The answer is longer than \d+ bytes/);
  });

  it("never trusts the broker's own key: without one it cannot run, with another it is forged", async () => {
    expect((await cli.run('audit', 'verify', url)).code).toBe(3);
    expect((await cli.run('audit', 'verify', url, '--trust-key-in-bundle')).code).toBe(3);
    const other = await cli.run('audit', 'verify', url, '--key', newLogKey().verifierKey);
    expect(other.code).toBe(1);
    expect(readFolder()).toEqual([]);
  });

  it('takes the keys that are configured, one to a line', async () => {
    mkdirSync(join(cli.folder, 'home'), { recursive: true });
    const keys = `# partners\n${newLogKey('other.example').verifierKey}\n\n${key.verifierKey}\n`;
    writeFileSync(join(cli.folder, 'home', 'log-keys'), keys);
    expect((await cli.run('audit', 'verify', url)).code).toBe(0);
  });
});

const readFolder = (): string[] => {
  try {
    return readdirSync(seenFolder());
  } catch {
    return [];
  }
};

describe('what this machine saw before', () => {
  it('must be continued: the log has grown', async () => {
    await verify();
    served = filesOfSize(700);
    const { code, out } = await verify();
    expect(code).toBe(0);
    expect(out).toContain('continues the checkpoint of 300 entries that was seen before');
    const [name = ''] = readFolder();
    expect(readFileSync(join(seenFolder(), name), 'utf8')).toContain('\n700\n');
    expect(statSync(join(seenFolder(), name)).mode & 0o777).toBe(0o600);
    expect(statSync(seenFolder()).mode & 0o777).toBe(0o700);
  });

  it('is what was kept before the checkpoint was asked for: two checks at once are no rollback', async () => {
    for (const isFirst of [true, false]) {
      if (!isFirst) await verify();
      const old = served;
      held = {
        keys: async () => {
          const grown = filesOfSize(isFirst ? 700 : 900);
          served = { ...old, ...grown };
          expect((await verify()).code).toBe(0);
        },
      };
      const { code, out } = await verify();
      expect(out).toContain('SOUND');
      expect(code).toBe(0);
      const [name = '', ...others] = readFolder();
      expect(others).toEqual([]);
      expect(readFileSync(join(seenFolder(), name), 'utf8')).toContain(
        isFirst ? '\n700\n' : '\n900\n',
      );
    }
  });

  it('is kept by one at a time, and what a crash left of that is taken away', async () => {
    await verify();
    const [name = ''] = readFolder();
    const lock = join(seenFolder(), `${name}.lock`);
    writeFileSync(lock, '');
    utimesSync(lock, 1, 1);
    served = filesOfSize(700);
    expect((await verify()).code).toBe(0);
    expect(readFolder()).toEqual([name]);
    expect(readFileSync(join(seenFolder(), name), 'utf8')).toContain('\n700\n');
    // Many that find it at once take away no lock but that one.
    writeFileSync(lock, '');
    utimesSync(lock, 1, 1);
    served = filesOfSize(800);
    const all = await Promise.all(Array.from({ length: 4 }, () => verify()));
    expect(all.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    expect(readFolder()).toEqual([name]);
    expect(readFileSync(join(seenFolder(), name), 'utf8')).toContain('\n800\n');
  });

  it.each([
    ['a rollback', () => filesOfSize(200), 'was rolled back', 'rollback', 200],
    ['a fork at the same size', () => forked(300), 'The log forked', 'fork', undefined],
    ['a fork that has grown', () => forked(700), 'The log forked', 'fork', undefined],
  ])('shows %s, and both checkpoints are kept', async (_what, files, says, standing, index) => {
    await verify();
    const before = String(served['checkpoint']);
    served = files();
    const { code, out } = await verify();
    expect(code).toBe(1);
    expect(out).toContain(says);
    expect(out.includes('The first bad index is')).toBe(index !== undefined);
    const kept = readFolder().find((name) => name.endsWith('.json')) ?? '';
    expect(JSON.parse(readFileSync(join(seenFolder(), kept), 'utf8'))).toMatchObject({
      origin: 'audit.lab.example/sallyport',
      standing,
      target: url,
      seen: before,
      now: String(served['checkpoint']),
    });
    // What was seen stays: it is found again the next time.
    expect((await verify()).code).toBe(1);
    const told = JSON.parse((await verify(url, '--json')).out) as object;
    expect(told).toMatchObject({ status: 'tampered', standing, target: 'broker' });
    expect(told).toHaveProperty('conflict', join(seenFolder(), kept));
  });

  it('is held against a bundle, too, which may be of an earlier moment', async () => {
    await verify();
    const bundle = async (lines: Buffer[]): Promise<string> => {
      const path = join(cli.folder, 'evidence.tar');
      writeFileSync(path, await bundleOf(logOf(lines, key)));
      return path;
    };
    expect((await verify(await bundle(linesOf(200)))).code).toBe(0);
    expect((await verify(await bundle(linesOf(400)))).out).toContain('continues the checkpoint');
    for (const size of [300, 400]) {
      const path = await bundle(linesOf(size).with(10, sampleEntry(9_999)));
      expect(await verify(path)).toMatchObject({ code: 1, out: expect.stringContaining('forked') });
    }
  });

  it('by a key that does not count any more makes it incomplete: a fork would not show', async () => {
    await verify();
    const [name = ''] = readFolder();
    const next = newLogKey();
    const only = ['--key', next.verifierKey];
    const bundle = join(cli.folder, 'evidence.tar');
    writeFileSync(bundle, await bundleOf(logOf(linesOf(500), next)));
    for (const size of [200, 500]) {
      served = filesOf(logOf(linesOf(size), next));
      for (const target of [url, bundle]) {
        const { code, out } = await cli.run('audit', 'verify', target, ...only);
        expect(code).toBe(2);
        expect(out).toContain("If the log's key was replaced, give the history");
        expect(out).toContain(join(seenFolder(), name));
        const json = await cli.run('audit', 'verify', target, ...only, '--json');
        expect(JSON.parse(json.out)).toMatchObject({ status: 'incomplete' });
      }
      expect(readFileSync(join(seenFolder(), name), 'utf8')).toContain('\n300\n');
    }
    // Each key counts for its time alone, and without the history nobody knows for which.
    const both = await verify(url, '--key', next.verifierKey);
    expect([both.code, both.err]).toEqual([3, expect.stringContaining('--history')]);
    rmSync(join(seenFolder(), name));
    expect((await cli.run('audit', 'verify', url, ...only)).code).toBe(0);
  });

  it('of the history of its keys is damaged: that is said, and the log is checked', async () => {
    await verify();
    const [name = ''] = readFolder();
    const damaged = join(seenFolder(), `${name}.keys`);
    writeFileSync(damaged, '{');
    // What was kept of another log is not looked at.
    writeFileSync(join(seenFolder(), 'other.example.keys'), '{');
    const { code, err } = await verify();
    expect([code, err]).toEqual([0, expect.stringContaining(damaged)]);
    expect(err).not.toContain('other.example');
  });

  it('that cannot be kept is no verdict on the log', async () => {
    mkdirSync(join(cli.folder, 'home'), { recursive: true });
    writeFileSync(seenFolder(), 'a file where the folder should be');
    const { code, err } = await verify();
    expect(code).toBe(0);
    expect(err).toContain('Nothing was compared with what was seen before');
  });
});

describe('audit verify of a directory of tiles', () => {
  it('checks what a mirror has, and remembers it', async () => {
    const root = writeMirror('mirror', served);
    const { code, out } = await verify(root);
    expect(code).toBe(0);
    expect(out).toContain('SOUND: all 300 entries');
    // A copy may be of an earlier moment.
    const earlier = await verify(writeMirror('mirror', filesOfSize(100)));
    expect([earlier.code, earlier.err]).toEqual([
      0,
      expect.stringContaining('of an earlier moment'),
    ]);
    expect((await verify(writeMirror('mirror', filesOfSize(600)))).code).toBe(0);
  });

  it('without entries checks the hashes, and says so', async () => {
    const hashes = Object.entries(served).filter(([path]) => !path.includes('entries'));
    const { code, out } = await verify(writeMirror('hashes', Object.fromEntries(hashes)));
    expect(code).toBe(0);
    expect(out).toContain('entries not checked: the directory has none');
  });

  it('names a file that is missing, cut or too large, and is never a check that could not run', async () => {
    for (const path of Object.keys(served)) {
      const content = served[path] ?? Buffer.alloc(0);
      const isNote = path === 'checkpoint';
      const { [path]: _gone, ...rest } = served;
      const missing = await verify(writeMirror('less', rest));
      expect([path, missing.code, missing.out.includes(path)]).toEqual([path, 2, true]);
      const cut = await verify(writeMirror('less', { ...served, [path]: content.subarray(0, -1) }));
      expect([path, cut.code]).toEqual([path, isNote ? 1 : 2]);
      const more = Buffer.concat([content, Buffer.alloc(32)]);
      const wide = await verify(writeMirror('less', { ...served, [path]: more }));
      expect([path, wide.code]).toEqual([path, 1]);
    }
  });
});

describe('a pipe in place of a bundle', () => {
  it('cannot be read in any order, and it is said what to do', async () => {
    const pipe = join(cli.folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const { code, err } = await verify(pipe);
    expect(code).toBe(3);
    expect(err).toContain('save it to a file first');
  });
});

describe('audit verify of a broker of this version', () => {
  it('finds its log sound, and remembers it', async () => {
    const test = await startTestBroker();
    try {
      const { verifierKey } = test.broker.store;
      const check = () => cli.run('audit', 'verify', test.url, '--key', verifierKey);
      const first = await check();
      expect([first.code, first.err]).toEqual([0, '']);
      expect((await check()).out).toContain('continues the checkpoint of');
    } finally {
      await test.close();
    }
  });
});
