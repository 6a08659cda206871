/** `sallyport demo`: the first thing that anybody tries. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, expect, test } from 'vitest';
import { z } from 'zod';
import { DATABASE_FILE } from '../../src/store/database.ts';
import {
  Running,
  cleanUp,
  clientOf,
  demoArguments,
  newDirectory,
  runCommand,
  startDemo,
  writeGrantFile,
} from '../support/broker-process.ts';
import { startScriptedUpstream } from '../support/scripted-upstream.ts';

afterEach(cleanUp);

const factsSchema = z.strictObject({
  url: z.string().regex(/^http:\/\/127\.0\.0\.1:\d+$/),
  token: z.string().min(100),
  grant: z.string().startsWith('grt_'),
  model: z.string().min(1),
  purpose: z.string().min(1),
  person: z.string().startsWith('per_'),
  dataDir: z.string().startsWith('/'),
  log: z.strictObject({ origin: z.string(), verifierKey: z.string() }),
  labs: z.array(
    z.strictObject({
      id: z.string().startsWith('lab_'),
      kind: z.enum(['host', 'partner']),
      name: z.string(),
    }),
  ),
  people: z
    .array(
      z.strictObject({
        id: z.string().startsWith('per_'),
        lab: z.string().startsWith('lab_'),
        name: z.string(),
        role: z.enum(['admin', 'safety', 'executive', 'auditor', 'lead', 'researcher']),
        keyFile: z.string().startsWith('/'),
      }),
    )
    .min(5),
});

test('the story ends well', async () => {
  const { code, stdout, stderr } = await runCommand(['demo']);
  // First what it tells: where it goes wrong, it says at which step.
  expect(stdout).toMatch(/All \d+ steps are as they should be/);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});

test('the curl line of "demo --serve" works when it is pasted', async () => {
  const demo = new Running(['demo', '--serve', '--port', '0', '--data', newDirectory()]);
  const lines = await demo.until(({ stdout }) => /^curl [\s\S]*?\n(?=\n)/m.exec(stdout)?.[0]);
  const pasted = spawnSync('bash', ['-c', lines], { encoding: 'utf8', timeout: 10_000 });
  expect(pasted).toMatchObject({ status: 0 });
  expect(JSON.parse(pasted.stdout)).toMatchObject({
    object: 'chat.completion',
    choices: [{ message: { role: 'assistant', content: expect.any(String) } }],
  });
  await demo.until(({ stdout }) => (stdout.includes('Stop with Ctrl-C') ? true : undefined));
  expect(await demo.end('SIGINT')).toEqual({ code: 0, signal: null });
});

test('"--json" prints one line, from the first start and from the next', async () => {
  const dataDir = newDirectory();
  const first = await startDemo({ dataDir });
  const facts = factsSchema.parse(first.facts);
  for (const { keyFile } of facts.people) expect(readFileSync(keyFile, 'utf8')).toMatch(/PRIVATE/);
  expect(facts.people.find(({ id }) => id === facts.person)?.role).toBe('researcher');
  expect(await first.process.end('SIGTERM')).toEqual({ code: 0, signal: null });
  expect(first.process.stdout).toBe(`${JSON.stringify(first.facts)}\n`);
  expect(first.process.stderr).toBe('');

  const second = await startDemo({ dataDir });
  expect({ ...second.facts, url: '', token: '' }).toEqual({ ...facts, url: '', token: '' });
  // Stopped the moment it says that it is ready.
  expect(await second.process.end('SIGTERM')).toEqual({ code: 0, signal: null });
});

test('has people whom an order about an attribute tells apart, and whoever a recall takes', async () => {
  const { facts } = await startDemo({ dataDir: newDirectory() });
  const order = {
    level: 3,
    selector: { attributes: [{ name: 'export_status', is: ['restricted'] }] },
    grounds: 'A test',
  };
  const issued = z.looseObject({ id: z.string() });
  await clientOf(facts, 'safety').post('/orders', issued, order);
  const access = { type: 'model_access', grant: facts.grant, purpose: facts.purpose, run: 'try' };
  await expect(clientOf(facts, 'researcher').requestToken(access)).rejects.toMatchObject({
    message: expect.stringContaining('person_suspended') as string,
  });
  await clientOf(facts, 'lead').requestToken(access);

  const recall = { level: 5, selector: { model: facts.model }, grounds: 'A test' };
  const executive = clientOf(facts, 'executive');
  const { id } = await executive.post('/orders?confirmed=true', issued, recall);
  const stands = z.looseObject({ ratified: z.literal(true) });
  await clientOf(facts, 'auditor').post(`/orders/${id}/ratify`, stands);
});

test('of an earlier version gets the people that came since', async () => {
  const dataDir = newDirectory();
  const first = await startDemo({ dataDir });
  await first.process.end('SIGTERM');
  // As if the demo had had no executive.
  const saved = join(dataDir, 'demo.json');
  const known = JSON.parse(readFileSync(saved, 'utf8')) as { people: Record<string, string> };
  delete known.people['executive'];
  writeFileSync(saved, JSON.stringify(known));
  rmSync(join(dataDir, 'people', 'executive.pem'));
  const db = new Database(join(dataDir, DATABASE_FILE));
  db.prepare("UPDATE people SET name = 'Nobody' WHERE roles LIKE '%executive%'").run();
  db.close();

  const second = await startDemo({ dataDir });
  const executiveOf = ({ people }: typeof second.facts): string | undefined =>
    people.find(({ role }) => role === 'executive')?.id;
  expect(executiveOf(second.facts)).toMatch(/^per_/);
  expect(executiveOf(second.facts)).not.toBe(executiveOf(first.facts));
  const others = (facts: typeof second.facts): string[] =>
    facts.people.filter(({ role }) => role !== 'executive').map(({ id }) => id);
  expect(others(second.facts)).toEqual(others(first.facts));
});

test('"--grant" overrides field by field', async () => {
  const grant = writeGrantFile({
    title: 'Another title',
    features: { maxOutputTokens: 7 },
    purposes: { allowed: ['scheming'] },
    limits: { requestsPerMinute: null },
  });
  const { facts } = await startDemo({ dataDir: newDirectory(), grant });
  const shown = await clientOf(facts, 'lead').get(`/grants/${facts.grant}`, z.looseObject({}));
  expect(shown).toMatchObject({
    spec: {
      title: 'Another title',
      features: { maxOutputTokens: 7, streaming: true },
      purposes: { allowed: ['scheming'], excluded: ['misuse_uplift'] },
      limits: { requestsPerMinute: null, concurrent: expect.any(Number) },
    },
  });
});

test.each([
  ['that does not exist', undefined, /nothing\.yaml/],
  ['that is not YAML', 'title: [', /cannot be used/],
  ['with a wrong value', 'limits: { requestsPerMinute: many }', /"limits\.requestsPerMinute"/],
  ['with an unknown field', 'limits: { perMinute: 3 }', /limits.*perMinute/],
  ['that is a list', '- 1', /wrong/],
])('a grant file %s is refused, and nothing is left running', async (_name, text, saying) => {
  const grant = join(newDirectory(), text === undefined ? 'nothing.yaml' : 'grant.yaml');
  if (text !== undefined) writeFileSync(grant, text);
  const { code, stdout, stderr } = await runCommand(
    demoArguments({ dataDir: newDirectory(), grant }),
  );
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain(`The grant file ${grant}`);
  expect(stderr).toMatch(saying);
});

test('another upstream takes the place of the demo model', async () => {
  const upstream = await startScriptedUpstream();
  try {
    const dataDir = newDirectory();
    const demo = new Running([
      ...demoArguments({ dataDir, upstream: upstream.url }),
      '--model',
      'llama3.2:3b',
    ]);
    const line = await demo.until(({ stdout }) => /^(.*)\n/.exec(stdout)?.[1]);
    const { url, token, model } = factsSchema.parse(JSON.parse(line));
    expect(model).toBe('llama3.2:3b');
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hello!' }] }),
    });
    expect(answer.status).toBe(200);
    expect(upstream.requests).toHaveLength(1);
  } finally {
    await upstream.close();
  }
});

test('"demo --model-only" is an upstream for brokers of one\'s own, until it is stopped', async () => {
  const model = new Running(['demo', '--model-only', '--json']);
  const line = await model.until(({ stdout }) => /^\{.*\}\n$/.exec(stdout)?.[0]);
  const { url, models } = JSON.parse(line) as { url: string; models: string[] };
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: models[0], messages: [{ role: 'user', content: 'Hello' }] }),
  });
  expect(answer.status).toBe(200);
  expect(await model.end('SIGTERM')).toEqual({ code: 0, signal: null });
});
