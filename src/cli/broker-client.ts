/** A client of the broker's HTTP API: proves who calls, gets a token of the control API, and calls. */
import type { KeyObject } from 'node:crypto';
import { decodeJwt } from 'jose';
import { z } from 'zod';
import type { DpopProofs } from './connect/dpop.ts';
import { ownKey, type Credential } from './credential.ts';
import { errorOf, jsonOf, send } from './http.ts';
import { RefusedByBroker, failed } from './problems.ts';
import type { Surroundings } from './surroundings.ts';

export type Connection = {
  /** Base URL, without a slash at its end. */
  url: string;
  issuer: string;
  person: string;
} & ({ key: KeyObject } | { credential: Credential });

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
  /** Of entries: those in front of this index were asked for, too, and are in archives. */
  archivedBefore?: number | null | undefined;
}

/** Parameters of a query; undefined ones are left out, those with several values are given several times. */
export type Query = Record<string, string | number | boolean | readonly string[] | undefined>;

export class BrokerClient {
  readonly url: string;
  readonly issuer: string;
  readonly person: string;
  readonly #credential: Credential;
  readonly #around: Surroundings;
  readonly #signal: AbortSignal | undefined;
  #controlToken: { text: Promise<string>; renewAt: number } | undefined;

  /** @param signal ends calls that are under way, and lets no later ones begin */
  constructor(around: Surroundings, connection: Connection, signal?: AbortSignal) {
    this.url = connection.url;
    this.issuer = connection.issuer;
    this.person = connection.person;
    this.#credential =
      'credential' in connection
        ? connection.credential
        : ownKey(connection.key, connection.person, connection.issuer);
    this.#around = around;
    this.#signal = signal;
  }

  /** The same client, whose calls end with a signal. */
  until(signal: AbortSignal): BrokerClient {
    const { url, issuer, person } = this;
    const credential = this.#credential;
    return new BrokerClient(this.#around, { url, issuer, person, credential }, signal);
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
    const items: T[] = [];
    let next: string | null = null;
    let archivedBefore: Page<T>['archivedBefore'];
    for await (const page of this.pages(path, itemSchema, limit, query)) {
      items.push(...page.items);
      next = page.next;
      archivedBefore ??= page.archivedBefore;
    }
    return { items, next, ...(typeof archivedBefore === 'number' && { archivedBefore }) };
  }

  /** The parts of a list as they come, until there is no more or `limit` is reached. */
  async *pages<T>(
    path: string,
    itemSchema: z.ZodType<T>,
    limit: number,
    query: Query = {},
  ): AsyncGenerator<Page<T>> {
    const schema = z.looseObject({
      items: z.array(itemSchema),
      next: z.string().nullable(),
      archivedBefore: z.number().nullish(),
    });
    let count = 0;
    let next: string | null = null;
    do {
      const part: Query = { ...query, limit: Math.min(PAGE, limit - count) };
      if (next !== null) part['cursor'] = next;
      const page: Page<T> = await this.get(path, schema, part);
      yield page;
      count += page.items.length;
      next = page.next;
    } while (next !== null && count < limit);
  }

  /** An answer that goes on as long as the broker has something to say. */
  async stream(
    path: string,
    query: Query,
    headers: Record<string, string> = {},
  ): Promise<AsyncIterable<Uint8Array>> {
    const { body } = await this.request('GET', withQuery(path, query), undefined, headers);
    if (!body) throw failed('The broker answered with nothing.');
    return body;
  }

  /**
   * A call of the control API. The answer is a good one, its body unread.
   *
   * @param more headers beside those of every call
   * @param patienceMs milliseconds until the broker must have begun to answer
   */
  async request(
    method: string,
    path: string,
    body?: object,
    more: Record<string, string> = {},
    patienceMs?: number,
  ): Promise<Response> {
    const headers: Record<string, string> = {
      ...more,
      accept: 'application/json, */*;q=0.1',
      authorization: `Bearer ${await this.#tokenOfControlApi()}`,
    };
    const init: RequestInit = { method, headers };
    if (body !== undefined) {
      headers['content-type'] = 'application/json';
      init.body = JSON.stringify(body);
    }
    const url = `${this.url}/api/v1${path}`;
    const response = await this.#send(url, init, patienceMs);
    if (response.ok) return response;
    // It may have been ended: the next call gets another.
    if (response.status === 401) this.#controlToken = undefined;
    throw await errorOf(url, response);
  }

  /**
   * Gets a token: of the gateway for the access that is named, or of the control API.
   *
   * @param proofs binds the token to their key (RFC 9449)
   */
  async requestToken(access?: object, proofs?: DpopProofs): Promise<TokenAnswer> {
    try {
      return await this.#askForToken(access, proofs);
    } catch (error) {
      const wantsNonce = error instanceof RefusedByBroker && error.code === 'use_dpop_nonce';
      if (!wantsNonce || !proofs) throw error;
      return this.#askForToken(access, proofs);
    }
  }

  /** Hands a token back (RFC 7009): it is good for nothing when this returns. */
  async revokeToken(token: string): Promise<void> {
    const client = await this.#credential.clientForm(this.#around.clock);
    if (client === undefined) {
      const { jti = '' } = decodeJwt(token);
      await this.request('POST', `/tokens/${encodeURIComponent(jti)}/revoke`);
      return;
    }
    const body = new URLSearchParams({ ...client, token });
    const url = `${this.url}/oauth/revoke`;
    const response = await this.#send(url, { method: 'POST', body });
    if (!response.ok) throw await errorOf(url, response);
  }

  async #askForToken(access: object | undefined, proofs?: DpopProofs): Promise<TokenAnswer> {
    const path = '/oauth/token';
    const url = `${this.url}${path}`;
    const form = new URLSearchParams(await this.#credential.tokenForm(this.#around.clock));
    if (access !== undefined) form.set('authorization_details', JSON.stringify([access]));
    const init: RequestInit = { method: 'POST', body: form };
    if (proofs) init.headers = { dpop: await proofs.prove('token endpoint', 'POST', path) };
    const response = await this.#send(url, init);
    proofs?.heard('token endpoint', response.headers.get('dpop-nonce'));
    if (!response.ok) throw this.#credential.explain(await errorOf(url, response));
    return jsonOf(response, tokenAnswerSchema);
  }

  #send(url: string, init: RequestInit, patienceMs?: number): Promise<Response> {
    return send(url, this.#signal ? { ...init, signal: this.#signal } : init, patienceMs);
  }

  /** One for all calls, until four fifths of its life are over. */
  #tokenOfControlApi(): Promise<string> {
    const now = this.#around.clock();
    const held = this.#controlToken;
    if (held && now < held.renewAt) return held.text;
    const asked = this.requestToken();
    const next = { text: asked.then((answer) => answer.access_token), renewAt: Infinity };
    this.#controlToken = next;
    asked.then(
      (answer) => (next.renewAt = now + answer.expires_in * 800),
      () => {
        if (this.#controlToken === next) this.#controlToken = undefined;
      },
    );
    return next.text;
  }
}

function withQuery(path: string, query: Query): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (Array.isArray(value)) for (const one of value) search.append(name, String(one));
    else if (value !== undefined) search.set(name, String(value));
  }
  return search.size === 0 ? path : `${path}?${search.toString()}`;
}
