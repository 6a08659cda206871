import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { saveProfile } from '../../src/cli/profiles.ts';
import { cosign, formatWitnessKey } from '../../src/core/audit/cosignature.ts';
import { formatSignature, parseNote } from '../../src/core/audit/note.ts';
import { formatTlogProof } from '../../src/core/audit/tlog-proof.ts';
import { mintId } from '../../src/lib/ids.ts';
import { saveKeyFile } from '../../src/lib/key-file.ts';
import { bundleOf, logOf, newLogKey, sampleEntry } from '../audit/sample-log.ts';
import { makePeople, type People } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { SampleLog } from '../support/witnesses.ts';
import { newCli } from './run-cli.ts';

const cli = newCli();
const partner = new SampleLog('partner.example/log').growTo(21);
const lying = partner.fork(11).growTo(33, 'lie');

let test: TestBroker;
let people: People;

beforeAll(async () => {
  test = await startTestBroker({
    witnessed: [{ origin: partner.origin, verifierKeys: [partner.verifierKey] }],
  });
  people = await makePeople(test);
});
afterAll(async () => {
  await test.close();
  cli.remove();
});

const file = (name: string, content: string | Buffer): string => {
  const path = join(cli.folder, name);
  writeFileSync(path, content);
  return path;
};

/** Logs somebody in at the broker. */
function profile(name: 'admin' | 'auditor'): void {
  const { id, privateKey } = people[name];
  const key = join(cli.folder, `${name}.pem`);
  saveKeyFile(key, privateKey);
  saveProfile(cli.env, name, { url: test.url, issuer: test.url, person: id, key });
}

async function grow(count: number): Promise<string> {
  const at = test.broker.clock();
  for (let i = 0; i < count; i += 1) {
    await test.broker.store.write('recordEntry', {
      entry: { id: mintId('ent', at), kind: 'audit.read', at, actor: { system: 'broker' } },
    });
  }
  return (await test.broker.store.write('publishCheckpoint', { at })).note;
}

const compare = (...args: string[]) => cli.run('audit', 'compare', ...args);

describe('audit compare', () => {
  const [small, large] = [partner.checkpoint(7), partner.checkpoint(21)];
  const key = ['--key', partner.verifierKey];

  it('of two checkpoints of one size tells the same from a split view', async () => {
    const [one, other] = [file('one', large), file('other', lying.checkpoint(21))];
    expect(await compare(one, one, ...key)).toMatchObject({ code: 0 });
    const { code, out } = await compare(one, other, ...key);
    expect(code).toBe(1);
    expect(out).toContain('SPLIT VIEW: partner.example/log was shown in two versions.');
    const asJson = await compare(one, other, ...key, '--json');
    expect(JSON.parse(asJson.out)).toMatchObject({ verdict: 'split', sizes: [21, 21] });
  });

  it('of two sizes says what it takes', async () => {
    const found = await compare(file('small', small), file('large', large), ...key);
    expect(found).toMatchObject({ code: 2 });
    expect(found.out).toContain('Give --bundle or --url.');
  });

  it('could not run where a checkpoint is not one, or not by that key', async () => {
    const stranger = new SampleLog(partner.origin).verifierKey;
    const path = file('small', small);
    expect((await compare(path, path, '--key', stranger)).code).toBe(3);
    expect((await compare(file('none', 'nonsense'), path, ...key)).code).toBe(3);
    expect((await compare(path, path)).code).toBe(3);
    expect((await compare(join(cli.folder, 'nowhere'), path, ...key)).code).toBe(3);
  });

  it('takes the hashes from a bundle, by which it finds that a log did not only grow', async () => {
    const keyOfLog = newLogKey();
    const entries = Array.from({ length: 300 }, (_, i) => sampleEntry(i));
    const full = logOf(entries, keyOfLog);
    const bundle = file('full.tar', await bundleOf(full));
    const honest = file('h', logOf(entries.slice(0, 200), keyOfLog).checkpoint);
    const other = file('o', logOf([...entries.slice(1, 200), sampleEntry(0)], keyOfLog).checkpoint);
    const now = file('n', full.checkpoint);
    const more = ['--key', keyOfLog.verifierKey, '--bundle', bundle];
    expect(await compare(honest, now, ...more)).toMatchObject({ code: 0 });
    expect(await compare(other, now, ...more)).toMatchObject({ code: 1 });
  });

  it('holds a checkpoint or a receipt against the running broker, which is handed it', async () => {
    const keyOfLog = test.broker.store.verifierKey;
    const seen = await grow(3);
    await grow(300);
    const more = ['--key', keyOfLog, '--url', test.url];
    const { code, out } = await compare(file('seen', seen), ...more);
    expect([code, out]).toEqual([0, expect.stringContaining('CONSISTENT')]);
    const receipt = file('r.tlog-proof', formatTlogProof(0, [], seen));
    expect(await compare(receipt, ...more)).toMatchObject({ code: 0 });
  });
});

