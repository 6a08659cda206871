/** The model's answer to "may this pass?" and "what is shown of it?". */
import type { GrantStatus } from '../../../src/core/access.ts';
import type { GrantSpec } from '../../../src/core/grants.ts';
import type { Purpose, Switch } from '../../../src/core/vocabulary.ts';
import {
  lacks,
  personOf,
  placesOf,
  type Model,
  type ModelGrant,
  type ModelOrder,
  type ModelPerson,
} from './state.ts';
import { LIFTED, NEVER, RESTORED_BY, WITH_ALTERNATIVE, inTestNetwork } from './setting.ts';

/** Who asks, for what. What is absent is not known, or not part of it. */
export interface Subject {
  grant: ModelGrant;
  person?: ModelPerson | undefined;
  purpose?: Purpose | undefined;
  endpoint?: string | undefined;
  model?: string | undefined;
  features?: readonly Switch[] | undefined;
  address?: string | undefined;
  run?: string | undefined;
  token?: string | undefined;
}

export const isOrderInForce = (order: ModelOrder, now: number): boolean =>
  !order.ended && now < Math.min(order.lapses, order.expires, order.unreviewed);

/** Whether every part that an order names is there, and is what it names. */
function isAbout({ selector }: Pick<ModelOrder, 'selector'>, subject: Subject): boolean {
  if ('all' in selector) return true;
  const { grant, person } = subject;
  const { attributes = [], network, feature, safeguard, ...rest } = selector;
  const facts: Record<keyof typeof rest, string | undefined> = {
    grant: grant.id,
    lab: grant.lab,
    person: person?.id,
    endpoint: subject.endpoint,
    model: subject.model,
    purpose: subject.purpose,
    run: subject.run,
    token: subject.token,
  };
  const named = Object.entries(rest) as [keyof typeof rest, string | undefined][];
  if (!named.every(([part, wanted]) => wanted === undefined || facts[part] === wanted))
    return false;
  if (feature !== undefined && !subject.features?.includes(feature)) return false;
  if (safeguard !== undefined && !LIFTED[subject.endpoint ?? '']?.includes(safeguard)) return false;
  if (network !== undefined && !(subject.address !== undefined && inTestNetwork(subject.address)))
    return false;
  return attributes.every(({ name, is, unknown }) => {
    if (!person) return false;
    const value = person.attributes[name];
    return value === undefined ? unknown === 'matches' : is.includes(value);
  });
}

/** Whether orders stop it, safeguards that are put back aside. */
export function isStopped(model: Model, subject: Subject): boolean {
  return model.orders.some((order) => {
    if (!isOrderInForce(order, model.now) || !isAbout(order, subject)) return false;
    if (order.level >= 3) return true;
    if (order.level < 2) return false;
    const { purposes = [], features = [] } = order.measures;
    return (
      purposes.some((purpose) => purpose === subject.purpose) ||
      features.some((feature) => subject.features?.includes(feature))
    );
  });
}

const modelsOf = ({ endpoints }: GrantSpec): { endpoint: string; model: string }[] =>
  endpoints.flatMap(({ endpoint, models }) => models.map((model) => ({ endpoint, model })));

/** Whether orders leave nothing of a whole grant. */
function isStoppedWhole(model: Model, grant: ModelGrant): boolean {
  const { spec } = grant.text;
  return (
    isStopped(model, { grant }) ||
    openModels(model, { grant }).length === 0 ||
    spec.purposes.allowed.every((purpose) => isStopped(model, { grant, purpose }))
  );
}

/** What is to be shown of a grant. */
export function statusOf(model: Model, grant: ModelGrant): GrantStatus {
  const { window } = grant.text.spec;
  if (grant.state !== 'active') return grant.state;
  if (model.now >= Date.parse(window.until)) return 'expired';
  if (model.now >= grant.reviewDue || isStoppedWhole(model, grant)) return 'suspended';
  return model.now < Date.parse(window.from) ? 'scheduled' : 'active';
}

/** Whether somebody holds access for a purpose, before it is known to which model. */
export function holdsAccess(model: Model, subject: Subject): boolean {
  const { grant, person, purpose } = subject;
  const { spec } = grant.text;
  if (!person || person.removed || person.lab !== grant.lab || purpose === undefined) return false;
  const until = placesOf(grant, spec).get(person.id) ?? 0;
  const { endpoint: _, model: __, features: ___, address: ____, ...held } = subject;
  return (
    statusOf(model, grant) === 'active' &&
    model.now < until &&
    !lacks(person, spec, model.now) &&
    spec.purposes.allowed.includes(purpose) &&
    !spec.purposes.excluded.includes(purpose) &&
    spec.binding === 'none' &&
    !isStopped(model, held)
  );
}

/** Whether somebody may be given a token. */
export function mayHaveToken(model: Model, subject: Subject): boolean {
  const { grant, person } = subject;
  const accepted = grant.accepted.get(grant.text.spec.terms.text);
  return holdsAccess(model, subject) && accepted?.has(person?.id ?? '') === true;
}

/** Whether a request passes. @param restored safeguards that what it goes to has */
export function passes(model: Model, subject: Subject, restored: readonly string[]): boolean {
  const { grant, endpoint, model: name, address = '' } = subject;
  const { spec } = grant.text;
  if (!holdsAccess(model, subject)) return false;
  if (spec.networks !== null && !inTestNetwork(address)) return false;
  const isCovered = modelsOf(spec).some((one) => one.endpoint === endpoint && one.model === name);
  if (!isCovered || NEVER.model === name || isStopped(model, subject)) return false;
  return putBackFor(model, subject).every((safeguard) => restored.includes(safeguard));
}

/** What a grant's models are called with, in the way of the configuration. */
export const restoredFor = (endpoint: string): readonly string[] => RESTORED_BY[endpoint] ?? [];

/** The models that are open to somebody for a purpose, with whatever safeguards orders want back. */
export function openModels(model: Model, subject: Subject): string[] {
  return modelsOf(subject.grant.text.spec)
    .filter((one) => !isStopped(model, { ...subject, ...one }))
    .filter((one) => {
      const wanted = putBackFor(model, { ...subject, ...one });
      const restored = one.model === WITH_ALTERNATIVE ? restoredFor(one.endpoint) : [];
      return wanted.every((safeguard) => restored.includes(safeguard));
    })
    .map((one) => one.model);
}

const putBackFor = (model: Model, subject: Subject): readonly string[] =>
  model.orders
    .filter(
      (order) => isOrderInForce(order, model.now) && order.level === 2 && isAbout(order, subject),
    )
    .flatMap(({ measures }) => measures.putBack ?? []);

/** Everybody who could ask for something of a grant, and a stranger. */
export function peopleAround(model: Model, grant: ModelGrant): ModelPerson[] {
  const ids = [...placesOf(grant, grant.text.spec).keys(), ...grant.left];
  return [...new Set(ids)].flatMap((id) => personOf(model, id) ?? []);
}
