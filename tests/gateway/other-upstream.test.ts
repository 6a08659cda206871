/** A safeguard is put back by another upstream: what is dispatched there, with whose credential, and what is on record. */
import { writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { loadConfig, parseConfig } from '../../src/config/load.ts';
import { makePerson, type TestPerson } from '../support/people.ts';
import {
  HELLO,
  HOST_CREDENTIAL,
  MODEL,
  SECOND_MODEL,
  codeOf,
  drain,
  errorOf,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import {
  hold,
  openaiJson,
  openaiStream,
  startScriptedUpstream,
  type ScriptedUpstream,
} from '../support/scripted-upstream.ts';

const GUARDED_CREDENTIAL = 'sk-guarded-credential-c81e728d';

let guarded: ScriptedUpstream;
let running: RunningBroker;
let second: TestPerson;
let folder: string;

beforeAll(async () => {
  guarded = await startScriptedUpstream();
  folder = mkdtempSync(join(tmpdir(), 'sallyport-guarded-'));
  const file = join(folder, 'credential');
  writeFileSync(file, GUARDED_CREDENTIAL, { mode: 0o600 });
  running = await startRunningBroker({
    endpoint: {
      safeguardsLifted: [
        { safeguard: 'output-classifier', reason: 'It hides the result', owner: 'A. Owner' },
        { safeguard: 'refusal-training', reason: 'It hides the result', owner: 'A. Owner' },
      ],
      alternatives: [
        {
          restores: ['output-classifier'],
          models: { [MODEL]: MODEL },
          at: { name: 'guarded', upstream: `${guarded.url}/safe/v1`, credential: `file:${file}` },
        },
        {
          restores: ['refusal-training'],
          models: { [MODEL]: 'model-a-1-trained' },
          // Its own is not taken from the endpoint: none.
          at: { name: 'trained', upstream: `${guarded.url}/trained` },
        },
      ],
    },
  });
  const { test, people } = running;
  second = await makePerson(test.broker, people.admin.id, people.host.id, 'Sue Safety', ['safety']);
});
afterEach(() => {
  running.checkUpstream();
  if (guarded.failures.length > 0) throw guarded.failures[0];
});
afterAll(async () => {
  await running.close();
  await guarded.close();
  rmSync(folder, { recursive: true });
});

async function putBack(access: Access, ...safeguards: string[]): Promise<string> {
  const answer = await running.api.post(running.people.safety, '/orders', {
    level: 2,
    selector: { grant: access.grant.id },
    measures: { putBack: safeguards },
    grounds: 'A test',
  });
  expect([answer.status, answer.body.message]).toEqual([201, undefined]);
  return answer.body.id as string;
}

const lift = async (id: string): Promise<void> => {
  const answer = await running.api.post(second, `/orders/${id}/lift`, { grounds: 'Done' });
  expect(answer.status).toBe(200);
};

it('while the order says so, and with its own credential alone', async () => {
  const access = await running.access({}, await running.newResearcher());
  const seen = guarded.requests.length;
  const ask = (): Promise<unknown> => access.openai.chat.completions.create(HELLO);
  running.upstream.respond(openaiJson());
  await ask();
  expect(guarded.requests).toHaveLength(seen);
  const own = running.upstream.requests.length;
  const order = await putBack(access, 'output-classifier');
  guarded.respond(openaiJson());
  await ask();
  expect(running.upstream.requests).toHaveLength(own);
  const [there] = guarded.requests.slice(seen);
  expect(there).toMatchObject({
    path: '/safe/v1/chat/completions',
    body: { model: MODEL },
    headers: { authorization: `Bearer ${GUARDED_CREDENTIAL}` },
  });
  expect(JSON.stringify(there?.headers)).not.toContain(HOST_CREDENTIAL);
  const intents = running.entries({ kind: 'request.intent', grant: access.grant.id });
  expect(intents.map(({ data }) => data?.['dispatchedUpstream'])).toEqual([undefined, 'guarded']);
  expect(intents.at(-1)).toMatchObject({
    model: MODEL,
    data: {
      safeguardsLifted: ['refusal-training'],
      restored: ['output-classifier'],
      notedBy: [order],
    },
  });
  expect(intents.at(-1)?.data).not.toHaveProperty('dispatchedModel');
  await lift(order);
  await ask();
  expect(guarded.requests).toHaveLength(seen + 1);
});

it('with none where none is configured, and by another model', async () => {
  const access = await running.access({}, await running.newResearcher());
  const order = await putBack(access, 'refusal-training');
  guarded.respond(openaiJson({ model: 'model-a-1-trained' }));
  const asked = guarded.nextRequest();
  await access.openai.chat.completions.create(HELLO);
  // The first call of another test may not have been asked for.
  const there = await asked.then(() => guarded.requests.at(-1));
  expect(there).toMatchObject({
    path: '/trained/v1/chat/completions',
    body: { model: 'model-a-1-trained' },
  });
  expect(there?.headers['authorization']).toBeUndefined();
  const intent = running.entries({ kind: 'request.intent', grant: access.grant.id }).at(-1);
  expect(intent?.data).toMatchObject({
    dispatchedUpstream: 'trained',
    dispatchedModel: 'model-a-1-trained',
  });
  await lift(order);
});

it('streams: what runs without it is cut, what comes streams from there, and a later order cuts it there', async () => {
  const access = await running.access({}, await running.newResearcher());
  const before = hold();
  const begun = running.onceAsked(before);
  const stream = await access.openai.chat.completions.create({ ...HELLO, stream: true });
  await begun;
  const ended = drain(stream).then(
    () => 'whole',
    (error: unknown) => codeOf(error as never),
  );
  const order = await putBack(access, 'output-classifier');
  expect(await ended).toBe('safeguard_put_back');
  guarded.respond(openaiStream());
  const whole = await access.openai.chat.completions.create({ ...HELLO, stream: true });
  expect((await drain(whole)).length).toBeGreaterThan(0);
  const there = hold();
  guarded.respond(there);
  const index = guarded.requests.length;
  const guardedStream = await access.openai.chat.completions.create({ ...HELLO, stream: true });
  const cut = drain(guardedStream).then(
    () => 'whole',
    (error: unknown) => codeOf(error as never),
  );
  // Both are wanted back now, which no alternative does: nobody goes on without.
  const both = await putBack(access, 'refusal-training');
  expect(await cut).toBe('safeguard_put_back');
  await guarded.waitForAbort(index);
  const refused = await errorOf(access.openai.chat.completions.create(HELLO));
  expect([refused.status, codeOf(refused)]).toEqual([403, 'safeguard_put_back']);
  await lift(both);
  await lift(order);
});

it('an answer that quotes its credential reaches nobody, nor does an error', async () => {
  const access = await running.access({}, await running.newResearcher());
  const order = await putBack(access, 'output-classifier');
  guarded.respond(openaiJson({ content: `The key is ${GUARDED_CREDENTIAL}` }));
  const quoted = await errorOf(access.openai.chat.completions.create(HELLO));
  expect([quoted.status, codeOf(quoted)]).toEqual([502, 'upstream_invalid']);
  guarded.respond((_req, res) => {
    res.writeHead(401, { 'content-type': 'application/json' });
    res.end(JSON.stringify({ error: { message: `bad key ${GUARDED_CREDENTIAL}` } }));
  });
  const failed = await errorOf(access.openai.chat.completions.create(HELLO));
  expect(JSON.stringify(failed)).not.toContain(GUARDED_CREDENTIAL);
  await lift(order);
  const log = JSON.stringify(running.entries());
  expect(log).not.toContain(GUARDED_CREDENTIAL);
  expect(log).not.toContain(guarded.url);
  for (const who of [running.people.lead, running.people.admin]) {
    const { body } = await running.api.get(who, '/endpoints');
    expect(JSON.stringify(body)).not.toContain(GUARDED_CREDENTIAL);
  }
});

it('that does not answer is no reason to go back to the one without', async () => {
  const access = await running.access({}, await running.newResearcher());
  const order = await putBack(access, 'output-classifier');
  const own = running.upstream.requests.length;
  guarded.respond((_req, res) => void res.destroy());
  const failed = await errorOf(access.openai.chat.completions.create(HELLO));
  expect(failed.status).toBe(502);
  const other = await errorOf(
    access.openai.chat.completions.create({ ...HELLO, model: SECOND_MODEL }),
  );
  expect(codeOf(other)).toBe('safeguard_put_back');
  expect(running.upstream.requests).toHaveLength(own);
  await lift(order);
});

it.each([
  [{ models: { 'model-x-1': 'y' } }, 'none of the endpoint’s models'],
  [{ at: { name: 'a', upstream: 'ftp://x' } }, 'must be an http:// or https:// URL'],
  [{ at: { name: 'a', upstream: 'http://u:p@x/' } }, 'must have no user'],
  [{ at: { name: 'a', upstream: 'http://x', tls: { caFile: 'x' } } }, 'needs an https:// upstream'],
  [{ at: { name: 'a', upstream: 'http://x', credential: 'sk-secret' } }, 'must be "env:NAME"'],
  [{ at: { upstream: 'http://x' } }, 'name'],
])('the configuration does not take %j', (changes, why) => {
  const alternative = { restores: ['f'], models: { m: 'm' }, ...changes };
  const endpoint = {
    id: 'demo',
    dialects: ['openai'],
    upstream: 'http://127.0.0.1:9',
    models: ['m'],
    alternatives: [alternative],
  };
  expect(() => parseConfig({ endpoints: [endpoint] }, 'a file')).toThrow(why.replace('’', "'"));
});

it('the configuration takes a name once, and files from its own folder', () => {
  const at = (name: string) => ({ name, upstream: 'https://x', credential: 'file:./key' });
  const alternative = (name: string) => ({ restores: ['f'], models: { m: 'm' }, at: at(name) });
  const endpoint = (...names: string[]) => ({
    id: 'demo',
    dialects: ['openai'],
    upstream: 'http://127.0.0.1:9',
    models: ['m'],
    alternatives: names.map(alternative),
  });
  expect(() => parseConfig({ endpoints: [endpoint('a', 'a')] }, 'a file')).toThrow(
    '"a" is used twice',
  );
  const file = join(folder, 'sallyport.yaml');
  writeFileSync(file, JSON.stringify({ endpoints: [endpoint('a', 'b')] }));
  const [loaded] = loadConfig(file).endpoints;
  expect(loaded?.alternatives.map((one) => one.at?.credential)).toEqual([
    `file:${join(folder, 'key')}`,
    `file:${join(folder, 'key')}`,
  ]);
});
