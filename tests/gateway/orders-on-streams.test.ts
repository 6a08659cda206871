/** Orders of each level on live streams and on what comes after them. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { TestPerson } from '../support/people.ts';
import { makePerson } from '../support/people.ts';
import {
  HELLO,
  MODEL,
  SECOND_MODEL,
  codeOf,
  drain,
  errorOf,
  eventually,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { hold, openaiJson } from '../support/scripted-upstream.ts';

const GUARDED = 'model-a-guarded';

let running: RunningBroker;
let second: TestPerson;

beforeAll(async () => {
  running = await startRunningBroker({
    endpoint: {
      alternatives: [{ restores: ['output-classifier'], models: { [MODEL]: GUARDED } }],
    },
  });
  const { test, people } = running;
  second = await makePerson(test.broker, people.admin.id, people.host.id, 'Sue Safety', ['safety']);
});
afterAll(() => running.close());

interface Stream {
  /** How it ended: the code of an error, or that it was whole. */
  ended: Promise<string>;
  isOver(): boolean;
  release(): void;
}

/** A stream that goes on until it is released or cut. */
async function begin(access: Access, more: object = {}): Promise<Stream> {
  const upstream = hold();
  const asked = running.onceAsked(upstream);
  const stream = await access.openai.chat.completions.create({ ...HELLO, ...more, stream: true });
  await asked;
  let over = false;
  const ended = drain(stream).then(
    () => {
      over = true;
      return 'whole';
    },
    (error: unknown) => {
      over = true;
      return codeOf(error as never) ?? String(error);
    },
  );
  return { ended, isOver: () => over, release: () => upstream.release() };
}

const issue = async (order: object): Promise<{ id: string; cut: { requestId: string }[] }> => {
  const answer = await running.api.post(running.people.safety, '/orders', {
    grounds: 'A test',
    ...order,
  });
  expect([answer.status, answer.body.code]).toEqual([201, undefined]);
  return answer.body as { id: string; cut: { requestId: string }[] };
};

const lift = async (id: string): Promise<void> => {
  const answer = await running.api.post(second, `/orders/${id}/lift`, { grounds: 'Done' });
  expect([answer.status, answer.body.code]).toEqual([200, undefined]);
};

const claims = ({ token }: Access): { jti: string; run: string } => {
  const entry = running.entries({ kind: 'token.issued' }).findLast(({ token: id }) => {
    const [, payload = ''] = token.split('.');
    const { jti } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { jti: string };
    return id === jti;
  }) as { token: string; run: string } | undefined;
  if (!entry) throw new Error('The token is not on record.');
  return { jti: entry.token, run: entry.run };
};

it.each<[string, (access: Access) => object, string, object?]>([
  ['a token', (access) => ({ token: claims(access).jti }), 'token_suspended'],
  ['a run', (access) => ({ run: claims(access).run }), 'run_suspended'],
  ['a person', (access) => ({ person: access.person.id }), 'person_suspended'],
  [
    'a purpose under a grant',
    ({ grant }) => ({ purpose: 'hallucination', grant: grant.id }),
    'purpose_suspended',
  ],
  [
    'a feature under a grant',
    ({ grant }) => ({ feature: 'tools', grant: grant.id }),
    'feature_suspended',
    { tools: [{ type: 'function', function: { name: 'f', parameters: { type: 'object' } } }] },
  ],
  [
    'a network under a grant',
    ({ grant }) => ({ network: '127.0.0.0/8', grant: grant.id }),
    'network_suspended',
  ],
  ['a model under a grant', ({ grant }) => ({ model: MODEL, grant: grant.id }), 'model_suspended'],
])(
  'level 3 on %s cuts its stream, refuses what comes after, and touches nothing else',
  async (_, selector, code, more = {}) => {
    const mine = await running.access({}, await running.newResearcher());
    const theirs = await running.access({}, await running.newResearcher());
    const stream = await begin(mine, more);
    const other = await begin(theirs, more);
    const order = await issue({ level: 3, selector: selector(mine) });
    expect(await stream.ended).toBe(code);
    expect(order.cut).toHaveLength(1);
    const refused = await errorOf(mine.openai.chat.completions.create({ ...HELLO, ...more }));
    expect([refused.status, codeOf(refused)]).toEqual([403, code]);
    expect(refused.message).toContain(order.id);
    expect(other.isOver()).toBe(false);
    other.release();
    expect(await other.ended).toBe('whole');
    await lift(order.id);
    running.upstream.respond(openaiJson());
    await mine.openai.chat.completions.create({ ...HELLO, ...more });
  },
);

