/** A broker over a scripted upstream, for tests of the proxied path: people, grants, tokens and the real SDKs. */
import { join } from 'node:path';
import Anthropic from '@anthropic-ai/sdk';
import Database from 'better-sqlite3';
import OpenAI from 'openai';
import { vi } from 'vitest';
import { createGrant, stepGrant } from '../../src/broker/manage-grants.ts';
import { grantSpecSchema, type Grant } from '../../src/core/grants.ts';
import { DATABASE_FILE } from '../../src/store/database.ts';
import { Api } from './api.ts';
import { grantInput, type GrantInput } from './grants.ts';
import { getToken, makePeople, makePerson, type People, type TestPerson } from './people.ts';
import {
  startScriptedUpstream,
  type Handler,
  type RecordedRequest,
  type ScriptedUpstream,
} from './scripted-upstream.ts';
import { untilCarriedOver } from './stored-log.ts';
import { DEMO_ENDPOINT, startTestBroker, type TestBrokerOptions } from './test-broker.ts';

/** The host's credential at the upstream. No client may ever see it. */
export const HOST_CREDENTIAL = 'sk-host-credential-8f14e45f';

/** Models of the two endpoints, `demo` and `other`. */
export const MODEL = 'model-a-1';
export const SECOND_MODEL = 'model-b-1';
export const OTHER_ENDPOINT_MODEL = 'model-c-1';

/** Everything that a grant can switch on and the endpoints offer. */
const FEATURES: GrantInput['features'] = {
  streaming: true,
  systemPrompt: true,
  tools: true,
  n: 4,
  maxOutputTokens: 1000,
};

/** One entry of the audit log, as it was read from the database. */
export interface LogEntry {
  index: number;
  kind: string;
  ref?: string;
  person?: string;
  grant?: string;
  token?: string;
  model?: string;
  operation?: string;
  decision?: string;
  reason?: string;
  orders?: string[];
  data?: {
    end?: string;
    usage?: { inputTokens: number; outputTokens: number; source: string };
    charged?: { requests: number; tokens: number; spendNanoUsd: number };
    reserved?: { tokens: number; spendNanoUsd: number };
    [key: string]: unknown;
  };
}

/** Someone with a token, and the SDKs that use it. */
export interface Access {
  grant: Grant;
  person: TestPerson;
  token: string;
  openai: OpenAI;
  anthropic: Anthropic;
}

/** The sums of a grant as the ledger has them. */
interface Sums {
  requestsSettled: number;
  requestsReserved: number;
  tokensSettled: number;
  tokensReserved: number;
}

export interface RunningBroker {
  url: string;
  test: Awaited<ReturnType<typeof startTestBroker>>;
  upstream: ScriptedUpstream;
  people: People;
  api: Api;
  /** An active grant, accepted by everyone on its roster. */
  grant(changes?: Partial<GrantInput>, roster?: TestPerson[]): Promise<Grant>;
  /** A new grant and a token for its first researcher, or for someone else on the roster. */
  access(changes?: Partial<GrantInput>, person?: TestPerson): Promise<Access>;
  tokenFor(person: TestPerson, grant: Grant): Promise<Access>;
  newResearcher(): Promise<TestPerson>;
  /** Has the upstream do this from now on; resolves when it is asked the next time. */
  onceAsked(handler: Handler): Promise<RecordedRequest>;
  /** The log, read through a connection that nobody else uses. */
  entries(filter?: Partial<Pick<LogEntry, 'kind' | 'ref' | 'grant'>>): LogEntry[];
  /** The only outcome of a grant's only request so far, as soon as it is on record. */
  outcomeOf(grant: Grant): Promise<LogEntry>;
  sums(grant: Grant): Sums | undefined;
  /** The salt of the commitments in a request's entries. */
  saltOf(requestId: string): Buffer;
  /** Takes the database's write lock, so that nothing can be recorded until the result is called. */
  lockLog(): () => void;
  /** @throws when a handler of the upstream has failed, which no client may have noticed */
  checkUpstream(): void;
  close(): Promise<void>;
}

