import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../src/audit/verify-receipt.ts';
import { openCheckpoint } from '../../src/core/audit/checkpoint.ts';
import { leafHash } from '../../src/core/audit/merkle.ts';
import { verifyInclusion } from '../../src/core/audit/proofs.ts';
import { parseTlogProof } from '../../src/core/audit/tlog-proof.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import type { TestPerson } from '../support/people.ts';
import {
  HELLO,
  drain,
  post,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold, openaiJson, openaiStream } from '../support/scripted-upstream.ts';

let running: RunningBroker;
let access: Access;
let key: string;

beforeAll(async () => {
  running = await startRunningBroker();
  access = await running.access();
  key = running.test.broker.store.verifierKey;
});
afterAll(() => running.close());

const receipt = (who: TestPerson, of: string | number) =>
  running.api.get(who, `/log/receipts/${of}`);

const chat = (body: object = HELLO): Promise<Response> =>
  post(`${running.url}/v1/chat/completions`, access.token, body);

/** Makes a call to its end. @returns the id of its request, as the answer names it */
async function call(body?: object): Promise<string> {
  const answer = await chat(body);
  await answer.text();
  return answer.headers.get('x-request-id') ?? 'none';
}

const check = (text: string) => verifyReceipt(Buffer.from(text, 'utf8'), [key]);

describe('the receipt of a request', () => {
  it('is had by the id that its answer names, and is sound offline', async () => {
    running.upstream.respond(openaiJson());
    const request = await call();
    const answer = await receipt(running.people.researcher, request);
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(answer.headers['content-disposition']).toContain(`${request}.receipt`);
    expect(answer.headers['cache-control']).toBe('no-store');
    expect(check(answer.text)).toMatchObject({
      status: 'sound',
      of: { request },
      entries: [
        { kind: 'request.intent', ref: request, person: running.people.researcher.id },
        { kind: 'request.outcome', ref: request },
      ],
    });
  });

  it('holds the exact bytes of the entries, and their proofs usable alone', async () => {
    const request = await call();
    const { text } = await receipt(running.people.researcher, request);
    const { entries } = check(text);
    for (const { index } of entries) {
      const [, line = ''] = new RegExp(`BEGIN ENTRY ${index}-----\n(.*)\n`).exec(text) ?? [];
      const stored = running.test.broker.readers.readEntry(index)?.bytes;
      expect(stored?.toString('utf8')).toBe(line);
      const [, proof = ''] =
        new RegExp(`BEGIN TLOG-PROOF ${index}-----\n([^]*?)-----END`).exec(text) ?? [];
      const alone = parseTlogProof(proof);
      const { size, root } = openCheckpoint(alone?.checkpoint ?? '', key);
      expect(
        verifyInclusion({
          index,
          size,
          root,
          leafHash: leafHash(Buffer.from(line)),
          proof: alone?.proof ?? [],
        }),
      ).toBe(true);
    }
  });

  it('is there for a stream, a refusal and a list of models as well', async () => {
    running.upstream.respond(openaiStream());
    const { data, response } = await access.openai.chat.completions
      .create({ ...HELLO, stream: true })
      .withResponse();
    await drain(data);
    const streamed = response.headers.get('x-request-id') ?? '';
    const refused = await call({ ...HELLO, model: 'no-such-model' });
    const listed = await fetch(`${running.url}/v1/models`, {
      headers: { authorization: `Bearer ${access.token}` },
    });
    const kinds: string[][] = [];
    for (const of of [streamed, refused, listed.headers.get('x-request-id') ?? '']) {
      const { status, entries } = check((await receipt(running.people.researcher, of)).text);
      kinds.push([status, ...entries.map(({ kind }) => kind)]);
    }
    expect(kinds).toEqual([
      ['sound', 'request.intent', 'request.outcome'],
      ['sound', 'request.denied'],
      ['sound', 'request.answered'],
    ]);
  });

  it('of a request that still runs is incomplete, and says so', async () => {
    const held = hold();
    const asked = running.onceAsked(held);
    const answering = chat({ ...HELLO, stream: true });
    await asked;
    const answer = await answering;
    const request = answer.headers.get('x-request-id') ?? '';
    const early = check((await receipt(running.people.researcher, request)).text);
    expect(early.status).toBe('incomplete');
    expect(early.problem).toContain('had not ended');
    held.release();
    await answer.text();
    const late = check((await receipt(running.people.researcher, request)).text);
    expect(late.status).toBe('sound');
  });

  it('is shown to those within whose reach the request is, and the reading is on record', async () => {
    running.upstream.respond(openaiJson());
    const request = await call();
    const { researcher, lead, partnerAuditor, auditor, outsideAuditor } = running.people;
    for (const who of [researcher, lead, partnerAuditor, auditor, outsideAuditor])
      expect([who.id, (await receipt(who, request)).status]).toEqual([who.id, 200]);
    const reading = running.entries({ kind: 'audit.read' }).at(-1);
    expect(reading).toMatchObject({
      actor: { person: outsideAuditor.id },
      data: { receipts: [request], found: 1 },
    });

    const colleague = await running.newResearcher();
    const absent = await receipt(colleague, `req_${'0'.repeat(26)}`);
    for (const who of [colleague, running.people.otherLead, running.people.otherResearcher]) {
      const hidden = await receipt(who, request);
      expect([hidden.status, hidden.body.code]).toEqual([404, 'not_found']);
      expect(hidden.body.detail).toBe(absent.body.detail);
    }
  });

  it('of an id that is none is refused with what to send instead', async () => {
    for (const of of ['req_1', 'ent_1', '-1', '1.5', '01', '9'.repeat(16), 'req_%00']) {
      const answer = await receipt(running.people.auditor, of);
      expect([of, answer.status]).toEqual([of, 400]);
    }
    const answer = await receipt(running.people.auditor, 'ent_1');
    expect(answer.body.detail).toContain('the index of an entry');
    expect((await receipt(running.people.auditor, 99_999_999)).status).toBe(404);
  });
});

