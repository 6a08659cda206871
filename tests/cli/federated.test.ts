/** Somebody whom their own lab vouches for, with nothing but the command line, over two real brokers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { profilesPath } from '../../src/cli/profiles.ts';
import { makeActiveGrant } from '../support/grants.ts';
import { makeIdentity } from '../support/lab-identities.ts';
import { makePeople, type People, type TestPerson } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';
import { SENTENCE, newCli } from './run-cli.ts';

const cli = newCli();
const file = (name: string): string => join(cli.folder, name);

interface Named {
  id: string;
}

let home: TestBroker;
let away: TestBroker;
let people: People;
let partner: string;

const words = (text: string): string[] => text.split(' ');

const addCho = (lab: string): string[] =>
  words(`person add --lab ${lab} --name Cho --role researcher --subject cho@home`);

/** Logs in as somebody of a test, whose key is put into a file. */
async function login(profile: string, { url }: TestBroker, person: TestPerson): Promise<void> {
  const pem = person.privateKey.export({ format: 'pem', type: 'pkcs8' });
  writeFileSync(file(`${profile}.pem`), pem, { mode: 0o600 });
  const key = ['--key', file(`${profile}.pem`)];
  await cli.json('login', '--url', url, '--person', person.id, ...key, '--profile', profile);
}

beforeAll(async () => {
  away = await startTestBroker({ federation: { allowInsecureLoopback: true } });
  home = await startTestBroker({
    federation: { allowInsecureLoopback: true, audiences: [{ issuer: away.url }] },
  });
  people = await makePeople(away);
  partner = people.partner.id;
  await login('away-admin', away, people.admin);
  await login('home-admin', home, (await makePeople(home)).admin);

  const lab = home.broker.readers.hostLabId() ?? '';
  await cli.run('person', 'keygen', '--out', file('cho.pem'));
  const { id } = await cli.json<Named>(...addCho(lab), '--public-key', file('cho.pem.pub.json'));
  const key = ['--key', file('cho.pem')];
  await cli.json('login', '--url', home.url, '--person', id, ...key, '--profile', 'home');
});
afterAll(async () => {
  cli.remove();
  await Promise.all([home.close(), away.close()]);
});

const asAdmin = ['--profile', 'away-admin'];

describe('lab identity', () => {
  it('is registered by the address of the keys, shown, and taken away', async () => {
    const keys = ['--jwks-url', `${home.url}/oauth/jwks`];
    const set = await cli.run(
      'lab',
      'identity',
      'set',
      partner,
      '--issuer',
      home.url,
      ...keys,
      ...asAdmin,
    );
    expect(set).toMatchObject({ code: 0, err: '' });
    expect(set.out).toContain(`as ${home.url}`);
    const shown = await cli.run('lab', 'show', partner, ...asAdmin);
    expect(shown.out).toBe(set.out);
    const remove = ['lab', 'identity', 'remove', partner, ...asAdmin];
    const unasked = await cli.run(...remove);
    expect(unasked.code).toBe(2);
    expect(unasked.err).toContain('There is nobody to ask: "End every token that');
    expect((await cli.run('lab', 'show', partner, ...asAdmin)).out).toBe(set.out);
    const removed = await cli.run(...remove, '--yes');
    expect(removed.out).toContain('every token that it vouched for has ended');
    expect((await cli.run('lab', 'show', partner, ...asAdmin)).out).toContain('keys of their own');
  });

  it('is registered by a file with public keys, and private ones are not sent', async () => {
    const { jwk, issuer, input } = makeIdentity('https://id.home.example');
    writeFileSync(file('keys.json'), JSON.stringify(input.jwks));
    const set = ['lab', 'identity', 'set', partner, '--issuer', issuer, ...asAdmin, '--jwks'];
    const lab = await cli.json<{ identity: object }>(...set, file('keys.json'));
    expect(lab.identity).toMatchObject({ issuer, kids: [jwk.kid] });
    writeFileSync(file('private.json'), JSON.stringify({ keys: [{ ...jwk, d: 'secret' }] }));
    writeFileSync(file('no-set.json'), JSON.stringify(jwk));
    for (const name of ['private.json', 'no-set.json', 'cho.pem', 'nothing.json']) {
      const { code, err } = await cli.run(...set, file(name));
      expect([name, code]).toEqual([name, 2]);
      expect(err).toMatch(SENTENCE);
    }
    const both = await cli.run(...set, file('keys.json'), '--jwks-url', `${issuer}/keys`);
    expect(both.code).toBe(2);
  });
});

describe('login --via', () => {
  const via = (...more: string[]) => cli.run('login', '--url', away.url, '--via', 'home', ...more);

  it('says who does not believe whom', async () => {
    const { code, err } = await via('--profile', 'away');
    expect(code).toBe(1);
    expect(err).toContain(`The broker at ${away.url} does not believe what your own lab signs`);
    expect(err).toContain('(invalid_assertion)');
  });

  it('is refused where it makes no sense', async () => {
    const table = [
      await via('--profile', 'home'),
      await via('--profile', 'away', '--person', people.admin.id),
      await via('--profile', 'away', '--key', file('cho.pem')),
      await cli.run('login', '--url', away.url, '--via', 'nobody', '--profile', 'away'),
      await cli.run('login', '--via', 'home', '--profile', 'away'),
    ];
    for (const { code, err } of table) {
      expect(code).toBe(2);
      expect(err).toMatch(SENTENCE);
    }
  });

  it('keeps the way, and no key, token or assertion', async () => {
    const keys = ['--jwks-url', `${home.url}/oauth/jwks`];
    await cli.json('lab', 'identity', 'set', partner, '--issuer', home.url, ...keys, ...asAdmin);
    const { id } = await cli.json<Named>(...addCho(partner), ...asAdmin);
    expect(await via('--profile', 'away')).toMatchObject({
      code: 0,
      out: expect.stringContaining('Cho') as string,
    });
    const kept = JSON.parse(readFileSync(profilesPath(cli.env), 'utf8')) as {
      profiles: Record<string, object>;
    };
    expect(kept.profiles['away']).toEqual({
      url: away.url,
      issuer: away.url,
      person: id,
      via: 'home',
    });
    expect((await cli.run('login', '--list')).out).toContain('(via home)');
    const chain = ['login', '--url', away.url, '--via', 'away', '--profile', 'further'];
    expect(await cli.run(...chain)).toMatchObject({ code: 2 });
  });

  it('then every command works, and a token ends with the assertion', async () => {
    const { person } = await cli.json<{ person: Named }>('whoami', '--profile', 'away');
    const roster = [{ person: people.lead.id }, { person: person.id }];
    const grant = await makeActiveGrant(away, people, { people: roster });
    const accepted = await cli.run('grant', 'accept', grant.id, '--yes', '--profile', 'away');
    expect(accepted.code).toBe(0);
    const token = await cli.json<{ expires_in: number; access_token: string }>(
      ...words('token create --purpose scheming --run r1 --profile away --grant'),
      grant.id,
    );
    // The home broker's assertion, for no longer than its five minutes.
    expect(token.expires_in).toBeLessThanOrEqual(300);
    expect(token.expires_in).toBeGreaterThan(200);
    const models = await fetch(`${away.url}/v1/models`, {
      headers: { authorization: `Bearer ${token.access_token}` },
    });
    expect(models.status).toBe(200);
  });

  it('ends with the profile that it goes by', async () => {
    expect((await cli.run('login', '--forget', 'home')).code).toBe(0);
    const { code, err } = await cli.run('whoami', '--profile', 'away');
    expect(code).toBe(2);
    expect(err).toContain('There is no profile "home"');
  });
});
