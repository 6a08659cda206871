/** Upstream credentials that change while the broker runs. */
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Upstream } from '../../src/gateway/upstream.ts';
import { eventually } from '../support/running-broker.ts';
import { answerOf, startRawUpstream, type RawUpstream } from '../support/raw-upstream.ts';
import { call, openUpstream } from '../support/upstream-calls.ts';

const FIRST = 'sk-first-credential';
const SECOND = 'sk-second-credential';

let folder: string;
let path: string;
let raw: RawUpstream;
let upstream: Upstream;
let logged: Record<string, unknown>[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sallyport-credential-'));
  path = join(folder, 'key');
  writeFileSync(path, `${FIRST}\n`, { mode: 0o600 });
  raw = await startRawUpstream();
  raw.respond((socket) => socket.write(answerOf('{}')));
  ({ upstream, logged } = openUpstream(raw.url, { credential: `file:${path}` }));
});
afterEach(async () => {
  await upstream.close();
  await raw.close();
  rmSync(folder, { recursive: true });
});

/** Puts a whole new file in place of the old one, as secret managers do. */
function replace(content: string, mode = 0o600): void {
  writeFileSync(`${path}.new`, content, { mode: 0o600 });
  chmodSync(`${path}.new`, mode);
  renameSync(`${path}.new`, path);
}

const numberOf = (character: string): string => character.charCodeAt(0).toString(16).toUpperCase();

async function sentCredential(): Promise<string | undefined> {
  await call(upstream).text();
  return /^authorization: Bearer (.*)$/im.exec(raw.requests.at(-1) ?? '')?.[1]?.trim();
}

const linesOf = (level: number): Record<string, unknown>[] =>
  logged.filter((line) => line['level'] === level);
const infos = (): Record<string, unknown>[] => linesOf(30);
const errors = (): Record<string, unknown>[] => linesOf(50);

it.each([
  ['replaced', () => replace(SECOND)],
  ['written in place', () => writeFileSync(path, SECOND)],
])('a file that is %s is read again; the old credential is still recognised', async (_, change) => {
  expect(await sentCredential()).toBe(FIRST);
  change();
  await eventually(() => expect(infos()).toHaveLength(1));
  expect(await sentCredential()).toBe(SECOND);
  for (const secret of [FIRST, SECOND])
    for (const isError of [true, false])
      expect(upstream.quotesCredential(`Bad key: ${secret}.`, { isError })).toBe(true);
  expect(upstream.quotesCredential('Bad key.', { isError: true })).toBe(false);
  expect(JSON.stringify(logged)).not.toMatch(/sk-/);
});

const SPECIAL = String.raw`sk-"quoted"\back/slash:jK`;

it.each([
  ['as it is', SPECIAL],
  ['in JSON', JSON.stringify(SPECIAL)],
  ['in JSON that escapes slashes', JSON.stringify(SPECIAL).replaceAll('/', String.raw`\/`)],
  ['by numbers', SPECIAL.replace(/./g, (c) => `\\u00${c.charCodeAt(0).toString(16)}`)],
  ['by numbers in capitals', SPECIAL.replace(/[jK:]/g, (c) => `\\u00${numberOf(c)}`)],
])('a credential is recognised %s', async (_, written) => {
  writeFileSync(path, SPECIAL);
  const { upstream: special } = openUpstream(raw.url, { credential: `file:${path}` });
  for (const isError of [true, false])
    expect(special.quotesCredential(`{"message":"key ${written}"}`, { isError })).toBe(true);
  await special.close();
});

it('a credential that can be a word of an answer is recognised in errors only', async () => {
  replace('EMPTY');
  await eventually(() => expect(infos()).toHaveLength(1));
  expect(upstream.quotesCredential('The list is EMPTY.', { isError: true })).toBe(true);
  expect(upstream.quotesCredential('The list is EMPTY.', { isError: false })).toBe(false);
  // The one before it is as secret as it was.
  expect(upstream.quotesCredential(FIRST, { isError: false })).toBe(true);
});

it.each<[string, string, () => void]>([
  ['is empty', 'is empty', () => replace(' \n')],
  ['is open to others', 'chmod 600', () => replace(SECOND, 0o640)],
  ['holds what is no header', 'cannot stand in a header', () => replace('sk-second\ncredential')],
  ['is gone', 'cannot be read', () => rmSync(path)],
])(
  'a file that %s leaves the old credential in use, and is logged once',
  async (_, why, change) => {
    change();
    await eventually(() => expect(errors()).toHaveLength(1));
    expect(errors()[0]).toMatchObject({ endpoint: 'demo', path });
    expect(errors()[0]?.['why']).toContain(why);
    // A refusal has it looked at again, and it is as it was.
    raw.respond((socket) => socket.write('HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\n{}'));
    expect(await sentCredential()).toBe(FIRST);
    replace(SECOND);
    await eventually(() => expect(infos()).toHaveLength(1));
    expect(await sentCredential()).toBe(SECOND);
    expect(errors()).toHaveLength(1);
    expect(JSON.stringify(logged)).not.toMatch(/sk-/);
  },
);

it('when the upstream refuses it, the file is looked at without waiting for its turn', async () => {
  // Whose turn never comes.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const { upstream: refused, logged: lines } = openUpstream(raw.url, {
    credential: `file:${path}`,
  });
  raw.respond((socket) => socket.write('HTTP/1.1 401 No\r\ncontent-length: 2\r\n\r\n{}'));
  replace(SECOND);
  await call(refused).text();
  while (lines.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await call(refused).text();
  expect(raw.requests.map((request) => request.includes(SECOND))).toEqual([false, true]);
  await refused.close();
  vi.useRealTimers();
});
