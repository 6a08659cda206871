/** The commands against a real broker that listens in this process: one piece of work from key to evidence. */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { initialise } from '../../src/broker/manage-people.ts';
import type { PublicKey } from '../../src/core/people.ts';
import {
  startScriptedUpstream,
  openaiJson,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';
import { DEMO_ENDPOINT, startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { newCli } from './run-cli.ts';

interface Named {
  id: string;
  status: string;
}

const cli = newCli();
const file = (name: string): string => join(cli.folder, name);

let upstream: ScriptedUpstream;
let test: TestBroker;
const ids: Record<string, string> = {};
let token = '';

/** Runs a command that has to succeed, as somebody; returns what it printed. */
async function as(who: string, ...args: string[]): Promise<string> {
  const { code, out, err } = await cli.run(...args, '--profile', who);
  if (code !== 0) throw new Error(`"${args.join(' ')}" ended with ${code}: ${err}`);
  return out;
}

const jsonAs = <T = Named>(who: string, ...args: string[]): Promise<T> =>
  cli.json<T>(...args, '--profile', who);

/** Runs a command that has to be refused; returns what it says. */
async function refusedTo(who: string, ...args: string[]): Promise<string> {
  const { code, out, err } = await cli.run(...args, '--profile', who);
  expect(out).toBe('');
  expect(err.trim().split('\n')).toHaveLength(1);
  expect(code).toBe(1);
  return err;
}

const NEW_PERSON = ['person', 'add', '--attribute', 'employer=Test Lab'];

const optionsOf = (options: Record<string, string>): string[] =>
  Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);

/** A key, a registration by somebody, a login. */
async function register(by: string, who: string, lab: string, role: string): Promise<void> {
  await cli.json('person', 'keygen', '--out', file(`${who}.pem`));
  const { id } = await jsonAs(
    by,
    ...NEW_PERSON,
    ...optionsOf({ lab, name: `The ${who}`, role, 'public-key': file(`${who}.pem.pub.json`) }),
  );
  await login(who, id);
}

async function login(who: string, id: string): Promise<void> {
  ids[who] = id;
  const parts = ['--url', test.url, '--person', id, '--key', file(`${who}.pem`)];
  await cli.json('login', ...parts, '--profile', who);
}

const callModel = (): Promise<Response> =>
  fetch(`${test.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'model-a-1', messages: [{ role: 'user', content: 'Hello' }] }),
  });

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  upstream.respond(openaiJson());
  test = await startTestBroker({
    endpoints: [{ ...DEMO_ENDPOINT, upstream: `${upstream.url}/v1` }],
  });
  const keygen = ['person', 'keygen', '--out', file('admin.pem')];
  const made = await cli.json<{ publicKey: PublicKey }>(...keygen);
  const { lab, admin } = await initialise(test.broker, 'Host Lab', {
    name: 'The admin',
    roles: ['admin'],
    attributes: {},
    publicKey: made.publicKey,
  });
  ids['host'] = lab.id;
  await login('admin', admin.id);
});

afterAll(async () => {
  await test?.close();
  await upstream?.close();
  cli.remove();
});

describe('a grant, from key to evidence', () => {
  it('begins with labs, people and their logins', async () => {
    ids['partner'] = (
      await jsonAs('admin', 'lab', 'add', '--name', 'Partner Lab', '--kind', 'partner')
    ).id;
    await register('admin', 'safety', ids['host'] ?? '', 'safety');
    await register('admin', 'auditor', ids['host'] ?? '', 'auditor');
    await register('admin', 'lead', ids['partner'], 'lead');
    await register('lead', 'researcher', ids['partner'], 'researcher');

    expect(await as('researcher', 'whoami')).toMatch(/^lab +Partner Lab \(lab_\w+, partner\)$/m);
    expect(await as('admin', 'lab', 'list')).toContain('Partner Lab');
    expect(await as('admin', 'person', 'list', '--lab', ids['partner'])).toContain('The lead');
    const shown = await as('admin', 'person', 'show', ids['lead'] ?? '');
    expect(shown).toMatch(/^attribute employer +Test Lab, set \S+Z by The admin \(per_\w+\)$/m);
    expect(await refusedTo('researcher', 'lab', 'add', '--name', 'X', '--kind', 'partner')).toMatch(
      /\(role_required\)\.\n$/,
    );
  });

  it('shows which safeguards are lifted, why, and who answers for it', async () => {
    expect(await as('lead', 'endpoint', 'list')).toContain('output-classifier');
    const shown = await as('lead', 'endpoint', 'show', 'demo');
    expect(shown).toMatch(/^output-classifier +Its refusals hide the result +A\. Owner$/m);
  });

  it('is written from the template, reviewed by two people and accepted', async () => {
    const { partner = '', researcher = '' } = ids;
    const facts = optionsOf({ lab: partner, endpoint: 'demo', model: 'model-a-1', researcher });
    const template = await cli.run('grant', 'template', ...facts);
    writeFileSync(file('grant.yaml'), template.out);
    const { id } = await jsonAs('lead', 'grant', 'apply', '--file', file('grant.yaml'), '--yes');
    ids['grant'] = id;
    await as('lead', 'grant', 'submit', id);
    expect(await refusedTo('lead', 'grant', 'approve', id)).toContain('(role_required)');
    await as('safety', 'grant', 'return', id, '--grounds', 'Say round two');
    writeFileSync(file('grant.yaml'), template.out.replace('first round', 'round two'));
    await as('lead', 'grant', 'apply', id, '--file', file('grant.yaml'), '--yes');
    await as('lead', 'grant', 'submit', id);
    expect(await refusedTo('safety', 'grant', 'approve', id, '--grant-version', '1')).toMatch(
      /version/,
    );
    expect(await as('safety', 'grant', 'approve', id)).toContain(
      'It is still submitted: the approval of an admin of the host lab is missing.',
    );
    expect(await as('admin', 'grant', 'approve', id)).toContain('It is approved now.');
    expect(await as('lead', 'grant', 'accept', id, '--yes')).toContain('It is active now.');
    const accepted = await jsonAs('researcher', 'grant', 'accept', id, '--yes');
    expect(accepted.status).toBe('active');

    expect(await as('researcher', 'grant', 'list')).toMatch(/^grt_\w+ +active +2 /m);
    const shown = await as('admin', 'grant', 'show', id);
    expect(shown).toMatch(/^title +Robustness tests, round two$/m);
    expect(shown).toMatch(/^approval, safety +The safety \(per_\w+\) at /m);
    expect(shown).toMatch(/^accepted for lab +The lead /m);
  });

  it('is used with a token from the command line', async () => {
    const words = ['--purpose', 'jailbreak_robustness', '--run', 'pilot'];
    const create = ['token', 'create', '--grant', ids['grant'] ?? '', ...words];
    token = (await as('researcher', ...create)).trim();
    expect((await callModel()).status).toBe(200);
    const usage = await as('lead', 'grant', 'usage', ids['grant'] ?? '');
    expect(usage).toMatch(/^the grant +requests +1 +0 +10,000 +9,999$/m);

    const wrong = create.map((word) => (word === 'jailbreak_robustness' ? 'bias' : word));
    expect(await refusedTo('researcher', ...wrong)).toContain('(purpose_not_granted)');
    const live = await as('researcher', 'token', 'list', '--live', '--grant', ids['grant'] ?? '');
    expect(live).toContain('pilot');
    expect(live).not.toContain(token);
  });

  it('is stopped by an order that another person lifts', async () => {
    const grounds = ['--grounds', 'Something looks wrong'];
    const issue = ['order', 'suspend', '--grant', ids['grant'] ?? '', ...grounds];
    expect(await refusedTo('admin', ...issue)).toContain('(role_required)');
    const issued = await as('safety', ...issue);
    expect(issued).toContain('0 running requests cut.');
    expect(issued).toMatch(/^ends by itself +\S+Z, unless ratified$/m);
    const [order = ''] = /ord_\w+/.exec(issued) ?? [];
    expect((await callModel()).status).toBe(403);
    expect(await as('researcher', 'grant', 'show', ids['grant'] ?? '')).toMatch(
      new RegExp(`^status +suspended: .*${order}`, 'm'),
    );
    expect(await as('admin', 'order', 'list', '--in-force')).toContain(order);
    expect(await as('admin', 'order', 'show', order)).toMatch(/^in force +yes$/m);
    const proposal = ['--to', 'constrain', '--limits', '50', '--grounds', 'Half would do'];
    await as('lead', 'order', 'object', order, ...proposal);
    const objected = await as('safety', 'order', 'show', order);
    expect(objected).toMatch(new RegExp(`^objection by +The lead [(]${ids['lead']}[)] at `, 'm'));
    expect(objected).toMatch(/^proposes instead +level 2, constrain; limitsPercent 50$/m);
    const open = await as('safety', 'order', 'disputes', '--open');
    expect(open).toMatch(new RegExp(`^dsp_\\w+ .* open +${order} +Partner Lab [(]lab_`, 'm'));
    // A partner's people know nobody of the host lab by name.
    const forPartner = await as('researcher', 'order', 'show', order);
    expect(forPartner).toMatch(/^issued +\S+ by per_\w+$/m);
    expect(forPartner).toMatch(/^about +grant Robustness tests, round two \(grt_\w+\)$/m);
    expect(await as('researcher', 'order', 'list')).toContain('Robustness tests, round two (grt_');
    expect(issued).toMatch(/^issued +\S+ by The safety \(per_\w+\)$/m);
    const lift = ['order', 'lift', order, '--grounds', 'Looked into'];
    expect(await refusedTo('safety', ...lift)).toContain('(second_person_needed)');
    expect(await as('admin', ...lift)).toMatch(/^in force +no$/m);
    expect((await callModel()).status).toBe(200);
  });

  it('warns where an order matches nothing', async () => {
    const options = optionsOf({ model: 'no-such-model', grounds: 'x', profile: 'safety' });
    const { code, err } = await cli.run('order', 'suspend', ...options);
    expect(code).toBe(0);
    expect(err).toMatch(/^Next: it lapses at .* runs: sallyport order ratify ord_\w+$/m);
    expect(err).toContain('The order is in force, but at present nothing here matches');
    const preview = await cli.run('order', 'preview', '--level', '4', ...options);
    expect(preview.err).toMatch(/^At present nothing here matches/);
  });

  it('ends for a token, a key and a person', async () => {
    const list = await jsonAs<{ items: { id: string; audience: string }[] }>(
      'researcher',
      'token',
      'list',
      '--live',
    );
    const gateway = list.items.find(({ audience }) => audience === 'gateway');
    await as('researcher', 'token', 'revoke', gateway?.id ?? '');
    expect((await callModel()).status).toBe(401);

    const researcher = ids['researcher'] ?? '';
    await cli.json('person', 'keygen', '--out', file('second.pem'));
    const { keys } = await jsonAs<{ keys: { kid: string }[] }>(
      'researcher',
      'person',
      'add-key',
      researcher,
      ...optionsOf({ 'public-key': file('second.pem.pub.json') }),
    );
    expect(keys).toHaveLength(2);
    await as('lead', 'person', 'remove-key', researcher, keys[0]?.kid ?? '');
    expect(await refusedTo('researcher', 'whoami')).toContain('(invalid_client)');
    const parts = ['--url', test.url, '--person', researcher, '--key', file('second.pem')];
    expect((await cli.run('whoami', ...parts)).code).toBe(0);
    expect(await as('lead', 'person', 'remove', researcher)).toContain('Removed The researcher');
    expect((await cli.run('whoami', ...parts)).err).toContain('(invalid_client)');
    expect(await as('lead', 'grant', 'close', ids['grant'] ?? '')).toContain('It is closed now.');
  });

  it('leaves evidence that proves itself offline', async () => {
    const kinds = await jsonAs<{ items: { entry: { kind: string } }[] }>(
      'auditor',
      'audit',
      'entries',
      '--ref',
      ids['grant'] ?? '',
    );
    expect(kinds.items.map(({ entry }) => entry.kind)).toEqual([
      'grant.created',
      'grant.submitted',
      'action.denied',
      'grant.returned',
      'grant.amended',
      'grant.submitted',
      'action.denied',
      'grant.approved',
      'grant.approved',
      'grant.terms_accepted',
      'grant.terms_accepted',
      'grant.closed',
    ]);
    expect(await as('auditor', 'audit', 'show', '0')).toMatch(/^kind +key\.created/m);
    expect(await as('auditor', 'audit', 'entries', '--kind', 'request.outcome')).toMatch(/req_/);
    expect(await refusedTo('lead', 'audit', 'export', '--out', file('x.tar'))).toContain(
      '(role_required)',
    );

    const bundle = file('evidence.tar');
    expect(await as('auditor', 'audit', 'export', '--out', bundle)).toMatch(/\d+ entries, /);
    const key = await as('auditor', 'audit', 'key');
    writeFileSync(file('log.vkey'), key);
    const verified = await cli.run('audit', 'verify', bundle, '--key', `@${file('log.vkey')}`);
    expect(verified.out).toContain('SOUND');
    expect(verified.code).toBe(0);
    const evidence = readFileSync(bundle);
    expect(evidence.includes('grant.closed')).toBe(true);
    expect(evidence.includes(token)).toBe(false);
  });

  it('kept no secret beside the profiles', () => {
    const home = file('home');
    expect(readdirSync(home)).toEqual(['profiles.json']);
    const kept = readFileSync(join(home, 'profiles.json'), 'utf8');
    expect(kept).not.toMatch(/PRIVATE KEY|eyJ/);
    expect(kept).toContain('researcher.pem');
  });
});
