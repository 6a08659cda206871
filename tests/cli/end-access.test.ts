/** The commands that list and end tokens, runs and access, against a real broker. */
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { saveProfile } from '../../src/cli/profiles.ts';
import type { Grant } from '../../src/core/grants.ts';
import { saveKeyFile } from '../../src/lib/key-file.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { getToken, makePeople, type People, type TestPerson } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { SENTENCE, newCli } from './run-cli.ts';

let test: TestBroker;
let people: People;
let grant: Grant;

/** What somebody at the terminal was asked, and what they answer. */
const asked: string[] = [];
let answer = true;

const script = newCli();
const terminal = newCli({
  interactive: true,
  confirm: (question) => {
    asked.push(question);
    return Promise.resolve(answer);
  },
});

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
  for (const cli of [script, terminal]) {
    for (const name of ['lead', 'researcher', 'safety', 'otherLead'] as const) {
      const key = join(cli.folder, `${name}.pem`);
      saveKeyFile(key, people[name].privateKey);
      const { url } = test;
      saveProfile(cli.env, name, { url, issuer: url, person: people[name].id, key });
    }
  }
});
beforeEach(async () => {
  asked.length = 0;
  answer = true;
  grant = await makeActiveGrant(test, people);
  await take(people.researcher, 'pilot');
  await take(people.lead, 'pilot');
});
afterAll(async () => {
  await test?.close();
  script.remove();
  terminal.remove();
});

const take = (person: TestPerson, run: string): Promise<string> =>
  getToken(test, person, { grant: grant.id, purpose: 'scheming', run });

/** Runs a command that has to succeed; returns what it printed. */
async function as(who: string, ...args: string[]): Promise<string> {
  const { code, out, err } = await terminal.run(...args, '--profile', who);
  if (code !== 0) throw new Error(`"${args.join(' ')}" ended with ${code}: ${err}`);
  return out;
}

const runId = async (): Promise<string> =>
  /^run_\w+/m.exec(await as('lead', 'run', 'list', '--grant', grant.id))?.[0] ?? '';

const live = (): Promise<string> => as('lead', 'token', 'list', '--live', '--grant', grant.id);

describe('token list', () => {
  it('shows the last use and whether a token is bound, and takes a run and a key', async () => {
    const list = await live();
    expect(list).toMatch(/^ID +PERSON +GRANT +PURPOSE +RUN +UNTIL +REVOKED +LAST USE +BOUND$/m);
    expect(list).toMatch(/^tok_\w+ .* pilot .* - +- +no$/m);
    const run = await runId();
    const narrowed = ['--run', run, '--kid', people.lead.kid, '--lab', people.partner.id];
    const rows = (await as('lead', 'token', 'list', ...narrowed)).trim().split('\n');
    expect(rows).toHaveLength(2);
    expect(rows[1]).toContain(people.lead.id);
  });

  it('is of the gateway, and with --control of the control API, too', async () => {
    await as('lead', 'whoami');
    const own = ['token', 'list', '--live', '--of', people.lead.id];
    expect(await as('lead', ...own)).not.toContain('control API');
    const all = await as('lead', ...own, '--control');
    expect(all).toContain('control API');
    expect(all).toContain(grant.id);
  });
});

describe('token revoke', () => {
  it('of a selection says how many tokens match, asks, and ends them', async () => {
    const selection = ['token', 'revoke', '--grant', grant.id, '--of', people.researcher.id];
    expect(await as('safety', ...selection)).toBe('1 live token ended, 0 running requests cut.\n');
    expect(asked).toEqual([
      '1 live token that you can see match: 1 of the gateway and 0 of the control API. End those that you may end?',
    ]);
    const rest = await live();
    expect(rest).not.toContain(people.researcher.id);
    expect(rest).toContain(people.lead.id);
  });

  it('says how many of them are of the control API', async () => {
    answer = false;
    await as('researcher', 'whoami');
    const selection = ['token', 'revoke', '--of', people.researcher.id, '--profile', 'safety'];
    expect((await terminal.run(...selection)).code).toBe(1);
    expect(asked[0]).toMatch(/: \d+ of the gateway and [1-9]\d* of the control API\. End/);
  });

  it('changes nothing where the answer is no, and asks nobody with --yes', async () => {
    answer = false;
    const selection = ['token', 'revoke', '--run', await runId(), '--profile', 'lead'];
    const { code, err } = await terminal.run(...selection);
    expect([code, err]).toEqual([1, 'sallyport: Nothing was changed.\n']);
    expect(await live()).toContain(people.researcher.id);
    const done = await script.json('token', 'revoke', '--yes', ...selection.slice(2));
    expect(done).toEqual({ ended: 2, cut: 0, warning: null });
    expect(asked).toHaveLength(1);
  });

  it('that matches nothing says so last, so that nobody takes it for an end', async () => {
    const selection = ['--grant', `grt_${'0'.repeat(26)}`, '--profile', 'safety'];
    const { code, out, err } = await terminal.run('token', 'revoke', ...selection, '--yes');
    expect(out).toBe('0 live tokens ended, 0 running requests cut.\n');
    expect(err).toContain('NOTHING WAS ENDED. No token that you may end matches');
    // As an order does that matches nothing: it was done, whatever it did.
    expect(code).toBe(0);
  });

  it('in a script takes --yes', async () => {
    const { code, err } = await script.run(
      'token',
      'revoke',
      '--lab',
      people.partner.id,
      '--profile',
      'safety',
    );
    expect(err).toContain('Add --yes');
    expect(err).toMatch(SENTENCE);
    expect(code).toBe(2);
  });

  it.each([
    ['neither', []],
    ['both', [`tok_${'0'.repeat(26)}`, '--kid', 'k']],
  ])('with %s id and selection is wrong usage', async (_what, args) => {
    const { code, err } = await script.run('token', 'revoke', ...args, '--profile', 'lead');
    expect(err).toContain('Say which tokens to end');
    expect(err).toMatch(SENTENCE);
    expect(code).toBe(2);
  });

  it('of one asks nothing', async () => {
    const [, id = ''] = /^(tok_\w+)/m.exec(await live()) ?? [];
    expect(await as('lead', 'token', 'revoke', id)).toContain(`Revoked ${id} at `);
    expect(asked).toEqual([]);
  });
});

