/** Holds what a request asks for, by its body and headers, against its grant and its endpoint. */
import type { IncomingMessage } from 'node:http';
import { RefusedError, refuse } from '../core/denials.ts';
import { priceNanoUsd, type Endpoint } from '../core/endpoints.ts';
import { mostInputTokens } from '../core/estimate.ts';
import type { Grant } from '../core/grants.ts';
import { scopeOf, type Scope } from '../core/narrowing.ts';
import {
  MalformedBody,
  checkScope,
  modelOf,
  mostOutputTokens,
  type Inspection,
  type JsonObject,
} from '../core/scope/inspection.ts';
import { modelSchema } from '../core/vocabulary.ts';
import type { Caller } from './caller.ts';
import type { Dialect } from './dialects/dialect.ts';
import type { Gateway } from './gateway.ts';

/** What was checked, and is dispatched. */
export interface Checked {
  endpoint: Endpoint;
  inspection: Inspection;
  grant: Grant;
  /** The object that was checked, serialised: what is recorded and what is dispatched. */
  body: Buffer;
  headers: Record<string, string>;
  amount: { tokens: number; spendNanoUsd: number };
}

/** Everything that the content of a request can be refused for. Nothing in here waits. */
export function checkContent(
  gateway: Gateway,
  req: IncomingMessage,
  { caller, dialect }: { caller: Caller; dialect: Dialect },
  asked: JsonObject,
): Checked {
  const grant = caller.grant ?? refuse('grant_unknown');
  const model = orMalformed(() => modelOf(asked));
  const scope = scopeOf(grant.spec, caller.narrowing);
  const endpoint = findEndpoint(gateway, grant, scope, dialect, model);
  const most = mostOutputTokens(scope.features, endpoint.features);
  const prepared = dialect.prepare(asked, {
    maxOutputTokens: most,
    maxOutputTokensField: endpoint.maxOutputTokensField,
  });
  // Inspected as it will be sent: what is authorised is what is dispatched.
  const inspection = orMalformed(() => dialect.inspect(prepared));
  const { features, unknownFields } = grant.spec;
  const why = checkScope(inspection, scope.features, endpoint.features, unknownFields, features);
  if (why) throw new RefusedError(why);
  const body = serialise(prepared);
  const messages = Array.isArray(prepared['messages']) ? prepared['messages'].length : 0;
  const inputTokens = mostInputTokens({
    bytes: body.length,
    messages,
    tools: 'tools' in prepared,
    mediaParts: inspection.mediaParts,
  });
  const outputTokens = (inspection.maxOutputTokens ?? most) * inspection.n;
  return {
    endpoint,
    inspection,
    grant,
    body,
    headers: {
      ...dialect.headers(req.headers),
      ...betaHeaders(req, dialect, grant, scope, endpoint),
    },
    amount: {
      tokens: inputTokens + outputTokens,
      spendNanoUsd: priceNanoUsd(endpoint, inputTokens, outputTokens),
    },
  };
}

function orMalformed<T>(inspect: () => T): T {
  try {
    return inspect();
  } catch (error) {
    if (error instanceof MalformedBody)
      return refuse('invalid_request', error.message, { param: error.field });
    throw error;
  }
}

function serialise(body: JsonObject): Buffer {
  try {
    return Buffer.from(JSON.stringify(body), 'utf8');
  } catch (error) {
    // Parsed without recursion, serialised with it.
    if (error instanceof RangeError)
      return refuse('invalid_json', 'The body is nested too deeply.');
    throw error;
  }
}

/** The model decides the endpoint; only the body names a model. */
function findEndpoint(
  gateway: Gateway,
  { spec }: Grant,
  scope: Scope,
  dialect: Dialect,
  model: string,
): Endpoint {
  for (const entry of scope.endpoints) {
    const endpoint = gateway.broker.endpoints.get(entry.endpoint);
    if (!endpoint || !entry.models.includes(model) || !endpoint.models.includes(model)) continue;
    if (endpoint.dialects.includes(dialect.name)) return endpoint;
    refuse(
      'operation_not_granted',
      `The model "${model}" is not offered through ${dialect.path}.`,
      { param: 'model' },
    );
  }
  const name = modelSchema.safeParse(model).success ? `"${model}"` : 'with that name';
  const modelsOf = ({ endpoints }: Scope): string[] => endpoints.flatMap((entry) => entry.models);
  const [who, narrower] = modelsOf(spec).includes(model) ? ['token', scope] : ['grant', spec];
  return refuse(
    'model_not_granted',
    `The ${who} does not cover a model ${name}. It covers: ${modelsOf(narrower).join(', ')}.`,
    { param: 'model' },
  );
}

function betaHeaders(
  req: IncomingMessage,
  { betaHeader }: Dialect,
  { spec }: Grant,
  scope: Scope,
  endpoint: Endpoint,
): Record<string, string> {
  const sent = req.headers[betaHeader];
  if (sent === undefined) return {};
  const values = String(sent)
    .split(',')
    .map((value) => value.trim())
    .filter((value) => value !== '');
  for (const value of values) {
    if (scope.features.betaHeaders.includes(value) && endpoint.features.betaHeaders.includes(value))
      continue;
    const narrower = spec.features.betaHeaders.includes(value) ? 'token' : 'grant';
    const who = scope.features.betaHeaders.includes(value) ? 'endpoint' : narrower;
    refuse(
      'feature_not_granted',
      `The ${who} does not allow that value of the header "${betaHeader}".`,
      { param: betaHeader },
    );
  }
  return values.length === 0 ? {} : { [betaHeader]: values.join(',') };
}
