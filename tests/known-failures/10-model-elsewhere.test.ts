/** Known failure 10: wherever else a request names a model, it reaches no model outside its grant. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  HELLO,
  HELLO_ANTHROPIC,
  MODEL,
  SECOND_MODEL,
  startRunningBroker,
  type Access,
  type RunningBroker,
} from '../support/running-broker.ts';
import { exchangeBytes, statusesOf } from '../support/raw-client.ts';

let running: RunningBroker;
let access: Access;
beforeAll(async () => {
  running = await startRunningBroker();
  // The endpoint offers the second model, too; this grant does not cover it.
  access = await running.access({ endpoints: [{ endpoint: 'demo', models: [MODEL] }] });
});
afterEach(() => running.checkUpstream());
afterAll(() => running.close());

interface Attempt {
  path?: (path: string) => string;
  headers?: string[];
  body?: (body: string) => string;
  method?: string;
  /** Whether it goes through, to the model that it may have; otherwise it is refused. */
  passes?: boolean;
}

const OTHER = JSON.stringify(SECOND_MODEL);
const MINE = `"model":"${MODEL}"`;
const header = (line: string): Attempt => ({ headers: [line], passes: true });
const query = (text: string): Attempt => ({ path: (path) => `${path}?${text}` });
const path = (of: (path: string) => string): Attempt => ({ path: of });
const field = (json: string): Attempt => ({ body: (body) => body.replace('{', `{${json},`) });

const ATTEMPTS: Record<string, Attempt> = {
  'in the query': query(`model=${SECOND_MODEL}`),
  'in the query, twice': query(`model=${MODEL}&model=${SECOND_MODEL}`),
  'in the query, as a deployment': query(`deployment=${SECOND_MODEL}&api-version=2024-10-21`),
  'in the query, in percent signs': query(`%6dodel=${SECOND_MODEL}`),
  'in the path, as an engine': path(() => `/v1/engines/${SECOND_MODEL}/chat/completions`),
  'in the path, as a deployment': path(
    () => `/v1/openai/deployments/${SECOND_MODEL}/chat/completions`,
  ),
  'in the path, as a model': path(() => `/v1/models/${SECOND_MODEL}:generateContent`),
  'behind the path': path((known) => `${known}/${SECOND_MODEL}`),
  'behind a semicolon': path((known) => `${known};model=${SECOND_MODEL}`),
  'behind a fragment': path((known) => `${known}#${SECOND_MODEL}`),
  'through dots in the path': path((known) => `${known}/../../v1/engines/${SECOND_MODEL}`),
  'through a pass-through route': path((known) => `/v1/passthrough${known}?model=${SECOND_MODEL}`),
  'by asking for it alone': { method: 'GET', path: () => `/v1/models/${SECOND_MODEL}` },
  'in a header': header(`x-model: ${SECOND_MODEL}`),
  "in a gateway's header": header(
    `x-portkey-config: {"override_params":{"model":${OTHER}},"retry":{}}`,
  ),
  "in another gateway's header": header(`x-litellm-model-id: ${SECOND_MODEL}`),
  "in a cloud's header": header(`x-amzn-bedrock-model-id: ${SECOND_MODEL}`),
  'in a header that overrides the method': header('x-http-method-override: GET'),
  'in another field': field(`"engine":${OTHER}`),
  'in a list of models': field(`"models":[${OTHER}]`),
  'as a fallback': field(`"fallbacks":[{"model":${OTHER}}]`),
  'in what an SDK calls extra': field(`"extra_body":{"model":${OTHER}}`),
  'as a deployment': field(`"deployment_id":${OTHER}`),
  'as its metadata': field(`"metadata":{"model":${OTHER}}`),
  'with a capital': field(`"Model":${OTHER}`),
  'with a space behind the key': field(`"model ":${OTHER}`),
  'with a null byte behind the key': field(`"model\\u0000":${OTHER}`),
  'with an invisible character in the key': field(`"mod\u200bel":${OTHER}`),
  'in a prototype': field(`"__proto__":{"model":${OTHER}}`),
  'by a second key': { body: (body) => body.replace(MINE, `${MINE},"model":${OTHER}`) },
  'by a second key in escapes': {
    body: (body) => body.replace(MINE, `${MINE},"\\u006dodel":${OTHER}`),
  },
  'in a list': { body: (body) => body.replace(MINE, `"model":["${MODEL}",${OTHER}]`) },
  'in an object': { body: (body) => body.replace(MINE, `"model":{"id":${OTHER}}`) },
  'in a list of two names': {
    body: (body) => body.replace(MINE, `"model":"${MODEL},${SECOND_MODEL}"`),
  },
  'behind a provider': { body: (body) => body.replace(MINE, `"model":"other/${SECOND_MODEL}"`) },
  'in a second document': { body: (body) => `${body}{"model":${OTHER}}` },
};

const BODIES: [string, object][] = [
  ['/v1/chat/completions', HELLO],
  ['/v1/messages', HELLO_ANTHROPIC],
];

describe.each(BODIES)('known failure 10: a model outside the grant, at %s', (known, body) => {
  it.each(Object.entries(ATTEMPTS))('named %s: not reached', async (_, attempt) => {
    const { status, forwarded } = await send(known, body, attempt);
    for (const { raw, path: sent, headers } of forwarded) {
      expect(sent).toBe(known);
      expect(JSON.stringify(headers)).not.toContain(SECOND_MODEL);
      expect((JSON.parse(raw.toString()) as { model: string }).model).toBe(MODEL);
      expect(raw.toString()).not.toContain(SECOND_MODEL);
    }
    expect({ forwarded: forwarded.length, refused: status >= 400 }).toEqual(
      attempt.passes ? { forwarded: 1, refused: false } : { forwarded: 0, refused: true },
    );
  });

  it('named first, with the granted one behind it: whichever counts is what is sent', async () => {
    const { status, forwarded } = await send(known, body, {
      body: (text) => text.replace(MINE, `"model":${OTHER},${MINE}`),
    });
    for (const { raw } of forwarded) expect(raw.toString()).not.toContain(SECOND_MODEL);
    expect(forwarded).toHaveLength(status === 200 ? 1 : 0);
  });
});

async function send(
  known: string,
  body: object,
  attempt: Attempt,
): Promise<{ status: number; forwarded: RunningBroker['upstream']['requests'] }> {
  const text = attempt.body?.(JSON.stringify(body)) ?? JSON.stringify(body);
  const before = running.upstream.requests.length;
  const { method = 'POST', headers = [] } = attempt;
  const lines = [
    `${method} ${attempt.path?.(known) ?? known} HTTP/1.1`,
    'host: broker',
    `authorization: Bearer ${access.token}`,
    'content-type: application/json',
    `content-length: ${method === 'GET' ? 0 : Buffer.byteLength(text)}`,
    ...headers,
  ];
  const answer = await exchangeBytes(
    running.url,
    `${lines.join('\r\n')}\r\n\r\n${method === 'GET' ? '' : text}`,
  );
  const [status = 0] = statusesOf(answer);
  return { status, forwarded: running.upstream.requests.slice(before) };
}
