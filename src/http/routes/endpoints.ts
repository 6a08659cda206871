/** The protected model endpoints, as the configuration lists them. */
import { z } from 'zod';
import { listEndpoints, showEndpoint } from '../../broker/show-endpoints.ts';
import { endpointSchema } from '../../core/endpoints.ts';
import { slugSchema } from '../../core/vocabulary.ts';
import { route } from '../route.ts';
import { named } from '../schemas.ts';

const tag = 'Endpoints';

const { id, description, dialects, models, safeguardsLifted, features, prices } =
  endpointSchema.shape;

const endpointAnswer = named(
  'Endpoint',
  z.object({
    id,
    description,
    dialects,
    models,
    safeguardsLifted,
    features,
    prices,
    upstream: z.string().optional().describe('Only for people of the host and of auditors'),
    hasCredential: z
      .boolean()
      .optional()
      .describe('Whether a credential is configured; like upstream'),
  }),
);

export const ENDPOINT_ROUTES = [
  route({
    method: 'get',
    path: '/api/v1/endpoints',
    action: 'endpoint.read',
    tag,
    summary: 'List the protected endpoints',
    description: 'All of them at once, in the order of the configuration.',
    answer: z.object({ items: z.array(endpointAnswer), next: z.null() }),
    handle: ({ broker, actorId }) => ({ items: listEndpoints(broker, actorId), next: null }),
  }),
  route({
    method: 'get',
    path: '/api/v1/endpoints/:endpoint',
    action: 'endpoint.read',
    tag,
    summary: 'Show a protected endpoint',
    description: 'Models, lifted safeguards, features and prices.',
    params: z.strictObject({ endpoint: slugSchema }),
    answer: endpointAnswer,
    handle: ({ broker, actorId, params }) => showEndpoint(broker, actorId, params.endpoint),
  }),
];
