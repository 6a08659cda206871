import type { Express } from 'express';
import request from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TokenChecker } from '../../src/broker/authenticate-token.ts';
import { Readiness } from '../../src/broker/readiness.ts';
import { AUTHORITY } from '../../src/core/authority.ts';
import { createControlApp } from '../../src/http/app.ts';
import { openApiPath } from '../../src/http/openapi.ts';
import { ROUTES } from '../../src/http/route-table.ts';
import { startTestBroker, type TestBroker } from '../support/test-broker.ts';

interface Operation {
  operationId: string;
  summary: string;
  'x-sallyport-action': string;
  security: object[];
  parameters?: { name: string; in: string; required: boolean }[];
  requestBody?: { required: boolean; content: Record<string, { schema: object }> };
  responses: Record<string, { content: Record<string, { schema: { $ref?: string } }> }>;
}

interface Document {
  openapi: string;
  info: { title: string; version: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object> };
}

let test: TestBroker;
let app: Express;
let document: Document;

beforeAll(async () => {
  test = await startTestBroker();
  app = createControlApp(test.broker, {
    tokens: new TokenChecker(test.broker),
    jwksMaxAgeSeconds: 300,
    addressOf: () => '127.0.0.1',
  });
  document = (await request(test.url).get('/api/v1/openapi.json')).body as Document;
});
afterAll(() => test.close());

const operations = (): [string, Operation][] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method} ${path}`,
      operation,
    ]),
  );

/** What Express really serves: its own list. A layer for all methods is the one that refuses the wrong ones. */
function registered(): string[] {
  return app.router.stack.flatMap(({ route }) => {
    if (!route || route.stack.length > 1) return [];
    return route.stack.map((layer) => `${layer.method} ${openApiPath(route.path)}`);
  });
}

const isOAuth = (name: string): boolean => /^\w+ \/(oauth|\.well-known)\//.test(name);

describe('the OpenAPI document', () => {
  it('has every registered route, and no other', () => {
    const served = registered().filter((name) => !isOAuth(name));
    expect(
      operations()
        .map(([name]) => name)
        .sort(),
    ).toEqual(served.sort());
    expect(served).toHaveLength(ROUTES.length);
  });

  it('is of version 3.1, and whole: references resolve, ids are unique, parameters are declared', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.info).toMatchObject({ title: 'Sallyport' });
    const references = JSON.stringify(document).match(/"\$ref":"[^"]+"/g) ?? [];
    expect(references.length).toBeGreaterThan(0);
    for (const reference of new Set(references)) {
      const [, name = ''] = /#\/components\/schemas\/(\w+)/.exec(reference) ?? [];
      expect(document.components.schemas).toHaveProperty(name);
    }
    const ids = operations().map(([, operation]) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [name, { parameters = [] }] of operations()) {
      const inPath = (name.match(/\{(\w+)\}/g) ?? []).map((part) => part.slice(1, -1));
      const declared = parameters.filter((parameter) => parameter.in === 'path');
      expect([name, declared.map((one) => one.name).sort()]).toEqual([name, inPath.sort()]);
    }
  });

  it('says of each route what it takes to call it, and what a refusal looks like', () => {
    for (const [name, operation] of operations()) {
      const action = operation['x-sallyport-action'];
      const problem = operation.responses['default']?.content['application/problem+json'];
      expect([name, operation.security, problem?.schema.$ref]).toEqual([
        name,
        action === 'public' ? [] : [{ token: [] }],
        '#/components/schemas/Problem',
      ]);
      expect(operation.summary).not.toBe('');
      expect(['public', ...Object.keys(AUTHORITY)]).toContain(action);
    }
  });

  it('shows bodies: required where something in them is', () => {
    const { paths } = document;
    expect(paths['/api/v1/grants']?.['post']?.requestBody).toMatchObject({
      required: true,
      content: { 'application/json': { schema: { $ref: '#/components/schemas/GrantSpec' } } },
    });
    expect(paths['/api/v1/grants/{grant}/submit']?.['post']?.requestBody?.required).toBe(false);
    expect(paths['/api/v1/grants/{grant}/revoke']?.['post']?.requestBody?.required).toBe(true);
    expect(paths['/api/v1/people/{person}/remove']?.['post']).not.toHaveProperty('requestBody');
  });

  it('every action of the authority table has a route', () => {
    const actions = new Set(operations().map(([, operation]) => operation['x-sallyport-action']));
    for (const action of Object.keys(AUTHORITY)) expect([...actions]).toContain(action);
  });
});

describe('the documentation page', () => {
  it('loads nothing from outside and runs no inline script', async () => {
    const page = await request(test.url).get('/api/docs');
    expect(page.status).toBe(200);
    expect(page.headers['content-type']).toMatch(/^text\/html/);
    const csp = String(page.headers['content-security-policy']);
    expect(csp).toContain("default-src 'none'");
    expect(csp).toContain("script-src 'self';");
    expect(csp).not.toContain('http');
    expect(page.text).not.toMatch(/<script>|https?:/);
    const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path ?? '');
    expect(assets).toHaveLength(4);
    for (const path of assets) {
      const asset = await request(test.url).get(path).buffer(true);
      expect([path, asset.status]).toEqual([path, 200]);
    }
  });

  it.each(['index.html', 'swagger-initializer.js', '..%2fpackage.json', 'package.json'])(
    'serves no other file of the package: %s',
    async (name) => {
      const answer = await request(test.url).get(`/api/docs/${name}`);
      expect([answer.status, answer.body.code]).toEqual([404, 'not_found']);
    },
  );
});

describe('the server itself', () => {
  it('says that it lives, that it is ready, and what it is', async () => {
    expect((await request(test.url).get('/healthz')).body).toEqual({ status: 'ok' });
    expect((await request(test.url).get('/readyz')).status).toBe(200);
    const root = await request(test.url).get('/');
    expect(root.body).toMatchObject({
      product: 'Sallyport',
      openapi: expect.any(String) as string,
    });
    expect((await request(root.body.openapi as string).get('')).status).toBe(200);
  });

  it('is not ready when it says so', async () => {
    const starting = { ...test.broker, readiness: new Readiness(test.broker) };
    const closed = createControlApp(starting, {
      tokens: new TokenChecker(starting),
      jwksMaxAgeSeconds: 300,
      addressOf: () => '127.0.0.1',
    });
    const answer = await request(closed).get('/readyz');
    expect([answer.status, answer.headers['retry-after']]).toEqual([503, '1']);
    expect(answer.body).toEqual({ status: 'not ready', reason: 'starting' });
  });

  it('gives every answer its own request id and the headers that keep browsers out', async () => {
    const answers = await Promise.all(
      ['/', '/healthz', '/nowhere', '/oauth/token'].map((path) =>
        request(test.url).get(path).set('x-request-id', 'req_mine'),
      ),
    );
    const ids = answers.map((answer) => String(answer.headers['x-request-id']));
    for (const id of ids) expect(id).toMatch(/^req_[0-9a-z]{26}$/);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { headers } of answers) {
      expect(headers).not.toHaveProperty('x-powered-by');
      expect(headers['content-security-policy']).toContain("default-src 'none'");
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['cache-control']).toBe('no-store');
    }
  });
});
