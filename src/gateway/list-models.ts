/** `GET /v1/models`: what the caller can use, in the shape of the client's vendor. Nothing is forwarded or charged. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { alternativeFor, ordersOnRequest } from '../broker/orders-on-request.ts';
import { decideAccess, type Decision } from '../core/access.ts';
import { RefusedError, refuse } from '../core/denials.ts';
import { grantedModels, type Grant } from '../core/grants.ts';
import { mintId } from '../lib/ids.ts';
import { jsonHeaders, writeHead } from './answer-head.ts';
import { callerParts, callerSubject, type Caller } from './caller.ts';
import type { Gateway } from './gateway.ts';
import { OPERATIONS } from './operations/table.ts';
import { readQuery, type AllowedQuery } from './query.ts';

const PATH = '/v1/models';

/** Whether a path is the list's, or one model's below it. */
export function isModelsPath(path: string): boolean {
  return path === PATH || path.startsWith(`${PATH}/`);
}

interface Asked {
  requestId: string;
  caller: Caller;
  /** `/v1/models`, or with one model's name behind it. */
  path: string;
  query: string;
}

/** Answers with the list, or one model of it. */
export async function listModels(
  gateway: Gateway,
  req: IncomingMessage,
  res: ServerResponse,
  { requestId, caller, path, query }: Asked,
): Promise<void> {
  const { broker } = gateway;
  const isAnthropic = req.headers['anthropic-version'] !== undefined;
  const only = path === PATH ? undefined : nameIn(path);
  const page = readPage(query, isAnthropic, only);
  const at = broker.clock();
  const grant = caller.grant ?? refuse('grant_unknown');
  const covered = coveredModels(gateway, req, { caller, grant, at });
  const { models, hasMore } = only === undefined ? cut(covered, page) : pick(covered, only);
  await broker.store.write('recordEntry', {
    entry: {
      id: mintId('ent', at),
      kind: 'request.answered',
      at,
      ...callerParts(caller, requestId),
      operation: 'models',
      decision: 'allowed',
      data: { models: models.length },
    },
  });
  const shape = isAnthropic ? anthropicModel : openaiModel;
  const data = models.map((model) => shape(model, grant.createdAt));
  const list = isAnthropic
    ? { data, has_more: hasMore, first_id: models[0] ?? null, last_id: models.at(-1) ?? null }
    : { object: 'list', data };
  const body = JSON.stringify(only === undefined ? list : data[0]);
  writeHead(res, requestId, 200, jsonHeaders(Buffer.byteLength(body)));
  res.end(body);
}

function nameIn(path: string): string {
  try {
    return decodeURIComponent(path.slice(PATH.length + 1));
  } catch {
    return refuse('unknown_path');
  }
}

interface Page {
  limit: number;
  after: string | null;
  before: string | null;
}

const ID = /^\S{1,128}$/;

/** What the vendors' SDKs send: one of them pages, and says so when it is its beta half that asks. */
function readPage(query: string, isAnthropic: boolean, only: string | undefined): Page {
  const paging = { limit: /^(?:[1-9]\d{0,2}|1000)$/, after_id: ID, before_id: ID };
  const allowed: AllowedQuery = isAnthropic
    ? { beta: 'true', ...(only === undefined ? paging : {}) }
    : {};
  const read = readQuery(query, allowed);
  return {
    limit: Number(read.get('limit') ?? Infinity),
    after: read.get('after_id'),
    before: read.get('before_id'),
  };
}

interface Covered {
  model: string;
  decision: Decision;
}

/** The models that the grant lets somebody do something with, each with the decision about it: an order may have stopped it. */
function coveredModels(
  gateway: Gateway,
  req: IncomingMessage,
  { caller, grant, at }: { caller: Caller; grant: Grant; at: number },
): Covered[] {
  const { policy, endpoints, configured } = gateway.broker;
  const facts = {
    ...caller.member,
    grant,
    purpose: caller.access.purpose,
    runId: caller.access.run,
    tokenId: caller.token.id,
    narrowing: caller.narrowing,
    bound: caller.bound,
    orders: policy.orders,
    configured,
    operation: 'models' as const,
    address: gateway.addressOf(req),
  };
  const decision = decideAccess(facts, at);
  if (!decision.allowed) throw new RefusedError(decision.refusal);
  const dialects = new Set(
    [...OPERATIONS.values()]
      .filter(({ name }) => grant.spec.operations.includes(name))
      .map(({ dialect }) => dialect.name),
  );
  return grantedModels(grant.spec)
    .filter(({ endpoint, model }) => {
      const offered = endpoints.get(endpoint);
      return offered?.models.includes(model) && offered.dialects.some((name) => dialects.has(name));
    })
    .map((one) => {
      const restored = restoredFor(
        gateway,
        { ...callerSubject(caller, grant), ...one },
        facts.address,
      );
      return { model: one.model, decision: decideAccess({ ...facts, ...one, restored }, at) };
    });
}

/** The safeguards that a request to a model would find put back, as orders want it. */
function restoredFor(
  { broker }: Gateway,
  asked: ReturnType<typeof callerSubject> & { endpoint: string; model: string },
  address: string,
): readonly string[] {
  const endpoint = broker.endpoints.get(asked.endpoint);
  const effect = ordersOnRequest(broker, { ...asked, features: [] }, address);
  return (endpoint && alternativeFor(endpoint, asked.model, effect)?.restores) ?? [];
}

interface Cut {
  models: string[];
  hasMore: boolean;
}

/** The page between two models. What an order has stopped is left out, and can still be where a page ended. */
function cut(covered: Covered[], { limit, after, before }: Page): Cut {
  const placeOf = (name: string, param: string): number => {
    const place = covered.findIndex(({ model }) => model === name);
    return place < 0
      ? refuse('invalid_request', `"${param}" is not a model of this list.`, { param })
      : place;
  };
  const from = after === null ? 0 : placeOf(after, 'after_id') + 1;
  const to = before === null ? covered.length : placeOf(before, 'before_id');
  const between = covered.slice(from, to).filter(({ decision }) => decision.allowed);
  const page = before === null ? between.slice(0, limit) : between.slice(-limit);
  return { models: page.map(({ model }) => model), hasMore: between.length > page.length };
}

function pick(covered: Covered[], only: string): Cut {
  const found = covered.filter(({ model }) => model === only).map(({ decision }) => decision);
  const [first] = found;
  if (!first) refuse('model_not_granted');
  if (!first.allowed && found.every(({ allowed }) => !allowed))
    throw new RefusedError(first.refusal);
  return { models: [only], hasMore: false };
}

function openaiModel(id: string, created: number): object {
  return { id, object: 'model', created: Math.floor(created / 1000), owned_by: 'sallyport' };
}

function anthropicModel(id: string, created: number): object {
  return { type: 'model', id, display_name: id, created_at: new Date(created).toISOString() };
}