/** Starts it. Two endpoints, `demo` and `other`, both at the same upstream, both dialects. */
export async function startRunningBroker(
  options: Omit<TestBrokerOptions, 'endpoints'> & {
    dialects?: ('openai' | 'anthropic')[];
    /** In place of the scripted upstream's address. */
    upstreamUrl?: string;
    http2?: boolean;
    /** What is different about both endpoints. */
    endpoint?: Partial<typeof DEMO_ENDPOINT>;
  } = {},
): Promise<RunningBroker> {
  const upstream = await startScriptedUpstream();
  process.env['GATEWAY_TEST_CREDENTIAL'] = HOST_CREDENTIAL;
  const endpoint = {
    ...DEMO_ENDPOINT,
    upstream: options.upstreamUrl ?? `${upstream.url}/v1`,
    http2: options.http2 ?? false,
    dialects: options.dialects ?? ['openai' as const, 'anthropic' as const],
    credential: 'env:GATEWAY_TEST_CREDENTIAL',
    features: { ...DEMO_ENDPOINT.features, n: 4 },
    ...options.endpoint,
  };
  const test = await startTestBroker({
    endpoints: [
      endpoint,
      { ...endpoint, id: 'other', models: [OTHER_ENDPOINT_MODEL], alternatives: [] },
    ],
    ...options,
  });
  const people = await makePeople(test);
  const database = new Database(join(test.dataDir, DATABASE_FILE), { readonly: true });
  const { broker, url } = test;

  const grant: RunningBroker['grant'] = async (changes = {}, roster = [people.researcher]) => {
    const lead = roster[0]?.labId === people.otherPartner.id ? people.otherLead : people.lead;
    const spec = grantSpecSchema.parse(
      grantInput(people, {
        lab: lead.labId,
        people: [lead, ...roster].map(({ id }) => ({ person: id })),
        features: FEATURES,
        endpoints: [
          { endpoint: 'demo', models: [MODEL, SECOND_MODEL] },
          { endpoint: 'other', models: [OTHER_ENDPOINT_MODEL] },
        ],
        ...changes,
      }),
    );
    const { id, termsDigest } = await createGrant(broker, lead.id, spec);
    await stepGrant(broker, lead.id, id, 'submit', {});
    await stepGrant(broker, people.admin.id, id, 'approve', {});
    await stepGrant(broker, people.safety.id, id, 'approve', {});
    let active: Grant | undefined;
    for (const person of [lead, ...roster])
      active = await stepGrant(broker, person.id, id, 'accept', { termsDigest });
    return active as Grant;
  };

  const tokenFor: RunningBroker['tokenFor'] = async (person, of) => {
    const token = await getToken(test, person, {
      grant: of.id,
      purpose: 'hallucination',
      run: 'test',
    });
    return { grant: of, person, token, ...sdks(url, token) };
  };

  const entries: RunningBroker['entries'] = (filter = {}) => {
    untilCarriedOver(test.dataDir);
    return (database.prepare('SELECT bytes FROM entries ORDER BY idx').pluck().all() as Buffer[])
      .map((bytes) => JSON.parse(bytes.toString('utf8')) as LogEntry)
      .filter((entry) =>
        Object.entries(filter).every(([key, value]) => entry[key as keyof LogEntry] === value),
      );
  };

  let researchers = 0;
  return {
    url,
    test,
    upstream,
    people,
    api: new Api(test),
    grant,
    access: async (changes, person = people.researcher) =>
      tokenFor(person, await grant(changes, [person])),
    tokenFor,
    newResearcher: () => {
      researchers += 1;
      const name = `New Researcher ${researchers}`;
      return makePerson(broker, people.admin.id, people.partner.id, name, ['researcher']);
    },
    onceAsked: (handler) =>
      new Promise((resolve) => {
        upstream.respond((req, res) => {
          resolve(req);
          return handler(req, res);
        });
      }),
    entries,
    outcomeOf: (of) =>
      eventually(() => {
        const [outcome, ...more] = entries({ kind: 'request.outcome', grant: of.id });
        if (!outcome || more.length > 0)
          throw new Error(`${outcome ? more.length + 1 : 0} outcomes are on record, not 1`);
        return outcome;
      }),
    sums: (of) => {
      untilCarriedOver(test.dataDir);
      return database
        .prepare(
          `SELECT requests_settled AS requestsSettled, requests_reserved AS requestsReserved,
                  tokens_settled AS tokensSettled, tokens_reserved AS tokensReserved
           FROM charges WHERE grant_id = ? AND person_id = ''`,
        )
        .get(of.id) as Sums | undefined;
    },
    saltOf: (requestId) => {
      untilCarriedOver(test.dataDir);
      return database
        .prepare('SELECT salt FROM requests WHERE id = ?')
        .pluck()
        .get(requestId) as Buffer;
    },
    lockLog: () => {
      const unlock = lock(join(test.dataDir, DATABASE_FILE));
      // Whatever is written after this is behind it: the journal takes nothing while the database fails.
      broker.store.write('probe', { at: Date.now() }).catch(() => undefined);
      return unlock;
    },
    checkUpstream() {
      if (upstream.failures.length > 0)
        throw new AggregateError(upstream.failures, 'A handler of the upstream failed.');
    },
    close: async () => {
      database.close();
      await upstream.close();
      await test.close();
    },
  };
}

