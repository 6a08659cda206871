/** What the server says about itself. */
import { z } from 'zod';
import { docsAsset, docsPage } from '../docs.ts';
import { readinessAnswer } from '../health.ts';
import { mediaRoute, route } from '../route.ts';
import { VERSION } from '../../lib/version.ts';

const tag = 'System';

export const SYSTEM_ROUTES = [
  route({
    method: 'get',
    path: '/',
    action: 'public',
    tag,
    summary: 'What this is',
    description: 'Name, version, and where to read on.',
    answer: z.object({
      product: z.string(),
      version: z.string(),
      documentation: z.string(),
      openapi: z.string(),
    }),
    handle: ({ control: { publicUrl } }) => ({
      product: 'Sallyport',
      version: VERSION,
      documentation: `${publicUrl}/api/docs`,
      openapi: `${publicUrl}/api/v1/openapi.json`,
    }),
  }),
  route({
    method: 'get',
    path: '/healthz',
    action: 'public',
    tag,
    summary: 'Whether the process lives',
    description: 'Always 200 while it answers at all.',
    answer: z.object({ status: z.literal('ok') }),
    handle: () => ({ status: 'ok' as const }),
  }),
  mediaRoute({
    method: 'get',
    path: '/readyz',
    action: 'public',
    tag,
    summary: 'Whether requests can be served',
    description:
      '503 while starting or stopping, and while the log cannot be written; then "reason" is starting, stopping or log_unavailable.',
    media: 'application/json; charset=utf-8',
    handle: async ({ broker }) => readinessAnswer(await broker.readiness.state()),
  }),
  route({
    method: 'get',
    path: '/api/v1/openapi.json',
    action: 'public',
    tag,
    summary: 'This API as an OpenAPI 3.1 document',
    description: 'Made from the table that the routes are registered from.',
    answer: z.record(z.string(), z.unknown()),
    handle: ({ control }) => control.openApiDocument() as Record<string, unknown>,
  }),
  mediaRoute({
    method: 'get',
    path: '/api/docs',
    action: 'public',
    tag,
    summary: 'This API as a page to read and try',
    description: 'Swagger UI; everything that it loads comes from here.',
    media: 'text/html; charset=utf-8',
    handle: () => docsPage(),
  }),
  mediaRoute({
    method: 'get',
    path: '/api/docs/:asset',
    action: 'public',
    tag,
    summary: 'A part of the documentation page',
    description: 'Scripts, style and icon.',
    params: z.strictObject({ asset: z.string().max(64) }),
    media: 'application/octet-stream',
    handle: ({ params }) => docsAsset(params.asset),
  }),
];
