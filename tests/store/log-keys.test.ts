import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { openCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { mintId } from '../../src/lib/ids.ts';
import { saveKeyFile } from '../../src/lib/key-file.ts';
import { Api } from '../support/api.ts';
import { makePeople } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const open: TestBroker[] = [];
const folders: string[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

const DAYS_OF_A_MOMENT = 0.000_01;

async function start(dataDir: string): Promise<TestBroker> {
  const test = await startTestBroker({ dataDir });
  open.push(test);
  return test;
}

const stop = async (test: TestBroker): Promise<void> => {
  open.splice(open.indexOf(test), 1);
  await test.close();
};

/** A broker whose key was replaced. */
async function rotated(overlapDays: number) {
  const dataDir = join(mkdtempSync(join(tmpdir(), 'sallyport-log-keys-')), 'data');
  folders.push(dataDir);
  const test = await start(dataDir);
  const people = await makePeople(test);
  const answer = await new Api(test).post(people.admin, '/log/keys/rotate', { overlapDays });
  const { oldKey, newKey } = answer.body as { oldKey: string; newKey: string };
  return { dataDir, test, people, oldKey, newKey };
}

/** A checkpoint that is signed now. */
async function signedNow({ broker }: TestBroker): Promise<string> {
  const at = broker.clock();
  await broker.store.write('recordEntry', {
    entry: { id: mintId('ent', at), kind: 'audit.read', at, actor: { system: 'broker' } },
  });
  return (await broker.store.write('publishCheckpoint', { at })).note;
}

const fileOf = (dataDir: string): string =>
  readdirSync(join(dataDir, 'keys')).find((name) => /^log-[0-9a-f]{8}\.pem$/.test(name)) ?? '';

it('after a restart both keys sign, until the time of the old one is over', async () => {
  const { dataDir, test, oldKey, newKey } = await rotated(1);
  await stop(test);
  const again = await start(dataDir);
  expect(again.broker.store.verifierKey).toBe(newKey);
  const note = await signedNow(again);
  for (const key of [oldKey, newKey]) expect(openCheckpoint(note, key).size).toBeGreaterThan(0);
});

it('once its time is over, the old key signs no more, restart or not, and its file can go', async () => {
  const { dataDir, test, oldKey, newKey } = await rotated(DAYS_OF_A_MOMENT);
  const until = test.broker.readers.listLogKeys()[0]?.signsUntil ?? Infinity;
  while (Date.now() <= until) await new Promise((resolve) => void setTimeout(resolve, 20));
  const note = await signedNow(test);
  expect(() => openCheckpoint(note, oldKey)).toThrow('not by');
  expect(openCheckpoint(note, newKey).size).toBeGreaterThan(0);
  await stop(test);
  rmSync(join(dataDir, 'keys', 'log.pem'));
  const again = await start(dataDir);
  expect(again.broker.store.logKeysMissing).toEqual([]);
  expect(openCheckpoint(await signedNow(again), newKey).size).toBeGreaterThan(0);
});

it('an old key that is gone before its time is said, and stops nothing', async () => {
  const { dataDir, test, oldKey, newKey } = await rotated(1);
  await stop(test);
  rmSync(join(dataDir, 'keys', 'log.pem'));
  const again = await start(dataDir);
  expect(again.broker.store.logKeysMissing).toEqual(['log.pem']);
  const note = await signedNow(again);
  expect(openCheckpoint(note, newKey).size).toBeGreaterThan(0);
  expect(() => openCheckpoint(note, oldKey)).toThrow('not by');
});

it('a broker does not start without the newest key, nor with another one in its place', async () => {
  const { dataDir, test, newKey } = await rotated(1);
  await stop(test);
  const path = join(dataDir, 'keys', fileOf(dataDir));
  rmSync(path);
  await expect(start(dataDir)).rejects.toThrow('there is no such file');
  saveKeyFile(path, generateKeyPairSync('ed25519').privateKey);
  await expect(start(dataDir)).rejects.toThrow(`is another key than the log has`);
  await expect(start(dataDir)).rejects.toThrow(newKey);
});

it('a change that could not be stored leaves the old key alone to sign', async () => {
  const { test, people, newKey } = await rotated(1);
  const { broker } = test;
  const at = broker.clock();
  // Of no lab: the notice about it cannot be written, and with it nothing of the change.
  const change = broker.store.write('rotateLogKey', {
    by: { actorId: people.admin.id, at, entryId: mintId('ent', at) },
    overlapMs: 0,
    to: [{ labId: `lab_${'0'.repeat(26)}` }],
  });
  await expect(change).rejects.toThrow('FOREIGN KEY');
  expect(broker.store.verifierKey).toBe(newKey);
  expect(broker.readers.listLogKeys()).toHaveLength(2);
  expect(openCheckpoint(await signedNow(test), newKey).size).toBeGreaterThan(0);
});
