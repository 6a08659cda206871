/** Paths that are not proxied: refused, recorded under a name of ours, never forwarded, never tried again. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { notOffered } from '../../src/gateway/operations/not-offered.ts';
import { OPERATIONS } from '../../src/gateway/operations/table.ts';
import { exchangeBytes } from '../support/raw-client.ts';
import {
  HELLO,
  post,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';

let running: RunningBroker;
let access: Access;

beforeAll(async () => {
  running = await startRunningBroker();
  access = await running.access();
});
afterEach(() => {
  if (running.upstream.requests.length > 0) throw new Error('It was forwarded.');
});
afterAll(() => running.close());

const BY_NAME: [path: string, route: string, name: RegExp][] = [
  ['/v1/messages/batches', '/v1/messages/batches', /^Message batches are not offered\./],
  ['/v1/messages/batches/msgbatch_1/results', '/v1/messages/batches', /^Message batches/],
  ['/v1/batches', '/v1/batches', /^Batches are not offered\./],
  ['/v1/files/file-1/content', '/v1/files', /^Files are not offered\./],
  ['/v1/uploads', '/v1/uploads', /^Uploads/],
  ['/v1/fine_tuning/jobs', '/v1/fine_tuning', /^Fine-tuning/],
  ['/v1/assistants', '/v1/assistants', /^Assistants/],
  ['/v1/threads/thread_1/runs', '/v1/threads', /^Threads/],
  ['/v1/vector_stores', '/v1/vector_stores', /^Vector stores/],
  ['/v1/images/generations', '/v1/images', /^Images/],
  ['/v1/audio/speech', '/v1/audio', /^Speech/],
  ['/v1/moderations', '/v1/moderations', /^Moderations/],
  ['/v1/realtime/sessions', '/v1/realtime', /^Realtime/],
  ['/v1/responses/resp_1', '/v1/responses/*', /^Stored responses/],
  ['/v1/responses/resp_1/cancel', '/v1/responses/*', /^Stored responses/],
  ['/v1/chat/completions/chatcmpl-1', '/v1/chat/completions/*', /^Stored completions/],
  ['/v1/complete', '/v1/complete', /^Text completions/],
];

describe('refused by name', () => {
  it.each(BY_NAME)('%s', async (path, route, name) => {
    for (const method of ['GET', 'POST', 'DELETE']) {
      const answer = await fetch(running.url + path, {
        method,
        headers: { authorization: `Bearer ${access.token}` },
      });
      expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([400, 'false']);
      expect(await answer.json()).toMatchObject({
        error: { code: 'not_supported', message: expect.stringMatching(name) as string },
      });
      const ref = answer.headers.get('x-request-id') ?? '';
      expect(running.entries({ ref })).toMatchObject([
        { kind: 'request.denied', reason: 'not_supported', data: { method, route } },
      ]);
    }
  });

  it('is nothing that is offered', () => {
    for (const path of [...OPERATIONS.keys(), '/v1/models'])
      expect(notOffered(path)).toBeUndefined();
  });
});

describe('unknown', () => {
  it.each([
    '/v1',
    '/v1/',
    '/v1/x',
    '/v1/Messages',
    '/v1/messages/',
    '/v1/messages/count_tokens/',
    '/v1/messages%2Fcount_tokens',
    '/v1/%6dessages',
    '/v1/messages%00',
    '/v1/messages;x',
    '/v1/messages/count_tokens/../../messages',
    '/v1/./messages',
    '/v1/responses/',
    '/v1/responses/../messages',
    '/v1/files//x',
    '/v1/files%2Fx',
    '/v1//messages',
    '/v1/v1/messages',
    '/v1/messages/batchesx',
    '/v1/completions/1',
    '/v1/embeddings/1',
    '/v1/filesystem',
    '/v1/constructor',
    '/v1/__proto__',
  ])('%s: refused as unknown, without its text in the log', async (path) => {
    const answer = await exchangeBytes(running.url, request(path));
    expect(answer).toMatch(/^HTTP\/1\.1 404 [^]*"code":"unknown_path"/);
    const [, ref = ''] = /"request_id":"(req_\w+)"/.exec(answer) ?? [];
    expect(running.entries({ ref })).toMatchObject([
      {
        kind: 'request.denied',
        reason: 'unknown_path',
        data: { method: 'POST', route: 'unknown' },
      },
    ]);
  });

  it.each([
    '/V1/messages',
    '//v1/messages',
    '/x/../v1/messages',
    'http://x/v1/messages',
    'v1/messages',
  ])('%s: not even this half of the broker', async (path) => {
    expect(await exchangeBytes(running.url, request(path))).toMatch(/^HTTP\/1\.1 40[04] /);
  });

  it('is told only to who may know: others learn nothing of paths', async () => {
    for (const path of ['/v1/messages/batches', '/v1/x', '/v1/messages'])
      expect((await post(running.url + path, 'nonsense', HELLO)).status).toBe(401);
  });
});

function request(path: string): string {
  return `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${access.token}\r\ncontent-length: 0\r\n\r\n`;
}