describe('audit split-views', () => {
  it('shows what was found, and saves it so that it can be checked offline', async () => {
    profile('auditor');
    const add = (body: string) =>
      fetch(`${test.url}/witness/add-checkpoint`, { method: 'POST', body });
    expect((await add(partner.asking(0, 21))).status).toBe(200);
    expect((await add(lying.asking(21, 33))).status).toBe(422);
    const folder = join(cli.folder, 'proofs');
    const { code, out } = await cli.run('audit', 'split-views', '--save', folder);
    expect(code).toBe(0);
    expect(out).toMatch(/partner\.example\/log +proven +21 and 33/);
    const [name = ''] = readdirSync(folder);
    const path = join(folder, name);
    expect(await compare(path, '--key', partner.verifierKey)).toMatchObject({ code: 1 });
    const other = new SampleLog(partner.origin).verifierKey;
    expect(await compare(path, '--key', other)).toMatchObject({ code: 3 });
  });
});

describe('audit verify with witnesses', () => {
  const keyOfLog = newLogKey();
  const log = logOf(
    Array.from({ length: 5 }, (_, i) => sampleEntry(i)),
    keyOfLog,
  );
  const newWitness = (name: string) => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const { text } = parseNote(log.checkpoint);
    return {
      privateKey,
      key: formatWitnessKey(name, privateKey),
      line: formatSignature(cosign(name, privateKey, text, 1_700_000_000)),
      wrong: formatSignature(cosign(name, privateKey, `${text}x`, 1_700_000_000)),
    };
  };
  const [a, b] = [newWitness('a'), newWitness('b')];
  const twins = [newWitness('twin'), newWitness('twin')] as const;

  async function verify(lines: string, ...more: string[]) {
    const bundle = await bundleOf({ ...log, checkpoint: log.checkpoint + lines });
    const path = file('w.tar', bundle);
    return cli.run('audit', 'verify', path, '--key', keyOfLog.verifierKey, ...more);
  }

  it('says who signed, and asks for as many as are needed', async () => {
    const both = ['--witness', a.key, '--witness', b.key];
    const one = await verify(a.line, ...both, '--witnesses-needed', '1');
    expect(one).toMatchObject({ code: 0 });
    expect(one.out).toContain('cosigned by a (2023-11-14T22:13:20.000Z)');
    const two = await verify(a.line, ...both);
    expect(two).toMatchObject({ code: 2 });
    expect(two.out).toContain('Too few witnesses have cosigned');
    expect(await verify(a.line + b.line, ...both)).toMatchObject({ code: 0 });
    expect(await verify(a.line)).toMatchObject({ code: 0 });
  });

  it('names a cosignature that is forged', async () => {
    const { code, out } = await verify(a.wrong, '--witness', a.key);
    expect(code).toBe(1);
    expect(out).toContain('in the name of a that is not theirs');
  });

  it('counts no witness twice, and tells two of one name apart', async () => {
    const [first, second] = twins;
    const twice = await verify(a.line, '--witness', a.key, '--witness', a.key);
    expect(twice).toMatchObject({ code: 3 });
    expect(twice.err).toContain('it would count twice');
    const renamed = formatWitnessKey('b', a.privateKey);
    const both = ['--witness', a.key, '--witness', renamed];
    expect(await verify(a.line, ...both, '--witnesses-needed', '2')).toMatchObject({ code: 3 });
    const two = ['--witness', first.key, '--witness', second.key];
    expect(await verify(first.line, ...two)).toMatchObject({ code: 2 });
    expect(await verify(first.line + second.line, ...two)).toMatchObject({ code: 0 });
  });

  it('goes by a policy in a file', async () => {
    const policy = file(
      'p',
      `witness one ${a.key}\nwitness two ${b.key}\ngroup g any one two\nquorum g\n`,
    );
    expect(await verify(b.line, '--policy', policy)).toMatchObject({ code: 0 });
    expect(await verify('', '--policy', policy)).toMatchObject({ code: 2 });
    expect(await verify('', '--policy', file('q', 'quorum x'))).toMatchObject({ code: 3 });
    expect(await verify('', '--witnesses-needed', '1')).toMatchObject({ code: 3 });
    expect(await verify('', '--witness', keyOfLog.verifierKey)).toMatchObject({ code: 3 });
  });
});

describe('the keys of a broker', () => {
  it('are printed; and a new one takes over when an admin says so', async () => {
    profile('admin');
    const url = ['--url', test.url];
    const witness = await cli.run('audit', 'key', '--witness', ...url);
    expect(witness.out.trim()).toBe(test.broker.witness.key.verifierKey);
    const old = test.broker.store.verifierKey;
    expect((await cli.run('audit', 'rotate-key', '--profile', 'admin')).code).not.toBe(0);
    const made = await cli.run('audit', 'rotate-key', '--profile', 'admin', '--yes');
    expect(made).toMatchObject({ code: 0, out: `${test.broker.store.verifierKey}\n` });
    const history = await cli.run('audit', 'key', '--history', ...url);
    expect(history.out.split('\n').map((line) => line.split('  ')[0])).toEqual([
      old,
      made.out.trim(),
      '',
    ]);
    const shown = await cli.run('audit', 'witnesses', ...url);
    expect(shown).toMatchObject({ code: 0 });
    expect(shown.out).toContain('No checkpoint counts as witnessed.');
    const policy = await cli.run('audit', 'witnesses', '--policy', ...url);
    expect(policy).toMatchObject({ code: 2, out: '' });
    expect(policy.err).toContain('This log has no witnesses');
  });
});
