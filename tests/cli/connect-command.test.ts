/** `sallyport connect` as it is called: what it prints, what it runs, how it ends. */
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { saveProfile } from '../../src/cli/profiles.ts';
import type { Surroundings } from '../../src/cli/surroundings.ts';
import { createKeyFile } from '../../src/lib/key-file.ts';
import { ConnectBroker, MODEL, refuse } from './connect-broker.ts';
import { SENTENCE, newCli, type Cli } from './run-cli.ts';
import { GRANT, PERSON, sampleGrant } from './sample-grant.ts';

const ASK = ['connect', '--grant', GRANT, '--purpose', 'bias', '--run', 'round 1'];
const ORDER = 'ord_00000000000000000000000001';

let broker: ConnectBroker;
let cli: Cli;
let out: string;
let err: string;
let listeners: { signal: string; listener: () => void }[];
let columns: number | undefined;
let interactive: boolean;

beforeEach(async () => {
  broker = await ConnectBroker.start();
  [out, err, listeners, columns, interactive] = ['', '', [], undefined, false];
  cli = newCli({
    out: (text) => (out += text),
    err: (text) => (err += text),
    columns: () => columns,
    onSignal,
    get interactive() {
      return interactive;
    },
  });
  const key = join(cli.folder, 'key.pem');
  createKeyFile(key);
  saveProfile(cli.env, 'p', { url: broker.url, issuer: broker.url, person: PERSON, key });
  standing({});
});

afterEach(async () => {
  await broker.close();
  cli.remove();
});

const onSignal: Surroundings['onSignal'] = (signal, listener) => {
  const entry = { signal, listener };
  listeners.push(entry);
  return () => void listeners.splice(listeners.indexOf(entry), 1);
};

function raise(name: NodeJS.Signals): void {
  const heard = listeners.filter(({ signal }) => signal === name);
  for (const { listener } of heard) listener();
}

/** What the control API tells of the grant. */
function standing({ status = 'active', orders = [] as object[] }): void {
  const left = {
    requests: null,
    tokens: { cap: 5000, left: 3766 },
    requestsPerDay: null,
    tokensPerDay: null,
    spendUsd: null,
  };
  const charged = {
    requestsSettled: 3,
    requestsReserved: 0,
    tokensSettled: 1000,
    tokensReserved: 234,
    spendSettledNanoUsd: 0,
    spendReservedNanoUsd: 0,
  };
  const lastDay = { requests: 3, tokens: 1234 };
  broker.control.set(`/grants/${GRANT}`, { ...sampleGrant(), status, statusReason: null });
  broker.control.set(`/grants/${GRANT}/usage`, { total: charged, lastDay, left, people: [] });
  broker.control.set('/orders', { items: orders, next: null });
}

const order = (grounds: string): object => ({
  id: ORDER,
  level: 4,
  selector: { grant: GRANT },
  grounds,
  revision: 'r',
  levelName: 'suspend',
  measures: {},
  authority: { kind: 'officer' },
  band: null,
  missing: [],
  ratified: false,
  endsAt: null,
  reviewDueAt: null,
  ratifiedBy: null,
  ratifiedAt: null,
  replaces: null,
  ended: null,
  inForce: true,
  issuedBy: PERSON,
  issuedAt: '2026-11-21T18:00:00Z',
});

interface Started {
  url: string;
  key: string;
  environment: Record<string, string>;
  unset: string[];
  token: { expiresAt: string; access: { models: string[] } };
}

/** Starts it, and waits until it serves. */
async function start(
  ...options: string[]
): Promise<{ ended: Promise<{ code: number }>; started: Started }> {
  const ended = cli.run(...ASK, ...options, '--json');
  await vi.waitFor(() => expect(out).not.toBe(''), 5_000);
  return { ended, started: JSON.parse(out) as Started };
}

function ask({ url, key }: Started, path = '/v1/messages'): Promise<Response> {
  return fetch(`${url}${path}`, { method: 'POST', headers: { 'x-api-key': key }, body: '{}' });
}

