/** Who may do what to a grant, and what comes of it, as docs/grants.md has it. */
import type { GrantSpec } from '../../../src/core/grants.ts';
import { ALSO_NEEDED } from './setting.ts';
import {
  isOneOf,
  isSettled,
  personOf,
  placesOf,
  spanOfReview,
  taken,
  type Model,
  type ModelGrant,
  type ModelPerson,
  type ModelText,
} from './state.ts';
import { isNeverGranted, onlyNarrows, saysTheSame } from './texts.ts';

const isOver = (model: Model, { window }: GrantSpec): boolean =>
  Date.parse(window.until) <= model.now;

/** The side that writes grants: an admin of the host, or the lead of the lab that it is for. */
const writes = (actor: ModelPerson, lab: string): boolean =>
  !actor.removed && (isOneOf(actor, 'host.admin') || isLead(actor, lab));

const isLead = (actor: ModelPerson, lab: string): boolean =>
  !actor.removed && isOneOf(actor, 'partner.lead') && actor.lab === lab;

/** Whether a text can be one of a grant's at all. */
function canBeText(model: Model, lab: string, spec: GrantSpec): boolean {
  const isTheirs = (id: string): boolean => {
    const person = personOf(model, id);
    return person?.lab === lab && !person.removed;
  };
  return (
    spec.lab === lab &&
    !isNeverGranted(spec) &&
    model.labs.some(({ id, kind }) => id === lab && kind === 'partner') &&
    spec.people.every(({ person }) => isTheirs(person))
  );
}

/** Those who joined keep their places: a text must say that there is room for them. */
function holdsJoined(model: Model, grant: ModelGrant, spec: GrantSpec): boolean {
  const places = placesOf(grant, spec);
  const named = new Set(spec.people.map(({ person }) => person));
  const beside = new Map([...places].filter(([id]) => !named.has(id)));
  return taken(model, beside) === 0 || taken(model, places) <= (spec.maxPeople ?? 0);
}

export function mayCreate(model: Model, actor: ModelPerson, spec: GrantSpec): boolean {
  return writes(actor, spec.lab) && canBeText(model, spec.lab, spec);
}

export const newText = (spec: GrantSpec, authors: Iterable<string>): ModelText => ({
  spec,
  authors: new Set(authors),
  approvals: new Map(),
  needed: null,
});

/** What an amendment would become; undefined: it is not allowed. */
export function amendmentOf(
  model: Model,
  grant: ModelGrant,
  actor: ModelPerson,
  spec: GrantSpec,
): 'own' | 'in force' | 'next' | undefined {
  if (!writes(actor, grant.lab) || !canBeText(model, grant.lab, spec)) return undefined;
  if (!holdsJoined(model, grant, spec)) return undefined;
  if (grant.state === 'draft' || grant.state === 'returned') return 'own';
  if (!isSettled(grant) || isOver(model, grant.text.spec)) return undefined;
  if (saysTheSame(spec, grant.text.spec)) return undefined;
  if (isOneOf(actor, 'host.admin') && onlyNarrows(grant, grant.text.spec, spec)) return 'in force';
  const { next } = grant;
  return next === null || next.state === 'draft' || next.state === 'returned' ? 'next' : undefined;
}

export function amend(
  grant: ModelGrant,
  actor: ModelPerson,
  spec: GrantSpec,
  what: 'own' | 'in force' | 'next',
): void {
  const { text, next } = grant;
  if (what === 'own') grant.text = newText(spec, [...text.authors, actor.id]);
  if (what === 'next')
    grant.next = {
      ...newText(spec, [...(next?.authors ?? []), actor.id]),
      state: next?.state ?? 'draft',
    };
  if (what !== 'in force') return;
  grant.text = { ...text, spec };
  // What was reviewed before this must not undo it unseen.
  if (next?.state === 'submitted' || next?.state === 'approved')
    grant.next = { ...next, state: 'returned', approvals: new Map() };
}

/** The text under way: the grant's own until it was approved, the next one from then on. */
function underWay(grant: ModelGrant): (ModelText & { state: string }) | null {
  if (isSettled(grant)) return grant.next;
  return { ...grant.text, state: grant.state };
}

/** Steps towards being in force are of no use once a window is over. */
const lasts = (model: Model, grant: ModelGrant, text: ModelText): boolean =>
  !isOver(model, text.spec) && (!isSettled(grant) || !isOver(model, grant.text.spec));

