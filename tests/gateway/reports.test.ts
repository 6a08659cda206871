/** What a report says, held against the entries of a real run: answers, refusals, cut streams, an order in between. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { leafHash } from '../../src/core/audit/merkle.ts';
import { openCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { liftOrder } from '../../src/broker/issue-order.ts';
import type { UsageReport } from '../../src/core/reports/usage-report.ts';
import {
  HELLO,
  codeOf,
  errorOf,
  eventually,
  startRunningBroker,
  type Access,
  type LogEntry,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold, openaiJson } from '../support/scripted-upstream.ts';

const NAME = '<img src=x onerror=alert(1)> & Co';

let running: RunningBroker;
let access: Access;
let orderId: string;
let runId: string;
let cutCode: string | undefined;

beforeAll(async () => {
  running = await startRunningBroker();
  const { people, api, upstream, test } = running;
  access = await running.access({ title: NAME });
  upstream.respond(openaiJson());
  for (let i = 0; i < 3; i += 1) await access.openai.chat.completions.create(HELLO);
  // Refused: a feature that the grant does not give, and a model that it does not name.
  await errorOf(access.openai.chat.completions.create({ ...HELLO, logprobs: true }));
  await errorOf(access.openai.chat.completions.create({ ...HELLO, model: 'no-such-model' }));

  // A stream that an order cuts, and calls that it refuses.
  upstream.respond(hold());
  const stream = await access.openai.chat.completions.create({ ...HELLO, stream: true });
  const ended = errorOf(
    (async () => {
      for await (const _ of stream);
    })(),
  );
  const answer = await api.post(people.safety, '/orders?confirmed=true', {
    selector: { grant: access.grant.id },
    grounds: 'Test',
  });
  orderId = (answer.body as { id: string }).id;
  cutCode = codeOf(await ended);
  upstream.respond(openaiJson());
  for (let i = 0; i < 2; i += 1) await errorOf(access.openai.chat.completions.create(HELLO));
  await liftOrder(test.broker, people.admin.id, orderId, 'Over');
  await access.openai.chat.completions.create(HELLO);
  await eventually(() => {
    const { length } = entriesOfRun('request.outcome');
    if (length !== 5) throw new Error(`${length} outcomes are on record, not 5`);
  });
  runId = String((running.entries({ kind: 'request.intent' })[0] as { run?: string }).run);
});
afterAll(() => running.close());

type RunEntry = LogEntry & { run?: string; at: string };

const entriesOfRun = (kind: string): RunEntry[] =>
  running.entries({ kind, grant: access.grant.id }) as RunEntry[];

async function report(
  path: string,
  who = running.people.auditor,
): Promise<{ status: number; body: UsageReport }> {
  const answer = await running.api.get(who, `/reports/${path}`);
  return { status: answer.status, body: JSON.parse(answer.text) as UsageReport };
}

const text = async (path: string, who = running.people.auditor): Promise<string> =>
  (await running.api.get(who, `/reports/${path}`)).text;

const sum = (of: (entry: RunEntry) => number | undefined): number =>
  entriesOfRun('request.outcome').reduce((total, entry) => total + (of(entry) ?? 0), 0);

describe('a report on a run', () => {
  it('says what the entries of the run say', async () => {
    const { body } = await report(`run/${runId}`);
    const { figures } = body;
    expect(figures.total).toEqual({
      admitted: 5,
      denied: 4,
      tokens: sum(({ data }) => data?.charged?.tokens),
      inputTokens: sum(({ data }) => data?.usage?.inputTokens),
      outputTokens: sum(({ data }) => data?.usage?.outputTokens),
      spendNanoUsd: sum(({ data }) => data?.charged?.spendNanoUsd),
    });
    expect(figures.total.tokens).toBe(running.sums(access.grant)?.tokensSettled);
    expect(figures.unfinished).toBe(0);
    expect(figures.people.map(({ of, admitted, denied }) => ({ of, admitted, denied }))).toEqual([
      { of: access.person.id, admitted: 5, denied: 4 },
    ]);
    expect(figures.purposes.map(({ of }) => of)).toEqual(['hallucination']);
    const denied = entriesOfRun('request.denied');
    const codes = denied.map(({ reason }) => reason);
    expect(Object.fromEntries(figures.refusals.map(({ code, count }) => [code, count]))).toEqual(
      Object.fromEntries(
        codes.map((code) => [code, codes.filter((other) => other === code).length]),
      ),
    );
    expect(cutCode).toBe('grant_suspended');
    expect(figures.ends).toEqual([
      { end: 'completed', reason: null, count: 4 },
      { end: 'cut', reason: 'grant_suspended', count: 1 },
    ]);
  });

  it('names the order in between, when it applied, and what it did', async () => {
    const { body } = await report(`run/${runId}`);
    const issued = running.entries({ kind: 'order.issued', ref: orderId })[0];
    expect(body.orders).toMatchObject([
      { id: orderId, endedAt: expect.any(String), entry: issued?.index },
    ]);
    expect(body.figures.orders).toMatchObject([{ order: orderId, refused: 2, cut: 1, noted: 0 }]);
  });

  it('rests on entries that the log has: their range, a digest over their leaves, a checkpoint', async () => {
    const { body } = await report(`run/${runId}`);
    const { readers, store } = running.test.broker;
    expect(openCheckpoint(body.checkpoint, store.verifierKey).size).toBe(body.size);
    const about = { from: 0, limit: 1_000, grantId: access.grant.id };
    const own = readers
      .listEntries(about)
      .filter(({ bytes }) => (JSON.parse(String(bytes)) as RunEntry).run === runId);
    const leaves = createHash('sha256');
    for (const { bytes } of own) leaves.update(leafHash(bytes));
    expect(body.figures.entries).toEqual({
      count: own.length,
      first: own.at(0)?.index,
      last: own.at(-1)?.index,
      leavesSha256: leaves.digest('hex'),
    });
    const recorded = JSON.parse(String(readers.readEntry(body.entry)?.bytes)) as object;
    expect(recorded).toMatchObject({
      kind: 'audit.reported',
      ref: runId,
      data: { of: 'run', size: body.size, checkpoint: body.checkpoint },
    });
  });

  it('is for whoever answers for it, and for its researcher; others learn nothing of it', async () => {
    const { people } = running;
    for (const who of [people.admin, people.safety, people.lead, people.partnerAuditor])
      expect((await report(`run/${runId}`, who)).status).toBe(200);
    const own = await report(`run/${runId}`, access.person);
    expect(own.body.onlyOf).toBe(access.person.id);
    expect(own.body.figures.total.admitted).toBe(5);
    for (const who of [people.otherLead, people.otherResearcher, people.secondResearcher])
      expect((await report(`run/${runId}`, who)).status).toBe(404);
    // A partner knows its own people by name alone.
    const leads = await report(`grant/${access.grant.id}`, people.lead);
    expect(Object.keys(leads.body.names)).toContain(people.lead.id);
    expect(Object.keys(leads.body.names)).not.toContain(people.admin.id);
    const grant = await report(`grant/${access.grant.id}`, access.person);
    expect(grant.status).toBe(403);
  });
});

describe('a report on a grant', () => {
  it('has its steps and its runs', async () => {
    const { body } = await report(`grant/${access.grant.id}`);
    expect(body.figures.runs.map(({ of, admitted }) => [of, admitted])).toEqual([[runId, 5]]);
    expect(body.figures.steps.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['grant.created', 'grant.approved', 'grant.terms_accepted']),
    );
    expect(body.figures.tokensIssued).toBe(1);
  });

  it('as Markdown and as a page says the same, and nothing in it acts', async () => {
    const path = `grant/${access.grant.id}`;
    const markdown = await text(`${path}?format=md`);
    const { headers, text: page } = await running.api.get(
      running.people.auditor,
      `/reports/${path}?format=html`,
    );
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    for (const said of [access.grant.id, orderId, 'grant_suspended', runId]) {
      expect(markdown).toContain(said);
      expect(page).toContain(said);
    }
    expect(page).toContain('&lt;img src=x onerror=alert(1)&gt; &amp; Co');
    expect(page).not.toMatch(/<(?:img|script|link|iframe|object)/i);
    expect(page.match(/<svg /g)?.length).toBeGreaterThan(4);
  });
});