describe('a broker behind a tunnel', () => {
  const issuer = 'https://sallyport.lab.example';
  beforeEach(() => {
    const key = join(cli.folder, 'key.pem');
    saveProfile(cli.env, 'p', { url: broker.url, issuer, person: PERSON, key });
  });

  it('gets proofs for the address under which it knows itself', async () => {
    broker.publicUrl = issuer;
    const { ended, started } = await start();
    expect((await ask(started, '/v1/messages?beta=true')).status).toBe(200);
    raise('SIGTERM');
    expect((await ended).code).toBe(0);
  });

  it('that is another than at login gets none', async () => {
    broker.publicUrl = 'https://other.example';
    const { code } = await cli.run(...ASK);
    expect(code).toBe(1);
    expect(err).toContain('calls itself https://other.example, and not https://sallyport.lab');
    expect(broker.issued.size).toBe(0);
  });
});

describe('what it prints', () => {
  it('is one document for programs', async () => {
    const { ended, started } = await start();
    const { url, key } = started;
    expect(started.environment).toEqual({
      OPENAI_BASE_URL: `${url}/v1`,
      OPENAI_API_KEY: key,
      ANTHROPIC_BASE_URL: url,
      ANTHROPIC_API_KEY: key,
    });
    expect(started.unset).toContain('ANTHROPIC_AUTH_TOKEN');
    expect(started.token.access.models).toEqual([MODEL]);
    expect(Date.parse(started.token.expiresAt)).toBeGreaterThan(Date.now());
    expect((await ask(started)).status).toBe(200);
    raise('SIGINT');
    expect((await ended).code).toBe(0);
    expect(listeners).toEqual([]);
  });

  it('is lines for a shell, and command lines for harnesses', async () => {
    const ended = cli.run(...ASK);
    await vi.waitFor(() => expect(err).toContain('Passing requests on'), 5_000);
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(out)?.[0];
    expect(out).toContain(`export OPENAI_BASE_URL='${url}/v1'\n`);
    expect(out).toMatch(/^export OPENAI_API_KEY='slp-local-[\w-]{43}'$/m);
    expect(out).toContain(`export ANTHROPIC_BASE_URL='${url}'\n`);
    expect(out).toMatch(/^unset .*ANTHROPIC_AUTH_TOKEN/m);
    expect(out).toContain(`inspect eval TASK.py --model 'openai/${MODEL}' -M responses_api=false`);
    expect(out).toContain(`inspect eval TASK.py --model 'anthropic/${MODEL}'`);
    expect(out).toContain(`-r 'openai:chat:${MODEL}'`);
    expect(out).toContain(`-r 'anthropic:messages:${MODEL}'`);
    expect(out).toContain(`--model_args 'model=${MODEL},base_url=${url}/v1/chat/completions'`);
    // All of it can be pasted.
    for (const line of out.trimEnd().split('\n')) expect(line).toMatch(/^(#|export |unset )/);
    // The person's key and the broker's token are nobody else's.
    expect(out + err).not.toContain('h.1.s');
    raise('SIGTERM');
    expect((await ended).code).toBe(0);
  });

  it('speaks only of the dialects that the token is good for', async () => {
    broker.operations = ['messages'];
    const ended = cli.run(...ASK);
    await vi.waitFor(() => expect(err).toContain('Passing requests on'), 5_000);
    raise('SIGTERM');
    await ended;
    expect(out).toContain('ANTHROPIC_BASE_URL');
    expect(out).not.toContain('OPENAI');
    expect(out).not.toContain('lm_eval');
  });
});

describe('what it asks for', () => {
  it('is narrowed by the options', async () => {
    const narrower = ['--model', MODEL, '--model', 'other', '--max-output-tokens', '99'];
    const { ended } = await start(...narrower);
    raise('SIGINT');
    await ended;
    expect(broker.asked).toEqual([
      {
        type: 'model_access',
        grant: GRANT,
        purpose: 'bias',
        run: 'round 1',
        models: [MODEL, 'other'],
        features: { maxOutputTokens: 99 },
      },
    ]);
  });

  it('refused, is a sentence and a code', async () => {
    broker.refuseTokens = {
      status: 400,
      error: 'unauthorized_client',
      code: 'grant_expired',
      description: "The grant's window has ended.",
    };
    const { code } = await cli.run(...ASK);
    expect(code).toBe(1);
    expect(err).toBe("sallyport: The grant's window has ended (grant_expired).\n");
    expect(out).toBe('');
  });

  it('must come bound: another token is handed back unused', async () => {
    broker.tokenType = 'Bearer';
    const { code } = await cli.run(...ASK);
    expect(code).toBe(1);
    expect(err).toContain('not bound to the key of this run');
    expect(broker.handedBack).toEqual(['h.1.s']);
  });
});

describe('the port', () => {
  it('that is taken is wrong usage, and no token is asked for', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const { port } = taken.address() as AddressInfo;
    const { code } = await cli.run(...ASK, '--port', String(port));
    expect(code).toBe(2);
    expect(err).toContain(`Port ${port} is in use.`);
    expect(broker.issued.size).toBe(0);
    expect(err).not.toContain('handed back');
    taken.close();
  });

  it.each([
    ['--port', '70000'],
    ['--wait', '3601'],
    ['--wait', '2m'],
    ['--purpose', 'fun'],
    ['--max-output-tokens', '0'],
  ])('or an option that is not valid is wrong usage: %s %s', async (...wrong) => {
    const { code } = await cli.run(...ASK, ...wrong);
    expect(code).toBe(2);
    expect(err).toMatch(SENTENCE);
    expect(broker.issued.size).toBe(0);
  });
});

describe('the count', () => {
  it('says how many requests were refused', async () => {
    let asked = 0;
    broker.gateway = (_req, res) => {
      asked += 1;
      if (asked === 1) res.end('{}');
      else refuse(res, 403, 'quota_exhausted', 'The budget is used up.');
    };
    const program = `const one = () => fetch(process.env.OPENAI_BASE_URL + '/models', { headers: { authorization: 'Bearer ' + process.env.OPENAI_API_KEY } }).then((answer) => answer.text());
      one().then(one).then(one)`;
    await cli.run(...ASK, '--', process.execPath, '-e', program);
    expect(err).toContain('3 requests passed on; 2 were refused.');
  });
});

describe('a command', () => {
  const script = (text: string): string[] => ['--', process.execPath, '-e', text];
  const inFile = (name: string): string => join(cli.folder, name);

  it('runs with the variables set and no shell, and gives its exit code', async () => {
    cli.env['ANTHROPIC_AUTH_TOKEN'] = 'another';
    const path = JSON.stringify(inFile('env.json'));
    const program = `fetch(process.env.ANTHROPIC_BASE_URL + '/v1/messages', { method: 'POST', headers: { 'x-api-key': process.env.ANTHROPIC_API_KEY } })
      .then((answer) => { fs.writeFileSync(${path}, JSON.stringify({ status: answer.status, args: process.argv.slice(1), other: process.env.ANTHROPIC_AUTH_TOKEN })); process.exit(7); })`;
    const { code } = await cli.run(...ASK, ...script(program), '$HOME', '--json');
    expect(code).toBe(7);
    expect(JSON.parse(readFileSync(inFile('env.json'), 'utf8'))).toEqual({
      status: 200,
      args: ['$HOME', '--json'],
    });
    expect(out).toBe('');
    expect(broker.handedBack).toEqual(['h.1.s']);
    expect(err).toContain('1 request passed on.');
    expect(err).toContain('The token has been handed back.');
  });

  it('of --exec is for the shell', async () => {
    const path = inFile('url');
    const { code } = await cli.run(
      ...ASK,
      '--exec',
      `printf %s "$OPENAI_BASE_URL" > '${path}' && exit 3`,
    );
    expect(code).toBe(3);
    expect(readFileSync(path, 'utf8')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/);
  });

  it('gets the signals, and says how it ended', async () => {
    const path = inFile('ready');
    const program = `fs.writeFileSync(${JSON.stringify(path)}, ''); setInterval(() => {}, 1000)`;
    const ended = cli.run(...ASK, ...script(program));
    await vi.waitFor(() => readFileSync(path), 5_000);
    raise('SIGTERM');
    expect((await ended).code).toBe(128 + 15);
    expect(broker.handedBack).toEqual(['h.1.s']);
  });

  it('may take Ctrl-C as often as it likes: the token is renewed and handed back all the same', async () => {
    // A terminal: the command has the signals from there.
    interactive = true;
    const path = inFile('ready');
    const end = inFile('end');
    const program = `fs.writeFileSync(${JSON.stringify(path)}, ''); setInterval(() => fs.existsSync(${JSON.stringify(end)}) && process.exit(0), 5)`;
    const ended = cli.run(...ASK, ...script(program));
    await vi.waitFor(() => readFileSync(path), 5_000);
    for (let i = 0; i < 3; i += 1) raise('SIGINT');
    writeFileSync(end, '');
    expect((await ended).code).toBe(0);
    expect(broker.handedBack).toEqual(['h.1.s']);
  });

  it('that does not exist is said, and the token handed back', async () => {
    const { code } = await cli.run(...ASK, '--', 'no-such-program-here');
    expect(code).toBe(1);
    expect(err).toContain('Cannot run no-such-program-here: there is no such program.');
    expect(broker.handedBack).toEqual(['h.1.s']);
  });

  it('is given in one way only, and takes standard output for itself', async () => {
    expect((await cli.run(...ASK, '--exec', 'true', '--', 'true')).code).toBe(2);
    expect((await cli.run(...ASK, '--json', '--exec', 'true')).code).toBe(2);
    expect(broker.issued.size).toBe(0);
  });
});

describe('the end', () => {
  it('lets a running request end, then hands the token back', async () => {
    const { ended, started } = await start();
    let finish = (): void => undefined;
    broker.gateway = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
      finish = () => void res.end('data: [DONE]\n\n');
    };
    const response = await ask(started);
    raise('SIGINT');
    await vi.waitFor(() => expect(err).toContain('Waiting for 1 request to end.'));
    expect(broker.handedBack).toEqual([]);
    finish();
    expect(await response.text()).toBe('data: [DONE]\n\n');
    expect((await ended).code).toBe(0);
    expect(broker.handedBack).toEqual(['h.1.s']);
  });

  it('is at once with a second signal', async () => {
    const { ended, started } = await start();
    broker.gateway = (_req, res) => res.writeHead(200).flushHeaders();
    const response = await ask(started);
    raise('SIGINT');
    await vi.waitFor(() => expect(err).toContain('Waiting for 1 request'));
    raise('SIGINT');
    await expect(response.text()).rejects.toThrow('terminated');
    expect((await ended).code).toBe(0);
  });

  it('hands back every token that still lives', async () => {
    broker.lifetime = 6;
    const { ended } = await start();
    await vi.waitFor(() => expect(broker.issued.size).toBe(2), 5_000);
    raise('SIGINT');
    await ended;
    expect(broker.handedBack.toSorted()).toEqual(['h.1.s', 'h.2.s']);
  });
});

