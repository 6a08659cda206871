import { once } from 'node:events';
import { OutgoingMessage } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import Anthropic, { NotFoundError as AnthropicNotFound } from '@anthropic-ai/sdk';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { startDemoModel, type DemoModel } from '../../src/demo/model.ts';

let demo: DemoModel;
let openai: OpenAI;
let anthropic: Anthropic;
let model: string;

beforeAll(async () => {
  demo = await startDemoModel({ paceMs: 1 });
  model = demo.models[0] ?? '';
  openai = new OpenAI({ baseURL: `${demo.url}/v1`, apiKey: 'unused', maxRetries: 0 });
  anthropic = new Anthropic({ baseURL: demo.url, apiKey: 'unused', maxRetries: 0 });
});

afterEach(() => vi.restoreAllMocks());
afterAll(() => demo.close());

const numbers = (to: number): string => Array.from({ length: to }, (_, i) => i + 1).join(' ');
const say = (content: string): { role: 'user'; content: string } => ({ role: 'user', content });
const schema = {
  type: 'object' as const,
  properties: {
    city: { type: 'string' },
    unit: { enum: ['celsius', 'kelvin'] },
    note: { type: 'string' },
  },
  required: ['city', 'unit'],
};
const called = { city: 'demo', unit: 'celsius' };

async function post(path: string, body: unknown): Promise<{ status: number; body: unknown }> {
  const sent = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(demo.url + path, { method: 'POST', body: sent });
  return { status: response.status, body: await response.json() };
}

async function streamed(
  body: Omit<OpenAI.ChatCompletionCreateParamsStreaming, 'model' | 'stream'>,
): Promise<{ chunks: OpenAI.ChatCompletionChunk[]; text: string }> {
  const stream = await openai.chat.completions.create({ ...body, model, stream: true });
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return { chunks, text: chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('') };
}

