import { chmodSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { profilesPath, readProfiles, saveProfile } from '../../src/cli/profiles.ts';
import { createKeyFile } from '../../src/lib/key-file.ts';
import { json, startFakeBroker, type FakeBroker } from './fake-broker.ts';
import { SENTENCE, newCli, type Cli } from './run-cli.ts';

const PERSON = `per_${'0'.repeat(26)}`;
const profile = (url: string) => ({ url, issuer: url, person: PERSON, key: '/keys/a.pem' });
const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8);

let cli: Cli;
beforeEach(() => {
  cli = newCli();
});
afterEach(() => cli.remove());

describe('profiles', () => {
  it('are for their owner alone', () => {
    saveProfile(cli.env, 'a', profile('https://a.example'));
    saveProfile(cli.env, 'b', profile('https://b.example'));
    const path = profilesPath(cli.env);
    expect(modeOf(path)).toBe('600');
    expect(modeOf(join(path, '..'))).toBe('700');
    expect(readdirSync(join(path, '..'))).toEqual(['profiles.json']);
    expect(readProfiles(cli.env).default).toBe('b');
  });

  it('are kept in the configuration folder unless SALLYPORT_HOME says otherwise', () => {
    expect(profilesPath({ SALLYPORT_HOME: '/s', XDG_CONFIG_HOME: '/x', HOME: '/h' })).toBe(
      '/s/profiles.json',
    );
    expect(profilesPath({ SALLYPORT_HOME: '', XDG_CONFIG_HOME: '/x', HOME: '/h' })).toBe(
      '/x/sallyport/profiles.json',
    );
    expect(profilesPath({ HOME: '/h' })).toBe('/h/.config/sallyport/profiles.json');
  });

  it('are not used when others could have written them', async () => {
    saveProfile(cli.env, 'a', profile('https://a.example'));
    chmodSync(profilesPath(cli.env), 0o622);
    const { code, err } = await cli.run('whoami');
    expect(code).toBe(2);
    expect(err).toContain('chmod go-w');
    expect(err).toMatch(SENTENCE);
  });

  it('say so when they are damaged', async () => {
    mkdirSync(join(cli.folder, 'home'));
    writeFileSync(profilesPath(cli.env), '{"profiles": 1}', { mode: 0o600 });
    expect((await cli.run('whoami')).err).toContain('are damaged');
  });

  it('are listed and forgotten; without a default, one has to be chosen', async () => {
    saveProfile(cli.env, 'a', profile('https://a.example'));
    saveProfile(cli.env, 'b', profile('https://b.example'));
    expect((await cli.run('login', '--list')).out).toMatch(/^b +yes +https:\/\/b\.example/m);
    expect(await cli.json('login', '--list')).toMatchObject({
      items: [
        { profile: 'a', default: false, url: 'https://a.example' },
        { profile: 'b', default: true },
      ],
    });
    expect((await cli.run('login', '--forget', 'b')).code).toBe(0);
    const { code, err } = await cli.run('whoami');
    expect(code).toBe(2);
    expect(err).toContain('Choose one with --profile: a.');
    expect((await cli.run('login', '--forget', 'b')).code).toBe(2);
    expect((await cli.run('login', '--forget', '__proto__')).code).toBe(2);
  });
});

