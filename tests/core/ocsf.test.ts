import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ocsfEvent } from '../../src/core/audit/ocsf.ts';
import type { RawEntry } from '../../src/core/audit/raw-entry.ts';

const AT = '2027-03-01T10:00:00.250Z';

const entry = (more: Partial<RawEntry>): RawEntry => ({
  v: 1,
  log: 'test.example/log',
  index: 42,
  id: 'ent_1',
  kind: 'request.outcome',
  at: AT,
  committedAt: '2027-03-01T10:00:00.300Z',
  host: 'lab_host',
  actor: { person: 'per_1', lab: 'lab_1', roles: ['researcher'] },
  ...more,
});

const OUTCOME = entry({
  ref: 'req_1',
  lab: 'lab_1',
  person: 'per_1',
  grant: 'grt_1',
  grantVersion: 2,
  token: 'tok_1',
  purpose: 'hallucination',
  run: 'run_1',
  endpoint: 'demo',
  model: 'model-a-1',
  operation: 'chat.completions',
  data: {
    upstreamStatus: 200,
    durationMs: 120,
    responseBytes: 450,
    responseCommitment: 'abc=',
    end: 'completed',
    usage: { inputTokens: 40, outputTokens: 64, source: 'reported' },
    charged: { requests: 1, tokens: 104, spendNanoUsd: 1_080_000 },
  },
});

const SAMPLES: [string, RawEntry][] = [
  ['an outcome', OUTCOME],
  [
    'an intent',
    { ...OUTCOME, kind: 'request.intent', decision: 'allowed', data: { address: '192.0.2.7' } },
  ],
  [
    'a refusal',
    {
      ...OUTCOME,
      kind: 'request.denied',
      decision: 'denied',
      reason: 'grant_suspended',
      orders: ['ord_1'],
      data: {},
    },
  ],
  ['a cut', { ...OUTCOME, reason: 'grant_suspended', orders: ['ord_1'], data: { end: 'cut' } }],
  ['an order', entry({ kind: 'order.issued', ref: 'ord_1', data: { level: 2 } })],
  ['a start', entry({ kind: 'system.started', actor: { system: 'broker' } })],
  ['a kind of a later version', entry({ kind: 'thing.done' })],
];

/** What ocsf-schema says is required of class 6003 and of the objects that we use of it (version 1.x). */
const REQUIRED = [
  'activity_id',
  'category_uid',
  'class_uid',
  'severity_id',
  'time',
  'type_uid',
  'metadata',
  'metadata.version',
  'metadata.product',
  'actor',
  'api',
  'api.operation',
  'src_endpoint',
];

/** Objects of which one member at least must be there. */
const AT_LEAST_ONE: Record<string, string[]> = {
  actor: ['process', 'user', 'session', 'app_name', 'app_uid'],
  src_endpoint: ['ip', 'uid', 'name', 'hostname', 'svc_name', 'instance_uid', 'interface_uid'],
  'metadata.product': ['name', 'uid'],
  'actor.user': ['account', 'name', 'uid'],
  'http_request.url': ['url_string', 'path'],
  message_context: ['application', 'service'],
};

/** Required where the object is there. */
const REQUIRED_WITHIN: Record<string, string[]> = {
  http_response: ['code'],
  ai_model: ['name', 'ai_provider'],
};

function at(event: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>(
      (value, name) => (value as Record<string, unknown> | undefined)?.[name],
      event,
    );
}

