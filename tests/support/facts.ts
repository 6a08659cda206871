/** Facts for tests of the core: labs, people, grants and orders, as plain values. */
import type { z } from 'zod';
import { grantSpecSchema, type Grant, type GrantSpec } from '../../src/core/grants.ts';
import { JUST_ISSUED, type Order } from '../../src/core/orders/order.ts';
import type { Selector } from '../../src/core/orders/selector.ts';
import type { Lab, LabKind, Member, Person, Role } from '../../src/core/people.ts';

/** An id of the right form that a test can tell apart. */
export function idOf(prefix: string, name: string): string {
  return `${prefix}_${name.toLowerCase().replaceAll(/[^0-9a-z]/g, '0')}`.padEnd(
    prefix.length + 27,
    '0',
  );
}

export function aLab(kind: LabKind, name: string = kind): Lab {
  return { id: idOf('lab', name), kind, name, createdAt: 0, identity: null };
}

export const HOST = aLab('host');
export const PARTNER = aLab('partner');
export const OTHER_PARTNER = aLab('partner', 'other');

export function aMember(lab: Lab, name: string, ...roles: Role[]): Member {
  const person: Person = {
    id: idOf('per', name),
    labId: lab.id,
    name,
    roles,
    attributes: {},
    attributesUntil: {},
    attributesSet: {},
    subject: null,
    keys: [],
    createdAt: 0,
    removedAt: null,
  };
  return { person, lab };
}

/** The moment that these facts are about. */
export const NOW = Date.parse('2026-06-15T12:00:00.000Z');
export const HOUR = 3_600_000;

export const at = (ms: number): string => new Date(ms).toISOString();

export const LEAD = aMember(PARTNER, 'lead', 'lead');
export const RESEARCHER = aMember(PARTNER, 'researcher', 'researcher');

export type SpecInput = z.input<typeof grantSpecSchema>;

export function specInput(changes: Partial<SpecInput> = {}): SpecInput {
  return {
    title: 'A grant',
    lab: PARTNER.id,
    endpoints: [{ endpoint: 'demo', models: ['model-a-1', 'model-b-1'] }],
    operations: ['chat.completions', 'messages'],
    purposes: { allowed: ['hallucination'], excluded: ['scheming'] },
    people: [{ person: LEAD.person.id }, { person: RESEARCHER.person.id }],
    window: { from: at(NOW - HOUR), until: at(NOW + HOUR) },
    terms: { version: '1', text: 'Results stay between the two labs.' },
    ...changes,
  };
}

export function aSpec(changes: Partial<SpecInput> = {}): GrantSpec {
  return grantSpecSchema.parse(specInput(changes));
}

/** An active grant whose lead and researcher have accepted. */
export function aGrant(changes: Partial<Grant> = {}): Grant {
  return {
    id: idOf('grt', 'one'),
    state: 'active',
    version: 1,
    spec: aSpec(),
    termsDigest: 'd'.repeat(64),
    authorIds: [LEAD.person.id],
    approvals: [],
    approvalsNeeded: ['admin', 'safety'],
    proposed: null,
    acceptedBy: [LEAD.person.id, RESEARCHER.person.id],
    joiners: [],
    leavers: [],
    takenOff: [],
    reviewDueAt: null,
    endedAt: null,
    acceptedForLabBy: LEAD.person.id,
    createdAt: 0,
    updatedAt: 0,
    ...changes,
  };
}

export function anOrder(name: string, selector: Selector, changes: Partial<Order> = {}): Order {
  return {
    id: idOf('ord', name),
    level: 4,
    selector,
    grounds: 'Because.',
    measures: {},
    authority: { kind: 'officer' },
    safeguardAt: null,
    issuedBy: idOf('per', 'safety'),
    issuedByLab: idOf('lab', 'host'),
    issuedAs: 'issuer',
    issuedAt: 0,
    lapsesAt: null,
    reviewDueAt: null,
    lapsesUnreviewed: false,
    ...JUST_ISSUED,
    ...changes,
  };
}
