/** The commands for incidents, against a real broker: from awareness to the report that is checked offline. */
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { saveProfile } from '../../src/cli/profiles.ts';
import { saveKeyFile } from '../../src/lib/key-file.ts';
import { makePeople } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { SENTENCE, newCli } from './run-cli.ts';

let test: TestBroker;
const cli = newCli();
const file = (name: string, text: string): string => {
  const path = join(cli.folder, name);
  writeFileSync(path, text);
  return path;
};

beforeAll(async () => {
  test = await startTestBroker();
  const people = await makePeople(test);
  for (const name of ['safety', 'admin', 'auditor', 'lead'] as const) {
    const key = join(cli.folder, `${name}.pem`);
    saveKeyFile(key, people[name].privateKey);
    const { url } = test;
    saveProfile(cli.env, name, { url, issuer: url, person: people[name].id, key });
  }
});
afterAll(async () => {
  await test?.close();
  cli.remove();
});

const as = async (who: string, ...args: string[]): Promise<string> => {
  const { code, out, err } = await cli.run('incident', ...args, '--profile', who);
  if (code !== 0) throw new Error(`"${args.join(' ')}" ended with ${code}: ${err}`);
  return out;
};

const AWARE = new Date(Date.now() - 3 * 86_400_000).toISOString();

const openOne = async (...more: string[]): Promise<string> => {
  const shown = await as('safety', 'open', '--title', 'Names in\u001b[2J answers', ...more);
  return /^id +(inc_\w+)$/m.exec(shown)?.[1] ?? '';
};

describe('incident …', () => {
  it('goes from awareness to the report that anybody can check', async () => {
    const grounds = ['--grounds', 'A finding', '--profile', 'safety'];
    const issue = ['order', 'issue', '--yes', '--level', 'notice', '--all'];
    const order = await cli.json<{ id: string }>(...issue, ...grounds);
    const links = ['--order', order.id, '--entry', '0'];
    const harms = ['--harm', 'death', '--harm', 'cybersecurity', '--aware', AWARE];
    const what = ['--description', `@${file('what.txt', 'Seen\nin run 12')}`];
    const id = await openOne(...harms, ...links, ...what);
    const shown = await as('auditor', 'show', id);
    expect(shown).toMatch(/^harms +death \(10d\), cybersecurity \(5d\)$/m);
    expect(shown).toMatch(/^initial +\S+Z +- +open$/m);
    expect(shown).toContain('  | in run 12');
    expect(shown).toContain(order.id);
    expect(shown).not.toContain('\u001b');

    const runs = file('runs.jsonl', '{}\n');
    const digest = createHash('sha256').update(readFileSync(runs)).digest('hex');
    const text = ['--text', 'Seen again', '--evidence', 'reproduced', '--digest-of', runs];
    expect(await as('admin', 'find', id, ...text)).toContain(`Finding 1: reproduced, ${digest}`);
    await as('admin', 'correct', id, '--title', 'Names', '--grounds', 'Shorter');
    await as('admin', 'link', id, '--entry', '1', '--comment', 'Same day');
    const off = await as('admin', 'unlink', id, '--entry', '1', '--grounds', 'Another matter');
    expect(off).toMatch(/^entry 1 .*Same day .*Another matter$/m);
    const report = (kind: string): Promise<string> =>
      as('admin', 'report', id, '--kind', kind, '--text', 'Known', '--to', 'The authority');
    expect(await report('initial')).toMatch(/^initial +\S+Z +\S+Z +in time$/m);
    await as('admin', 'resolve', id, '--text', 'Mended');
    await as('admin', 'reopen', id, '--grounds', 'Seen again');
    await as('admin', 'resolve', id, '--text', 'Mended for good');
    expect(await report('final')).toMatch(/^state +closed$/m);

    const out = join(cli.folder, 'incident.tar');
    expect(await as('auditor', 'export', id, '--out', out)).toContain(`Wrote ${out}`);
    expect(statSync(out).mode & 0o777).toBe(0o600);
    const key = ['--key', test.broker.store.verifierKey];
    const verified = await cli.run('audit', 'verify', out, ...key);
    expect([verified.code, verified.err]).toEqual([0, '']);
    expect(verified.out).toContain(`SOUND: the report on ${id} as it was handed out`);
    const trusting = await cli.run('audit', 'verify', out, '--trust-key-in-bundle');
    expect(trusting.code).toBe(0);

    const bytes = readFileSync(out);
    bytes.writeUInt8(bytes.readUInt8(bytes.indexOf('Mended')) ^ 1, bytes.indexOf('Mended'));
    writeFileSync(out, bytes);
    const changed = await cli.run('audit', 'verify', out, ...key);
    expect(changed.code).toBe(1);
    expect(changed.out).toContain('report.md was changed after the report was made.');
    expect((await cli.run('incident', 'export', id, '--out', out)).err).toContain(
      'never overwritten',
    );
  });

  it('lists by state and by what is overdue', async () => {
    const late = await openOne('--harm', 'critical_infrastructure', '--aware', AWARE);
    const soon = await openOne('--harm', 'death', '--aware', AWARE);
    const overdue = await as('auditor', 'list', '--overdue');
    expect(overdue).toContain(late);
    expect(overdue).not.toContain(soon);
    expect(await as('auditor', 'list', '--state', 'open')).toContain(soon);
    expect(await as('auditor', 'list', '--state', 'closed')).not.toContain(soon);
  });

  it.each([
    ['neither order nor entry', `link inc_${'0'.repeat(26)}`, 2],
    [
      'a file that is not there',
      `find inc_${'0'.repeat(26)} --text x --evidence written --digest-of /nowhere/at/all`,
      2,
    ],
    ['a kind of harm that there is not', 'open --title x --harm hurt', 1],
  ])('refuses %s, and says what to do', async (_name, args, code) => {
    const ended = await cli.run('incident', ...args.split(' '), '--profile', 'safety');
    expect(ended.err).toMatch(SENTENCE);
    expect(ended.code).toBe(code);
  });

  it('is not for partners', async () => {
    const { code, err } = await cli.run('incident', 'list', '--profile', 'lead');
    expect(code).not.toBe(0);
    expect(err).toContain('admin or safety or executive or auditor of the host lab');
  });
});
