/** A broker that must not start does not: it says why, and changes nothing. */
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigError, loadConfig } from '../../src/config/load.ts';
import {
  cleanUp,
  demoArguments,
  newDirectory,
  runCommand,
  startDemo,
  writeServeConfig,
  type DemoFacts,
  type Finished,
} from '../support/broker-process.ts';
import { startScriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';

let upstream: ScriptedUpstream;
/** A data directory with everything in it, and nobody working on it: each test leaves it as it was. */
let facts: DemoFacts;

beforeAll(async () => {
  upstream = await startScriptedUpstream();
  const demo = await startDemo({ dataDir: newDirectory(), upstream: upstream.url });
  await demo.process.end('SIGTERM');
  facts = demo.facts;
});

afterAll(async () => {
  await cleanUp();
  await upstream.close();
});

/** What is not right about a refusal: its code, a stack trace, or something that it does not say. */
function amiss(finished: Finished, code: number, ...saying: string[]): string[] {
  const { stdout, stderr } = finished;
  const wrong = saying.filter((text) => !stderr.includes(text)).map((text) => `unsaid: ${text}`);
  if (finished.code !== code) wrong.push(`ended with ${finished.code ?? finished.signal}`);
  if (stdout !== '' || !stderr.startsWith('sallyport: ') || /\n\s+at /.test(stderr))
    wrong.push(`said something else: ${stdout}${stderr}`);
  return wrong;
}

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const EMPTY = digestOf(Buffer.alloc(0));

/** A digest of every file in a directory. */
function contentsOf(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((item) => item.isFile())
      .map((item) => join(item.parentPath, item.name))
      .sort()
      .map((path) => [path, digestOf(readFileSync(path))]),
  );
}

async function ask({ url, token, model }: DemoFacts): Promise<number> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello!' }] }),
  });
  return answer.status;
}

const serve = (on: DemoFacts): Promise<Finished> =>
  runCommand(['serve', '--config', writeServeConfig(on, { upstream: upstream.url })]);

test('a second broker on the same data directory or port refuses, and the first goes on', async () => {
  const first = await startDemo({ dataDir: newDirectory(), upstream: upstream.url });
  expect(await ask(first.facts)).toBe(200);
  const why = 'Another broker is running on the data directory';
  expect(amiss(await serve(first.facts), 1, why)).toEqual([]);
  const again = demoArguments({ dataDir: first.facts.dataDir });
  expect(amiss(await runCommand(again), 1, why)).toEqual([]);
  const port = Number(new URL(first.facts.url).port);
  const config = writeServeConfig(facts, { upstream: upstream.url, port });
  const elsewhere = await runCommand(['serve', '--config', config]);
  expect(amiss(elsewhere, 1, `Port ${port}`, 'in use')).toEqual([]);
  expect(await ask(first.facts)).toBe(200);
  expect(await first.process.end('SIGTERM')).toEqual({ code: 0, signal: null });
});

test('the data of a newer version is refused and left as it is', async () => {
  const database = new Database(join(facts.dataDir, 'sallyport.db'));
  const version = Number(database.pragma('user_version', { simple: true }));
  database.pragma('user_version = 9999');
  database.close();
  const before = contentsOf(facts.dataDir);
  expect(amiss(await serve(facts), 1, 'newer version of Sallyport')).toEqual([]);
  // SQLite cannot even look without its side files; they are empty of changes.
  const {
    [`${database.name}-shm`]: _,
    [`${database.name}-wal`]: wal,
    ...after
  } = contentsOf(facts.dataDir);
  expect(after).toEqual(before);
  expect(wal ?? EMPTY).toBe(EMPTY);
  const restored = new Database(database.name);
  restored.pragma(`user_version = ${version}`);
  restored.close();
});

test('what others may look into is refused', async () => {
  chmodSync(facts.dataDir, 0o755);
  expect(amiss(await serve(facts), 1, 'is open to others', `chmod 700 ${facts.dataDir}`)).toEqual(
    [],
  );
  chmodSync(facts.dataDir, 0o700);
  const keys = readdirSync(join(facts.dataDir, 'keys')).filter((name) => name.endsWith('.pem'));
  expect(keys).toHaveLength(3);
  for (const name of keys) {
    const key = join(facts.dataDir, 'keys', name);
    chmodSync(key, 0o640);
    expect(
      amiss(await serve(facts), 1, `The key ${key} is open to others`, `chmod 600 ${key}`),
    ).toEqual([]);
    chmodSync(key, 0o600);
  }
});

test('a log keeps its name and its key', async () => {
  const renamed = { ...facts, log: { ...facts.log, origin: 'other.example/log' } };
  expect(amiss(await serve(renamed), 1, 'keeps its name for ever', facts.log.origin)).toEqual([]);
  const key = join(facts.dataDir, 'keys', 'log.pem');
  const pem = readFileSync(key, 'utf8');
  writeFileSync(key, 'not a key');
  expect(amiss(await serve(facts), 1, key, 'not a private key')).toEqual([]);
  expect(readFileSync(key, 'utf8')).toBe('not a key');
  writeFileSync(key, pem);
});

function writeConfig(config: object): string {
  const path = join(newDirectory(), 'sallyport.yaml');
  writeFileSync(path, JSON.stringify({ dataDir: './data', ...config }));
  return path;
}

