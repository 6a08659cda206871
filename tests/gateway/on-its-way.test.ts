/** Answers that are on their way when something happens; and what upstreams and clients do to mislead. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { issueOrder } from '../../src/broker/issue-order.ts';
import {
  HOST_CREDENTIAL,
  MODEL,
  drain,
  errorOf,
  eventually,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold } from '../support/scripted-upstream.ts';

let running: RunningBroker;
beforeAll(async () => {
  running = await startRunningBroker();
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

const suspend = ({ grant }: Access): ReturnType<typeof issueOrder> =>
  issueOrder(
    running.test.broker,
    running.people.safety.id,
    {
      level: 4,
      selector: { grant: grant.id },
      grounds: 'A test',
      measures: {},
      authority: { kind: 'officer' },
    },
    true,
  );

/** A client that writes by hand and reads only when told. */
async function rawClient(): Promise<Socket> {
  const { hostname, port } = new URL(running.url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket.pause();
}

function rawRequest({ token }: Access, body: object): string {
  const text = JSON.stringify(body);
  return `POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

const ASK = { model: MODEL, messages: [{ role: 'user', content: 'Hello' }] };

describe('invariant 5: an answer that the client has not taken yet', () => {
  it('is cut by an order, though its outcome is recorded', async () => {
    const access = await running.access();
    const content = 'x'.repeat(24_000_000);
    running.upstream.respond((_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ model: MODEL, choices: [{ message: { content } }] }));
    });
    const socket = await rawClient();
    socket.write(rawRequest(access, ASK));
    await running.outcomeOf(access.grant);
    const { cut } = await suspend(access);
    expect(cut).toHaveLength(1);
    let bytes = 0;
    socket.on('data', (chunk: Buffer) => (bytes += chunk.length)).resume();
    await once(socket, 'close');
    expect(bytes).toBeLessThan(content.length);
    await eventually(() => expect(running.test.broker.live.count).toBe(0));
  });
});

describe('a client that goes away', () => {
  it('with two requests in a pipeline ends both at the upstream, and gives both slots back', async () => {
    const access = await running.access();
    running.upstream.respond(hold());
    const before = running.upstream.requests.length;
    const socket = await rawClient();
    socket.write(rawRequest(access, { ...ASK, stream: true }).repeat(2));
    await eventually(() => expect(running.upstream.requests.length).toBe(before + 2));
    socket.destroy();
    await running.upstream.waitForAbort(before);
    await running.upstream.waitForAbort(before + 1);
    await eventually(() => expect(running.sums(access.grant)?.requestsReserved).toBe(0));
    await eventually(() => expect(running.test.broker.live.count).toBe(0));
  });
});

describe('metering is not misled', () => {
  it("by an Anthropic event whose text is another event's name", async () => {
    const access = await running.access();
    const events = [
      {
        type: 'message_start',
        message: { model: MODEL, usage: { input_tokens: 10, output_tokens: 1 } },
      },
      {
        type: 'content_block_delta',
        index: 0,
        delta: { type: 'text_delta', text: 'error message_start' },
      },
      {
        type: 'message_delta',
        delta: { stop_reason: 'stop_sequence', stop_sequence: 'message_stop' },
        usage: { output_tokens: 900 },
      },
      { type: 'message_stop' },
    ];
    running.upstream.respond((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const event of events)
        res.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
      res.end();
    });
    await drain(
      await access.anthropic.messages.create({
        model: MODEL,
        max_tokens: 1_000,
        messages: [{ role: 'user', content: 'Hello' }],
        stream: true,
      }),
    );
    const { data } = await running.outcomeOf(access.grant);
    expect(data).toMatchObject({
      end: 'completed',
      usage: { inputTokens: 10, outputTokens: 900, source: 'reported' },
    });
  });

  it('by a count that is none', async () => {
    const access = await running.access();
    const usage = { prompt_tokens: 5, completion_tokens: Number.MAX_SAFE_INTEGER };
    running.upstream.respond((_req, res) => {
      res.writeHead(200, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ model: MODEL, choices: [{ message: { content: 'Hi' } }], usage }));
    });
    await access.openai.chat.completions.create({
      model: MODEL,
      messages: [{ role: 'user', content: 'Hi' }],
    });
    const { data } = await running.outcomeOf(access.grant);
    expect(data).toMatchObject({ usage: { source: 'estimated' } });
  });
});

describe("the host's credential", () => {
  it.each([
    ['as it is', HOST_CREDENTIAL],
    ['escaped', `\\u0073${HOST_CREDENTIAL.slice(1)}`],
  ])('does not leave in an error event of a stream, quoted %s', async (_how, quoted) => {
    const access = await running.access();
    running.upstream.respond((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      res.write(`data: {"model":"${MODEL}","choices":[{"delta":{"content":"Hi"}}]}\n\n`);
      res.end(`data: {"error":{"message":"bad key ${quoted}"}}\n\n`);
    });
    const stream = await access.openai.chat.completions.create({
      model: MODEL,
      messages: [{ role: 'user', content: 'Hello' }],
      stream: true,
    });
    const error = await errorOf(drain(stream));
    expect(JSON.stringify([error.message, error.error])).not.toContain(HOST_CREDENTIAL);
    expect(JSON.stringify(error.error)).toContain('upstream_incomplete');
  });
});
