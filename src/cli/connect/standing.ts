/** How the grant stands, as the broker says: its use, and the orders in force that touch it. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { BrokerClient } from '../broker-client.ts';
import { orderSchema, usageSchema, type Order } from '../wire.ts';

const limitsSchema = z.looseObject({ concurrent: z.number().nullable() });

/** What counts here of a grant: a broker that says more, or other things besides, is as good. */
const grantSchema = z.looseObject({
  id: z.string(),
  status: z.string(),
  statusReason: z.looseObject({ message: z.string() }).nullable(),
  spec: z.looseObject({
    lab: z.string(),
    endpoints: z.array(z.looseObject({ endpoint: z.string(), models: z.array(z.string()) })),
    limits: limitsSchema,
    perPerson: z.looseObject({ limits: limitsSchema }),
  }),
});
type Grant = z.infer<typeof grantSchema>;

export interface Standing {
  /** The grant's status, as decides requests. */
  status: string;
  /** Why nothing passes under it. */
  reason: string | null;
  orders: Order[];
  requests: number;
  /** How many requests may run at once; null: no limit. */
  concurrent: number | null;
  tokensUsed: number;
  /** The least that any budget leaves; undefined where there is none. */
  tokensLeft: number | undefined;
}

const POLL_MS = 5_000;

/** More orders than are ever in force at once. */
const MOST_ORDERS = 200;

/**
 * Asks how a grant stands.
 *
 * @throws CliError
 */
async function readStanding(broker: BrokerClient, grantId: string): Promise<Standing> {
  const [grant, usage, orders] = await Promise.all([
    broker.get(`/grants/${grantId}`, grantSchema),
    broker.get(`/grants/${grantId}/usage`, usageSchema),
    broker.list('/orders', orderSchema, MOST_ORDERS, { inForce: true }),
  ]);
  const { total } = usage;
  const own = usage.people.filter(({ personId }) => personId === broker.person);
  const left = [usage, ...own]
    .flatMap((scope) => [scope.left.tokens, scope.left.tokensPerDay])
    .flatMap((budget) => (budget ? [budget.left] : []));
  return {
    status: grant.status,
    reason: grant.statusReason?.message ?? null,
    orders: orders.items.filter((order) => touches(order, grant, broker.person)),
    concurrent: leastConcurrent(grant.spec),
    requests: total.requestsSettled + total.requestsReserved,
    tokensUsed: total.tokensSettled + total.tokensReserved,
    tokensLeft: left.length === 0 ? undefined : Math.min(...left),
  };
}

/** The tighter of what a grant and a person under it may run at once. */
function leastConcurrent({ limits, perPerson }: Grant['spec']): number | null {
  const set = [limits.concurrent, perPerson.limits.concurrent].filter((limit) => limit !== null);
  return set.length === 0 ? null : Math.min(...set);
}

/** Whether an order can touch anything of what a person can do under a grant. */
export function touches(
  { selector }: Pick<Order, 'selector'>,
  { id, spec }: { id: string; spec: Pick<Grant['spec'], 'lab' | 'endpoints'> },
  personId: string,
): boolean {
  if ('all' in selector) return true;
  const { grant, lab, person, endpoint, model } = selector;
  const covered = spec.endpoints.some(
    (entry) =>
      (endpoint === undefined || entry.endpoint === endpoint) &&
      (model === undefined || entry.models.includes(model)),
  );
  return (
    covered &&
    (grant === undefined || grant === id) &&
    (lab === undefined || lab === spec.lab) &&
    (person === undefined || person === personId)
  );
}

/** Why an order was issued; undefined where that cannot be learned now. */
export async function groundsOf(
  broker: BrokerClient,
  orderId: string,
): Promise<string | undefined> {
  const { grounds } = await broker
    .get(`/orders/${orderId}`, z.looseObject({ grounds: z.string() }))
    .catch(() => ({ grounds: undefined }));
  return grounds;
}

/**
 * Tells how the grant stands, every few seconds until the signal, or why that cannot be learned. A poll that
 * fails disturbs nothing.
 *
 * @param broker a client that ends with the same signal
 */
export async function watchStanding(
  broker: BrokerClient,
  grantId: string,
  signal: AbortSignal,
  tell: (standing: Standing | Error) => void,
): Promise<void> {
  while (!signal.aborted) {
    const outcome = await readStanding(broker, grantId).catch(asError);
    if (signal.aborted) return;
    tell(outcome);
    // Its only failure is that it is over.
    await delay(POLL_MS, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error));