describe('run', () => {
  it('list shows live tokens, and end hands a run back', async () => {
    const list = await as('researcher', 'run', 'list', '--open', '--grant', grant.id);
    expect(list).toMatch(
      /^run_\w+ +pilot +Red-teaming of model A \(grt_\w+\) +scheming +[A-Z][\w ]+ \(per_\w+\) .* 2 +- +-$/m,
    );
    const run = await runId();
    expect(await as('researcher', 'run', 'end', run)).toMatch(
      /^The run ended at [\w:-]+Z\. 2 live tokens ended, 0 running requests cut\.$/m,
    );
    await expect(take(people.researcher, 'pilot')).rejects.toThrow('run_ended');
    const { err } = await terminal.run('run', 'list', '--open', '--grant', grant.id);
    expect(err).toContain('None.');
  });

  it('end says when the run goes on', async () => {
    await take(people.lead, 'of the lead');
    await take(people.researcher, 'of the lead');
    const list = await as('researcher', 'run', 'list', '--grant', grant.id);
    const [id = ''] = /^run_\w+(?= +of the lead)/m.exec(list) ?? [];
    // The lead's token is not the researcher's to see.
    expect(list).toMatch(/^run_\w+ +of the lead .* 1 +- +-$/m);
    expect(await as('researcher', 'run', 'end', id)).toBe(
      'The run goes on, since somebody else began it; your part in it has ended. 1 live token ended, 0 running requests cut.\n',
    );
  });
});

describe('person hand-back', () => {
  it("asks, says that it is for good, and hands one's own place back", async () => {
    const done = await as('researcher', 'person', 'hand-back', '--grant', grant.id);
    expect(done).toBe(
      `1 place given up (${grant.id}), 1 live token ended, 0 running requests cut.\n`,
    );
    expect(asked).toEqual([
      `This is for good: it gives up your place on ${grant.id}, and ends the tokens. Hand it back?`,
    ]);
    await expect(take(people.researcher, 'pilot')).rejects.toThrow('access_handed_back');
  });

  it('of somebody else names them; everything of theirs ends', async () => {
    const { researcher } = people;
    const args = ['person', 'hand-back', researcher.id, '--profile', 'lead'];
    answer = false;
    expect((await terminal.run(...args)).code).toBe(1);
    expect(asked[0]).toContain("gives up Rio Researcher's place on all grants");
    expect(await live()).toContain(researcher.id);
    const done = await script.json<{ grants: string[] }>(...args, '--yes');
    expect(done.grants).toContain(grant.id);
    expect(await live()).not.toContain(researcher.id);
  });

  it('of a stranger is not found, and a script is told to say --yes', async () => {
    const { researcher } = people;
    const { err, code } = await terminal.run(
      'person',
      'hand-back',
      researcher.id,
      '--profile',
      'otherLead',
    );
    expect([code, asked]).toEqual([1, []]);
    expect(err).toContain('(not_found)');
    const unasked = await script.run('person', 'hand-back', '--profile', 'researcher');
    expect(unasked.err).toContain('This is for good');
    expect(unasked.err).toMatch(SENTENCE);
    expect(unasked.code).toBe(2);
  });
});

describe('access that ends under a grant with duties', () => {
  it('points to what is to be done, and says of whom', async () => {
    const text = 'Destroy the transcripts';
    const duties = [{ kind: 'certificate_of_destruction' as const, text, within: '14d' }];
    const { id } = await makeActiveGrant(test, people, { duties });
    await getToken(test, people.researcher, { grant: id, purpose: 'scheming', run: 'pilot' });
    const next = `Next: see which duties have begun: sallyport duty list --grant ${id} --profile lead\n`;
    const { researcher } = people;
    const off = ['grant', 'take-off-person', id, researcher.id, '--profile', 'lead'];
    expect(await terminal.run(...off)).toMatchObject({ code: 0, err: next });
    const list = await as('lead', 'duty', 'list', '--grant', id);
    expect(list).toMatch(/^ID +DUE +STATE +GRANT +PERSON +TO DO$/m);
    expect(list).toMatch(
      new RegExp(`^dty_.* [(]${id}[)] +${researcher.name} [(]${researcher.id}[)] +${text}$`, 'm'),
    );
    const closed = await terminal.run('grant', 'close', id, '--profile', 'lead');
    expect(closed).toMatchObject({ code: 0, err: next });
    const without = await terminal.run('grant', 'close', grant.id, '--profile', 'lead');
    expect(without).toMatchObject({ code: 0, err: '' });
  });
});
