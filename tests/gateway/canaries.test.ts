/**
 * No secrets anywhere (invariant 7): unique strings go in through every opening of a real broker process,
 * and are looked for in everything that it keeps, prints and gives out.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { BrokerClient } from '../../src/cli/broker-client.ts';
import { ASSERTION_TYPE, signClientAssertion } from '../../src/cli/client-assertion.ts';
import { processSurroundings } from '../../src/cli/surroundings.ts';
import { loadKeyFile } from '../../src/lib/key-file.ts';
import { errorOf, eventually, post, sdks } from '../support/running-broker.ts';
import {
  anthropicJson,
  anthropicStream,
  hold,
  openaiJson,
  openaiStream,
  startScriptedUpstream,
  status,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';

const MAIN = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const MODEL = 'pinned-model-1';

/** A process has this long to start, on a machine that does other things, too. */
const PATIENCE_MS = 12_000;

/** What must not be found, by what it stands for. A token is found by its signature alone, too. */
const SECRETS = {
  prompt: 'canary-prompt-5d41402abc4b',
  output: 'canary-output-7d793037a076',
  credential: 'sk-canary-credential-2a38a4a9316c',
  headerValue: 'canary-header-9e107d9d372b',
  fieldName: 'canary field e4d909c290d0',
  modelName: 'canary model 098f6bcd4621',
  query: 'canary-query-ad0234829205',
  path: 'canary-path-b9033d81ee4d',
  notAToken: 'canary-bearer-1bc29b36f623',
  upstreamHeader: 'canary-upstream-header-c3fcd3d76192',
};

interface Process {
  child: ChildProcess;
  stdout: () => string;
  stderr: () => string;
}

let dir: string;
let upstream: ScriptedUpstream;
let broker: Process;
let facts: Facts;
const running: Process[] = [];

interface Facts {
  url: string;
  metrics: string;
  grant: string;
  dataDir: string;
  log: { origin: string };
  people: { id: string; role: string; keyFile: string }[];
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sallyport-canary-'));
  upstream = await startScriptedUpstream();
  const overrides = join(dir, 'grant.yaml');
  writeFileSync(overrides, 'operations: [chat.completions, messages, models]\n');
  // The demo makes labs, people with their keys, and an active grant; a real broker then serves them.
  const demo = start(
    ['demo', '--serve', '--json', '--port', '0', '--data', join(dir, 'data')].concat([
      '--upstream',
      upstream.url,
      '--model',
      MODEL,
      '--grant',
      overrides,
    ]),
  );
  const line = await eventually(() => {
    if (!demo.stdout().includes('\n')) throw new Error(`Not ready yet: ${demo.stderr()}`);
    return demo.stdout();
  }, PATIENCE_MS);
  const made = JSON.parse(line) as Facts;
  await stop(demo);
  const config = join(dir, 'sallyport.yaml');
  writeFileSync(
    config,
    JSON.stringify({
      server: { port: 0, shutdownSeconds: 2 },
      dataDir: made.dataDir,
      log: { origin: made.log.origin },
      logging: { level: 'trace' },
      metrics: { port: 0 },
      endpoints: [
        {
          id: 'demo',
          dialects: ['openai', 'anthropic'],
          upstream: `${upstream.url}/v1`,
          credential: 'env:CANARY_CREDENTIAL',
          models: [MODEL],
          features: { streaming: true, systemPrompt: true, tools: true },
        },
      ],
    }),
  );
  broker = start(['serve', '--config', config]);
  const url = await eventually(() => {
    const listening = /"url":"([^"]+)".*"listening"/.exec(broker.stderr());
    if (!listening?.[1]) throw new Error(`Not listening yet: ${broker.stderr()}`);
    return listening[1];
  }, PATIENCE_MS);
  facts = { ...made, url, metrics: /"metrics":"([^"]+)"/.exec(broker.stderr())?.[1] ?? '' };
});

afterAll(async () => {
  await Promise.all(running.map(stop));
  await upstream.close();
  rmSync(dir, { recursive: true, force: true });
});

