/** Opening, checking and destroying transcripts through the API. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { TranscriptRetention } from '../../src/broker/destroy-transcripts.ts';
import { amendGrant, stepGrant } from '../../src/broker/manage-grants.ts';
import { openIncident } from '../../src/broker/manage-incidents.ts';
import { readReceipt } from '../../src/broker/receipts.ts';
import { incidentSpecSchema } from '../../src/core/incidents/incident.ts';
import {
  HELLO,
  eventually,
  post,
  say,
  startRunningBroker,
  type Access,
  type LogEntry,
  type RunningBroker,
} from '../support/running-broker.ts';
import type { TestPerson } from '../support/people.ts';
import { openaiJson } from '../support/scripted-upstream.ts';
import { SetClock } from '../support/set-clock.ts';
import {
  FULL,
  HOLDER,
  OTHER_HOLDER,
  SEALED,
  factsIn,
  lastCall,
  openDatabase,
  openSealed,
  sha256,
  storedFile,
} from '../support/transcripts.ts';

const DAY = 24 * 3_600_000;

const toText = (ms: number): string => new Date(ms).toISOString();

const clock = new SetClock();
let running: RunningBroker;

/** A grant that outlasts what it keeps. */
const accessFor = (changes: Parameters<RunningBroker['access']>[0]): Promise<Access> =>
  running.access({
    window: { from: toText(clock.now - DAY), until: toText(clock.now + 90 * DAY) },
    ...changes,
  });

beforeAll(async () => {
  running = await startRunningBroker({ clock: clock.read });
});
afterAll(() => running.close());

/** Makes a call that says something; answers with the id of its request. */
async function callOf(access: Access, text = 'Hello!'): Promise<string> {
  running.upstream.respond(openaiJson({ content: `Answer to ${text}` }));
  const body = { ...HELLO, messages: [say(text)] };
  const answer = await post(`${running.url}/v1/chat/completions`, access.token, body);
  expect(answer.status).toBe(200);
  return lastCall(running, access.grant.id).request;
}

const path = (request: string, rest = ''): string => `/transcripts/${request}${rest}`;

const openings = (request: string): LogEntry[] =>
  running.entries({ kind: 'transcript.opened', ref: request });

