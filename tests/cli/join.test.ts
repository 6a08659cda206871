/** Invitations and joining, by command against a real broker. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { readProfiles } from '../../src/cli/profiles.ts';
import { makeActiveGrant } from '../support/grants.ts';
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

describe('sallyport person invite', () => {
  it('prints the command with the link, and what to do with it', async () => {
    const args = ['--lab', joining.people.partner.id, '--name', 'Nia New', '--role', 'researcher'];
    const { code, out, err } = await lead.run('person', 'invite', ...args, '--expires', '1d');
    expect(code).toBe(0);
    const [, id = ''] = /^Invited Nia New as researcher \((inv_\w{26})\)\.\n/.exec(out) ?? [];
    expect(out).toContain(`\n${joining.test.url}/join#${id}.`);
    expect(err).toContain('They run "npx sallyport join" in a checkout of Sallyport');
    expect(err).toContain('It works once, until ');
    expect(err).toContain(`sallyport person uninvite ${id}`);

    expect((await lead.run('person', 'invitations', '--open')).out).toMatch(
      new RegExp(`${id} .*Nia New.*open`),
    );
    expect((await lead.run('person', 'uninvite', id)).out).toBe(
      `Withdrew the invitation of Nia New (${id}).\n`,
    );
    expect((await lead.run('person', 'invitations', '--open')).out).not.toContain(id);
    expect((await lead.run('person', 'invitations')).out).toMatch(new RegExp(`${id}.*withdrawn`));
  });

  it.each([
    ['--expires', '15d', 'It has the form 72h or 3d, from 1h to 336h.'],
    ['--until', 'tomorrow', 'It is a moment such as 2027-01-31T12:00:00Z.'],
  ])('refuses %s %s before anything is sent', async (option, value, why) => {
    const args = ['--lab', joining.people.partner.id, '--name', 'N', '--role', 'researcher'];
    const { code, err } = await lead.run('person', 'invite', ...args, option, value);
    expect(code).toBe(2);
    expect(err).toContain(why);
  });
});

describe('sallyport join', () => {
  it('makes a key, registers it, accepts the terms and says what is next', async () => {
    const { link, id } = await joining.invite('--grant', joining.grant.id);
    const cli = joining.newMachine();
    const { code, out, err } = await cli.run('join', link, '--yes');
    expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^invited by +Lee Lead$/m);
    expect(out).toMatch(/^to the broker of +Host Lab$/m);
    expect(out).toContain('  | Results stay between the two labs.');
    expect(out).toMatch(/You are New \d+ \(per_\w+\), researcher at Partner Lab\.\n$/);
    expect(err).toContain(
      `Next: sallyport connect --grant ${joining.grant.id} --purpose hallucination`,
    );
    expect(out + err).not.toContain(link);

    const profile = profileOf(cli);
    expect(keysOf(cli)).toEqual([profile.key]);
    expect(profile.key).toContain(id.slice(-8));
    expect(statSync(profile.key).mode & 0o777).toBe(0o600);
    expect(readFileSync(profile.key, 'utf8')).toContain('PRIVATE KEY');
    expect((await cli.run('whoami')).out).toContain(profile.person);
    const args = ['--grant', joining.grant.id, '--purpose', 'scheming', '--run', 'r1'];
    expect((await cli.run('token', 'create', ...args)).out).toMatch(/^eyJ/);

    const shown = (await lead.run('grant', 'show', joining.grant.id)).out;
    expect(shown).toMatch(new RegExp(`^joined +New \\d+ \\(${profile.person}\\)$`, 'm'));
    expect(shown).toMatch(/^roster +at most 50 people: the lead invites them; 3 places taken$/m);
  });

  it('says who sets what the grant requires and is not known', async () => {
    const requires = [{ name: 'export_status' }];
    const { test, people } = joining;
    const { id } = await makeActiveGrant(test, people, { maxPeople: 5, requires });
    const { link } = await joining.invite('--grant', id);
    const cli = joining.newMachine();
    const { code, err } = await cli.run('join', link, '--yes');
    expect(code).toBe(0);
    const { person } = profileOf(cli);
    expect(err).toContain('not known of you: export_status.');
    expect(err).toContain(`sallyport person set-attributes ${person} --set export_status=…\n`);
  });

  it('before a grant is in force says how to accept it later', async () => {
    const file = join(lead.folder, 'grant.yaml');
    const places = [
      '--lab',
      joining.people.partner.id,
      '--endpoint',
      'demo',
      '--model',
      'model-a-1',
    ];
    const template = await lead.run('grant', 'template', ...places, '--max-people', '2');
    expect(template.out).toContain('\npeople: []\n');
    writeFileSync(file, template.out);
    const draft = await lead.json<{ id: string }>('grant', 'apply', '--file', file, '--yes');
    const { link } = await joining.invite('--grant', draft.id);
    const cli = joining.newMachine();
    const { code, err } = await cli.run('join', link, '--yes');
    expect(code).toBe(0);
    expect(err).toContain(`Once it is: sallyport grant accept ${draft.id} --profile default\n`);
  });

  it('takes a key that there is already, and leaves it where it is', async () => {
    const cli = joining.newMachine();
    const key = join(cli.folder, 'mine.pem');
    await cli.json('person', 'keygen', '--out', key);
    const before = readFileSync(key);
    const { link } = await joining.invite();
    const joined = await cli.json<{ profile: string; key: string }>(
      'join',
      link,
      '--yes',
      '--key',
      key,
      '--profile',
      'lab',
    );
    expect(joined).toMatchObject({ profile: 'lab', key });
    expect(readFileSync(key)).toEqual(before);
    expect(keysOf(cli)).toEqual([]);

    // The same key cannot be somebody else, too; it stays all the same.
    const second = await joining.invite();
    const refused = await cli.run('join', second.link, '--yes', '--key', key, '--profile', 'two');
    expect(refused.code).toBe(1);
    expect(refused.err).toContain('(already_exists)');
    expect(readFileSync(key)).toEqual(before);
  });

  it.each([[], ['-']])('takes the link from standard input (%s)', async (...dash) => {
    const { link } = await joining.invite();
    const cli = joining.newMachine({ input: () => Promise.resolve(`${link}\n`) });
    const { code, out, err } = await cli.run('join', ...dash, '--yes');
    expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' });
    expect(out + err).not.toContain(link);
    const nothing = await joining.newMachine().run('join', ...dash, '--yes');
    expect(nothing).toMatchObject({ code: 2, err: expect.stringMatching(SENTENCE) as string });
  });

  it.each([[], ['-']])(
    'asks for the link at a terminal, where it does not show (%s)',
    async (...dash) => {
      const { link } = await joining.invite();
      const asked: string[] = [];
      const cli = joining.newMachine({
        interactive: true,
        secret: async (question) => {
          asked.push(question);
          return link;
        },
        confirm: async () => true,
      });
      expect((await cli.run('join', ...dash)).code).toBe(0);
      expect(asked).toEqual(['Paste the link that you were sent.']);
    },
  );

  it('asks, and does nothing without a yes', async () => {
    const { link } = await joining.invite('--grant', joining.grant.id);
    const questions: string[] = [];
    const no = joining.newMachine({
      interactive: true,
      confirm: async (question) => {
        questions.push(question);
        return false;
      },
    });
    const refused = await no.run('join', link);
    expect(questions).toEqual([expect.stringMatching(/^Are you New \d+, and do you accept/)]);
    expect(refused).toMatchObject({ code: 1, err: expect.stringMatching(SENTENCE) as string });
    expect(keysOf(no)).toEqual([]);

    const nobody = joining.newMachine();
    const { code, err } = await nobody.run('join', link);
    expect(code).toBe(2);
    expect(err).toContain('Add --yes');
    expect(err).not.toContain(link);
    expect(keysOf(nobody)).toEqual([]);

    const yes = joining.newMachine({ interactive: true, confirm: async () => true });
    expect((await yes.run('join', link)).code).toBe(0);
  });

  it.each([
    ['the page without what follows it', (link: string) => link.slice(0, link.indexOf('#'))],
    ['a part of the secret', (link: string) => link.slice(0, -1)],
    ['another page', (link: string) => link.replace('/join#', '/#')],
    ['a connection in the clear', (link: string) => link.replace('127.0.0.1', 'lab.example')],
    ['nonsense', () => 'nonsense'],
  ])('does not take %s for a link, and does not repeat it', async (_name, change) => {
    const { link } = await joining.invite();
    const cli = joining.newMachine();
    const { code, out, err } = await cli.run('join', change(link), '--yes');
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(SENTENCE);
    const secret = link.slice(link.indexOf('.', link.indexOf('#')) + 1, -1);
    expect(err).not.toContain(secret);
    expect(keysOf(cli)).toEqual([]);
  });

  it('does not put another person in place of a profile', async () => {
    const { link } = await joining.invite();
    const { code, err } = await lead.run('join', link, '--yes');
    expect(code).toBe(2);
    expect(err).toContain('You have a profile "default" already.');
    expect((await lead.run('join', 'mangled', '--yes')).err).toContain('the whole link');
    expect((await joining.newMachine().run('join', link, '--yes')).code).toBe(0);
  });

  it('takes the key away again when the broker refuses', async () => {
    const { link, id } = await joining.invite();
    const cli = joining.newMachine({
      interactive: true,
      // Withdrawn while the person reads.
      confirm: async () => (await lead.run('person', 'uninvite', id)).code === 0,
    });
    const { code, err } = await cli.run('join', link);
    expect(code).toBe(1);
    expect(err).toContain('(invitation_not_valid)');
    expect(keysOf(cli)).toEqual([]);
    expect(readProfiles(cli.env).profiles).toEqual({});
  });

  it('keeps the key when the answer is lost, and says how to go on', async () => {
    const { link } = await joining.invite();
    const cli = joining.newMachine();
    loseAnswer('POST', /\/join$/);
    const lost = await cli.run('join', link, '--yes');
    expect(lost.code).toBe(3);
    const [key = ''] = keysOf(cli);
    expect(lost.err).toContain(`your key is kept in ${key}.`);
    expect(lost.err).toContain('Run the same command again.');

    const again = await cli.run('join', link, '--yes');
    expect(again.err).toContain('(invitation_not_valid)');
    expect(again.err).toMatch(SENTENCE);
    const goOn = `sallyport login --url ${joining.test.url} --person per_… --key '${key}'`;
    expect(again.err).toContain(`then run "${goOn}".`);
    // On a machine without the key there is nothing to go on with.
    const elsewhere = await joining.newMachine().run('join', link, '--yes');
    expect(elsewhere.err).toMatch(/\(invitation_not_valid\)\.\n$/);
    const { items } = await lead.json<{ items: { joinedAs: string | null }[] }>(
      'person',
      'invitations',
    );
    const person = items[0]?.joinedAs ?? '';
    const login = ['login', '--url', joining.test.url, '--person', person, '--key', key];
    expect((await cli.run(...login)).code).toBe(0);
  });

  it('goes on with the key that it made when the request was lost', async () => {
    const { link } = await joining.invite();
    const cli = joining.newMachine();
    loseRequests('POST', /\/join$/);
    expect((await cli.run('join', link, '--yes')).code).toBe(3);
    const keys = keysOf(cli);
    expect(keys).toHaveLength(1);
    vi.restoreAllMocks();
    expect((await cli.run('join', link, '--yes')).code).toBe(0);
    expect(keysOf(cli)).toEqual(keys);
    expect(profileOf(cli).key).toBe(keys[0]);
  });
});