export type PlainStep = 'submit' | 'return' | 'reject' | 'withdraw' | 'revoke' | 'close';

const REVIEWERS = ['host.admin', 'host.safety', 'host.executive'];

export function mayStep(
  model: Model,
  grant: ModelGrant,
  step: PlainStep,
  actor: ModelPerson,
): boolean {
  if (actor.removed) return false;
  const { state } = grant;
  const text = underWay(grant);
  const isAt = (...states: string[]): boolean => text !== null && states.includes(text.state);
  const wrote = (): boolean =>
    [...(grant.next ?? grant.text).authors].some((id) => personOf(model, id)?.lab === actor.lab);
  switch (step) {
    case 'submit':
      return (
        writes(actor, grant.lab) &&
        isAt('draft', 'returned') &&
        lasts(model, grant, text as ModelText)
      );
    case 'return':
      return isOneOf(actor, ...REVIEWERS) && isAt('submitted');
    case 'reject':
      return (
        isOneOf(actor, ...REVIEWERS) && isAt('submitted', ...(isSettled(grant) ? ['approved'] : []))
      );
    case 'withdraw':
      return (
        writes(actor, grant.lab) &&
        isAt('draft', 'submitted', 'returned', ...(isSettled(grant) ? ['approved'] : [])) &&
        wrote()
      );
    case 'revoke':
      return (
        isOneOf(actor, 'host.admin', 'host.safety') &&
        ['submitted', 'approved', 'active'].includes(state)
      );
    case 'close':
      return isLead(actor, grant.lab) && isSettled(grant);
  }
}

export function take(grant: ModelGrant, step: PlainStep): void {
  const text = isSettled(grant) ? grant.next : grant.text;
  const moveTo = (state: 'submitted' | 'returned'): void => {
    if (grant.next && text === grant.next) grant.next.state = state;
    else grant.state = state;
  };
  switch (step) {
    case 'submit':
      if (text) text.needed = neededFor(text.spec);
      return moveTo('submitted');
    case 'return':
      text?.approvals.clear();
      return moveTo('returned');
    case 'reject':
    case 'withdraw':
      if (isSettled(grant)) grant.next = null;
      else grant.state = step === 'reject' ? 'rejected' : 'withdrawn';
      return;
    case 'revoke':
    case 'close':
      grant.state = step === 'revoke' ? 'revoked' : 'closed';
      grant.next = null;
  }
}

const neededFor = ({ endpoints }: GrantSpec): ModelText['needed'] => [
  ...new Set([
    'admin' as const,
    'safety' as const,
    ...endpoints.flatMap(({ endpoint }) => ALSO_NEEDED[endpoint] ?? []),
  ]),
];

/** The role that an approval would fill; undefined: it is not allowed. */
export function approvalOf(
  model: Model,
  grant: ModelGrant,
  actor: ModelPerson,
  narrowed: GrantSpec | undefined,
): ModelPerson['roles'][number] | undefined {
  const text = underWay(grant);
  if (actor.removed || actor.kind !== 'host' || text?.state !== 'submitted') return undefined;
  if (!lasts(model, grant, text) || text.authors.has(actor.id)) return undefined;
  const approvals = narrowed ? new Map() : counting(model, text);
  if ([...approvals.values()].includes(actor.id)) return undefined;
  const open = (text.needed ?? []).filter((role) => !approvals.has(role));
  const role = open.find((one) => actor.roles.includes(one));
  if (role === undefined) return undefined;
  if (narrowed) {
    const isNarrower =
      onlyNarrows(grant, text.spec, narrowed) &&
      !saysTheSame({ ...narrowed, title: text.spec.title }, text.spec);
    if (!isNarrower || !canBeText(model, grant.lab, narrowed)) return undefined;
    return holdsJoined(model, grant, narrowed) ? role : undefined;
  }
  const isLast = open.length === 1 && grant.next !== null && !waitsForLead(grant, text);
  return isLast && !holdsJoined(model, grant, text.spec) ? undefined : role;
}

/** Of people who were removed or have the role no more, an approval counts no more. */
const counting = (model: Model, { approvals }: ModelText): ModelText['approvals'] =>
  new Map(
    [...approvals].filter(([role, id]) => {
      const person = personOf(model, id);
      return person !== undefined && !person.removed && person.roles.includes(role);
    }),
  );