describe('openai', () => {
  it('says that it is scripted, echoes the last user text, and repeats itself', async () => {
    const ask = {
      model,
      messages: [{ role: 'system' as const, content: 'Be brief.' }, say('🦀'.repeat(250))],
    };
    const first = await openai.chat.completions.create(ask);
    const again = await openai.chat.completions.create(ask);
    const text = first.choices[0]?.message.content ?? '';
    expect(text).toContain('script');
    expect(text).toContain('2 messages');
    expect(text).toContain(`"${'🦀'.repeat(200)}…"`);
    expect(again.choices).toEqual(first.choices);
    expect(again.usage).toEqual(first.usage);
    expect(first.choices[0]?.finish_reason).toBe('stop');
  });

  it('counts to 50, one number a chunk, with the same text and usage plain and streamed', async () => {
    const messages = [say('Please count to 50.')];
    const plain = await openai.chat.completions.create({ model, messages });
    expect(plain.choices[0]?.message.content).toBe(numbers(50));
    expect(plain.usage?.completion_tokens).toBe(50);
    expect(plain.usage?.prompt_tokens).toBeGreaterThan(3);
    expect(plain.usage?.total_tokens).toBe(50 + (plain.usage?.prompt_tokens ?? 0));

    const { chunks, text } = await streamed({ messages, stream_options: { include_usage: true } });
    expect(text).toBe(numbers(50));
    expect(chunks.filter((chunk) => chunk.choices[0]?.delta.content)).toHaveLength(50);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: plain.usage });
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
  });

  it('sends no usage in a stream unless asked', async () => {
    const { chunks } = await streamed({ messages: [say('count to 3')] });
    expect(chunks.every((chunk) => chunk.choices.length === 1 && !('usage' in chunk))).toBe(true);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('stop');
  });

  it('heeds max_tokens, max_completion_tokens, stop and n', async () => {
    const messages = [say('count to 50')];
    const short = await openai.chat.completions.create({ model, messages, max_tokens: 5 });
    expect(short.choices[0]).toMatchObject({
      message: { content: '1 2 3 4 5' },
      finish_reason: 'length',
    });
    expect(short.usage?.completion_tokens).toBe(5);

    const exact = await openai.chat.completions.create({
      model,
      messages,
      max_completion_tokens: 50,
    });
    expect(exact.choices[0]?.finish_reason).toBe('stop');

    const stopped = await openai.chat.completions.create({ model, messages, stop: ['30', ' 7'] });
    expect(stopped.choices[0]).toMatchObject({
      message: { content: '1 2 3 4 5 6' },
      finish_reason: 'stop',
    });
    expect(stopped.usage?.completion_tokens).toBe(6);

    const three = await openai.chat.completions.create({ model, messages, n: 3 });
    expect(three.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(three.usage?.completion_tokens).toBe(150);
    const stream = await streamed({ messages, n: 3, stream_options: { include_usage: true } });
    expect(stream.chunks.at(-1)?.usage).toEqual(three.usage);
  });

  it('calls a tool when told to, plain and streamed, and answers after its result', async () => {
    const tools = [
      { type: 'function' as const, function: { name: 'weather', parameters: schema } },
    ];
    const messages: OpenAI.ChatCompletionMessageParam[] = [say('Now use the tool.')];
    const plain = await openai.chat.completions.create({ model, messages, tools });
    const call = plain.choices[0]?.message.tool_calls?.[0];
    expect(plain.choices[0]?.finish_reason).toBe('tool_calls');
    if (call?.type !== 'function') throw new Error('no call');
    expect(call.function.name).toBe('weather');
    expect(JSON.parse(call.function.arguments)).toEqual(called);

    const runner = openai.chat.completions.stream({
      model,
      messages,
      tools,
      stream_options: { include_usage: true },
    });
    const final = await runner.finalChatCompletion();
    expect(final.choices[0]?.message.tool_calls?.[0]).toMatchObject({ function: call.function });
    expect(final.usage).toEqual(plain.usage);

    messages.push(
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: call.id, content: '21 degrees' },
    );
    const after = await openai.chat.completions.create({ model, messages, tools });
    expect(after.choices[0]).toMatchObject({
      finish_reason: 'stop',
      message: { role: 'assistant' },
    });
    expect(after.usage?.prompt_tokens).toBeGreaterThan(plain.usage?.prompt_tokens ?? 0);
  });

  it("refuses in the vendor's shape", async () => {
    const unknown = openai.chat.completions.create({ model: 'gpt-9', messages: [say('hi')] });
    const refusal: unknown = await unknown.catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(NotFoundError);
    expect(refusal).toMatchObject({ status: 404, code: 'model_not_found' });

    const early = openai.chat.completions.create({
      model,
      messages: [say('hi')],
      stream_options: { include_usage: true },
    });
    await expect(early).rejects.toBeInstanceOf(BadRequestError);

    expect(await post('/v1/chat/completions', '{')).toMatchObject({
      status: 400,
      body: { error: { type: 'invalid_request_error' } },
    });
    expect((await post('/v1/chat/completions', 'null')).status).toBe(400);
    expect(await post('/v1/chat/completions', { model })).toMatchObject({
      status: 400,
      body: { error: { param: 'messages', code: 'missing_required_parameter' } },
    });
    const wrong = { model, messages: [{ role: 'user', content: 7 }] };
    expect(await post('/v1/chat/completions', wrong)).toMatchObject({
      status: 400,
      body: { error: { param: 'messages[0].content', code: 'invalid_value' } },
    });
    expect(await post('/v1/nothing', {})).toMatchObject({ status: 404 });
  });

  it('lists its model', async () => {
    const listed = await openai.models.list();
    expect(listed.data.map(({ id }) => id)).toEqual(['demo-model-2026-06-01']);
  });
});

