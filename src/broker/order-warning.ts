/** What whoever issues an order should look at again. */
import type { OrderSpec } from '../core/orders/order.ts';
import { partsOf, selectorInWords } from '../core/orders/selector.ts';
import type { Broker } from './broker.ts';

/**
 * An order is never refused for naming what is not there: a typing error must not cost the seconds that count.
 *
 * @param isIssued whether the order is in force, and not only looked at
 */
export function warningFor(
  { policy, endpoints }: Pick<Broker, 'policy' | 'endpoints'>,
  { selector, measures }: Pick<OrderSpec, 'selector' | 'measures'>,
  isIssued: boolean,
): string | undefined {
  const nothing = isIssued
    ? 'The order is in force, but at present nothing here matches its selector'
    : 'At present nothing here matches its selector';
  const { grant, lab, person, endpoint, model, safeguard, token } = partsOf(selector);
  const all = [...endpoints.values()];
  const missing: [unknown, boolean, string][] = [
    [grant, policy.grant(grant ?? '') !== undefined, `there is no grant ${grant}`],
    [lab, policy.lab(lab ?? '') !== undefined, `there is no lab ${lab}`],
    [person, policy.person(person ?? '') !== undefined, `there is no person ${person}`],
    [token, policy.token(token ?? '') !== undefined, `there is no live token ${token}`],
    [endpoint, endpoints.has(endpoint ?? ''), `there is no endpoint "${endpoint}"`],
    [
      model,
      all.some(({ models }) => models.includes(model ?? '')),
      `no endpoint offers the model "${model}"`,
    ],
    [
      safeguard,
      (policy.safeguardAt(selector) ?? []).length > 0,
      `no endpoint lifts the safeguard "${safeguard}"`,
    ],
  ];
  const why = missing.find(([part, isThere]) => part !== undefined && !isThere)?.[2];
  if (why !== undefined) return `${nothing}: ${why}.`;
  const { putBack = [] } = measures;
  const stuck = all.filter(
    ({ id, alternatives }) =>
      putBack.length > 0 &&
      (endpoint === undefined || endpoint === id) &&
      !alternatives.some(({ restores }) => putBack.every((one) => restores.includes(one))),
  );
  if (stuck.length === 0) return undefined;
  return `At ${stuck.map(({ id }) => id).join(', ')} nothing is configured that puts back ${putBack.join(', ')} ("alternatives"): requests there are refused. The order is about ${selectorInWords(selector)}.`;
}