describe('proofs of entries', () => {
  it('are had by index, alone or with the entry', async () => {
    const { auditor, otherLead } = running.people;
    const alone = await running.api.get(auditor, '/log/entries/3/proof');
    expect(alone.headers['content-type']).toBe('text/plain; charset=utf-8');
    const proof = parseTlogProof(alone.text);
    expect(proof?.index).toBe(3);
    const { size, root } = openCheckpoint(proof?.checkpoint ?? '', key);
    const leaf = leafHash(running.test.broker.readers.readEntry(3)?.bytes ?? Buffer.of());
    expect(
      verifyInclusion({ index: 3, size, root, leafHash: leaf, proof: proof?.proof ?? [] }),
    ).toBe(true);
    expect(check((await receipt(auditor, 3)).text)).toMatchObject({
      status: 'sound',
      of: { entry: 3 },
    });
    const hidden = await running.api.get(otherLead, '/log/entries/3/proof');
    expect(hidden.status).toBe(404);
  });

  it('wait for the checkpoint that covers the entry, and make no more of them than one a second', async () => {
    const { auditor } = running.people;
    const { readers } = running.test.broker;
    const database = new Database(join(running.test.dataDir, DATABASE_FILE), { readonly: true });
    const counted = (): number =>
      database.prepare('SELECT count(*) FROM checkpoints').pluck().get() as number;
    const before = counted();
    const begun = performance.now();
    // Each reading is itself an entry, which the next one asks the proof of.
    for (let i = 0; i < 12; i += 1) {
      const newest = readers.logSize() - 1;
      const answer = await running.api.get(auditor, `/log/entries/${newest}/proof`);
      expect(parseTlogProof(answer.text)?.index).toBe(newest);
      if (performance.now() - begun > 2_500) break;
    }
    const seconds = (performance.now() - begun) / 1000;
    // The log's own, once a second, and as many for those who wait.
    expect(counted() - before).toBeLessThanOrEqual(2 * Math.ceil(seconds) + 1);
    database.close();
  });
});