describe('login', () => {
  const ME = {
    person: {
      id: PERSON,
      lab: 'lab_1',
      name: 'Ada\u001b[2J',
      roles: ['lead'],
      attributes: {},
      attributesUntil: {},
      attributesSet: {},
      keys: [],
      createdAt: '2026-01-01T00:00:00.000Z',
      removedAt: null,
    },
    lab: { id: 'lab_1', kind: 'partner', name: 'Lab', createdAt: '2026-01-01T00:00:00.000Z' },
  };
  let broker: FakeBroker;
  let key: string;
  beforeEach(async () => {
    broker = await startFakeBroker();
    broker.on('/api/v1/me', ME);
    key = join(cli.folder, 'key.pem');
    createKeyFile(key);
  });
  afterEach(() => broker.close());
  const login = (...more: string[]) =>
    cli.run('login', '--url', broker.url, '--person', PERSON, '--key', key, ...more);

  it('keeps URL, person and path of the key; neither key nor token', async () => {
    const { code, out } = await login('--profile', 'demo');
    expect(code).toBe(0);
    expect(out).toContain('Logged in');
    const kept = readFileSync(profilesPath(cli.env), 'utf8');
    expect(JSON.parse(kept)).toEqual({
      default: 'demo',
      profiles: { demo: { url: broker.url, issuer: broker.url, person: PERSON, key } },
    });
    const pem = readFileSync(key, 'utf8').split('\n')[1] ?? '';
    expect(kept).not.toContain(pem);
    expect(kept).not.toContain('a.b.c');
  });

  it('proves with an assertion for this broker alone, that lives shortly and is used once', async () => {
    await login();
    await login();
    const [one, two] = broker.asked
      .filter(({ path }) => path === '/oauth/token')
      .map(({ body }) => new URLSearchParams(body).get('client_assertion') ?? '')
      .map((jwt) => JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()));
    expect(one).toMatchObject({ iss: PERSON, sub: PERSON, aud: broker.url });
    expect(one.exp - one.iat).toBeLessThanOrEqual(300);
    expect(one.jti).not.toBe(two.jti);
  });

  it('shows nothing of what the broker says that could act on the terminal', async () => {
    const { out, err } = await login();
    expect(out + err).not.toContain('\u001b');
    expect(out).toContain('\\u{1b}');
  });

  it('signs nothing for a broker that calls itself by another name', async () => {
    broker.on('/.well-known/oauth-authorization-server', { issuer: 'https://victim.example' });
    const { code, err } = await login();
    expect(code).toBe(1);
    expect(err).toContain('says that its address is https://victim.example');
    expect(err).toMatch(SENTENCE);
    expect(broker.asked.map(({ path }) => path)).toEqual([
      '/.well-known/oauth-authorization-server',
    ]);
    expect(readProfiles(cli.env).profiles).toEqual({});
    expect((await login('--issuer', 'https://victim.example')).code).toBe(0);
  });

  it('keeps nothing when the broker does not know the person', async () => {
    broker.on(
      '/oauth/token',
      json(401, {
        error: 'invalid_client',
        error_description: 'The client assertion does not identify a registered person.',
        code: 'invalid_client',
      }),
    );
    const { code, err } = await login();
    expect(code).toBe(1);
    expect(err).toBe(
      'sallyport: The client assertion does not identify a registered person (invalid_client).\n',
    );
    expect(readProfiles(cli.env).profiles).toEqual({});
  });

  it('refuses a key that others can read', async () => {
    chmodSync(key, 0o644);
    const { code, err } = await login();
    expect(code).toBe(2);
    expect(err).toContain('chmod 600');
    expect(broker.asked).toEqual([]);
  });

  it('is not needed with options or the environment', async () => {
    const parts = ['--url', `${broker.url}/`, '--person', PERSON, '--key', key];
    expect((await cli.run('whoami', ...parts)).code).toBe(0);
    Object.assign(cli.env, {
      SALLYPORT_URL: broker.url,
      SALLYPORT_PERSON: PERSON,
      SALLYPORT_KEY: key,
    });
    expect(await cli.json('whoami')).toEqual(ME);
  });
});

describe('person keygen', () => {
  it('makes a private key for its owner alone and a public one beside it', async () => {
    const out = join(cli.folder, 'mine.pem');
    const made = await cli.run('person', 'keygen', '--out', out);
    expect(made.code).toBe(0);
    expect(modeOf(out)).toBe('600');
    expect(modeOf(`${out}.pub.json`)).toBe('644');
    expect(JSON.parse(made.out)).toEqual(JSON.parse(readFileSync(`${out}.pub.json`, 'utf8')));
    expect(made.out + made.err).not.toContain('PRIVATE KEY');
    expect(Object.keys(JSON.parse(made.out) as object)).not.toContain('d');
    expect(made.err).toContain('sallyport login');
  });

  it('never overwrites', async () => {
    const out = join(cli.folder, 'mine.pem');
    await cli.run('person', 'keygen', '--out', out);
    const before = readFileSync(out);
    const again = await cli.run('person', 'keygen', '--out', out);
    expect(again.code).toBe(2);
    expect(again.err).toMatch(SENTENCE);
    expect(readFileSync(out)).toEqual(before);
  });
});

describe('person add', () => {
  const ARGS = [
    'person',
    'add',
    '--lab',
    `lab_${'0'.repeat(26)}`,
    '--name',
    'Ada',
    '--role',
    'lead',
  ];

  it('refuses a private key before anything is sent', async () => {
    const pem = join(cli.folder, 'a.pem');
    const jwk = join(cli.folder, 'a.json');
    createKeyFile(pem);
    writeFileSync(
      jwk,
      JSON.stringify({ kty: 'OKP', crv: 'Ed25519', x: 'a'.repeat(43), d: 'secret' }),
    );
    for (const file of [pem, jwk]) {
      const { code, err } = await cli.run(...ARGS, '--public-key', file);
      expect(code).toBe(2);
      expect(err).toContain('holds a private key');
      expect(err).not.toContain('secret');
    }
  });

  it('says what is wrong with a public key', async () => {
    const file = join(cli.folder, 'a.json');
    writeFileSync(file, JSON.stringify({ kty: 'OKP', crv: 'Ed25519', x: 'short' }));
    expect((await cli.run(...ARGS, '--public-key', file)).err).toContain('x: must be 32 bytes');
    expect((await cli.run(...ARGS, '--public-key', `${file}x`)).err).toContain('no such file');
  });
});