it('invariant 7, known failure 12: nothing that is secret is kept, printed or given out', async () => {
  const secrets = new Map(Object.entries(SECRETS));
  const token = await getToken(secrets);
  const heard = await useAndAbuse(token, secrets);

  const auditor = clientOf('auditor');
  const sinks = new Map<string, string>();
  const pages = await auditor.list('/log/entries', z.looseObject({}), 100_000);
  sinks.set('the entries that the API gives', JSON.stringify(pages));
  const bundle = await auditor.request('POST', '/exports', {});
  sinks.set('the export', Buffer.from(await bundle.arrayBuffer()).toString('latin1'));
  sinks.set('the list of tokens', await (await auditor.request('GET', '/tokens')).text());
  sinks.set('the metrics', await (await fetch(`${facts.metrics}/metrics`)).text());
  for (const [name, bytes] of filesOf(facts.dataDir)) sinks.set(`${name}, while it runs`, bytes);
  await stop(broker);
  for (const [name, bytes] of filesOf(facts.dataDir)) sinks.set(`${name}, at the end`, bytes);
  sinks.set('standard error', broker.stderr());
  sinks.set('standard output', broker.stdout());

  // The search finds what is there: each of the places that matter holds the id of a request.
  const requestId = /"kind":"request\.outcome".*?"ref":"(req_[^"]+)"/.exec(
    sinks.get('the entries that the API gives') ?? '',
  )?.[1];
  for (const place of [
    'the entries that the API gives',
    'the export',
    'sallyport.db, at the end',
    'standard error',
  ])
    expect(`${place}: ${sinks.get(place)?.includes(requestId ?? '-')}`).toBe(`${place}: true`);
  expect(sinks.has('sallyport.db-wal, while it runs')).toBe(true);
  expect(sinks.get('the metrics')).toContain(facts.grant);
  expect(sinks.get('standard error')).toMatch(/request ended.*request refused/s);

  expect(findings(sinks, secrets)).toEqual([]);
  // Clients hear the model, and their own words, but never these.
  const hostsOnly = new Map(
    [...secrets].filter(([name]) => /credential|upstreamHeader/.test(name)),
  );
  expect(findings(new Map([['what clients heard', heard.join('\n')]]), hostsOnly)).toEqual([]);
  expect(heard.join('\n')).toContain(SECRETS.output);
});

/** Gets a token of the gateway by hand, so that the assertion is known and can be looked for. */
async function getToken(secrets: Map<string, string>): Promise<string> {
  const { id, keyFile } = person('researcher');
  const sign = (): Promise<string> =>
    signClientAssertion(loadKeyFile(keyFile), id, facts.url, Date.now());
  const form = (assertion: string): URLSearchParams =>
    new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: assertion,
      authorization_details: JSON.stringify([
        { type: 'model_access', grant: facts.grant, purpose: 'hallucination', run: 'canaries' },
      ]),
    });
  const assertion = await sign();
  const endpoint = `${facts.url}/oauth/token`;
  const answer = await fetch(endpoint, { method: 'POST', body: form(assertion) });
  const { access_token: token } = (await answer.json()) as { access_token: string };
  // Used twice; and one that is not signed as it should be.
  const again = await fetch(endpoint, { method: 'POST', body: form(assertion) });
  expect(again.status).toBe(401);
  const forged = (await sign()).replace(/.{20}$/, 'canarysignature12345');
  expect((await fetch(endpoint, { method: 'POST', body: form(forged) })).status).toBe(401);
  secrets.set('assertion', signatureOf(assertion));
  secrets.set('forged assertion', 'canarysignature12345');
  secrets.set('token', signatureOf(token));
  return token;
}

