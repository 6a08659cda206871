/** Holds what a request asks for, by its body and headers, against its grant and its endpoint. */
import type { IncomingMessage } from 'node:http';
import { alternativeFor, ordersOnRequest } from '../broker/orders-on-request.ts';
import { RefusedError, refuse } from '../core/denials.ts';
import { priceNanoUsd, type Endpoint } from '../core/endpoints.ts';
import { mostInputTokens } from '../core/estimate.ts';
import type { Grant } from '../core/grants.ts';
import type { Effect } from '../core/orders/effect.ts';
import { scopeOf, type Scope } from '../core/narrowing.ts';
import {
  MalformedBody,
  checkScope,
  modelOf,
  mostOutputTokens,
  type Inspection,
  type JsonObject,
} from '../core/scope/inspection.ts';
import { mustBeSound } from '../core/scope/sound.ts';
import { modelSchema } from '../core/vocabulary.ts';
import type { HeaderList } from './answer-head.ts';
import { callerSubject, type Caller } from './caller.ts';
import type { Gateway } from './gateway.ts';
import type { ProxiedOperation } from './operations/operation.ts';

/** What was checked, and is dispatched. */
export interface Checked {
  endpoint: Endpoint;
  inspection: Inspection;
  grant: Grant;
  /** Features that it uses. */
  features: string[];
  /** That it came from. */
  address: string;
  /** What orders in force come to for it. */
  effect: Effect;
  /** Safeguards that are put back for it, and the model that it goes to for that: as a rule the one it names. */
  restored: readonly string[];
  dispatchedModel: string;
  /** The upstream of the alternative, by its name; null: the endpoint's own. */
  dispatchedUpstream: string | null;
  /** The object that was checked, serialised: what is recorded and what is dispatched. */
  body: Buffer;
  headers: HeaderList;
  amount: { tokens: number; spendNanoUsd: number };
}

function featuresOf({ uses }: Inspection): string[] {
  return uses.length === 0 ? [] : [...new Set(uses.map(({ feature }) => feature))];
}

/** Everything that the content of a request can be refused for. Nothing in here waits. */
export function checkContent(
  gateway: Gateway,
  req: IncomingMessage,
  { caller, operation }: { caller: Caller; operation: ProxiedOperation },
  asked: JsonObject,
): Checked {
  const grant = caller.grant ?? refuse('grant_unknown');
  const model = orMalformed(() => {
    mustBeSound(asked);
    return modelOf(asked);
  });
  const scope = scopeOf(grant.spec, caller.narrowing);
  const endpoint = findEndpoint(gateway, grant, scope, operation, model);
  const most = mostOutputTokens(scope.features, endpoint.features);
  const prepared = operation.prepare(asked, {
    maxOutputTokens: most,
    maxOutputTokensField: endpoint.maxOutputTokensField,
    stateful: scope.features.stateful && endpoint.features.stateful,
  });
  // Inspected as it will be sent: what is authorised is what is dispatched.
  const inspection = orMalformed(() => operation.inspect(prepared));
  const { features, unknownFields } = grant.spec;
  const why = checkScope(inspection, scope.features, endpoint.features, unknownFields, features);
  if (why) throw new RefusedError(why);
  // An order can put a safeguard back: by another model or upstream, which is what is dispatched to and recorded then.
  const used = featuresOf(inspection);
  const address = gateway.addressOf(req);
  const effect = ordersOnRequest(
    gateway.broker,
    { ...callerSubject(caller, grant), endpoint: endpoint.id, model, features: used },
    address,
  );
  const alternative = alternativeFor(endpoint, model, effect);
  const dispatchedModel = alternative?.models[model] ?? model;
  const dispatched = dispatchedModel === model ? prepared : { ...prepared, model: dispatchedModel };
  const body = serialise(dispatched, gateway.settings.body.maxBytes);
  const { charges, dialect } = operation;
  const inputTokens = charges === 'nothing' ? 0 : mostInputTokens(inspection, body.length);
  const outputTokens =
    charges === 'input and output' ? (inspection.maxOutputTokens ?? most) * inspection.answers : 0;
  return {
    endpoint,
    inspection,
    grant,
    features: used,
    address,
    effect,
    restored: alternative?.restores ?? [],
    dispatchedModel,
    dispatchedUpstream: alternative?.at?.name ?? null,
    body,
    headers: [
      ...dialect.headers(req.headers),
      ...betaHeaders(req, operation, grant, scope, endpoint),
    ],
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

/** Numbers can be longer than they came: 1e15 is written in sixteen digits. */
function serialise(body: JsonObject, maxBytes: number): Buffer {
  const written = Buffer.from(JSON.stringify(body), 'utf8');
  if (written.length > maxBytes)
    refuse(
      'body_too_large',
      `Written out for the upstream, the body is larger than the ${maxBytes} bytes that this broker accepts.`,
    );
  return written;
}

/** The model decides the endpoint; only the body names a model. */
function findEndpoint(
  gateway: Gateway,
  { spec }: Grant,
  scope: Scope,
  operation: ProxiedOperation,
  model: string,
): Endpoint {
  for (const entry of scope.endpoints) {
    const endpoint = gateway.broker.endpoints.get(entry.endpoint);
    if (!endpoint || !entry.models.includes(model) || !endpoint.models.includes(model)) continue;
    if (endpoint.dialects.includes(operation.dialect.name)) return endpoint;
    refuse(
      'operation_not_granted',
      `The model "${model}" is not offered through ${operation.path}.`,
      { param: 'model' },
    );
  }
  const name = modelSchema.safeParse(model).success ? `"${model}"` : 'with that name';
  const modelsOf = ({ endpoints }: Scope): string[] => endpoints.flatMap((entry) => entry.models);
  const [who, narrower] = modelsOf(spec).includes(model) ? ['token', scope] : ['grant', spec];
  const covered = modelsOf(narrower);
  const pinned = covered.filter((one) => isAliasOf(model, one));
  return refuse(
    'model_not_granted',
    pinned.length === 0
      ? `The ${who} does not cover a model ${name}. It covers: ${covered.join(', ')}.`
      : `The ${who} does not cover ${name}, which can mean one version today and another tomorrow. Name the pinned version: ${pinned.join(' or ')}.`,
    { param: 'model' },
  );
}

/** Whether a name is a pinned one without its version: `frontier`, `frontier-latest` of `frontier-2026-06-01`. */
function isAliasOf(name: string, pinned: string): boolean {
  const stem = name.replace(/[-@:]latest$/, '');
  return pinned.startsWith(stem) && /^[-@:]v?\d/.test(pinned.slice(stem.length));
}

function betaHeaders(
  req: IncomingMessage,
  { dialect: { betaHeader }, betas = [] }: ProxiedOperation,
  { spec }: Grant,
  scope: Scope,
  endpoint: Endpoint,
): HeaderList {
  const sent = req.headers[betaHeader];
  if (sent === undefined) return [];
  const values = String(sent)
    .split(',')
    .map((value) => value.trim())
    .filter((value) => value !== '');
  for (const value of values) {
    if (betas.includes(value)) continue;
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
  return values.length === 0 ? [] : [betaHeader, values.join(',')];
}
