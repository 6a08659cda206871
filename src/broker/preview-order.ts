/** What an order would do before it is issued, and what lesser ones would. */
import { missingOf, type OrderSpec } from '../core/orders/order.ts';
import { narrowerOrders, type Finding, type NarrowerOrder } from '../core/orders/narrower.ts';
import { bandOf, suggestedLevel, type Band } from '../core/orders/severity.ts';
import type { Broker } from './broker.ts';
import { mayRead } from './reach.ts';
import { mustHaveReach } from './order-reach.ts';
import { warningFor } from './order-warning.ts';
import { accessNow, touchedBy, type Staying, type Touched } from './touched-by.ts';

export interface OrderPreview {
  stops: Touched;
  stays: Staying;
  /** Whether nothing at all would be left. */
  stopsEverything: boolean;
  warning: string | undefined;
  missing: ReturnType<typeof missingOf>;
  /** What the severity speaks for; null where it was not said. */
  suggested: { band: Band; level: number } | null;
  narrower: (NarrowerOrder & Staying)[];
}

/** @throws RefusedError */
export async function previewOrder(
  broker: Broker,
  actorId: string,
  spec: OrderSpec,
  finding: Finding | undefined,
): Promise<OrderPreview> {
  await mustHaveReach(broker, actorId, 'order.preview');
  const { bounds } = mayRead(broker, actorId, 'order.preview');
  return previewOf(broker, spec, finding, bounds.labId);
}

/**
 * The preview of an order.
 *
 * @param only a lab whose people are told of nobody else's
 */
export async function previewOf(
  broker: Pick<Broker, 'policy' | 'clock' | 'configured' | 'live' | 'endpoints'>,
  spec: OrderSpec,
  finding: Finding | undefined,
  only: string | undefined,
): Promise<OrderPreview> {
  const access = await accessNow(broker, only);
  const { stops, stays } = await touchedBy(access, spec);
  const { severity } = spec;
  const narrower: OrderPreview['narrower'] = [];
  for (const one of narrowerOrders(spec, finding, [...broker.endpoints.values()]))
    narrower.push({ ...one, ...(await touchedBy(access, { ...spec, ...one })).stays });
  return {
    stops,
    stays,
    stopsEverything: isNothingLeft(stops, stays),
    warning: warningFor(broker, spec, false),
    missing: missingOf(spec),
    suggested: severity ? { band: bandOf(severity), level: suggestedLevel(severity) } : null,
    narrower,
  };
}

const isNothingLeft = ({ people }: Touched, stays: Staying): boolean =>
  people.length > 0 && stays.people === 0 && people.every(({ keepsPart }) => !keepsPart);