/** Successes, refusals, errors and crashes. @returns what clients were told */
async function useAndAbuse(token: string, secrets: Map<string, string>): Promise<string[]> {
  const { prompt, output, credential } = SECRETS;
  const heard: string[] = [];
  const ask = {
    model: MODEL,
    max_tokens: 50,
    messages: [{ role: 'user' as const, content: prompt }],
  };
  const chat = `${facts.url}/v1/chat/completions`;
  const messages = `${facts.url}/v1/messages`;
  const listen = async (
    url: string,
    body: unknown,
    { as = token, ...headers }: Record<string, string> = {},
  ): Promise<void> => {
    const answer = await post(url, as, body, {
      'x-custom': SECRETS.headerValue,
      'user-agent': SECRETS.headerValue,
      ...headers,
    });
    heard.push(JSON.stringify([...answer.headers]));
    // A stream whose connection breaks is heard up to there.
    heard.push(await answer.text().catch(String));
  };

  // Successes
  const { openai, anthropic } = sdks(facts.url, token);
  upstream.respond((req, res) => {
    res.setHeader('x-upstream', SECRETS.upstreamHeader);
    return openaiJson({ content: output })(req, res);
  });
  heard.push(JSON.stringify(await openai.chat.completions.create(ask)));
  await listen(chat, ask);
  upstream.respond(openaiStream({ chunks: [output, ' ', output] }));
  await listen(chat, { ...ask, stream: true });
  upstream.respond(anthropicJson({ content: output }));
  heard.push(JSON.stringify(await anthropic.messages.create({ ...ask, system: prompt })));
  upstream.respond(anthropicStream({ chunks: [output] }));
  await listen(messages, { ...ask, stream: true });
  await openai.models.list();

  // Refusals
  const refused: [unknown, Record<string, string>?][] = [
    [{ ...ask, [SECRETS.fieldName]: 1 }],
    [{ ...ask, messages: [{ ...ask.messages[0], [SECRETS.fieldName]: prompt }] }],
    [{ ...ask, model: SECRETS.modelName }],
    [{ ...ask, stream: prompt }],
    [{ ...ask, n: prompt }],
    [{ ...ask, messages: [{ role: prompt, content: prompt }] }],
    [{ ...ask, messages: [{ role: 'user', content: [{ type: prompt }] }] }],
    [{ ...ask, messages: prompt }],
    [{ ...ask, max_tokens: 1_000_000 }],
    [{ ...ask, logprobs: true }],
    [`{"model":"${MODEL}","messages":[{"content":"${prompt}"`],
    [prompt],
    [ask, { 'content-type': `text/${SECRETS.headerValue}` }],
    [ask, { 'content-encoding': SECRETS.headerValue }],
    [ask, { 'anthropic-beta': SECRETS.headerValue, 'openai-beta': SECRETS.headerValue }],
    [ask, { 'x-api-key': SECRETS.notAToken }],
    [ask, { as: SECRETS.notAToken }],
    [ask, { as: token.replace(/.{20}$/, 'canaryoftheforgedone') }],
  ];
  secrets.set('forged token', 'canaryoftheforgedone');
  for (const [body, headers] of refused) {
    await listen(chat, body, headers);
    await listen(messages, body, headers);
  }
  await listen(`${chat}?${SECRETS.query}=${SECRETS.query}`, ask);
  await listen(`${facts.url}/v1/${SECRETS.path}`, ask);
  await listen(`${facts.url}/v1/models/${SECRETS.path}`, ask);
  await listen(`${facts.url}/v1/chat/completions/${SECRETS.path}`, ask);

  // Errors and crashes of the upstream
  const leak = {
    type: 'error',
    error: { message: `${output} ${credential}`, type: 'server_error' },
  };
  for (const handler of [
    status(401, leak, { 'x-upstream': SECRETS.upstreamHeader }),
    status(403, leak),
    status(400, { error: { message: output } }),
    status(500, leak),
    status(502, `${output} ${credential}`),
    status(302, '', { location: `http://127.0.0.1:1/${SECRETS.upstreamHeader}` }),
    status(200, `${output} is not JSON`),
    openaiJson({ content: output, model: `${output} !` }),
    openaiStream({ chunks: [output], endWith: 'nothing' }),
    openaiStream({ chunks: [output], endWith: 'destroy' }),
    openaiStream({ chunks: [output], endWith: 'error-event' }),
    anthropicStream({ chunks: [output], endWith: 'destroy', model: `${output} !` }),
  ])
    for (const stream of [false, true]) {
      upstream.respond(handler);
      await listen(chat, { ...ask, stream });
      await listen(messages, { ...ask, stream });
    }

  // A client that leaves, and a stream that is cut
  const leaving = new AbortController();
  const index = upstream.requests.length;
  upstream.respond(hold({ chunks: [output] }));
  for await (const _ of await openai.chat.completions.create(
    { ...ask, stream: true },
    { signal: leaving.signal },
  ))
    leaving.abort();
  await upstream.waitForAbort(index);
  let form: Promise<Response> | undefined;
  const cut = openai.chat.completions.create({ ...ask, stream: true });
  const revoked = errorOf(
    (async () => {
      for await (const _ of await cut) form ??= revoke(token);
    })(),
  );
  heard.push((await revoked).message);
  expect((await form)?.status).toBe(200);
  await listen(chat, ask);
  return heard;
}

/** RFC 7009: presents the token itself. */
async function revoke(token: string): Promise<Response> {
  const { id, keyFile } = person('researcher');
  return fetch(`${facts.url}/oauth/revoke`, {
    method: 'POST',
    body: new URLSearchParams({
      token,
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: await signClientAssertion(loadKeyFile(keyFile), id, facts.url, Date.now()),
    }),
  });
}

function findings(sinks: Map<string, string>, secrets: Map<string, string>): string[] {
  const found: string[] = [];
  for (const [place, text] of sinks) {
    for (const [name, secret] of secrets) {
      const forms = [
        secret,
        Buffer.from(secret).toString('base64').replaceAll('=', '').slice(0, -1),
        Buffer.from(secret).toString('hex'),
      ];
      if (forms.some((form) => text.includes(form))) found.push(`${name} in ${place}`);
    }
  }
  return found;
}

/** Everything in the data directory but the keys, which are secrets in their own right. */
function filesOf(dataDir: string): [string, string][] {
  return readdirSync(dataDir, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => [name, readFileSync(join(dataDir, name), 'latin1')]);
}

const signatureOf = (jwt: string): string => jwt.split('.')[2] ?? '';

function person(role: string): Facts['people'][number] {
  const found = facts.people.find((one) => one.role === role);
  if (!found) throw new Error(`There is no ${role}.`);
  return found;
}

function clientOf(role: string): BrokerClient {
  const { id, keyFile } = person(role);
  return new BrokerClient(processSurroundings(), {
    url: facts.url,
    issuer: facts.url,
    person: id,
    key: loadKeyFile(keyFile),
  });
}

function start(args: string[]): Process {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, CANARY_CREDENTIAL: SECRETS.credential },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (texts.stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (texts.stderr += String(chunk)));
  const started = { child, stdout: () => texts.stdout, stderr: () => texts.stderr };
  running.push(started);
  return started;
}

async function stop({ child, stderr }: Process): Promise<void> {
  if (child.exitCode !== null) return;
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`It ended with ${code}: ${stderr()}`);
}
