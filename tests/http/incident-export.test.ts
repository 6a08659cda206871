/** A report on an incident with its evidence: checked offline, and wrong once anything in it is changed. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyBundle, type BundleReport } from '../../src/audit/verify-bundle.ts';
import { parseTlogProof } from '../../src/core/audit/tlog-proof.ts';
import { repack, unpack, type TarFile } from '../audit/sample-log.ts';
import { makePerson } from '../support/people.ts';
import {
  HELLO,
  codeOf,
  drain,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold } from '../support/scripted-upstream.ts';

const folder = mkdtempSync(join(tmpdir(), 'sallyport-incident-'));
let running: RunningBroker;
let files: TarFile[];
let tar: Buffer;
let incident: string;
let order: string;
let lowered: string;
let requestId: string;
let size: number;

const post = async (
  who: Parameters<RunningBroker['api']['post']>[0],
  path: string,
  body: object,
): Promise<Record<string, unknown> & { id: string }> => {
  const answer = await running.api.post(who, path, body);
  if (answer.status >= 400) throw new Error(`${path}: ${answer.text}`);
  return answer.body as { id: string };
};

const download = async (who = running.people.auditor): Promise<Response> =>
  fetch(`${running.test.url}/api/v1/incidents/${incident}/export`, {
    headers: { authorization: `Bearer ${await running.api.tokenOf(who)}` },
  });

beforeAll(async () => {
  running = await startRunningBroker();
  const { test, people } = running;
  const { admin, host } = people;
  const second = await makePerson(test.broker, admin.id, host.id, 'Sue Safety', ['safety']);
  const access = await running.access({}, await running.newResearcher());
  const upstream = hold();
  const asked = running.onceAsked(upstream);
  const stream = await access.openai.chat.completions.create({ ...HELLO, stream: true });
  await asked;
  const ended = drain(stream).catch(codeOf as (error: unknown) => string);
  const issued = await post(people.safety, '/orders', {
    level: 3,
    selector: { person: access.person.id },
    grounds: 'A name of a real person\n# in an answer',
    evidence: { class: 'reported', text: 'ticket 4711' },
    severity: {
      exploitation: 'exploited',
      breadth: 'low',
      capability: 'medium',
      ease: 'high',
      discoverability: 'low',
    },
  });
  order = issued.id;
  [{ requestId }] = issued['cut'] as [{ requestId: string }];
  await ended;
  await running.outcomeOf(access.grant);
  lowered = (
    await post(second, `/orders/${order}/lower`, {
      level: 2,
      measures: { limitsPercent: 50 },
      grounds: 'Half will do',
    })
  ).id;
  incident = (
    await post(people.safety, '/incidents', {
      title: 'Names | in <answers>',
      harms: ['other_serious_harm'],
      orders: [order],
      entries: [0, 2],
    })
  ).id;
  await post(admin, `/incidents/${incident}/findings`, {
    text: 'Seen again',
    evidence: 'reproduced',
  });
  await post(admin, `/incidents/${incident}/correct`, {
    addHarms: ['cybersecurity'],
    grounds: 'A key was in it',
  });
  await post(admin, `/incidents/${incident}/unlink`, { entry: 2, grounds: 'Another matter' });
  await post(admin, `/incidents/${incident}/reports`, {
    kind: 'initial',
    text: 'What is known',
    to: ['The authority'],
  });
  await running.api.tokenOf(people.auditor);
  size = test.broker.readers.logSize();
  const answer = await download();
  tar = Buffer.from(await answer.arrayBuffer());
  files = await unpack(tar);
});
afterAll(async () => {
  await running.close();
  rmSync(folder, { recursive: true });
});

const contentOf = (name: string): Buffer => {
  const found = files.find((file) => file.name === name);
  if (!found) throw new Error(`There is no ${name}.`);
  return found.content;
};

const verify = (bundle: Buffer): Promise<BundleReport> => {
  const path = join(folder, 'report.tar');
  writeFileSync(path, bundle);
  return verifyBundle(path, running.test.broker.store.verifierKey);
};

const evidence = (): number[] =>
  files.flatMap(({ name }) => {
    const [, index] = /^evidence\/(\d+)\.json$/.exec(name) ?? [];
    return index === undefined ? [] : [Number(index)];
  });

describe('a report as it was handed out', () => {
  it('verifies offline, with the key of the log alone', async () => {
    const report = await verify(tar);
    expect(report).toMatchObject({
      status: 'sound',
      incident,
      size: size + 1,
      entriesChecked: evidence().length + 1,
    });
  });

  it('verifies unpacked as well, and finds what was put beside its evidence', async () => {
    const unpacked = join(folder, 'unpacked');
    for (const { name, content } of files) {
      mkdirSync(dirname(join(unpacked, name)), { recursive: true });
      writeFileSync(join(unpacked, name), content);
    }
    const key = running.test.broker.store.verifierKey;
    expect((await verifyBundle(unpacked, key)).status).toBe('sound');
    writeFileSync(join(unpacked, 'notes.txt'), 'My own');
    expect((await verifyBundle(unpacked, key)).status).toBe('sound');
    writeFileSync(join(unpacked, 'evidence', '000000000001.json'), '{}');
    expect((await verifyBundle(unpacked, key)).status).toBe('tampered');
  });

  it('holds what is about the incident and its orders, what was linked, and what was cut', () => {
    const { readers } = running.test.broker;
    const about = (ref: string): number[] =>
      readers.listEntries({ from: 0, limit: 200, ref }).map(({ index }) => index);
    const expected = new Set([
      0,
      ...about(incident).filter((index) => index < size),
      ...about(order),
      ...about(lowered),
      ...about(requestId).slice(-1),
    ]);
    expect(evidence()).toEqual([...expected].toSorted((one, other) => one - other));
    expect(evidence()).not.toContain(2);
    const [first = -1] = evidence();
    const name = `evidence/${String(first).padStart(12, '0')}`;
    expect(contentOf(`${name}.json`)).toEqual(readers.readEntry(first)?.bytes);
    expect(parseTlogProof(contentOf(`${name}.tlog-proof`).toString('utf8'))?.index).toBe(first);
  });

  it('says it all in a text that nobody else can form', () => {
    const text = contentOf('report.md').toString('utf8');
    expect(text).toContain('# Incident: Names \\| in \\<answers\\>');
    expect(text).toContain('| first report | ');
    expect(text).toContain('> A name of a real person\n> \\# in an answer');
    expect(text).toContain('reported: ticket 4711');
    expect(text).toContain('moderate (exploitation exploited, breadth low');
    expect(text).toContain(`| \`${requestId}\` |`);
    expect(text).toContain('- **Kinds of harm added:** `cybersecurity`\n\n> A key was in it');
    expect(text).toContain('### Finding 1: reproduced');
    expect(text).toContain('to The authority');
    expect(text).toContain('entry 2, taken off');
  });

  it('has the incident and each order as the API shows them, the lowered one as well', async () => {
    const shown = JSON.parse(contentOf('incident.json').toString('utf8')) as object;
    const { body } = await running.api.get(running.people.auditor, `/incidents/${incident}`);
    expect(shown).toEqual(body);
    const orderFile = JSON.parse(contentOf(`orders/${order}.json`).toString('utf8')) as object;
    expect(orderFile).toMatchObject({
      id: order,
      ended: { because: 'lowered' },
      cut: [{ requestId }],
    });
    const other = JSON.parse(contentOf(`orders/${lowered}.json`).toString('utf8')) as object;
    expect(other).toMatchObject({ id: lowered, replaces: order, cut: [] });
  });

  it('leaves an entry, which has the digest of the manifest', () => {
    const [entry] = running.entries({ kind: 'incident.exported', ref: incident });
    const exported = JSON.parse(contentOf('evidence/export.json').toString('utf8')) as object;
    expect(entry).toEqual(exported);
    expect(exported).toMatchObject({
      actor: { person: running.people.auditor.id },
      ref: incident,
      data: { manifestSha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string },
    });
  });
});

describe('a report that was changed', () => {
  const changedIn = (
    name: string,
    change: (content: Buffer) => Buffer | undefined,
  ): Promise<Buffer> =>
    repack(
      files.flatMap((file) => {
        const content = file.name === name ? change(file.content) : file.content;
        return content === undefined ? [] : [{ ...file, content }];
      }),
    );
  const flipped = (content: Buffer): Buffer => {
    const copy = Buffer.from(content);
    copy.writeUInt8(copy.readUInt8(copy.length >> 1) ^ 1, copy.length >> 1);
    return copy;
  };

  it('does not verify with one byte of any file changed', async () => {
    for (const { name } of files) {
      const report = await verify(await changedIn(name, flipped));
      expect([name, report.status]).toEqual([name, 'tampered']);
    }
  });

  it('does not verify with any file left out', async () => {
    for (const { name } of files) {
      const report = await verify(await changedIn(name, () => undefined));
      expect([name, report.status]).toEqual([name, 'incomplete']);
    }
  });

  it('does not verify with a file more, or cut short', async () => {
    const more = await verify(await repack([...files, { name: 'more.md', content: Buffer.of(1) }]));
    expect(more.status).toBe('tampered');
    const cut = await verify(tar.subarray(0, tar.length >> 1));
    expect(['tampered', 'incomplete']).toContain(cut.status);
    expect(cut.status).toBe('incomplete');
  });

  it('does not verify with the manifest, files and entries of another report', async () => {
    const other = await unpack(Buffer.from(await (await download()).arrayBuffer()));
    const mixed = other.map((file) =>
      file.name === 'manifest.json' ? { ...file, content: contentOf('manifest.json') } : file,
    );
    expect((await verify(await repack(mixed))).status).toBe('tampered');
    expect((await verify(await repack(other))).status).toBe('sound');
  });
});

describe('who exports', () => {
  it('those who see incidents; nobody else', async () => {
    const { outsideAuditor, safety, lead, researcher } = running.people;
    for (const who of [outsideAuditor, safety]) {
      const answer = await download(who);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('content-type')).toBe('application/x-tar');
      await answer.arrayBuffer();
    }
    for (const who of [lead, researcher]) expect((await download(who)).status).toBe(403);
  });
});
