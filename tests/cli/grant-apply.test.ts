/** `grant apply`, `grant new` and the steps of a proposed version, against a real broker. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { grantSpecSchema, type Grant } from '../../src/core/grants.ts';
import { saveProfile } from '../../src/cli/profiles.ts';
import type { Option } from '../../src/cli/surroundings.ts';
import { grantInput, makeActiveGrant, type GrantInput } from '../support/grants.ts';
import { makePeople, type People, type TestPerson } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { newCli, type Cli } from './run-cli.ts';

let test: TestBroker;
let people: People;

/** A command line in somebody's name. */
function cliOf(who: TestPerson, around: Parameters<typeof newCli>[0] = {}): Cli {
  const cli = newCli(around);
  const key = join(cli.folder, 'key.pem');
  writeFileSync(key, who.privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
  saveProfile(cli.env, 'p', { url: test.url, issuer: test.broker.issuer, person: who.id, key });
  return cli;
}

beforeAll(async () => {
  test = await startTestBroker();
  people = await makePeople(test);
});
afterAll(() => test.close());

function fileOf(cli: Cli, grant: Grant, changes: Partial<GrantInput> = {}): string {
  const file = join(cli.folder, 'grant.yaml');
  writeFileSync(file, stringify({ ...grant.spec, ...changes }));
  return file;
}

describe('grant apply', () => {
  it('of a new grant shows the whole text, and refuses what is not offered', async () => {
    const grant = await makeActiveGrant(test, people);
    const cli = cliOf(people.lead);
    const apply = ['grant', 'apply', '--dry-run', '--file'];
    const dry = await cli.run(...apply, fileOf(cli, grant));
    expect(dry).toMatchObject({ code: 0, err: '' });
    expect(dry.out).toMatch(/^models +.* at endpoint demo$/m);
    expect(dry.out).toMatch(/^tokens live +900 s$/m);
    expect(dry.out).toContain(grant.spec.terms.text);
    expect(dry.out).not.toMatch(/^accepted by/m);
    const endpoints = [{ endpoint: 'demo', models: ['no-such-model'] }];
    const wrong = await cli.run(...apply, fileOf(cli, grant, { endpoints }));
    expect(wrong.code).toBe(1);
    expect(wrong.err).toContain('The endpoint "demo" does not offer no-such-model.');
    cli.remove();
  });

  it('shows what narrows, and has an admin’s narrowing in force at once', async () => {
    const grant = await makeActiveGrant(test, people);
    const cli = cliOf(people.admin);
    const file = fileOf(cli, grant, { tokenLifetimeSeconds: 300, operations: ['messages'] });
    const dry = await cli.run('grant', 'apply', grant.id, '--file', file, '--dry-run');
    expect(dry).toMatchObject({ code: 0, err: '' });
    expect(dry.out).toMatch(/^narrower +operations: without chat.completions$/m);
    expect(dry.out).toMatch(/^narrower +tokenLifetimeSeconds: 900 becomes 300$/m);
    expect(dry.out).toContain('It only narrows: it is in force at once');
    expect(test.broker.policy.grant(grant.id)?.version).toBe(1);
    const unasked = await cli.run('grant', 'apply', grant.id, '--file', file);
    expect(unasked.code).toBe(2);
    expect(unasked.err).toContain('--yes');
    const done = await cli.run('grant', 'apply', grant.id, '--file', file, '--yes');
    expect(done.out).toContain(`Narrowed ${grant.id}: version 2 is in force.`);
    const again = await cli.run('grant', 'apply', grant.id, '--file', file, '--yes');
    expect(again.out).toBe(`${grant.id} says this already. Nothing was changed.\n`);
    cli.remove();
  });

  it('says that a widening is proposed, and what comes next; each step knows its version', async () => {
    const grant = await makeActiveGrant(test, people);
    const [lead, admin, safety] = [people.lead, people.admin, people.safety].map((who) =>
      cliOf(who),
    );
    if (!lead || !admin || !safety) throw new Error('There are three.');
    const file = fileOf(lead, grant, { tokenLifetimeSeconds: 1800 });
    const proposed = await lead.run('grant', 'apply', grant.id, '--file', file, '--yes');
    expect(proposed.out).toMatch(/^wider +tokenLifetimeSeconds: 900 becomes 1800$/m);
    expect(proposed.out).toContain(`Proposed a change of ${grant.id}: version 2, draft.`);
    expect(proposed.err).toContain(`grant submit ${grant.id}`);
    const submitted = await lead.run('grant', 'submit', grant.id);
    expect(submitted.out).toContain('version 2. It is submitted now; version 1 stays in force');
    expect(submitted.err).toContain('an admin and a safety officer of the host lab');
    const shown = await safety.run('grant', 'show', grant.id);
    expect(shown.out).toMatch(/^proposed +version 2, submitted$/m);
    expect(shown.out).toMatch(/^wider +tokenLifetimeSeconds: 900 becomes 1800$/m);
    const narrow = fileOf(admin, grant, { tokenLifetimeSeconds: 1200 });
    const narrowed = await admin.run('grant', 'approve', grant.id, '--narrow', narrow);
    expect(narrowed.out).toContain('version 3. It is still submitted');
    const approved = await safety.run('grant', 'approve', grant.id);
    expect(approved.out).toContain('version 3. It is active now.');
    expect(test.broker.policy.grant(grant.id)).toMatchObject({
      version: 3,
      spec: { tokenLifetimeSeconds: 1200 },
    });
    const wider = fileOf(lead, grant, { tokenLifetimeSeconds: 3600 });
    await lead.run('grant', 'apply', grant.id, '--file', wider, '--yes');
    const withdrawn = await lead.run('grant', 'withdraw', grant.id);
    expect(withdrawn.out).toContain('version 4. Version 3 stays in force.');
    for (const cli of [lead, admin, safety]) cli.remove();
  });

  it('shows new terms to the lead, who brings them into force', async () => {
    const grant = await makeActiveGrant(test, people);
    const [lead, admin, safety] = [people.lead, people.admin, people.safety].map((who) =>
      cliOf(who),
    );
    if (!lead || !admin || !safety) throw new Error('There are three.');
    const terms = { version: '2', text: 'Results are deleted.' };
    const file = fileOf(lead, grant, { terms });
    await lead.run('grant', 'apply', grant.id, '--file', file, '--yes');
    await lead.run('grant', 'submit', grant.id);
    await admin.run('grant', 'approve', grant.id);
    const approved = await safety.run('grant', 'approve', grant.id);
    expect(approved.err).toContain(`grant accept ${grant.id}`);
    const accepted = await lead.run('grant', 'accept', grant.id, '--yes');
    expect(accepted.out).toContain('Results are deleted.');
    expect(test.broker.policy.grant(grant.id)).toMatchObject({ version: 2, spec: { terms } });
    for (const cli of [lead, admin, safety]) cli.remove();
  });

  it('changes nothing if somebody was quicker', async () => {
    const grant = await makeActiveGrant(test, people);
    const slow = cliOf(people.admin, {
      interactive: true,
      confirm: async () => {
        const quick = cliOf(people.secondAdmin);
        const file = fileOf(quick, grant, { tokenLifetimeSeconds: 100 });
        await quick.run('grant', 'apply', grant.id, '--file', file, '--yes');
        quick.remove();
        return true;
      },
    });
    const file = fileOf(slow, grant, { tokenLifetimeSeconds: 200 });
    const late = await slow.run('grant', 'apply', grant.id, '--file', file);
    expect(late.code).toBe(1);
    expect(late.err).toContain('stale_version');
    expect(test.broker.policy.grant(grant.id)?.spec.tokenLifetimeSeconds).toBe(100);
    slow.remove();
  });
});

describe('grant new', () => {
  it('without a terminal says how a file is written', async () => {
    const cli = cliOf(people.lead);
    const { code, err } = await cli.run('grant', 'new');
    expect(code).toBe(2);
    expect(err).toContain('grant template > grant.yaml');
    expect(err).toContain('grant apply --file grant.yaml');
    cli.remove();
  });

  it.each([true, false])('asks, shows who approves, and submits after a yes (%s)', async (yes) => {
    const asked: string[] = [];
    let question = '';
    const explained: Option[] = [];
    const cli = cliOf(people.lead, {
      interactive: true,
      confirm: (text) => {
        question = text;
        return Promise.resolve(yes);
      },
      ask: {
        one: (text, options) => {
          asked.push(text);
          return Promise.resolve(options[0]?.value);
        },
        several: (text, options, chosen) => {
          asked.push(text);
          explained.push(...options);
          return Promise.resolve(chosen.length > 0 ? chosen : [options[0]?.value ?? '']);
        },
        text: (text, usual, isWrong) => {
          asked.push(text);
          expect(isWrong(usual)).toBeUndefined();
          return Promise.resolve(usual);
        },
      },
    });
    const { code, out } = await cli.run('grant', 'new');
    expect(code).toBe(0);
    expect(asked.length).toBeGreaterThan(8);
    // The partner's lead is not asked for which lab.
    expect(asked.join(' ')).not.toContain('partner lab');
    expect(explained.some(({ hint }) => hint?.includes('false or unsupported'))).toBe(true);
    expect(question).toContain('the approval of: admin, safety');
    expect(out).toMatch(/^approval, safety +not given$/m);
    expect(out).toContain(yes ? 'It is submitted now.' : 'is a draft.');
    cli.remove();
  });

  it('makes nothing when whoever is asked stops answering', async () => {
    const stop = (): Promise<undefined> => Promise.resolve(undefined);
    const cli = cliOf(people.lead, {
      interactive: true,
      ask: { one: stop, several: stop, text: stop },
    });
    const { code, err } = await cli.run('grant', 'new');
    expect([code, err]).toEqual([1, 'sallyport: Nothing was made.\n']);
    cli.remove();
  });
});

describe('the templates', () => {
  it.each(['safety-test', 'reproduction', 'metadata'])(
    '%s names every field, is valid when filled in, and explains itself',
    async (name) => {
      const cli = newCli();
      const facts = ['--lab', people.partner.id, '--researcher', people.researcher.id];
      const where = ['--endpoint', 'demo', '--model', 'model-a-1'];
      const { out } = await cli.run('grant', 'template', name, ...facts, ...where);
      const spec = parse(out) as Record<string, object>;
      expect(grantSpecSchema.safeParse(spec).error).toBeUndefined();
      const full = grantSpecSchema.parse(grantInput(people));
      expect(Object.keys(spec).sort()).toEqual(Object.keys(full).sort());
      for (const part of ['features', 'limits', 'budgets', 'perPerson'] as const)
        expect(Object.keys(spec[part] ?? {})).toEqual(Object.keys(full[part]));
      expect(out.split('\n').filter((line) => line.trim().startsWith('#')).length).toBeGreaterThan(
        10,
      );
      cli.remove();
    },
  );

  it('a name that is none is refused with those that are', async () => {
    const cli = newCli();
    const { code, err } = await cli.run('grant', 'template', 'other');
    expect(code).toBe(2);
    expect(err).toContain('safety-test, reproduction, metadata');
    cli.remove();
  });
});
