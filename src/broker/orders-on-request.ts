/** What the orders in force come to for one request. */
import { alternativeWith } from '../core/configured.ts';
import type { Endpoint, EndpointAlternative } from '../core/endpoints.ts';
import { NO_EFFECT, effectOf, type Effect } from '../core/orders/effect.ts';
import type { OrderSubject } from '../core/orders/selector.ts';
import type { RequestFacts } from '../core/requests.ts';
import type { Broker } from './broker.ts';

type Asked = Pick<
  RequestFacts,
  | 'personId'
  | 'labId'
  | 'grantId'
  | 'tokenId'
  | 'purpose'
  | 'runId'
  | 'endpoint'
  | 'model'
  | 'features'
>;

/** The most restrictive combination of the orders in force, for a request. */
export function ordersOnRequest(
  { policy, rules, clock }: Broker,
  asked: Asked,
  address: string,
): Effect {
  const { orders } = policy;
  if (orders.length === 0) return NO_EFFECT;
  const subject: OrderSubject = { ...asked, person: policy.person(asked.personId), address };
  return effectOf(orders, subject, clock(), rules.orders.watchTokenSeconds);
}

/** What puts back every safeguard that orders want back; undefined: nothing has to be, or nothing does. */
export const alternativeFor = (
  { alternatives }: Pick<Endpoint, 'alternatives'>,
  model: string,
  { putBack }: Pick<Effect, 'putBack'>,
): EndpointAlternative | undefined =>
  putBack.size === 0 ? undefined : alternativeWith(alternatives, model, [...putBack.keys()]);
