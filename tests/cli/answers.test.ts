import { createHash } from 'node:crypto';
/** What commands make of whatever a broker, or something in its place, answers. */
import { existsSync, readFileSync, statSync, writeFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { saveProfile } from '../../src/cli/profiles.ts';
import type { Surroundings } from '../../src/cli/surroundings.ts';
import { createKeyFile } from '../../src/lib/key-file.ts';
import { newLogKey } from '../audit/sample-log.ts';
import { json, startFakeBroker, type Answer, type FakeBroker } from './fake-broker.ts';
import { SENTENCE, newCli, type Cli } from './run-cli.ts';
import { GRANT, PERSON, sampleGrant } from './sample-grant.ts';

let broker: FakeBroker;
let cli: Cli;
beforeEach(async () => {
  broker = await startFakeBroker();
  cli = loggedIn();
});
afterEach(async () => {
  cli.remove();
  await broker.close();
});

function loggedIn(around: Partial<Surroundings> = {}): Cli {
  const made = newCli(around);
  const key = join(made.folder, 'key.pem');
  createKeyFile(key);
  saveProfile(made.env, 'p', { url: broker.url, issuer: broker.url, person: PERSON, key });
  return made;
}

const raw =
  (status: number, body: string, headers: Record<string, string> = {}): Answer =>
  (_req, res) =>
    void res.writeHead(status, headers).end(body);

describe('a refusal', () => {
  it('is the sentence of the broker, with the code', async () => {
    broker.on(
      '/api/v1/me',
      json(403, { status: 403, code: 'person_removed', detail: 'This person has been removed.' }),
    );
    const { code, out, err } = await cli.run('whoami');
    expect(err).toBe('sallyport: This person has been removed (person_removed).\n');
    expect(out).toBe('');
    expect(code).toBe(1);
  });

  it('of several fields names them all, on one line that cannot act on the terminal', async () => {
    const errors = [
      { in: 'body', path: 'a', message: 'is missing' },
      { in: 'body', path: 'b\u001b[2J', message: 'is not a\nknown field' },
    ];
    broker.on(
      '/api/v1/labs',
      json(400, { status: 400, code: 'invalid_request', detail: '"a" (body) is missing.', errors }),
    );
    const { code, err } = await cli.run('lab', 'add', '--name', 'x', '--kind', 'partner');
    expect(err).toBe(
      'sallyport: "a" (body) is missing; also: "b\\u{1b}[2J" is not a known field (invalid_request).\n',
    );
    expect(code).toBe(1);
  });
});

describe('something that is not a broker', () => {
  it.each<[string, Answer, number, string]>([
    ['a page', raw(200, '<html>'), 1, 'is not JSON'],
    ['another document', json(200, { hello: 1 }), 1, 'is not what this version'],
    ['a page of errors', raw(500, '<html>'), 1, 'status 500 and no reason'],
    ['a proxy without a broker', raw(502, '<html>'), 3, 'is not there (status 502)'],
    [
      'a redirect',
      raw(307, '', { location: 'https://elsewhere.example/' }),
      1,
      'leads on to https://elsewhere.example/',
    ],
    ['a closed connection', (req) => void req.socket.destroy(), 3, 'the connection was closed'],
    [
      'half an answer',
      (_req, res) => {
        res.writeHead(200, { 'content-length': '100' });
        res.write('{"person":', () => res.destroy());
      },
      3,
      'broke off',
    ],
  ])('%s ends in one sentence', async (_what, answer, exitCode, expected) => {
    broker.on('/api/v1/me', answer);
    const { code, out, err } = await cli.run('whoami');
    expect(err).toContain(expected);
    expect(err).toMatch(SENTENCE);
    expect(out).toBe('');
    expect(code).toBe(exitCode);
  });

  it('in the middle of a change does not read as if nothing had happened', async () => {
    const suspend = ['order', 'suspend', '--all', '--grounds', 'x'];
    broker.on('/api/v1/orders', (req) => void req.socket.destroy());
    const gone = await cli.run(...suspend);
    expect(gone.code).toBe(3);
    expect(gone.err).toContain('It may have done what you asked');
    expect(gone.err).toMatch(SENTENCE);
    broker.on('/api/v1/orders', json(201, { unlike: 'an order' }));
    expect((await cli.run(...suspend)).err).toContain('The broker took the request, but');
  });

  it('of another protocol is said to be so', async () => {
    const key = join(cli.folder, 'key.pem');
    const url = broker.url.replace('http:', 'https:');
    const issuer = ['--url', url, '--person', PERSON, '--key', key];
    const { code, err } = await cli.run('whoami', ...issuer);
    expect(err).toContain('not encrypted (http, not https)');
    expect(err).toMatch(SENTENCE);
    expect(code).toBe(3);
  });

  it('nothing at all ends with 3', async () => {
    await broker.close();
    const { code, err } = await cli.run('whoami');
    expect(err).toContain('nothing listens there');
    expect(err).toMatch(SENTENCE);
    expect(code).toBe(3);
  });
});

describe('token create', () => {
  const ARGS = ['token', 'create', '--grant', GRANT, '--purpose', 'bias', '--run', "it's 1"];

  it('prints the token and nothing else, and asks for exactly what was said', async () => {
    const { code, out, err } = await cli.run(...ARGS);
    expect(out).toBe('a.b.c\n');
    expect(err).toMatch(/^The token is good until about \d{4}-/);
    expect(code).toBe(0);
    const form = new URLSearchParams(broker.asked.at(-1)?.body);
    expect(JSON.parse(form.get('authorization_details') ?? '')).toEqual([
      { type: 'model_access', grant: GRANT, purpose: 'bias', run: "it's 1" },
    ]);
  });

  it('prints what a shell sets for each SDK', async () => {
    expect((await cli.run(...ARGS, '--env', 'openai')).out).toBe(
      `export OPENAI_BASE_URL='${broker.url}/v1'\nexport OPENAI_API_KEY='a.b.c'\n`,
    );
    expect((await cli.run(...ARGS, '--env', 'anthropic')).out).toBe(
      `export ANTHROPIC_BASE_URL='${broker.url}'\nexport ANTHROPIC_AUTH_TOKEN='a.b.c'\n`,
    );
    expect((await cli.run(...ARGS, '--env', 'openai', '--json')).code).toBe(2);
  });

  it('hands nothing to a shell that is not a token', async () => {
    const evil = { access_token: "'; rm -rf ~; '", expires_in: 60, token_type: 'Bearer' };
    broker.on('/oauth/token', evil);
    const { code, out } = await cli.run(...ARGS, '--env', 'openai');
    expect(code).toBe(1);
    expect(out).toBe('');
  });
});

describe('grant accept', () => {
  const terms = 'One.\nTwo.\u001b[8m Hidden.\nSHA-256 of the terms: 00';
  const grant = sampleGrant(terms);
  beforeEach(() => {
    broker.on(`/api/v1/grants/${GRANT}`, grant);
    broker.on(`/api/v1/grants/${GRANT}/accept`, { ...grant, state: 'active', status: 'active' });
  });
  const sent = () => broker.asked.find(({ path }) => path.endsWith('/accept'))?.body;

  it('sends the digest of the terms that it has shown', async () => {
    const { code, out } = await cli.run('grant', 'accept', GRANT, '--yes');
    expect(code).toBe(0);
    expect(out).toContain('\n  | Two.\\u{1b}[8m Hidden.\n  | SHA-256 of the terms: 00\n');
    expect(out).toContain(`\nSHA-256 of the terms: ${grant.termsDigest}\n`);
    expect(JSON.parse(sent() ?? '')).toEqual({ version: 3, termsDigest: grant.termsDigest });
  });

  it('says who sets what the grant requires and is not known', async () => {
    const roster = [{ personId: PERSON, until: null, removed: false, lacking: ['export_status'] }];
    broker.on(`/api/v1/grants/${GRANT}/accept`, { ...sampleGrant(), roster });
    const { code, err } = await cli.run('grant', 'accept', GRANT, '--yes');
    expect(code).toBe(0);
    expect(err).toContain('not known of you: export_status.');
    expect(err).toContain(`sallyport person set-attributes ${PERSON} --set export_status=…\n`);
  });

  it('accepts nothing when there is nobody to ask', async () => {
    const { code, err } = await cli.run('grant', 'accept', GRANT);
    expect(code).toBe(2);
    expect(err).toContain('--yes');
    expect(sent()).toBeUndefined();
  });

  it.each([true, false])('asks at a terminal (%s)', async (answer) => {
    const asking = loggedIn({ interactive: true, confirm: () => Promise.resolve(answer) });
    const { code, out } = await asking.run('grant', 'accept', GRANT);
    asking.remove();
    expect(out).toContain('Two.');
    expect(code).toBe(answer ? 0 : 1);
    expect(sent() !== undefined).toBe(answer);
  });

  it('accepts nothing when the broker shows other terms than it records', async () => {
    broker.on(`/api/v1/grants/${GRANT}`, { ...grant, termsDigest: '0'.repeat(64) });
    const { code, err } = await cli.run('grant', 'accept', GRANT, '--yes');
    expect(code).toBe(1);
    expect(err).toContain('other terms');
    expect(sent()).toBeUndefined();
  });
});

describe('grant show', () => {
  it('says in plain words what is allowed, and by whom', async () => {
    broker.on(`/api/v1/grants/${GRANT}`, sampleGrant());
    broker.on('/api/v1/labs', { items: [], next: null });
    broker.on('/api/v1/people', json(403, { code: 'role_required', detail: 'No.' }));
    const { code, out } = await cli.run('grant', 'show', GRANT);
    expect(code).toBe(0);
    expect(out).toMatch(/^status +approved: The grant is approved, not active\.$/m);
    expect(out).toMatch(/^models +model-1 at endpoint chat$/m);
    expect(out).toMatch(/^features +at most 4,?096 output tokens, one answer a request$/m);
    expect(out).toMatch(/^approval, admin +per_0+ at 2026-01-01T00:00:00Z$/m);
    expect(out).toMatch(/^approval, safety +not given$/m);
    expect(out).toContain('  | Be careful.');
  });
});

describe('the roster of a grant', () => {
  it('marks who was removed, and says how many places are taken and promised', async () => {
    const grant = sampleGrant();
    broker.on(`/api/v1/grants/${GRANT}`, {
      ...grant,
      spec: {
        ...grant.spec,
        maxPeople: 5,
        features: { ...grant.spec.features, maxOutputTokens: 1 },
      },
      roster: [{ personId: PERSON, until: null, removed: true, lacking: [] }],
      places: { taken: 1, invited: 2 },
    });
    broker.on('/api/v1/labs', { items: [], next: null });
    broker.on('/api/v1/people', { items: [], next: null });
    const { out } = await cli.run('grant', 'show', GRANT);
    expect(out).toMatch(/^person +per_0+, who was removed$/m);
    expect(out).toMatch(
      /^roster +at most 5 people: the lead invites them; 1 place taken, 2 more are invited$/m,
    );
    expect(out).toMatch(/at most 1 output token,/);
  });
});

describe('grant approve', () => {
  it('says whose approval is missing', async () => {
    const grant = { ...sampleGrant(), state: 'submitted', status: 'submitted' };
    broker.on(`/api/v1/grants/${GRANT}`, grant);
    broker.on(`/api/v1/grants/${GRANT}/approve`, grant);
    const { out, err } = await cli.run('grant', 'approve', GRANT);
    expect(out).toContain(
      'It is still submitted: the approval of a safety officer of the host lab is missing.',
    );
    expect(err).toBe(
      `Next: a safety officer of the host lab runs: sallyport grant approve ${GRANT}\n`,
    );
  });

  it('approves the version that was read, and not a later one', async () => {
    broker.on(`/api/v1/grants/${GRANT}`, sampleGrant());
    broker.on(`/api/v1/grants/${GRANT}/approve`, sampleGrant());
    await cli.run('grant', 'approve', GRANT);
    await cli.run('grant', 'approve', GRANT, '--grant-version', '2', '--comment', 'fine');
    const bodies = broker.asked
      .filter(({ path }) => path.endsWith('/approve'))
      .map(({ body }) => JSON.parse(body) as unknown);
    expect(bodies).toEqual([{ version: 3 }, { version: 2, comment: 'fine' }]);
  });
});

describe('lists', () => {
  it('are read to their end, page by page, or to the limit', async () => {
    const lab = (n: number) => ({ id: `lab_${n}`, kind: 'partner', name: `L${n}`, createdAt: 'x' });
    broker.on('/api/v1/labs', (req, res) => {
      const { searchParams } = new URL(req.url ?? '', broker.url);
      const at = Number(searchParams.get('cursor') ?? 0);
      const limit = Math.min(2, Number(searchParams.get('limit')));
      const items = [0, 1, 2, 3, 4].slice(at, at + limit).map(lab);
      const next = at + limit < 5 ? String(at + limit) : null;
      json(200, { items, next })(req, res);
    });
    const all = await cli.json<{ items: unknown[]; next: null }>('lab', 'list');
    expect(all.items).toHaveLength(5);
    expect(all.next).toBeNull();
    const some = await cli.run('lab', 'list', '--limit', '3');
    expect(some.out.trim().split('\n')).toHaveLength(4);
    expect(some.err).toContain('more than these 3');
  });

  it('that are empty print nothing for pipes', async () => {
    broker.on('/api/v1/labs', { items: [], next: null });
    expect(await cli.run('lab', 'list')).toEqual({ code: 0, out: '', err: 'None.\n' });
  });
});

describe('audit export', () => {
  const out = () => join(cli.folder, 'evidence.tar');
  const bundle: Answer = raw(200, 'bundle', {
    'x-sallyport-export': 'exp_1',
    'x-sallyport-size': '12',
  });

  const completed = {
    entries: 12,
    bytes: 6,
    sha256: createHash('sha256').update('bundle').digest('hex'),
  };
  const shown = (of: object | null) => ({
    from: 0,
    to: 12,
    resumableUntil: '2027-01-01T00:00:00Z',
    running: null,
    completed: of,
  });

  it('writes the file, for its owner alone, and says what checks it', async () => {
    broker.on('/api/v1/exports', bundle);
    broker.on('/api/v1/exports/exp_1', shown(completed));
    const { code, out: said, err } = await cli.run('audit', 'export', '--out', out());
    expect(code).toBe(0);
    expect(readFileSync(out(), 'utf8')).toBe('bundle');
    expect(statSync(out()).mode & 0o777).toBe(0o600);
    expect(existsSync(`${out()}.part`)).toBe(false);
    expect(existsSync(`${out()}.part.json`)).toBe(false);
    expect(said).toContain('12 entries, 6 bytes (exp_1)');
    expect(err).toContain('sallyport audit verify');
  });

  it('never overwrites, and asks for nothing then', async () => {
    writeFileSync(out(), 'old');
    const { code, err } = await cli.run('audit', 'export', '--out', out());
    expect(code).toBe(2);
    expect(err).toContain('never overwritten');
    writeFileSync(join(cli.folder, 'b.tar.part'), 'old');
    expect((await cli.run('audit', 'export', '--out', join(cli.folder, 'b.tar'))).code).toBe(2);
    expect(broker.asked).toEqual([]);
    expect(readFileSync(out(), 'utf8')).toBe('old');
  });

  it('that breaks off keeps what came under another name, and goes on with it', async () => {
    broker.on('/api/v1/exports', (_req, res) => {
      res.writeHead(200, { 'x-sallyport-export': 'exp_1' });
      res.write('bun');
      const part = (): string => readFileSync(`${out()}.part`, 'utf8');
      void vi.waitFor(() => expect(part()).toBe('bun')).finally(() => res.destroy());
    });
    const cut = await cli.run('audit', 'export', '--out', out());
    expect(cut.code).toBe(3);
    expect(cut.err).toContain('broke off');
    expect(cut.err).toContain(`sallyport audit export --out ${out()} --resume`);
    expect(existsSync(out())).toBe(false);
    expect(readFileSync(`${out()}.part`, 'utf8')).toBe('bun');
    expect(statSync(`${out()}.part.json`).mode & 0o777).toBe(0o600);

    let range: string | undefined;
    broker.on('/api/v1/exports/exp_1', shown(null));
    broker.on('/api/v1/exports/exp_1/content', (req, res) => {
      ({ range } = req.headers);
      broker.on('/api/v1/exports/exp_1', shown(completed));
      res.writeHead(206).end('dle');
    });
    const { code } = await cli.run('audit', 'export', '--out', out(), '--resume');
    expect([code, range]).toEqual([0, 'bytes=3-']);
    expect(readFileSync(out(), 'utf8')).toBe('bundle');
    expect(existsSync(`${out()}.part`)).toBe(false);
  });

  it('that was killed before anything came has a way out, and each command says which', async () => {
    writeFileSync(`${out()}.part`, '');
    for (const more of [[], ['--resume']]) {
      const { code, err } = await cli.run('audit', 'export', '--out', out(), ...more);
      expect(code).toBe(2);
      expect(err).toContain('remove it and export again, without --resume');
    }
    expect(broker.asked).toEqual([]);
    rmSync(`${out()}.part`);
    broker.on('/api/v1/exports', raw(200, 'bundle', { 'x-sallyport-export': 'exp_1' }));
    broker.on('/api/v1/exports/exp_1', shown(completed));
    expect((await cli.run('audit', 'export', '--out', out())).code).toBe(0);
  });

  it('whose digest is not the one on record never gets the name', async () => {
    broker.on('/api/v1/exports', raw(200, 'bungle', { 'x-sallyport-export': 'exp_1' }));
    broker.on('/api/v1/exports/exp_1', shown(completed));
    const { code, err } = await cli.run('audit', 'export', '--out', out());
    expect(code).toBe(1);
    expect(err).toContain('not what the broker has on record');
    expect(existsSync(out())).toBe(false);
  });

  it('that ends early without an error is not taken for complete', async () => {
    broker.on('/api/v1/exports', raw(200, 'bun', { 'x-sallyport-export': 'exp_1' }));
    broker.on('/api/v1/exports/exp_1', shown(completed));
    const { code, err } = await cli.run('audit', 'export', '--out', out());
    expect(code).toBe(3);
    expect(err).toContain('broke off after 3 bytes');
    expect(existsSync(out())).toBe(false);
  });

  it('has nothing to resume where nothing was cut, and takes no filter for it', async () => {
    const none = await cli.run('audit', 'export', '--out', out(), '--resume');
    expect([none.code, none.err]).toEqual([2, expect.stringContaining('nothing to resume')]);
    const more = ['--resume', '--kind', 'order.issued'];
    const filtered = await cli.run('audit', 'export', '--out', out(), ...more);
    expect([filtered.code, filtered.err]).toEqual([2, expect.stringContaining('leave out')]);
    expect(broker.asked).toEqual([]);
  });

  it('that is refused leaves no file behind', async () => {
    broker.on('/api/v1/exports', json(403, { code: 'role_required', detail: 'Not you.' }));
    const { code, err } = await cli.run('audit', 'export', '--out', out());
    expect(code).toBe(1);
    expect(err).toBe('sallyport: Not you (role_required).\n');
    expect(existsSync(`${out()}.part`)).toBe(false);
  });
});

describe('audit report', () => {
  it('prints Markdown in which nothing acts, or writes what is asked for', async () => {
    broker.on('/api/v1/reports/run/run_1', raw(200, '# Report\u001b[2J\n'));
    const printed = await cli.run('audit', 'report', 'run', 'run_1');
    expect(printed).toMatchObject({ code: 0, out: '# Report\\u{1b}[2J\n' });
    const file = join(cli.folder, 'report.html');
    const wrote = await cli.run(
      'audit',
      'report',
      'run',
      'run_1',
      '--format',
      'html',
      '--out',
      file,
    );
    expect(wrote.code).toBe(0);
    expect(readFileSync(file, 'utf8')).toContain('# Report');
    const again = await cli.run('audit', 'report', 'run', 'run_1', '--out', file);
    expect([again.code, again.err]).toEqual([2, expect.stringContaining('never overwritten')]);
  });
});

describe('audit key', () => {
  it('prints nothing that is not a key', async () => {
    broker.on('/api/v1/log/verifier-key', raw(200, 'hello\n'));
    const { code, out, err } = await cli.run('audit', 'key');
    expect(out).toBe('');
    expect(err).toContain('not a verifier key');
    expect(code).toBe(1);
  });

  it('needs no login, and says what the key is worth', async () => {
    const stranger = newCli();
    const key = newLogKey().verifierKey;
    broker.on('/api/v1/log/verifier-key', raw(200, `${key}\n`));
    const { code, out, err } = await stranger.run('audit', 'key', '--url', broker.url);
    expect(out).toBe(`${key}\n`);
    expect(err).toContain('by another way');
    expect(code).toBe(0);
    expect(broker.asked.map(({ path }) => path)).toEqual(['/api/v1/log/verifier-key']);
  });
});