describe('openai: what else there is', () => {
  it('answers responses alike, plain and streamed, and keeps none of them', async () => {
    const ask = { model, input: 'count to 5', instructions: 'Be brief.' };
    const plain = await openai.responses.create(ask);
    expect([plain.output_text, plain.usage?.output_tokens]).toEqual(['1 2 3 4 5', 5]);
    const final = await openai.responses.stream(ask).finalResponse();
    expect([final.output_text, final.usage]).toEqual([plain.output_text, plain.usage]);
    const next = openai.responses.create({ ...ask, previous_response_id: plain.id });
    await expect(next).rejects.toMatchObject({ code: 'previous_response_not_found' });
    await expect(openai.responses.create({ ...ask, background: true })).rejects.toBeInstanceOf(
      BadRequestError,
    );
  });

  it('completes each prompt, with the prompt and log probabilities where they are asked for', async () => {
    const answer = await openai.completions.create({
      model,
      prompt: ['count to 2', 'count to 3'],
      echo: true,
      logprobs: 1,
    });
    expect(answer.choices.map(({ text }) => text)).toEqual(['count to 21 2', 'count to 31 2 3']);
    for (const { text, logprobs } of answer.choices) {
      expect(logprobs?.tokens?.join('')).toBe(text);
      expect(logprobs?.token_logprobs?.[0]).toBeNull();
      expect(logprobs?.tokens?.map((_token, i) => text.slice(logprobs.text_offset?.[i]))).toEqual(
        logprobs?.tokens?.map((_token, i) => logprobs.tokens?.slice(i).join('')),
      );
    }
    expect(answer.usage?.completion_tokens).toBe(5);
  });

  it('embeds equal inputs alike, and others otherwise, as vectors of length 1', async () => {
    const input = ['a', 'b', 'a'];
    const { data } = await openai.embeddings.create({ model, input, dimensions: 16 });
    const [a, b, again] = data.map(({ embedding }) => embedding);
    expect(a).toEqual(again);
    expect(a).not.toEqual(b);
    expect(a).toHaveLength(16);
    expect(Math.hypot(...(a ?? []))).toBeCloseTo(1, 5);
  });
});

describe('anthropic', () => {
  it('counts to 50 with the same text and usage plain and streamed', async () => {
    const ask = { model, max_tokens: 100, system: 'Be brief.', messages: [say('count to 50')] };
    const plain = await anthropic.messages.create(ask);
    expect(plain.content).toMatchObject([{ type: 'text', text: numbers(50) }]);
    expect(plain.usage.output_tokens).toBe(50);
    expect(plain.stop_reason).toBe('end_turn');

    const events: Anthropic.RawMessageStreamEvent[] = [];
    for await (const event of await anthropic.messages.create({ ...ask, stream: true })) {
      events.push(event);
    }
    const types = events.map(({ type }) => type);
    expect(types.filter((type) => type === 'content_block_delta')).toHaveLength(50);
    expect([...new Set(types)]).toEqual([
      'message_start',
      'content_block_start',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
    const final = await anthropic.messages.stream(ask).finalMessage();
    expect(final.content).toMatchObject([{ type: 'text', text: numbers(50) }]);
    expect(final.usage).toMatchObject({
      input_tokens: plain.usage.input_tokens,
      output_tokens: 50,
    });
  });

  it('gives each event its own event line, and a ping', async () => {
    const response = await fetch(`${demo.url}/v1/messages`, {
      method: 'POST',
      body: JSON.stringify({ model, max_tokens: 2, stream: true, messages: [say('count to 3')] }),
    });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const events = (await response.text()).trimEnd().split('\n\n');
    const named = events.map((event) => /^event: (\w+)\ndata: (\{.*\})$/u.exec(event));
    expect(named.map((match) => match?.[1])).toEqual([
      'message_start',
      'content_block_start',
      'ping',
      'content_block_delta',
      'content_block_delta',
      'content_block_stop',
      'message_delta',
      'message_stop',
    ]);
    for (const match of named)
      expect(JSON.parse(match?.[2] ?? '')).toMatchObject({ type: match?.[1] });
  });

  it('heeds max_tokens and stop_sequences', async () => {
    const messages = [say('count to 50')];
    const short = await anthropic.messages.create({ model, max_tokens: 4, messages });
    expect(short).toMatchObject({
      content: [{ text: '1 2 3 4' }],
      stop_reason: 'max_tokens',
      usage: { output_tokens: 4 },
    });
    const stop = { model, max_tokens: 99, messages, stop_sequences: ['4', '9'] };
    const end = { content: [{ text: '1 2 3 ' }], stop_reason: 'stop_sequence', stop_sequence: '4' };
    expect(await anthropic.messages.create(stop)).toMatchObject(end);
    expect(await anthropic.messages.stream(stop).finalMessage()).toMatchObject(end);
    const nothing = { ...stop, stop_sequences: ['1'] };
    expect(await anthropic.messages.stream(nothing).finalMessage()).toMatchObject({
      content: [],
      usage: { output_tokens: 0 },
    });
  });

  it('calls a tool when told to, plain and streamed, and answers after its result', async () => {
    const ask = {
      model,
      max_tokens: 200,
      tools: [{ name: 'weather', input_schema: schema }],
      messages: [say('use the tool')] as Anthropic.MessageParam[],
    };
    const plain = await anthropic.messages.create(ask);
    const call = { type: 'tool_use', name: 'weather', input: called };
    expect(plain).toMatchObject({ content: [call], stop_reason: 'tool_use' });
    const final = await anthropic.messages.stream(ask).finalMessage();
    expect(final).toMatchObject({
      content: [call],
      usage: { output_tokens: plain.usage.output_tokens },
    });

    const id = plain.content[0]?.type === 'tool_use' ? plain.content[0].id : '';
    ask.messages.push(
      { role: 'assistant', content: plain.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: id, content: '21' }] },
    );
    expect(await anthropic.messages.create(ask)).toMatchObject({ stop_reason: 'end_turn' });
  });

  it("refuses in the vendor's shape", async () => {
    const unknown = anthropic.messages.create({
      model: 'claude-9',
      max_tokens: 9,
      messages: [say('hi')],
    });
    const refusal: unknown = await unknown.catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(AnthropicNotFound);
    expect(refusal).toMatchObject({ status: 404, type: 'not_found_error' });
    expect(await post('/v1/messages', { model, messages: [say('hi')] })).toMatchObject({
      status: 400,
      body: {
        type: 'error',
        error: { type: 'invalid_request_error', message: 'max_tokens: Field required' },
        request_id: expect.stringMatching(/^req_/u) as unknown,
      },
    });
  });

  it('lists its model', async () => {
    const listed = await anthropic.models.list();
    expect(listed.data.map(({ id }) => id)).toEqual(['demo-model-2026-06-01']);
  });
});

