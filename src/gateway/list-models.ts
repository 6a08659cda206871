/** `GET /v1/models`: what the grant covers, in the shape of the client's vendor. Nothing is forwarded or charged. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { decideAccess } from '../core/access.ts';
import { RefusedError, refusal } from '../core/denials.ts';
import { grantedModels, type Grant } from '../core/grants.ts';
import { mintId } from '../lib/ids.ts';
import { callerParts, type Caller } from './caller.ts';
import type { Gateway } from './gateway.ts';

/** @param only one model's name, for `GET /v1/models/<name>` */
export async function listModels(
  gateway: Gateway,
  req: IncomingMessage,
  res: ServerResponse,
  caller: Caller,
  requestId: string,
  only: string | undefined,
): Promise<void> {
  const { broker } = gateway;
  const { policy, clock } = broker;
  const at = clock();
  const facts = {
    ...caller.member,
    grant: caller.grant,
    purpose: caller.access.purpose,
    narrowing: caller.narrowing,
    bound: caller.bound,
    orders: policy.orders,
    operation: 'models' as const,
    address: gateway.addressOf(req),
  };
  const decision = decideAccess(facts, at);
  if (!decision.allowed) throw new RefusedError(decision.refusal);
  const grant = caller.grant as Grant;
  // What an order has stopped is not offered either.
  const decisions = grantedModels(grant.spec)
    .filter(({ model }) => only === undefined || model === only)
    .map((one) => ({ ...one, decision: decideAccess({ ...facts, ...one }, at) }));
  const models = decisions.filter((one) => one.decision.allowed).map(({ model }) => model);
  if (only !== undefined && models.length === 0) {
    const [found] = decisions;
    throw new RefusedError(
      found?.decision.allowed === false ? found.decision.refusal : refusal('model_not_granted'),
    );
  }
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
  const created = grant.createdAt;
  const isAnthropic = req.headers['anthropic-version'] !== undefined;
  const items = models.map((model) =>
    isAnthropic ? anthropicModel(model, created) : openaiModel(model, created),
  );
  const list = isAnthropic
    ? { data: items, has_more: false, first_id: models[0] ?? null, last_id: models.at(-1) ?? null }
    : { object: 'list', data: items };
  const body = JSON.stringify(only === undefined ? list : items[0]);
  res.writeHead(200, {
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
  });
  res.end(body);
}

function openaiModel(id: string, created: number): object {
  return { id, object: 'model', created: Math.floor(created / 1000), owned_by: 'sallyport' };
}

function anthropicModel(id: string, created: number): object {
  return { type: 'model', id, display_name: id, created_at: new Date(created).toISOString() };
}