/** Fetches a file as it is stored. */
async function fetchFile(who: TestPerson, of: string): Promise<{ status: number; body: Buffer }> {
  const token = await running.api.tokenOf(who);
  const answer = await fetch(`${running.url}/api/v1${of}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return { status: answer.status, body: Buffer.from(await answer.arrayBuffer()) };
}

/** Who may open a transcript of the partner's researcher. */
const READERS: [string, 'full' | 'sealed', () => TestPerson, boolean][] = [
  ['an auditor of the host', 'full', () => running.people.auditor, true],
  ['an auditor of neither', 'full', () => running.people.outsideAuditor, true],
  ['the lead', 'full', () => running.people.lead, true],
  ['the auditor of the partner', 'full', () => running.people.partnerAuditor, true],
  ['whoever made the call', 'full', () => running.people.researcher, true],
  ['a colleague', 'full', () => running.people.secondResearcher, false],
  ['an admin of the host', 'full', () => running.people.admin, false],
  ['a safety officer of the host', 'full', () => running.people.safety, false],
  ['the lead of another partner', 'full', () => running.people.otherLead, false],
  ['an auditor of the host', 'sealed', () => running.people.auditor, true],
  ['the lead', 'sealed', () => running.people.lead, true],
  ['whoever made the call', 'sealed', () => running.people.researcher, false],
  ['the lead of another partner', 'sealed', () => running.people.otherLead, false],
];

describe('who opens what', () => {
  let requests: Record<string, string>;

  beforeAll(async () => {
    requests = {
      full: await callOf(await accessFor(FULL), 'canary-full'),
      sealed: await callOf(await accessFor(SEALED), 'canary-sealed'),
    };
  });

  it.each(READERS)('%s, of %s', async (_who, mode, who, may) => {
    const request = requests[mode] as string;
    const before = openings(request).length;
    const answer = await running.api.get(who(), path(request));
    const file = await fetchFile(who(), path(request, '/response'));
    expect([answer.status === 200, file.status === 200]).toEqual([may, may]);
    expect(openings(request)).toHaveLength(before + (may ? 2 : 0));
    const shown = JSON.stringify(answer.body) + file.body.toString();
    expect(shown.includes('canary')).toBe(may && mode === 'full');
  });

  it('of "full" the bodies are shown', async () => {
    const { body } = await running.api.get(running.people.auditor, path(requests['full'] ?? ''));
    expect(body).toMatchObject({ mode: 'full', recipients: [], lost: [] });
    const [request, response] = body.bodies;
    expect(request.json.messages).toEqual([say('canary-full')]);
    expect(JSON.stringify(response.json)).toContain('Answer to canary-full');
  });

  it('of "sealed" the file is handed out that the entry names, and its holder opens it', async () => {
    const request = requests['sealed'] ?? '';
    const { auditor } = running.people;
    const { body } = await running.api.get(auditor, path(request));
    expect(JSON.stringify(body)).not.toContain('canary');
    expect(body.recipients[0].holder).toBe('The auditor of the partner');
    const file = await fetchFile(auditor, path(request, '/response'));
    expect(
      factsIn(lastCall(running, running.entries({ ref: request })[0]?.grant ?? '').outcome),
    ).toMatchObject({ response: { sha256: sha256(file.body), bytes: file.body.length } });
    expect(openSealed(file.body, HOLDER.identity).toString()).toContain('canary-sealed');
  });

  it('the opening is on record before anything is shown: where it cannot be, nothing is', async () => {
    const request = requests['full'] ?? '';
    const unlock = running.lockLog();
    const answer = await running.api.get(running.people.auditor, path(request));
    expect([answer.status, answer.body.code]).toEqual([503, 'log_unavailable']);
    unlock();
    await running.test.broker.store.write('probe', { at: clock.now });
  });

  it('has a receipt of both entries, however often somebody was refused it', async () => {
    const request = requests['sealed'] ?? '';
    for (let i = 0; i < 33; i += 1) await running.api.get(running.people.admin, path(request));
    expect(running.entries({ kind: 'action.denied', ref: request }).length).toBeGreaterThan(32);
    const receipt = await readReceipt(running.test.broker, running.people.auditor.id, { request });
    expect(receipt).toContain('request.intent');
    expect(receipt).toContain('request.outcome');
  });

  it('of a call that keeps digests alone there is none, and of no call', async () => {
    const request = await callOf(await accessFor({}));
    for (const id of [request, `req_${'0'.repeat(26)}`]) {
      const answer = await running.api.get(running.people.auditor, path(id));
      expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    }
  });
});

describe('a file that was tampered with', () => {
  interface Found {
    problems: { requestId: string; part: string; problem: string }[];
  }

  /** All that a check of everything finds. */
  async function check(): Promise<Found & { sound: number; destroyed: number }> {
    const sum = { sound: 0, destroyed: 0, problems: [] as Found['problems'] };
    for (let from: number | null = 0; from !== null;) {
      const { body } = await running.api.post(running.people.auditor, '/transcripts/check', {
        from,
      });
      sum.sound += body.sound;
      sum.destroyed += body.destroyed;
      sum.problems.push(...body.problems);
      from = body.next;
    }
    return sum;
  }

  const fileId = `(SELECT file FROM bodies WHERE request = ? AND part = 'response')`;

  it.each<[string, string, string, string]>([
    [
      'missing',
      `DELETE FROM bodies WHERE request = ? AND part = 'response'`,
      'missing',
      'not_found',
    ],
    [
      'cut',
      `UPDATE chunks SET bytes = substr(bytes, 1, 100) WHERE id = ${fileId} * 1048576`,
      'changed',
      'transcript_damaged',
    ],
    [
      'changed by a byte',
      `UPDATE chunks SET bytes = substr(bytes, 1, length(bytes) - 1) || x'00' WHERE id = ${fileId} * 1048576`,
      'changed',
      'transcript_damaged',
    ],
    [
      'swapped for that of another call',
      `UPDATE bodies SET file = (SELECT max(file) FROM bodies) WHERE request = ? AND part = 'response'`,
      'changed',
      'transcript_damaged',
    ],
  ])('%s: opening it and the check say so', async (_what, sql, problem, code) => {
    const access = await accessFor(SEALED);
    const request = await callOf(access);
    await callOf(access, 'Another call.');
    const before = await check();
    expect(before.problems.filter(({ requestId }) => requestId === request)).toEqual([]);
    const database = openDatabase(running.test.dataDir);
    database.prepare(sql).run(request);
    database.close();
    const { auditor } = running.people;
    const file = await running.api.get(auditor, path(request, '/response'));
    expect(file.body.code).toBe(code);
    const { body } = await running.api.get(auditor, path(request));
    expect(body.bodies[1]).toMatchObject({ part: 'response', standing: problem });
    const { problems } = await check();
    expect(problems.filter(({ requestId }) => requestId === request)).toEqual([
      expect.objectContaining({ part: 'response', problem }),
    ]);
  });

  it('what was destroyed on record is no problem', async () => {
    const access = await accessFor(SEALED);
    const request = await callOf(access);
    const body = { grant: access.grant.id, grounds: 'No longer needed' };
    await running.api.post(running.people.admin, '/transcripts/destroy', body);
    const { problems, destroyed } = await check();
    expect(destroyed).toBeGreaterThanOrEqual(2);
    expect(problems.filter(({ requestId }) => requestId === request)).toEqual([]);
  });
});

it('rotation: what was sealed before is for the old recipients, what comes after for the new', async () => {
  const access = await accessFor(SEALED);
  const before = await callOf(access, 'Before.');
  const { broker } = running.test;
  const { spec, id } = access.grant;
  const { lead, admin, safety } = running.people;
  const transcriptRecipients = [{ recipient: OTHER_HOLDER.recipient, holder: 'A new auditor' }];
  await amendGrant(broker, lead.id, id, { ...spec, transcriptRecipients });
  const { changes } = (await running.api.get(admin, `/grants/${id}`)).body.proposed;
  expect(changes.map(({ effect }: { effect: string }) => effect)).toEqual(['narrower', 'wider']);
  await stepGrant(broker, lead.id, id, 'submit', {});
  for (const person of [admin, safety]) await stepGrant(broker, person.id, id, 'approve', {});
  const after = await callOf(access, 'After.');
  const files = [before, after].map(
    (request) => storedFile(running.test.dataDir, request, 'request') as Buffer,
  );
  const opens = (file: Buffer, { identity }: typeof HOLDER): boolean => {
    try {
      return openSealed(file, identity).length > 0;
    } catch {
      return false;
    }
  };
  expect(files.map((file) => [opens(file, HOLDER), opens(file, OTHER_HOLDER)])).toEqual([
    [true, false],
    [false, true],
  ]);
});

describe('destroying', () => {
  let access: Access;
  let request: string;

  beforeEach(async () => {
    access = await accessFor(FULL);
    request = await callOf(access, 'canary-destroyed');
  });

  const stored = (of = request): Buffer | undefined =>
    storedFile(running.test.dataDir, of, 'request');

  const destroy = (more: object = {}, who = running.people.admin) =>
    running.api.post(who, '/transcripts/destroy', {
      grant: access.grant.id,
      grounds: 'Asked for by the partner',
      ...more,
    });

  /** An incident that has an entry of a request. */
  const incidentOver = async (spec: object): Promise<void> => {
    const parsed = incidentSpecSchema.parse({ title: 'An incident', harms: ['death'], ...spec });
    await openIncident(running.test.broker, running.people.safety.id, parsed);
  };

  const destructions = (): LogEntry[] =>
    running.entries({ kind: 'transcript.destroyed', grant: access.grant.id });

  it('leaves nothing of the bodies, and the entries as they were', async () => {
    const { outcome } = lastCall(running, access.grant.id);
    const answer = await destroy();
    expect([answer.status, answer.body.bodies, answer.body.held]).toEqual([200, 2, 0]);
    expect(stored()).toBeUndefined();
    expect(lastCall(running, access.grant.id).outcome).toEqual(outcome);
    expect(destructions()).toMatchObject([
      { data: { because: 'host', files: 2, bodies: 2, grounds: 'Asked for by the partner' } },
    ]);
    const database = openDatabase(running.test.dataDir);
    const bytes = database.serialize();
    database.close();
    expect(bytes.includes('canary-destroyed')).toBe(false);
    for (const file of ['transcripts.db', 'transcripts.db-wal', 'transcripts.journal'])
      expect(readFileSync(join(running.test.dataDir, file)).includes('canary-destroyed')).toBe(
        false,
      );
  });

  it('touches no other grant', async () => {
    const other = await accessFor(FULL);
    const spared = await callOf(other);
    await destroy();
    expect(stored(spared)).toBeDefined();
  });

  it.each(['auditor', 'lead', 'researcher'] as const)('is not for the %s', async (role) => {
    const answer = await destroy({}, running.people[role]);
    expect(answer.body.code).toBe('role_required');
    expect(stored()).toBeDefined();
  });

  it('spares what an incident has an entry of, unless it is said explicitly', async () => {
    const { outcome } = lastCall(running, access.grant.id);
    const other = await callOf(access, 'Of no incident.');
    await incidentOver({ entries: [outcome.index] });
    const first = await destroy();
    expect([first.body.bodies, first.body.held]).toEqual([2, 2]);
    expect([stored() === undefined, stored(other) === undefined]).toEqual([false, true]);
    const second = await destroy({ evenHeld: true });
    expect(second.body.bodies).toBe(2);
    expect(stored()).toBeUndefined();
    expect(destructions().at(-1)?.data).toMatchObject({ evenHeld: true });
  });

  it('is refused where an incident has an order about the grant', async () => {
    const order = await running.api.post(running.people.safety, '/orders', {
      level: 1,
      selector: { grant: access.grant.id },
      grounds: 'To be looked into',
    });
    await incidentOver({ orders: [order.body.id] });
    const answer = await destroy();
    expect([answer.status, answer.body.code]).toEqual([409, 'transcript_held']);
    expect(stored()).toBeDefined();
    await destroy({ evenHeld: true });
    expect(stored()).toBeUndefined();
  });

  it('is finished when the answers are ended that were being written', async () => {
    const { broker } = running.test;
    const retention = new TranscriptRetention(broker);
    let goOn = (): void => undefined;
    const told = new Promise<void>((resolve) => (goOn = resolve));
    const event = `data: ${JSON.stringify({ choices: [{ delta: { content: 'x'.repeat(60_000) } }] })}\n\n`;
    running.upstream.respond(async (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(event);
      await told;
      res.end('data: [DONE]\n\n');
    });
    const url = `${running.url}/v1/chat/completions`;
    const answer = await post(url, access.token, { ...HELLO, stream: true });
    const { ref = '' } =
      running.entries({ kind: 'request.intent', grant: access.grant.id }).at(-1) ?? {};
    await eventually(async () => {
      await broker.transcripts.caughtUp();
      expect(broker.transcriptReader.fileOf(ref, 'response')?.state).toBe('open');
    });
    const { status, body } = await destroy();
    expect([status, body.files, body.open]).toEqual([200, 3, 1]);
    expect(broker.readers.unfinishedDestructions()).toHaveLength(1);
    await retention.look();
    expect(broker.readers.unfinishedDestructions()).toHaveLength(1);
    goOn();
    expect(await answer.text()).toContain('[DONE]');
    await retention.look();
    expect(broker.readers.unfinishedDestructions()).toEqual([]);
    expect(storedFile(running.test.dataDir, ref, 'response')).toBeUndefined();
    const check = await running.api.post(running.people.auditor, '/transcripts/check', {
      from: lastCall(running, access.grant.id).outcome.index,
    });
    expect(check.body.problems).toEqual([]);
  });

  it('calls nothing untold where somebody reads the database meanwhile', async () => {
    const { broker } = running.test;
    const reader = openDatabase(running.test.dataDir);
    reader.exec('BEGIN');
    reader.prepare('SELECT count(*) FROM files').get();
    const answer = await destroy();
    expect([answer.status, answer.body.code]).toEqual([503, 'transcript_unavailable']);
    // It is no trouble of what calls store.
    expect(broker.transcripts.isWritable).toBe(true);
    expect(broker.readers.unfinishedDestructions()).toHaveLength(1);
    await callOf(access);
    reader.close();
    await new TranscriptRetention(broker).look();
    expect(broker.readers.unfinishedDestructions()).toEqual([]);
  });

  it('explains what is missing by when it was written, not by when its outcome is', async () => {
    const before = clock.now;
    clock.now += 60_000;
    // Until a moment between the write and the entry, as after a crash.
    await destroy({ until: toText(before) });
    const { outcome } = lastCall(running, access.grant.id);
    const { spec, id, version } = access.grant;
    expect(running.test.broker.readers.transcriptRetentionMs(id, version)).toBe(
      (spec.transcriptRetentionDays ?? 0) * DAY,
    );
    const { data = {} } = outcome;
    const at = toText(clock.now);
    const late = Buffer.from(JSON.stringify({ ...outcome, at, data: { ...data, durationMs: 0 } }));
    const { readers } = running.test.broker;
    vi.spyOn(readers, 'listEntries').mockReturnValueOnce([{ index: outcome.index, bytes: late }]);
    const { body } = await running.api.post(running.people.auditor, '/transcripts/check', {});
    expect([body.destroyed, body.problems]).toEqual([2, []]);
  });

  it('that is on record and was broken off is finished by the next look', async () => {
    const { broker } = running.test;
    const at = clock.now;
    const what = { grantId: access.grant.id, writtenUntil: at, dueUntil: null, held: [] };
    const tally = broker.transcriptReader.tally(what);
    const destruction = { id: `tds_${'0'.repeat(26)}`, ...what, tally };
    const entryId = `ent_${'1'.repeat(26)}`;
    await broker.store.write('destroyDueTranscripts', { at, entryId, destruction });
    expect(stored()).toBeDefined();
    await new TranscriptRetention(broker).look();
    expect(stored()).toBeUndefined();
    expect(broker.readers.unfinishedDestructions()).toEqual([]);
  });

  // The clock goes on by weeks: these come last.
  it('comes by itself when the time is over that the grant says', async () => {
    const retention = new TranscriptRetention(running.test.broker);
    await retention.look();
    expect(stored()).toBeDefined();
    clock.now += 31 * DAY;
    await retention.look();
    expect(stored()).toBeUndefined();
    expect(destructions()).toMatchObject([{ data: { because: 'retention', bodies: 2 } }]);
    await retention.look();
    expect(destructions()).toHaveLength(1);
  });

  it('comes earlier where a later version says so, and never later', async () => {
    const retention = new TranscriptRetention(running.test.broker);
    const { spec, id, version } = access.grant;
    await amendGrant(running.test.broker, running.people.admin.id, id, {
      ...spec,
      transcriptRetentionDays: 3,
    });
    expect(running.test.broker.policy.grant(id)?.version).toBeGreaterThan(version);
    clock.now += 2 * DAY;
    await retention.look();
    expect(stored()).toBeDefined();
    clock.now += 2 * DAY;
    await retention.look();
    expect(stored()).toBeUndefined();
  });
});
