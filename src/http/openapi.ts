/** The OpenAPI 3.1 document, made from the route table. */
import {
  OpenAPIRegistry,
  OpenApiGeneratorV31,
  type ResponseConfig,
  type RouteConfig,
} from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { problemSchema } from './problem.ts';
import type { Route } from './route.ts';
import { named } from './schemas.ts';
import { VERSION } from '../lib/version.ts';

const problem = named('Problem', problemSchema);

/** Makes the document of these routes. */
export function openApiDocument(routes: readonly Route[], publicUrl: string): object {
  const registry = new OpenAPIRegistry();
  registry.registerComponent('securitySchemes', 'token', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: `An access token of the control API, from ${publicUrl}/oauth/token (client_credentials with private_key_jwt, without authorization_details).`,
  });
  for (const route of routes) registry.registerPath(operationOf(route));
  return new OpenApiGeneratorV31(registry.definitions).generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'Sallyport',
      version: VERSION,
      description:
        'The control API of an inter-lab access-grant broker. Times are RFC 3339 in UTC; lists come in pages; errors are RFC 9457 problem documents with a code from one closed list.',
    },
    servers: [{ url: publicUrl }],
  });
}

/** A path in OpenAPI's notation. */
export function openApiPath(path: string): string {
  return path.replaceAll(/[:*]([a-zA-Z]+)/g, '{$1}');
}

function operationOf(route: Route): RouteConfig {
  const { method, path, action, tag, summary, description, params, query, body, text, status } =
    route;
  const isPublic = action === 'public';
  const textBody = { required: true, content: { 'text/plain': { schema: TEXT_SCHEMA } } };
  return {
    method,
    path: openApiPath(path),
    operationId: operationIdOf(route),
    tags: [tag],
    summary,
    description,
    'x-sallyport-action': action,
    security: isPublic ? [] : [{ token: [] }],
    request: {
      params,
      query,
      ...(route.revised && method !== 'get' && status !== 201 ? { headers: IF_MATCH } : {}),
      ...(text === undefined ? {} : { body: textBody }),
      ...(body && Object.keys(shapeOf(body)).length > 0
        ? {
            body: {
              required: !body.safeParse({}).success,
              content: { 'application/json': { schema: body } },
            },
          }
        : {}),
    },
    responses: {
      [route.status]: goodAnswer(route),
      default: {
        description: 'A problem',
        content: { 'application/problem+json': { schema: problem } },
      },
    },
  };
}

const TEXT_SCHEMA = { type: 'string' as const };

const IF_MATCH = z.object({
  'If-Match': z
    .string()
    .optional()
    .describe('The ETag that was read: refused with 412 (stale_version) if it has changed since'),
});

const ETAG = z.object({ ETag: z.string().describe('Its revision, for If-Match') });

function goodAnswer({ answer, revised }: Route): ResponseConfig {
  if ('json' in answer) {
    const content = { 'application/json': { schema: answer.json } };
    return { description: 'Done', content, ...(revised ? { headers: ETAG } : {}) };
  }
  const [media = ''] = answer.media.split(';');
  const schema = media.startsWith('text/') ? { type: 'string' as const } : {};
  return { description: 'Done', content: { [media]: { schema } } };
}

function shapeOf(body: Route['body']): object {
  return body && 'shape' in body ? (body.shape as object) : {};
}

/** `POST /api/v1/grants/:grant/submit` is `postGrantsGrantSubmit`. */
function operationIdOf({ method, path }: Route): string {
  const words = path.replace('/api/v1', '').match(/[A-Za-z]+/g) ?? ['root'];
  return method + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
}