describe('a client that goes away or reads slowly', () => {
  it('stops the writer when the SDK aborts', async () => {
    const writes = vi.spyOn(OutgoingMessage.prototype, 'write');
    const stream = await openai.chat.completions.create({
      model,
      messages: [say('count to 10000')],
      stream: true,
    });
    let seen = 0;
    for await (const chunk of stream) {
      seen += chunk.choices.length;
      if (seen === 10) stream.controller.abort();
    }
    await sleep(50);
    const before = writes.mock.calls.length;
    await sleep(50);
    expect(before).toBeGreaterThanOrEqual(10);
    expect(writes.mock.calls.length).toBe(before);
  });

  it('writes no faster than the client reads, and stops when it resets', async () => {
    const fast = await startDemoModel({ paceMs: 0 });
    const writes = vi.spyOn(OutgoingMessage.prototype, 'write');
    const body = JSON.stringify({ model, stream: true, n: 128, messages: [say('count to 10000')] });
    const socket = connect(Number(new URL(fast.url).port), '127.0.0.1');
    socket.pause();
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: demo\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    // The whole stream would be 1.28 million writes; it must come to rest when the buffers are full.
    let before = -1;
    await vi.waitFor(
      () => {
        const now = writes.mock.calls.length;
        const resting = now > 0 && now === before;
        before = now;
        expect(resting).toBe(true);
      },
      { timeout: 20_000, interval: 200 },
    );
    expect(before).toBeLessThan(200_000);
    socket.resetAndDestroy();
    await sleep(50);
    expect(writes.mock.calls.length).toBe(before);
    await fast.close();
  });

  it('frees its timer when the connection is lost between two chunks', async () => {
    const slow = await startDemoModel({ paceMs: 60_000 });
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const body = JSON.stringify({ model, stream: true, messages: [say('count to 9')] });
    const socket = connect(Number(new URL(slow.url).port), '127.0.0.1');
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: demo\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    );
    await once(socket, 'data');
    await sleep(20);
    expect(timers()).toBe(before + 1);
    socket.resetAndDestroy();
    await sleep(50);
    expect(timers()).toBe(before);
    await slow.close();
  });

  it('closes at once with a stream open', async () => {
    const slow = await startDemoModel({ paceMs: 60_000 });
    const client = new Anthropic({ baseURL: slow.url, apiKey: 'unused', maxRetries: 0 });
    const stream = await client.messages.create({
      model,
      max_tokens: 9,
      messages: [say('hi')],
      stream: true,
    });
    const reading = (async () => {
      for await (const event of stream) expect(event.type).toBe('message_start');
    })();
    await Promise.all([expect(reading).rejects.toBeInstanceOf(Error), slow.close()]);
    await slow.close();
  });
});