/** New terms bind nobody before the lead has accepted them. */
const waitsForLead = (grant: ModelGrant, text: ModelText): boolean =>
  grant.state === 'active' && text.spec.terms.text !== grant.text.spec.terms.text;

export function approve(
  model: Model,
  grant: ModelGrant,
  actor: ModelPerson,
  role: ModelPerson['roles'][number],
  narrowed: GrantSpec | undefined,
): void {
  const text = (isSettled(grant) ? grant.next : grant.text) as ModelText;
  if (narrowed) text.spec = narrowed;
  const approvals = narrowed ? new Map() : counting(model, text);
  text.approvals = approvals.set(role, actor.id);
  if ((text.needed ?? []).some((one) => !approvals.has(one))) return;
  if (!isSettled(grant)) grant.state = 'approved';
  else if (waitsForLead(grant, text)) grant.next = { ...text, state: 'approved' };
  else putInForce(grant);
}

function putInForce(grant: ModelGrant): void {
  const { next } = grant;
  if (!next) throw new Error('There is nothing to put in force.');
  const { state: _, ...text } = next;
  grant.text = text;
  grant.next = null;
}

/** @param read the text of the terms that were read */
export function mayAccept(
  model: Model,
  grant: ModelGrant,
  actor: ModelPerson,
  read: string,
): boolean {
  const isTheirs =
    !actor.removed &&
    actor.lab === grant.lab &&
    isOneOf(actor, 'partner.lead', 'partner.safety', 'partner.researcher', 'partner.auditor');
  if (!isTheirs) return false;
  const { next, text } = grant;
  if (isOver(model, text.spec)) return false;
  if (isSettled(grant) && next?.state === 'approved' && next.spec.terms.text === read)
    return (
      isLead(actor, grant.lab) && !isOver(model, next.spec) && holdsJoined(model, grant, next.spec)
    );
  if (text.spec.terms.text !== read) return false;
  if (grant.state === 'approved') return isLead(actor, grant.lab);
  if (grant.state !== 'active') return false;
  return (
    placesOf(grant, text.spec).has(actor.id) && grant.accepted.get(read)?.has(actor.id) !== true
  );
}

export function accept(grant: ModelGrant, actor: ModelPerson, read: string): void {
  if (grant.next?.state === 'approved' && grant.next.spec.terms.text === read) putInForce(grant);
  else if (grant.state === 'approved') grant.state = 'active';
  grant.accepted.set(read, (grant.accepted.get(read) ?? new Set()).add(actor.id));
}

/** A text in force can bring the next review forward, and never puts it off. */
export function dateReview(grant: ModelGrant, now: number): void {
  if (grant.state !== 'active') return;
  const span = spanOfReview(grant.text.spec);
  grant.reviewDue = span === Infinity ? Infinity : Math.min(grant.reviewDue, now + span);
}

export const mayReviewGrant = (model: Model, grant: ModelGrant, actor: ModelPerson): boolean =>
  !actor.removed &&
  isOneOf(actor, 'host.admin', 'host.safety') &&
  grant.state === 'active' &&
  !isOver(model, grant.text.spec) &&
  grant.text.spec.review !== null;

/** Whether the lead may do something with the roster of a grant. */
export const keepsRoster = (model: Model, grant: ModelGrant, actor: ModelPerson): boolean =>
  isLead(actor, grant.lab) && isSettled(grant) && !isOver(model, grant.text.spec);

/** What comes of putting somebody on the roster; undefined: it is not allowed. `sure`: whatever invitations are open. */
export function additionOf(
  model: Model,
  grant: ModelGrant,
  actor: ModelPerson,
  person: ModelPerson,
): { back: boolean; sure: boolean } | undefined {
  const { spec } = grant.text;
  if (!keepsRoster(model, grant, actor) || person.lab !== grant.lab || person.removed)
    return undefined;
  if (grant.left.has(person.id)) return undefined;
  const isNamed = spec.people.some((one) => one.person === person.id);
  const until = placesOf({ ...grant, off: new Set() }, spec).get(person.id);
  const isHeld = until !== undefined && until > model.now;
  if (isHeld && !grant.off.has(person.id)) return undefined;
  if (until !== undefined && !isHeld && isNamed) return undefined;
  const back = isHeld && grant.off.has(person.id);
  if (isNamed && spec.maxPeople === undefined) return { back, sure: true };
  const hasRoom = taken(model, placesOf(grant, spec)) < (spec.maxPeople ?? 0);
  return hasRoom ? { back, sure: false } : undefined;
}
