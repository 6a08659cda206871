/** Requests as they come over the wire: what the upstream gets of paths, queries and headers. */
import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe } from 'vitest';
import { OPERATIONS } from '../../src/gateway/operations/table.ts';
import { exchangeBytes, statusesOf } from '../support/raw-client.ts';
import {
  HOST_CREDENTIAL,
  startRunningBroker,
  type RunningBroker,
} from '../support/running-broker.ts';
import { fuzz } from './fuzz.ts';
import { bodyOf } from './bodies.ts';

/** Stands in everything that a client makes up. */
const MARK = 'zz-made-up';
const AT_ONCE = 20;

let running: RunningBroker;
let token: string;
beforeAll(async () => {
  running = await startRunningBroker();
  const operations = [...OPERATIONS.values()].map(({ name }) => name);
  ({ token } = await running.access({ operations, tokenLifetimeSeconds: 3_600 }));
});
afterAll(() => running.close());

/** The paths there are, and what may be taken for them. */
const path = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...OPERATIONS.keys()) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.constantFrom('/v1/', '/v1//', '/V1/', '/v1/./', '/v1/../v1/', '/v1%2f', '/v1/%2e/'),
        fc.constantFrom('chat/completions', 'messages', `engines/${MARK}`, 'responses/', 'files'),
      )
      .map((parts) => parts.join('')),
  },
);

const query = fc.oneof(
  { weight: 3, arbitrary: fc.constant('') },
  {
    weight: 1,
    arbitrary: fc
      .array(
        fc.constantFrom(
          'beta=true',
          'beta=false',
          'beta=',
          'beta',
          `model=${MARK}`,
          '%62eta=true',
          '=',
          '?',
          'beta=true%00',
          `beta=true#${MARK}`,
          'beta=true;a=b',
          `a[]=${MARK}`,
          '__proto__=1',
        ),
        { minLength: 1, maxLength: 3 },
      )
      .map((parts) => `?${parts.join('&')}`),
  },
);

const header = fc
  .tuple(
    fc.oneof(
      fc.constantFrom(
        'x-forwarded-for',
        'x-forwarded-host',
        'x-real-ip',
        'forwarded',
        'via',
        'cookie',
        'openai-organization',
        'openai-project',
        'openai-beta',
        'anthropic-beta',
        'anthropic-version',
        'anthropic-dangerous-direct-browser-access',
        'traceparent',
        'x-stainless-lang',
        'x-http-method-override',
        'x-original-url',
        'idempotency-key',
        'accept',
        'accept-encoding',
        'user-agent',
        'referer',
        'origin',
        'range',
        'expect-ct',
        'x-portkey-config',
        'x-litellm-model',
        'proxy-authorization',
        'te',
        'trailer',
        'dpop-x',
      ),
      fc.stringMatching(/^x-[a-z]{1,12}$/),
    ),
    fc.stringMatching(/^[ -~]{0,30}$/),
  )
  .map(([name, value]) => `${name}: ${MARK}${value}`);

/** What an upstream hears of a request besides its body. */
const ALLOWED = new Map<string, RegExp>([
  ['host', /^127\.0\.0\.1:\d+$/],
  ['connection', /^keep-alive$/],
  ['content-type', /^application\/json$/],
  ['content-length', /^\d+$/],
  ['accept', /^(application\/json|text\/event-stream)$/],
  ['accept-encoding', /^identity$/],
  ['user-agent', /^sallyport$/],
  ['anthropic-version', /^\d{4}-\d{2}-\d{2}$/],
  ['authorization', new RegExp(`^Bearer ${HOST_CREDENTIAL}$`)],
  ['x-api-key', new RegExp(`^${HOST_CREDENTIAL}$`)],
]);

const bodies = new Map(
  [...OPERATIONS.values()].map((operation) => [
    operation.path,
    JSON.stringify(bodyOf(operation, [])),
  ]),
);

async function send(one: { path: string; query: string; headers: string[] }): Promise<void> {
  const body = bodies.get(one.path) ?? '{}';
  const head = [
    `POST ${one.path}${one.query} HTTP/1.1`,
    'host: broker',
    `authorization: Bearer ${token}`,
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    ...one.headers,
  ];
  const answer = await exchangeBytes(running.url, `${head.join('\r\n')}\r\n\r\n${body}`);
  const [status] = statusesOf(answer);
  // Whatever it is, it is a request that has an answer, and no accident.
  assert.ok(status !== undefined && status !== 500, answer);
}

describe('a request over the wire', () => {
  fuzz(
    'reaches the upstream at its own path with what is allowed, or not at all',
    { of: 0.02, casesPerRun: AT_ONCE },
    fc.array(fc.record({ path, query, headers: fc.array(header, { maxLength: 4 }) }), {
      minLength: AT_ONCE,
      maxLength: AT_ONCE,
    }),
    async (requests) => {
      running.upstream.requests.length = 0;
      await Promise.all(requests.map(send));
      for (const { path: sent, headers, method, raw } of running.upstream.requests) {
        assert.equal(method, 'POST');
        const [known = '', passed] = sent.split('?', 2);
        const operation = OPERATIONS.get(known);
        assert.ok(operation, known);
        for (const [name, value] of new URLSearchParams(passed))
          assert.equal(value, operation.query[name]);
        for (const [name, value] of Object.entries(headers))
          assert.match(String(value), ALLOWED.get(name) ?? /^no such header$/, name);
        assert.ok(!raw.includes(MARK));
      }
      running.checkUpstream();
      return running.upstream.requests.length > 0;
    },
  );
});