/** SDKs as a researcher sets them up, but without retries: a test sees the first answer. */
export function sdks(url: string, token: string): Pick<Access, 'openai' | 'anthropic'> {
  return {
    openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: token, maxRetries: 0 }),
    anthropic: new Anthropic({ baseURL: url, apiKey: token, maxRetries: 0 }),
  };
}

/** What a call threw. @throws when it threw nothing */
export async function errorOf(call: PromiseLike<unknown>): Promise<ApiError> {
  try {
    await call;
  } catch (error) {
    return error as ApiError;
  }
  throw new Error('The call succeeded.');
}

/** What the errors of both SDKs have in common. */
export interface ApiError extends Error {
  status: number | undefined;
  headers: Headers | undefined;
  /** OpenAI: the error object. Anthropic: the whole body. */
  error: unknown;
}

/** The code of the broker's refusal, in an error of either SDK. */
export function codeOf(error: ApiError): string | undefined {
  const body = error.error as { code?: string; error?: { code?: string } } | undefined;
  return body?.error?.code ?? body?.code;
}

/** Reads a stream to its end. @throws what the SDK raises */
export async function drain<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** Waits until something does not throw any more. For what no event announces. */
export function eventually<T>(look: () => T, timeout = 5_000): Promise<T> {
  return vi.waitFor(look, { timeout, interval: 5 });
}

export const say = (content: string): { role: 'user'; content: string } => ({
  role: 'user',
  content,
});

export const HELLO = { model: MODEL, messages: [say('Hello!')] };
export const HELLO_ANTHROPIC = { ...HELLO, max_tokens: 100 };

/**
 * A grant's window that ends in one to two seconds: at a full second, since tokens end with the second in
 * which their grant does.
 */
export function windowThatEnds(): { until: number; window: GrantInput['window'] } {
  const until = Math.ceil(Date.now() / 1000 + 1) * 1000;
  const from = new Date(until - 60_000).toISOString();
  return { until, window: { from, until: new Date(until).toISOString() } };
}

/** Sends a body as it is, without an SDK. */
export function post(
  url: string,
  token: string | undefined,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body),
  });
}

function lock(path: string): () => void {
  const connection = new Database(path);
  connection.exec('BEGIN IMMEDIATE');
  return () => {
    if (connection.open) connection.close();
  };
}
