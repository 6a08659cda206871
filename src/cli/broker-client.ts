/** A client of the broker's HTTP API: proves who calls, gets a token of the control API, and calls. */
import type { KeyObject } from 'node:crypto';
import { z } from 'zod';
import { ASSERTION_TYPE, signClientAssertion } from './client-assertion.ts';
import { call, jsonOf } from './http.ts';
import type { Surroundings } from './surroundings.ts';

export interface Connection {
  /** Base URL, without a slash at its end. */
  url: string;
  issuer: string;
  person: string;
  key: KeyObject;
}

/** Things in a list that are asked for at a time. */
const PAGE = 200;

const tokenAnswerSchema = z.looseObject({
  access_token: z.string().min(1),
  /** Seconds. */
  expires_in: z.number(),
  token_type: z.string(),
  authorization_details: z.array(z.looseObject({})).optional(),
});

export type TokenAnswer = z.infer<typeof tokenAnswerSchema>;

/** A part of a list, as the API gives it. */
export interface Page<T> {
  items: T[];
  /** Where the next part begins; null at the end. */
  next: string | null;
}

/** Parameters of a query; undefined ones are left out. */
export type Query = Record<string, string | number | boolean | undefined>;

export class BrokerClient {
  readonly url: string;
  readonly issuer: string;
  readonly person: string;
  readonly #key: KeyObject;
  readonly #around: Surroundings;
  #controlToken: Promise<string> | undefined;

  constructor(around: Surroundings, connection: Connection) {
    this.url = connection.url;
    this.issuer = connection.issuer;
    this.person = connection.person;
    this.#key = connection.key;
    this.#around = around;
  }

  /** @throws CliError, as do all calls here */
  async get<T>(path: string, schema: z.ZodType<T>, query: Query = {}): Promise<T> {
    return jsonOf(await this.request('GET', withQuery(path, query)), schema);
  }

  async post<T>(path: string, schema: z.ZodType<T>, body: object = {}): Promise<T> {
    return jsonOf(await this.request('POST', path, body), schema);
  }

  /** A list, part by part, until there is no more or `limit` is reached. */
  async list<T>(
    path: string,
    itemSchema: z.ZodType<T>,
    limit: number,
    query: Query = {},
  ): Promise<Page<T>> {
    const schema = z.looseObject({ items: z.array(itemSchema), next: z.string().nullable() });
    const items: T[] = [];
    let next: string | null = null;
    do {
      const part: Query = { ...query, limit: Math.min(PAGE, limit - items.length) };
      if (next !== null) part['cursor'] = next;
      const page: Page<T> = await this.get(path, schema, part);
      items.push(...page.items);
      next = page.next;
    } while (next !== null && items.length < limit);
    return { items, next };
  }

  /** A call of the control API. The answer is a good one, its body unread. */
  async request(method: string, path: string, body?: object): Promise<Response> {
    this.#controlToken ??= this.requestToken().then((answer) => answer.access_token);
    const headers: Record<string, string> = {
      accept: 'application/json, */*;q=0.1',
      authorization: `Bearer ${await this.#controlToken}`,
    };
    const init: RequestInit = { method, headers };
    if (body !== undefined) {
      headers['content-type'] = 'application/json';
      init.body = JSON.stringify(body);
    }
    return call(`${this.url}/api/v1${path}`, init);
  }

  /** Gets a token: of the gateway for the access that is named, or of the control API. */
  async requestToken(access?: object): Promise<TokenAnswer> {
    const assertion = await signClientAssertion(
      this.#key,
      this.person,
      this.issuer,
      this.#around.clock(),
    );
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: ASSERTION_TYPE,
      client_assertion: assertion,
    });
    if (access !== undefined) form.set('authorization_details', JSON.stringify([access]));
    const response = await call(`${this.url}/oauth/token`, { method: 'POST', body: form });
    return jsonOf(response, tokenAnswerSchema);
  }
}

function withQuery(path: string, query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) search.set(name, String(value));
  }
  return search.size === 0 ? path : `${path}?${search.toString()}`;
}