describe('as an OCSF event', () => {
  it.each(SAMPLES)('%s has all that API Activity requires', (_name, sample) => {
    const event: unknown = JSON.parse(JSON.stringify(ocsfEvent(sample)));
    expect(REQUIRED.filter((path) => at(event, path) === undefined)).toEqual([]);
    for (const [path, names] of Object.entries(AT_LEAST_ONE)) {
      const object = at(event, path) as object | undefined;
      const has = object === undefined || names.some((name) => Object.hasOwn(object, name));
      expect([path, has]).toEqual([path, true]);
    }
    for (const [path, names] of Object.entries(REQUIRED_WITHIN)) {
      const object = at(event, path) as object | undefined;
      const lacking = names.filter((name) => object && !Object.hasOwn(object, name));
      expect([path, lacking]).toEqual([path, []]);
    }
    expect(at(event, 'class_uid')).toBe(6003);
    expect(at(event, 'type_uid')).toBe(600_300 + Number(at(event, 'activity_id')));
    expect(at(event, 'time')).toBe(Date.parse(AT));
  });

  it('an invocation is of type 600399, with model, usage and answer in their places', () => {
    expect(ocsfEvent(OUTCOME)).toMatchObject({
      type_uid: 600_399,
      activity_name: 'request.outcome',
      status_id: 1,
      duration: 120,
      metadata: {
        version: '1.8.0',
        log_name: 'test.example/log',
        sequence: 42,
        uid: 'ent_1',
        correlation_uid: 'req_1',
        tenant_uid: 'lab_host',
        logged_time: Date.parse('2027-03-01T10:00:00.300Z'),
      },
      actor: { user: { uid: 'per_1', org: { uid: 'lab_1' } }, session: { uid: 'run_1' } },
      api: { operation: 'chat.completions', token: { uid: 'tok_1' } },
      ai_model: { name: 'model-a-1', ai_provider: 'demo' },
      http_request: { url: { path: '/v1/chat/completions' } },
      http_response: { code: 200, length: 450 },
      message_context: { prompt_tokens: 40, completion_tokens: 64, total_tokens: 104 },
      unmapped: { kind: 'request.outcome', purpose: 'hallucination', end: 'completed' },
    });
  });

  it('a refusal is denied and failed, for its reason and its orders', () => {
    const [, refused] = SAMPLES[2] ?? [];
    expect(ocsfEvent(refused ?? OUTCOME)).toMatchObject({
      action_id: 2,
      disposition_id: 2,
      status_id: 2,
      severity_id: 2,
      status_code: 'grant_suspended',
      status_detail: 'grant_suspended ord_1',
    });
  });

  it('an order is created, and comes from the lab that issued it', () => {
    const [, issued] = SAMPLES[4] ?? [];
    expect(ocsfEvent(issued ?? OUTCOME)).toMatchObject({
      type_uid: 600_301,
      api: { operation: 'order.issued' },
      src_endpoint: { name: 'lab_1' },
      unmapped: { level: 2 },
    });
  });
});

/** All that stands in a document, as texts. */
const valuesIn = (value: unknown): string[] =>
  typeof value === 'object' && value !== null
    ? Object.values(value).flatMap(valuesIn)
    : value === undefined
      ? []
      : [typeof value === 'string' ? value : JSON.stringify(value)];

/** Each value is another one, so that to find it is to find this member. */
const DATA: Record<string, unknown[]> = {
  usage: [
    { inputTokens: 9_001, outputTokens: 9_002, source: 'reported-1' },
    { inputTokens: 9_003 },
    { outputTokens: 9_004, source: 'reported-2', cachedTokens: 9_005 },
    { inputTokens: 9_006, outputTokens: 9_007, cachedTokens: 9_008 },
    'no usage',
    [9_009],
  ],
  upstreamStatus: [598, 'no status'],
  durationMs: [9_010, 'no duration'],
  responseBytes: [9_011, 'no bytes'],
  requestBytes: [9_012],
  address: ['192.0.2.77', 9_013],
  message: ['a message', 9_014],
  end: ['an end'],
  kind: ['a kind in data'],
  lab: ['a lab in data'],
  orders: [['an order in data']],
  actor: ['an actor in data'],
  grant: ['a grant in data'],
  usageSource: ['a source in data'],
  data: [{ deep: 'data in data' }],
};

const MEMBERS: Record<string, unknown> = {
  ref: 'a-ref',
  lab: 'a-lab',
  person: 'a-person',
  grant: 'a-grant',
  grantVersion: 9_101,
  token: 'a-token',
  purpose: 'a-purpose',
  run: 'a-run',
  endpoint: 'an-endpoint',
  model: 'a-model',
  operation: 'chat.completions',
  reason: 'a-reason',
  orders: ['order-1', 'order-2'],
};

describe('an event', () => {
  it('has every member of its entry somewhere, whatever the entry has and has not', () => {
    const actors = [
      { system: 'broker' },
      { person: 'actor-1', lab: 'actor-lab', roles: ['role-1', 'role-2'] },
      { person: 'a-person' },
    ];
    const entries = fc.record({
      kind: fc.constantFrom('request.outcome', 'request.intent', 'order.issued', 'system.started'),
      actor: fc.constantFrom(...actors),
      members: fc.subarray(Object.keys(MEMBERS)),
      data: fc.record(
        Object.fromEntries(
          Object.entries(DATA).map(([name, values]) => [name, fc.constantFrom(...values)]),
        ),
        { requiredKeys: [] },
      ),
    });
    fc.assert(
      fc.property(entries, ({ kind, actor, members, data }) => {
        const said = Object.fromEntries(members.map((name) => [name, MEMBERS[name]]));
        const whole = entry({ kind, actor, ...said, data });
        const event = JSON.parse(JSON.stringify(ocsfEvent(whole))) as Record<string, unknown>;
        const found = new Set(valuesIn(event));
        const { committedAt, ...rest } = whole;
        const missing = valuesIn(rest).filter((value) => !found.has(value));
        expect(missing).toEqual([]);
        expect(found).toContain(String(Date.parse(committedAt)));
      }),
      { numRuns: 1_000 },
    );
  });
});