describe('what it says meanwhile', () => {
  it('is a line in place on a terminal, never wider than it', async () => {
    columns = 200;
    const { ended, started } = await start();
    broker.gateway = (_req, res) => {
      res.setHeader('x-ratelimit-limit-requests', '60');
      res.setHeader('x-ratelimit-remaining-requests', '59');
      res.end('{}');
    };
    await (await ask(started)).text();
    await vi.waitFor(() =>
      expect(err.split('\r\u001b[2K').at(-1)).toMatch(
        /^1 request \| grant: 1,234 tokens used, 3,766 left \| 59 of 60 requests\/min left \| token renewed in \d+ min \d+ s$/,
      ),
    );
    columns = 20;
    standing({ orders: [order('seen enough')] });
    await vi.waitFor(() => expect(err.split('\u001b[2K').at(-1)).toHaveLength(19), 3_000);
    raise('SIGINT');
    await ended;
    expect(err.endsWith('The token has been handed back.\n')).toBe(true);
  });

  it('names the orders that touch the grant, and a refusal in words with the grounds', async () => {
    broker.control.set(`/orders/${ORDER}`, order('An answer named\u001b[2J a real person'));
    standing({ status: 'suspended', orders: [order('An answer named a real person')] });
    const { ended, started } = await start();
    await vi.waitFor(() =>
      expect(err).toContain(
        `ORDER ${ORDER}, level 4, stops grant ${GRANT}: An answer named a real person\n`,
      ),
    );
    expect(err).toContain('The grant is suspended now');
    broker.gateway = (_req, res) =>
      refuse(
        res,
        403,
        'grant_suspended',
        `The grant is suspended by an order. (${ORDER}; level 4, suspend)`,
      );
    for (let i = 0; i < 3; i += 1) expect((await ask(started)).status).toBe(403);
    await vi.waitFor(() =>
      expect(err).toContain(
        'Grounds: "An answer named\\u{1b}[2J a real person". Nothing passes until the order is lifted',
      ),
    );
    raise('SIGINT');
    await ended;
    expect(err.match(/Refused: /g)).toHaveLength(1);
    expect(err).toContain('Refused 2 more times (grant_suspended).');
  });

  it('does not suffer from a control API that is out of order', async () => {
    broker.control.clear();
    const { ended, started } = await start();
    expect((await ask(started)).status).toBe(200);
    raise('SIGINT');
    expect((await ended).code).toBe(0);
  });
});
