/** Archiving the oldest entries of the log and pruning them, over HTTP: who may, when, and what stays true. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyBundle } from '../../src/audit/verify-bundle.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { mintId } from '../../src/lib/ids.ts';
import { Api } from '../support/api.ts';
import { exported } from '../support/exports.ts';
import { makePeople, type People, type TestPerson } from '../support/people.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

const DAY = 86_400_000;

let test: TestBroker;
let people: People;
let api: Api;
let dir: string;
let ahead = 0;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sallyport-retention-'));
  test = await startTestBroker({
    clock: () => systemClock() + ahead,
    retention: { archiveAfterDays: 30, noticeDays: 14 },
    dataDir: join(dir, 'data'),
  });
  people = await makePeople(test);
  api = new Api(test);
  await fill(1_000);
});
afterAll(async () => {
  await test.close();
  rmSync(dir, { recursive: true, force: true });
});

async function fill(count: number): Promise<void> {
  const at = test.broker.clock();
  const entry = { kind: 'audit.read', at, actor: { system: 'broker' } } as const;
  await Promise.all(
    Array.from({ length: count }, () =>
      test.broker.store.write(
        'recordEntry',
        { entry: { ...entry, id: mintId('ent', at) } },
        { deadlineMs: 10_000 },
      ),
    ),
  );
}

interface Archived {
  id: string;
  bytes: Buffer;
  sha256: string;
}

async function archive(who: TestPerson, before?: number): Promise<Archived> {
  const answer = await fetch(`${test.url}/api/v1/log/archives`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${await api.tokenOf(who)}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ before }),
  });
  const bytes = Buffer.from(await answer.arrayBuffer());
  if (!answer.ok) throw new Error(bytes.toString('utf8'));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { id: answer.headers.get('x-sallyport-export') ?? '', bytes, sha256 };
}

describe('retention', () => {
  it('goes all the way', async () => {
    later(31);
    console.log((await api.get(people.auditor, '/log/retention')).body);
    const made = await archive(people.auditor);
    later(15);
    const pruned = await api
      .post(people.admin, '/log/prunings', { export: made.id, sha256: made.sha256 });
    console.log(pruned.body);
    writeFileSync(join(dir, 'a.tar'), made.bytes);
    const key = test.broker.store.verifierKey;
    console.log(await verifyBundle(join(dir, 'a.tar'), key));
    console.log(await verifyBundle(join(dir, 'a.tar'), key, undefined, undefined, true));
    const { bytes } = await exported(test, api, people.auditor, {});
    writeFileSync(join(dir, 'b.tar'), bytes);
    console.log(await verifyBundle(join(dir, 'b.tar'), key));
    console.log((await api.get(people.auditor, '/log/archives')).body, (await api.get(people.auditor, '/log/entries/3')).body);
    console.log((await api.get(people.auditor, '/log/retention')).body);
  });
});

function later(days: number): void {
  ahead += days * DAY;
  api = new Api(test);
}
