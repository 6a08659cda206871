/** `GET /v1/models`: pages as the vendors' SDKs ask for them, and only what something can be done with. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  MODEL,
  OTHER_ENDPOINT_MODEL,
  SECOND_MODEL,
  codeOf,
  drain,
  errorOf,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';

const ALL = [MODEL, SECOND_MODEL, OTHER_ENDPOINT_MODEL];

let running: RunningBroker;
let access: Access;

beforeAll(async () => {
  running = await startRunningBroker();
  access = await running.access();
});
afterAll(() => running.close());

const namesOf = (models: { id: string }[]): string[] => models.map(({ id }) => id);

function get(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(running.url + path, {
    headers: { authorization: `Bearer ${access.token}`, ...headers },
  });
}

describe('pages of the Anthropic shape', () => {
  it('are followed by the SDK until all is there, whatever a page holds', async () => {
    for (const limit of [1, 2, 3, 1000])
      expect(namesOf(await drain(access.anthropic.models.list({ limit })))).toEqual(ALL);
    const first = await access.anthropic.models.list({ limit: 2 });
    expect(first).toMatchObject({ has_more: true, first_id: MODEL, last_id: SECOND_MODEL });
    expect(await access.anthropic.models.list()).toMatchObject({ has_more: false });
  });

  it('go backwards, too', async () => {
    const back = await access.anthropic.models.list({ before_id: OTHER_ENDPOINT_MODEL, limit: 1 });
    expect([namesOf(back.data), back.has_more]).toEqual([[SECOND_MODEL], true]);
    const rest = await back.getNextPage();
    expect([namesOf(rest.data), rest.has_more]).toEqual([[MODEL], false]);
  });

  it('can begin behind a model that an order has stopped meanwhile', async () => {
    const order = await running.api.post(running.people.safety, '/orders', {
      selector: { model: MODEL },
      grounds: 'Test',
    });
    const page = await access.anthropic.models.list({ after_id: MODEL });
    expect(namesOf(page.data)).toEqual([SECOND_MODEL, OTHER_ENDPOINT_MODEL]);
    expect(namesOf((await access.anthropic.models.list()).data)).toEqual(namesOf(page.data));
    const { id } = order.body as { id: string };
    await running.api.post(running.people.admin, `/orders/${id}/lift`, { grounds: 'Test' });
  });

  it.each([
    'limit=0',
    'limit=1001',
    'limit=-1',
    'limit=1e3',
    'limit=1&limit=2',
    'after_id=model-z-9',
    'after_id=',
    'beta=false',
    'order=desc',
    'constructor=1',
    '__proto__=1',
  ])('are refused where the query asks for what is not there: %s', async (query) => {
    const answer = await get(`/v1/models?${query}`, { 'anthropic-version': '2023-06-01' });
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { code: 'invalid_request' } });
  });
});

describe('the OpenAI shape', () => {
  it('has no pages', async () => {
    expect(namesOf(await drain(access.openai.models.list()))).toEqual(ALL);
    expect((await get('/v1/models?limit=1')).status).toBe(400);
  });
});

describe('one model', () => {
  it.each(['/', '/%zz', '/model-a-1/', '/MODEL-A-1', '/model-a', '/model-a-1%00'])(
    'is not there under another name: %s',
    async (rest) => {
      const answer = await get(`/v1/models${rest}`);
      expect([403, 404]).toContain(answer.status);
    },
  );
});

it('a model that no granted operation reaches is not offered, and a request for it is refused, too', async () => {
  const only = await startRunningBroker({ dialects: ['openai'] });
  try {
    const { openai, anthropic } = await only.access({ operations: ['messages', 'models'] });
    expect((await openai.models.list()).data).toEqual([]);
    const error = await errorOf(openai.models.retrieve(MODEL));
    expect([error.status, codeOf(error)]).toEqual([403, 'model_not_granted']);
    const asked = {
      model: MODEL,
      max_tokens: 1,
      messages: [{ role: 'user' as const, content: 'x' }],
    };
    const refused = await errorOf(anthropic.messages.create(asked));
    expect([refused.status, codeOf(refused)]).toEqual([403, 'operation_not_granted']);
  } finally {
    await only.close();
  }
});
