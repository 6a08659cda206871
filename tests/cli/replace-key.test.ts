/** Replacing and removing keys, by command against a real broker. */
import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { getToken } from '../support/people.ts';
import { Joining, keysOf, loseAnswer, loseRequests, profileOf } from './joining.ts';
import { SENTENCE, type Cli } from './run-cli.ts';

let joining: Joining;
/** The lead's machine. */
let lead: Cli;
beforeAll(async () => {
  joining = await Joining.start();
  ({ lead } = joining);
});
afterEach(() => void vi.restoreAllMocks());
afterAll(() => joining.close());

describe('sallyport person replace-key', () => {
  /** Somebody who joined: their machine, and a token that they hold. */
  async function joined(): Promise<{ cli: Cli; person: string; oldKey: string; token: string }> {
    const { link } = await joining.invite('--grant', joining.grant.id);
    const cli = joining.newMachine();
    await cli.json('join', link, '--yes');
    const { person, key: oldKey } = profileOf(cli);
    const args = ['--grant', joining.grant.id, '--purpose', 'scheming', '--run', 'r1'];
    const token = (await cli.run('token', 'create', ...args)).out.trim();
    return { cli, person, oldKey, token };
  }

  const kidsOf = async (person: string): Promise<number> =>
    (await lead.json<{ keys: unknown[] }>('person', 'show', person)).keys.length;

  it('makes a new key, switches to it and ends what the old one obtained', async () => {
    const { cli, person, oldKey, token } = await joined();
    const { code, out, err } = await cli.run('person', 'replace-key');
    expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' });
    const { key } = profileOf(cli);
    expect(out).toContain(`has the new key ${key}; the old one is removed.`);
    expect(key).not.toBe(oldKey);
    expect(publicHalf(key)).not.toBe(publicHalf(oldKey));
    expect(await kidsOf(person)).toBe(1);
    expect((await cli.run('whoami')).code).toBe(0);
    const withOld = ['--url', joining.test.url, '--person', person, '--key', oldKey];
    expect((await cli.run('whoami', ...withOld)).err).toContain('(invalid_client)');
    expect(await statusWith(token)).toBe(401);
    expect(profileOf(cli)).not.toHaveProperty('replaces');
  });

  it.each<[string, number, string, RegExp, number]>([
    ['made the new key', 1, 'GET', /\/people\/per_\w+$/, 0],
    ['registered the new key', 2, 'POST', /\/keys$/, 0],
    ['tried the new key', 2, 'GET', /\/people\/per_\w+$/, 1],
  ])('interrupted after it %s, goes on with that key', async (_name, kids, ...lost) => {
    const { cli, person, oldKey } = await joined();
    loseAnswer(...lost);
    expect((await cli.run('person', 'replace-key')).code).toBe(3);
    vi.restoreAllMocks();
    expect(profileOf(cli).key).toBe(oldKey);
    expect((await cli.run('whoami')).code).toBe(0);
    expect(await kidsOf(person)).toBe(kids);
    const keys = keysOf(cli);
    expect((await cli.run('person', 'replace-key')).code).toBe(0);
    expect(keysOf(cli)).toEqual(keys);
    expect(await kidsOf(person)).toBe(1);
    expect((await cli.run('whoami')).code).toBe(0);
  });

  it.each<[string, number, () => void]>([
    ['before it removed the old key', 2, () => loseRequests('DELETE', /\/keys\//, 'ECONNRESET')],
    ['after it removed the old key', 1, () => loseAnswer('DELETE', /\/keys\//)],
  ])('interrupted %s, says what works, and makes no third key', async (_name, kids, lose) => {
    const { cli, person, oldKey, token } = await joined();
    lose();
    const { code, err } = await cli.run('person', 'replace-key');
    vi.restoreAllMocks();
    expect(code).toBe(3);
    const { key, replaces } = profileOf(cli);
    expect(err).toContain(`The new key ${key} is in use, but the old one still works, as far as`);
    expect(err).toMatch(SENTENCE);
    expect(replaces).toHaveLength(43);
    expect((await cli.run('whoami')).code).toBe(0);
    const withOld = ['--url', joining.test.url, '--person', person, '--key', oldKey];
    expect((await cli.run('whoami', ...withOld)).code).toBe(kids === 2 ? 0 : 1);
    expect(await kidsOf(person)).toBe(kids);
    const keys = keysOf(cli);

    const [, again = ''] =
      /run "sallyport (person replace-key --profile \w+)" again/.exec(err) ?? [];
    const ended = await cli.run(...again.split(' '));
    expect(ended.code).toBe(0);
    expect(ended.out).toContain(`has the new key ${key}; the old one is removed.`);
    expect(ended.err).toContain('no other key was made');
    expect(await kidsOf(person)).toBe(1);
    expect(keysOf(cli)).toEqual(keys);
    expect(profileOf(cli)).not.toHaveProperty('replaces');
    expect(await statusWith(token)).toBe(401);
    expect((await cli.run('whoami')).code).toBe(0);
  });

  it('tells of a key that somebody else may have added', async () => {
    const { cli, person } = await joined();
    const other = join(cli.folder, 'other.pem');
    await cli.json('person', 'keygen', '--out', other);
    await cli.json('person', 'add-key', person, '--public-key', `${other}.pub.json`);
    const { code, err } = await cli.run('person', 'replace-key');
    expect(code).toBe(0);
    const [, command = ''] = /sallyport (person remove-key per_\w+ .*\S)/.exec(err) ?? [];
    expect((await cli.run(...command.split(' '))).code).toBe(0);
    expect(await kidsOf(person)).toBe(1);
  });

  it('takes the new key away again when the broker refuses it', async () => {
    const { cli, person } = await joined();
    for (let i = 0; i < 7; i += 1) {
      const key = join(cli.folder, `more-${i}.pem`);
      await cli.json('person', 'keygen', '--out', key);
      await cli.json('person', 'add-key', person, '--public-key', `${key}.pub.json`);
    }
    const keys = keysOf(cli);
    const { code, err } = await cli.run('person', 'replace-key');
    expect(code).toBe(1);
    expect(err).toContain('at most 8 keys');
    expect(keysOf(cli)).toEqual(keys);
  });

  it('does not take the old key for a new one', async () => {
    const { cli, oldKey } = await joined();
    const { code, err } = await cli.run('person', 'replace-key', '--key', oldKey);
    expect(code).toBe(2);
    expect(err).toContain('the profile has already');
  });

  it('the lead of the lab removes a key that was lost; nobody but the person adds one', async () => {
    const { cli, person } = await joined();
    const { keys } = await lead.json<{ keys: { kid: string }[] }>('person', 'show', person);
    const kid = keys[0]?.kid ?? '';
    expect((await lead.run('person', 'remove-key', person, kid)).code).toBe(0);
    expect((await cli.run('whoami')).err).toContain('(invalid_client)');
    const other = join(lead.folder, 'other.pem');
    await lead.json('person', 'keygen', '--out', other);
    const add = ['person', 'add-key', person, '--public-key', `${other}.pub.json`];
    expect((await lead.run(...add)).err).toContain('(not_found)');
    await expect(getToken(joining.test, joining.people.lead)).resolves.toMatch(/^eyJ/);
  });
});

/** What the gateway answers with a token. */
async function statusWith(token: string): Promise<number> {
  const headers = { authorization: `Bearer ${token}` };
  return (await fetch(`${joining.test.url}/v1/models`, { headers })).status;
}

function publicHalf(path: string): string {
  const key = createPublicKey(readFileSync(path, 'utf8'));
  return key.export({ type: 'spki', format: 'pem' }).toString();
}