describe('a wrong configuration is refused by the name of the option, and nothing is started', () => {
  const endpoint = {
    id: 'demo',
    description: 'An endpoint',
    dialects: ['openai'],
    upstream: 'http://127.0.0.1:9/v1',
    models: ['model-1'],
    safeguardsLifted: [{ safeguard: 'filter', reason: 'Because', owner: 'Somebody' }],
    features: {},
    prices: { inputUsdPerMillion: 1, outputUsdPerMillion: 1 },
  };
  const proxy = { trustedNetworks: ['10.0.0.0/8'] };
  const tls = { certFile: 'cert.pem', keyFile: 'key.pem' };
  const table: [string, object, string[]][] = [
    ['an unknown option', { sever: {} }, ['"sever"', 'no such option']],
    ['an unknown option inside', { server: { prot: 1 } }, ['"server.prot"', 'no such option']],
    ['a port out of range', { server: { port: 70_000 } }, ['"server.port"']],
    ['a port that is no number', { server: { port: '8787' } }, ['"server.port"']],
    [
      'an address outside without TLS',
      { server: { host: '0.0.0.0' } },
      ['"server.host"', 'server.tls', 'server.behindProxy'],
    ],
    ['the same in IPv6', { server: { host: '::' } }, ['"server.host"']],
    [
      'TLS and a proxy at once',
      { server: { tls, behindProxy: proxy, publicUrl: 'https://a.example' } },
      ['"server.tls"'],
    ],
    [
      'a proxy without a public URL',
      { server: { host: '0.0.0.0', behindProxy: proxy } },
      ['"server.publicUrl"'],
    ],
    [
      'a public URL in the clear',
      { server: { publicUrl: 'http://a.example' } },
      ['"server.publicUrl"', 'https'],
    ],
    ['a public URL that is none', { server: { publicUrl: 'sallyport' } }, ['"server.publicUrl"']],
    [
      'a public URL with a path',
      { server: { publicUrl: 'https://a.example/b' } },
      ['"server.publicUrl"', 'origin'],
    ],
    [
      'a proxy that is no network',
      { server: { behindProxy: { trustedNetworks: ['everywhere'] } } },
      ['"server.behindProxy.trustedNetworks[0]"'],
    ],
    ['no patience at all', { gateway: { requestSeconds: 0 } }, ['"gateway.requestSeconds"']],
    ['an origin with spaces', { log: { origin: 'my log' } }, ['"log.origin"']],
    ['tokens that live for ever', { tokens: { controlLifetimeSeconds: 1e9 } }, ['"tokens.']],
    ['a level that is none', { logging: { level: 'loud' } }, ['"logging.level"']],
    ['an endpoint twice', { endpoints: [endpoint, endpoint] }, ['"endpoints[1].id"', 'twice']],
    [
      'an endpoint without a model',
      { endpoints: [{ ...endpoint, models: [] }] },
      ['"endpoints[0].models"'],
    ],
    [
      'an endpoint that is no URL',
      { endpoints: [{ ...endpoint, upstream: 'models.internal' }] },
      ['"endpoints[0].upstream"'],
    ],
    [
      'a credential in the clear',
      { endpoints: [{ ...endpoint, credential: 'sk-live-123456' }] },
      ['"endpoints[0].credential"'],
    ],
    [
      'two mistakes at once',
      { server: { port: -1 }, logging: { level: 'loud' } },
      ['"server.port"', '"logging.level"'],
    ],
  ];

  test.each(table)('%s', (_name, config, saying) => {
    const path = writeConfig(config);
    const load = (): unknown => loadConfig(path);
    expect(load).toThrow(ConfigError);
    for (const text of [path, ...saying]) expect(load).toThrow(text);
    expect(load).not.toThrow('sk-live-123456');
  });

  test.each([0, 4, table.length - 1])('as the command says it: row %i', async (row) => {
    const [, config, saying] = table[row] as (typeof table)[number];
    const path = writeConfig(config);
    expect(amiss(await runCommand(['serve', '--config', path]), 2, path, ...saying)).toEqual([]);
    expect(existsSync(join(dirname(path), 'data'))).toBe(false);
  });

  test('a file that is missing, or not YAML', async () => {
    const directory = newDirectory();
    const path = join(directory, 'sallyport.yaml');
    expect(
      amiss(
        await runCommand(['serve', '--config', path]),
        2,
        path,
        'There is no configuration file',
      ),
    ).toEqual([]);
    writeFileSync(path, 'server: [');
    expect(amiss(await runCommand(['serve', '--config', path]), 2, path, 'not valid YAML')).toEqual(
      [],
    );
  });

  test('a credential that is not there', async () => {
    const missing = { ...endpoint, credential: 'env:NO_SUCH_CREDENTIAL' };
    const path = writeConfig({ endpoints: [missing] });
    const finished = await runCommand(['serve', '--config', path]);
    expect(amiss(finished, 1, 'NO_SUCH_CREDENTIAL', 'is not set')).toEqual([]);
    expect(existsSync(join(dirname(path), 'data'))).toBe(false);
  });

  test('the demo does not listen outside either', async () => {
    const dataDir = newDirectory();
    const args = ['demo', '--serve', '--host', '0.0.0.0', '--port', '0', '--data', dataDir];
    expect(amiss(await runCommand(args), 1, '"server.host"')).toEqual([]);
    expect(readdirSync(dataDir)).toEqual([]);
  });
});
