/** Transcripts of calls: what is kept is what went out and came back, on every path. */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  HELLO_ANTHROPIC,
  eventually,
  post,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import {
  anthropicJson,
  anthropicStream,
  hang,
  openaiJson,
  openaiStream,
  status,
  type Handler,
} from '../support/scripted-upstream.ts';
import {
  FULL,
  HOLDER,
  SEALED,
  commitment,
  factsIn,
  keptBody,
  lastCall,
  openSealed,
  sha256,
  storedFile,
} from '../support/transcripts.ts';
import { recipientId } from '../../src/core/transcripts/recipients.ts';

let running: RunningBroker;
let sealed: Access;
let full: Access;

beforeAll(async () => {
  running = await startRunningBroker({ gateway: { maxResponseBytes: 8 << 20 } });
  sealed = await running.access(SEALED);
  full = await running.access(FULL);
});
afterEach(() => {
  running.checkUpstream();
  running.upstream.respond(openaiJson());
});
afterAll(() => running.close());

const CHAT = '/v1/chat/completions';
const MESSAGES = '/v1/messages';

const call = (access: Access, path: string, body: object): Promise<Response> =>
  post(`${running.url}${path}`, access.token, body);

/** Holds what is kept of the last call of a grant against its entries. */
function mustMatch(access: Access): { request: string; response: string } {
  const { request, intent, outcome } = lastCall(running, access.grant.id);
  const facts = factsIn(outcome);
  const kept = { request: '', response: '' };
  for (const part of ['request', 'response'] as const) {
    const file = storedFile(running.test.dataDir, request, part);
    const body = keptBody(running.test.dataDir, request, part);
    if (!file || !body) throw new Error(`Nothing is stored of the ${part}.`);
    expect(facts[part]).toMatchObject({ sha256: sha256(file), bytes: file.length });
    const committed = part === 'request' ? intent.data : outcome.data;
    expect(commitment(body)).toBe(committed?.[`${part}Commitment`]);
    kept[part] = body.body.toString();
  }
  return kept;
}

const MODES: [string, () => Access][] = [
  ['sealed', () => sealed],
  ['full', () => full],
];

describe.each(MODES)('of a grant whose transcripts are %s', (mode, access) => {
  it.each<[string, string, object, Handler]>([
    ['a whole answer of OpenAI', CHAT, HELLO, openaiJson()],
    ['a stream of OpenAI', CHAT, { ...HELLO, stream: true }, openaiStream()],
    ['a whole answer of Anthropic', MESSAGES, HELLO_ANTHROPIC, anthropicJson()],
    ['a stream of Anthropic', MESSAGES, { ...HELLO_ANTHROPIC, stream: true }, anthropicStream()],
  ])('%s is kept as it was sent and came', async (_what, path, body, handler) => {
    running.upstream.respond(handler);
    const answer = await call(access(), path, body);
    expect(answer.status).toBe(200);
    await answer.text();
    const kept = mustMatch(access());
    expect(kept.request).toBe(running.upstream.requests.at(-1)?.raw.toString());
    expect(kept.response).not.toBe('');
    const { outcome } = lastCall(running, access().grant.id);
    const ids = mode === 'sealed' ? [recipientId(HOLDER.recipient)] : [];
    expect(factsIn(outcome)).toMatchObject({ mode, recipients: ids });
  });

  it('an error of the upstream is kept', async () => {
    running.upstream.respond(status(429, { error: { message: 'Slow down.' } }));
    expect((await call(access(), CHAT, HELLO)).status).toBe(429);
    expect(mustMatch(access()).response).toContain('Slow down.');
  });

  it('a long request and a long answer are files of their own', async () => {
    const text = 'A long text. '.repeat(20_000);
    running.upstream.respond(openaiJson({ content: text }));
    const asked = { ...HELLO, messages: [{ role: 'user', content: text }] };
    expect((await call(access(), CHAT, asked)).status).toBe(200);
    const kept = mustMatch(access());
    expect(kept.request).toContain(text);
    expect(kept.response).toContain(text);
  });

  it('has its salt with its bodies alone', async () => {
    await call(access(), CHAT, HELLO);
    const { request } = lastCall(running, access().grant.id);
    expect(running.saltOf(request)).toHaveLength(0);
  });
});

it('calls at the same time are sealed together, and each opens by itself', async () => {
  const answers = Array.from({ length: 40 }, (_, i) =>
    call(sealed, CHAT, { ...HELLO, messages: [{ role: 'user', content: `Number ${i}.` }] }),
  );
  for (const answer of await Promise.all(answers)) expect(answer.status).toBe(200);
  const intents = running.entries({ kind: 'request.intent', grant: sealed.grant.id }).slice(-40);
  const bodies = intents.map(({ ref = '' }) => keptBody(running.test.dataDir, ref, 'request'));
  expect(new Set(bodies.map((kept) => kept?.body.toString())).size).toBe(40);
  const files = intents.map(({ ref = '' }) => storedFile(running.test.dataDir, ref, 'request'));
  expect(new Set(files.map((file) => file && sha256(file))).size).toBeLessThan(40);
});

it('a grant that asks for digests alone has nothing kept', async () => {
  const digest = await running.access();
  await call(digest, CHAT, HELLO);
  const { request, outcome } = lastCall(running, digest.grant.id);
  expect(outcome.data?.['transcript']).toBeUndefined();
  expect(storedFile(running.test.dataDir, request, 'request')).toBeUndefined();
  expect(running.saltOf(request)).toHaveLength(16);
});

it('a client that goes away leaves what had come', async () => {
  running.upstream.respond((req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.write('data: {"choices":[{"delta":{"content":"Before it left."}}]}\n\n');
    return hang()(req, res);
  });
  const answer = await call(sealed, CHAT, { ...HELLO, stream: true });
  const reader = answer.body?.getReader();
  await reader?.read();
  await reader?.cancel();
  await eventually(() => {
    const { outcome } = lastCall(running, sealed.grant.id);
    expect(outcome.data?.end).toBe('client_gone');
  });
  expect(mustMatch(sealed).response).toContain('Before it left.');
});

it('nothing of a sealed body is anywhere in the data directory in the clear', async () => {
  const canary = 'canary-9f27c1d0-sealed';
  running.upstream.respond(openaiJson({ content: `${canary}-answer` }));
  await call(sealed, CHAT, { ...HELLO, messages: [{ role: 'user', content: canary }] });
  const { request } = lastCall(running, sealed.grant.id);
  const file = storedFile(running.test.dataDir, request, 'response') as Buffer;
  expect(openSealed(file).toString()).toContain(`${canary}-answer`);
  const names = readdirSync(running.test.dataDir, { recursive: true, encoding: 'utf8' });
  const holding = names.filter((name) => {
    try {
      return readFileSync(join(running.test.dataDir, name)).includes(canary);
    } catch {
      return false;
    }
  });
  expect(names.length).toBeGreaterThan(3);
  expect(holding).toEqual([]);
});
