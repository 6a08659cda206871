/** Calls of the control API in a person's name. */
import request, { type Response } from 'supertest';
import { getToken, type TestPerson } from './people.ts';
import type { TestBroker } from './test-broker.ts';

export type ApiMethod = 'get' | 'post' | 'put' | 'delete';

/** Calls the API as somebody, with one token each. */
export class Api {
  readonly #test: TestBroker;
  readonly #tokens = new Map<string, Promise<string>>();

  constructor(test: TestBroker) {
    this.#test = test;
  }

  /** Calls a path below /api/v1. */
  async call(
    who: TestPerson,
    method: ApiMethod,
    path: string,
    body?: object,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const token = await this.tokenOf(who);
    const client = request(this.#test.url);
    const call = client[method](`/api/v1${path}`)
      .set('authorization', `Bearer ${token}`)
      .set(headers);
    return body === undefined ? call : call.send(body);
  }

  get(who: TestPerson, path: string): Promise<Response> {
    return this.call(who, 'get', path);
  }

  post(who: TestPerson, path: string, body?: object): Promise<Response> {
    return this.call(who, 'post', path, body);
  }

  tokenOf(who: TestPerson): Promise<string> {
    let token = this.#tokens.get(who.id);
    if (!token) {
      token = getToken(this.#test, who);
      this.#tokens.set(who.id, token);
    }
    return token;
  }
}