it('a safeguard is put back: what runs without it is cut, what comes goes to the model that has it', async () => {
  const access = await running.access({}, await running.newResearcher());
  const stream = await begin(access);
  const order = await issue({
    level: 2,
    selector: { grant: access.grant.id },
    measures: { putBack: ['output-classifier'] },
  });
  expect(await stream.ended).toBe('safeguard_put_back');
  const asked = running.onceAsked(openaiJson({ model: GUARDED }));
  await access.openai.chat.completions.create(HELLO);
  const { body } = await asked;
  expect(body).toMatchObject({ model: GUARDED });
  const intents = running.entries({ kind: 'request.intent', grant: access.grant.id });
  expect(intents.at(-1)).toMatchObject({
    model: MODEL,
    data: {
      safeguardsLifted: [],
      restored: ['output-classifier'],
      dispatchedModel: GUARDED,
      notedBy: [order.id],
    },
  });
  // For the other model nothing is configured that puts it back.
  const refused = await errorOf(
    access.openai.chat.completions.create({ ...HELLO, model: SECOND_MODEL }),
  );
  expect(codeOf(refused)).toBe('safeguard_put_back');
  // The list shows what passes.
  expect((await access.openai.models.list()).data.map(({ id }) => id)).toEqual([MODEL]);
  await lift(order.id);
  expect((await access.openai.models.list()).data).toHaveLength(3);
  running.checkUpstream();
});

it.each<[string, (access: Access) => object, string]>([
  ['a token', (access) => ({ token: claims(access).jti }), 'token_suspended'],
  ['a run', (access) => ({ run: claims(access).run }), 'run_suspended'],
])('what is suspended as %s lists no models either', async (_, selector, code) => {
  const access = await running.access({}, await running.newResearcher());
  const order = await issue({ level: 3, selector: selector(access) });
  expect(codeOf(await errorOf(access.openai.models.list()))).toBe(code);
  await lift(order.id);
  expect((await access.openai.models.list()).data).toHaveLength(3);
});

it('a constraint scales limits', async () => {
  const access = await running.access(
    { limits: { requestsPerMinute: 4 } },
    await running.newResearcher(),
  );
  const order = await issue({
    level: 2,
    selector: { grant: access.grant.id },
    measures: { limitsPercent: 50 },
  });
  running.upstream.respond(openaiJson());
  const ask = (): Promise<unknown> => access.openai.chat.completions.create(HELLO);
  await ask();
  await ask();
  expect(codeOf(await errorOf(ask()))).toBe('request_rate_limited');
  await lift(order.id);
  await ask();
});

it('a watch shortens new tokens, and says in the record who is watched', async () => {
  const access = await running.access({}, await running.newResearcher());
  const order = await issue({ level: 1, selector: { person: access.person.id } });
  const watched = await running.tokenFor(access.person, access.grant);
  const { exp, iat } = JSON.parse(
    Buffer.from(watched.token.split('.')[1] ?? '', 'base64url').toString(),
  ) as { exp: number; iat: number };
  expect(exp - iat).toBe(300);
  running.upstream.respond(openaiJson());
  await watched.openai.chat.completions.create(HELLO);
  const intents = running.entries({ kind: 'request.intent', grant: access.grant.id });
  expect(intents.at(-1)?.data?.['notedBy']).toEqual([order.id]);
  expect(intents.at(-1)?.data?.['address']).toBeUndefined();
  await lift(order.id);
});

it('an order is lowered in one step: no request passes in between that either forbids', async () => {
  const access = await running.access({}, await running.newResearcher());
  const order = await issue({ level: 4, selector: { grant: access.grant.id } });
  const lowered = await running.api.post(second, `/orders/${order.id}/lower`, {
    level: 2,
    measures: { features: ['streaming'] },
    grounds: 'Understood',
  });
  expect(lowered.body).toMatchObject({ level: 2, inForce: true, replaces: order.id });
  const shown = await running.api.get(second, `/orders/${order.id}`);
  expect(shown.body.ended).toMatchObject({ because: 'lowered', by: second.id });
  running.upstream.respond(openaiJson());
  await access.openai.chat.completions.create(HELLO);
  const streamed = access.openai.chat.completions.create({ ...HELLO, stream: true });
  expect(codeOf(await errorOf(streamed))).toBe('feature_suspended');
  // It rests on the order of the first officer, who may not lift it.
  const own = await running.api.post(running.people.safety, `/orders/${lowered.body.id}/lift`, {
    grounds: 'x',
  });
  expect(own.body.code).toBe('second_person_needed');
  await lift(lowered.body.id as string);
});

it('what stops everything asks to be confirmed, and is recorded either way', async () => {
  await running.access({}, await running.newResearcher());
  const { api, people } = running;
  const order = { selector: { all: true }, grounds: 'Everything' };
  const asked = await api.post(people.safety, '/orders', order);
  expect([asked.status, asked.body.code]).toEqual([409, 'confirmation_needed']);
  const meant = await api.post(people.safety, '/orders?confirmed=true', order);
  expect(meant.status).toBe(201);
  await eventually(() =>
    expect(running.entries({ kind: 'order.issued' }).at(-1)?.ref).toBe(meant.body.id),
  );
  await lift(meant.body.id as string);
});
