/**
 * Files of the log that are taken away or replaced by an older copy, under a running broker and between two starts: nothing is
 * forwarded on them, and whoever runs it learns of it.
 */
import { cpSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import {
  Running,
  cleanUp,
  newDirectory,
  runCommand,
  startDemo,
  startServe,
  tokenFrom,
  writeServeConfig,
  type DemoFacts,
} from '../support/broker-process.ts';
import { startScriptedUpstream, type ScriptedUpstream } from '../support/scripted-upstream.ts';

let upstream: ScriptedUpstream;
let facts: DemoFacts;
/** The data directory as it was when the broker was stopped for the first time. */
let older: string;
let config: string;

beforeEach(async () => {
  upstream = await startScriptedUpstream();
  const demo = await startDemo({ dataDir: join(newDirectory(), 'data'), upstream: upstream.url });
  facts = demo.facts;
  await demo.process.end('SIGTERM');
  older = join(newDirectory(), 'older');
  cpSync(facts.dataDir, older, { recursive: true });
  config = writeServeConfig(facts, { upstream: upstream.url });
});
afterEach(async () => {
  await cleanUp();
  await upstream.close();
});

const inData = (name: string): string => join(facts.dataDir, name);

async function ask(url: string, token: string): Promise<number | 'no connection'> {
  try {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ model: facts.model, messages: [{ role: 'user', content: 'x' }] }),
    });
    await answer.text();
    return answer.status;
  } catch {
    return 'no connection';
  }
}

/** A broker that has answered some calls. */
async function serving(calls: number): Promise<{ process: Running; url: string; token: string }> {
  const { process, url } = await startServe(config);
  const token = await tokenFrom(facts, url);
  for (let n = 0; n < calls; n += 1) expect(await ask(url, token)).toBe(200);
  return { process, url, token };
}

const over = (name: string): void => {
  cpSync(join(older, name), inData(`${name}.older`));
  renameSync(inData(`${name}.older`), inData(name));
};

test.each<[string, () => void]>([
  ['the journal is deleted', () => rmSync(inData('sallyport.journal'))],
  ['the write-ahead log is deleted', () => rmSync(inData('sallyport.db-wal'))],
  ['the journal is replaced by an older copy', () => over('sallyport.journal')],
  ['the database is replaced by an older copy', () => over('sallyport.db')],
  [
    'the whole directory is replaced by an older copy',
    () => {
      renameSync(facts.dataDir, `${facts.dataDir}.newer`);
      cpSync(older, facts.dataDir, { recursive: true });
    },
  ],
])('%s: the broker stops, and nothing is forwarded', async (_how, change) => {
  const { process, url, token } = await serving(3);
  change();
  const answers = await Promise.all([ask(url, token), ask(url, token), ask(url, token)]);
  for (const answer of answers) expect([503, 'no connection']).toContain(answer);
  await vi.waitFor(() => expect(process.hasExited).toBe(true), 10_000);
  expect((await process.exited).code).toBe(1);
  expect(process.stderr).toMatch(/deleted or replaced/);
  expect(upstream.requests).toHaveLength(3);
});

test('an older database beside a newer journal: the broker does not start, and says why', async () => {
  const { process } = await serving(3);
  expect(await process.end('SIGTERM')).toMatchObject({ code: 0 });
  for (const name of ['sallyport.db-wal', 'sallyport.db-shm'])
    rmSync(inData(name), { force: true });
  over('sallyport.db');
  const refused = new Running(['serve', '--config', config]);
  expect((await refused.exited).code).not.toBe(0);
  // Which of the two it is depends on what the journal held.
  expect(refused.stderr).toMatch(/goes on from a newer database|do not belong together/);
  expect(upstream.requests).toHaveLength(3);
});

test('an older copy of everything starts, and is told apart by whoever saw a later checkpoint', async () => {
  const env = { SALLYPORT_HOME: newDirectory() };
  const verify = (url: string) =>
    runCommand(['audit', 'verify', url, '--key', facts.log.verifierKey], { env });
  const { process, url } = await serving(3);
  expect(await verify(url)).toMatchObject({ code: 0 });
  expect(await process.end('SIGTERM')).toMatchObject({ code: 0 });
  rmSync(facts.dataDir, { recursive: true });
  cpSync(older, facts.dataDir, { recursive: true });
  const again = await startServe(config);
  const told = await verify(again.url);
  expect(told.code).toBe(1);
  expect(told.stdout).toContain('The log was rolled back');
  expect(told.stdout).toContain('both checkpoints are kept in');
  expect(await again.process.end('SIGTERM')).toMatchObject({ code: 0 });
});
