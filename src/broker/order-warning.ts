/** What whoever issues an order should look at again. */
import { canPutBack } from '../core/configured.ts';
import { grantedModels, type Grant } from '../core/grants.ts';
import { effectOf } from '../core/orders/effect.ts';
import { LEVEL, type OrderSpec } from '../core/orders/order.ts';
import { partsOf, selectorInWords } from '../core/orders/selector.ts';
import type { Broker } from './broker.ts';
import { reaches } from './touched-by.ts';

type Facts = Pick<Broker, 'policy' | 'clock' | 'configured' | 'endpoints'>;

/**
 * An order is never refused for naming what is not there: a typing error must not cost the seconds that count.
 *
 * @param isIssued whether the order is in force, and not only looked at
 */
export function warningFor(facts: Facts, spec: OrderSpec, isIssued: boolean): string | undefined {
  const nothing = isIssued
    ? 'The order is in force, but at present nothing here matches its selector'
    : 'At present nothing here matches its selector';
  const missing = missingPart(facts, spec);
  if (missing !== undefined) return `${nothing}: ${missing}.`;
  if (spec.level === LEVEL.notice) return undefined;
  const reached = [...facts.policy.grants()].filter((grant) => reaches(facts, spec, grant));
  if (reached.length === 0)
    return `${nothing}: no grant in force gives anybody access that ${selectorInWords(spec.selector)} is about.`;
  const said = [
    unknownAttributes(facts, spec),
    withoutLimits(spec, reached),
    networkShortensNothing(spec),
    nothingPutsBack(facts, spec, reached),
  ].filter((one) => one !== undefined);
  return said.length === 0 ? undefined : said.join(' ');
}

/** The first part of a selector that names what is not there. */
function missingPart(
  { policy, endpoints }: Facts,
  { selector }: Pick<OrderSpec, 'selector'>,
): string | undefined {
  const { grant, lab, person, endpoint, model, safeguard, token, run } = partsOf(selector);
  const live = token === undefined ? undefined : policy.token(token);
  const missing: [part: unknown, isThere: () => boolean, why: string][] = [
    [grant, () => policy.grant(grant ?? '') !== undefined, `there is no grant ${grant}`],
    [lab, () => policy.lab(lab ?? '') !== undefined, `there is no lab ${lab}`],
    [person, () => policy.person(person ?? '') !== undefined, `there is no person ${person}`],
    [token, () => live !== undefined, `there is no live token ${token}`],
    [
      token,
      () => typeof live?.grantId === 'string',
      `the token ${token} is one of the control API, and orders are about access to models. Revoke it`,
    ],
    [run, () => hasLiveToken(policy, run), `the run ${run} has no live token`],
    [endpoint, () => endpoints.has(endpoint ?? ''), `there is no endpoint "${endpoint}"`],
    [
      model,
      () => [...endpoints.values()].some(({ models }) => models.includes(model ?? '')),
      `no endpoint offers the model "${model}"`,
    ],
    [
      safeguard,
      () => (policy.safeguardAt(selector) ?? []).length > 0,
      `no endpoint lifts the safeguard "${safeguard}"`,
    ],
  ];
  return missing.find(([part, isThere]) => part !== undefined && !isThere())?.[2];
}

function hasLiveToken(policy: Facts['policy'], run: string | undefined): boolean {
  for (const token of policy.tokens()) if (token.runId === run) return true;
  return false;
}

/** An attribute that is misspelt is one that is known of nobody. */
function unknownAttributes({ policy }: Facts, { selector }: OrderSpec): string | undefined {
  const { attributes = [] } = partsOf(selector);
  const people = [...policy.people()];
  const unknown = attributes
    .map(({ name }) => name)
    .filter((name) => !people.some((person) => Object.hasOwn(person.attributes, name)));
  if (unknown.length === 0) return undefined;
  return `Of nobody here it is known what ${unknown.map((name) => `"${name}"`).join(', ')} is: the order is about all of whom it is not known.`;
}

const SHOWN = 3;

const someOf = (names: readonly string[]): string =>
  names.length > SHOWN
    ? `${names.slice(0, SHOWN).join(', ')} and ${names.length - SHOWN} more`
    : names.join(', ');

/** Of what has no limit, there is no part. */
function withoutLimits({ measures }: OrderSpec, reached: readonly Grant[]): string | undefined {
  if (measures.limitsPercent === undefined) return undefined;
  const free = reached.filter(({ spec }) =>
    [...Object.values(spec.limits), ...Object.values(spec.perPerson.limits)].every(
      (limit) => limit === null,
    ),
  );
  if (free.length === 0) return undefined;
  return `There are no limits that could be scaled in ${someOf(free.map(({ id }) => id))}: nothing is less there.`;
}

/** Where a token will be used from is not known when it is issued. */
const networkShortensNothing = ({ level, selector, measures }: OrderSpec): string | undefined =>
  partsOf(selector).network !== undefined &&
  (level === LEVEL.watch || measures.tokenSeconds !== undefined)
    ? 'What it says of tokens has no effect: an order about a network shortens none.'
    : undefined;

/** Models that an order stops, since nothing puts back what it and the others in force want back. */
function nothingPutsBack(
  { policy, clock, configured }: Facts,
  { selector, measures }: OrderSpec,
  reached: readonly Grant[],
): string | undefined {
  const { putBack = [] } = measures;
  if (putBack.length === 0) return undefined;
  const { endpoint: onlyAt, model: only } = partsOf(selector);
  const safeguardAt = policy.safeguardAt(selector);
  const stuck = new Set<string>();
  for (const { id, spec } of reached)
    for (const { endpoint, model } of grantedModels(spec)) {
      if (onlyAt !== undefined && onlyAt !== endpoint) continue;
      if (only !== undefined && only !== model) continue;
      if (safeguardAt !== null && !safeguardAt.includes(endpoint)) continue;
      const subject = { grantId: id, labId: spec.lab, endpoint, model };
      const before = effectOf(policy.orders, subject, clock()).putBack.keys();
      if (!canPutBack(configured, endpoint, model, [...putBack, ...before]))
        stuck.add(`${model} at ${endpoint}`);
    }
  if (stuck.size === 0) return undefined;
  return `Nothing is configured that puts back ${putBack.join(', ')}, with what other orders want back, for ${someOf([...stuck])} ("alternatives"): requests there are refused. The order is about ${selectorInWords(selector)}.`;
}
