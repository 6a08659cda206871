import { describe, expect, test } from 'vitest';
import { AUTHORITY, isWithin, reachOf, type Action, type Reach } from '../../src/core/authority.ts';
import { ROLES_OF_LAB, type LabKind, type Role } from '../../src/core/people.ts';
import { HOST, OTHER_PARTNER, PARTNER, aLab, aMember } from '../support/facts.ts';

const ACTIONS = Object.keys(AUTHORITY) as Action[];
const LABS = { host: HOST, partner: PARTNER, auditor: aLab('auditor') } as const;

const HOLDERS = (Object.keys(ROLES_OF_LAB) as LabKind[]).flatMap((kind) =>
  ROLES_OF_LAB[kind].map((role) => [kind, role] as const),
);

const reach = (kind: LabKind, action: Action, ...roles: Role[]): Reach | undefined => {
  const found = reachOf(aMember(LABS[kind], 'someone', ...roles), action);
  return typeof found === 'string' ? found : undefined;
};

describe('the table', () => {
  test.each(ACTIONS)('%s: there is somebody who may', (action) => {
    expect(HOLDERS.some(([kind, role]) => reach(kind, action, role))).toBe(true);
  });

  test.each(ACTIONS)('%s: every rule is for a role that people can hold', (action) => {
    const possible = HOLDERS.map(([kind, role]) => `${kind}.${role}`);
    for (const holder of Object.keys(AUTHORITY[action])) expect(possible).toContain(holder);
  });

  test("a partner's people never reach beyond their lab", () => {
    for (const action of ACTIONS)
      for (const role of ROLES_OF_LAB.partner)
        expect(reach('partner', action, role)).not.toBe('all');
  });

  test("a partner's people decide on no grant and no order, and export nothing of others", () => {
    const actions: Action[] = [
      'grant.approve',
      'grant.return',
      'grant.reject',
      'grant.revoke',
      'lab.create',
      'incident.read',
      'incident.open',
      'incident.change',
      'incident.report',
      'incident.export',
    ];
    for (const action of actions)
      for (const role of ROLES_OF_LAB.partner)
        expect(reach('partner', action, role)).toBeUndefined();
    for (const action of ['export.create', 'report.grant'] as const) {
      expect(reach('partner', action, 'lead')).toBe('lab');
      expect(reach('partner', action, 'auditor')).toBe('lab');
      expect(reach('partner', action, 'researcher')).toBeUndefined();
    }
  });

  test('the host accepts nothing and hands nothing back in the name of a partner', () => {
    for (const role of ROLES_OF_LAB.host)
      for (const action of ['grant.accept', 'grant.close'] as const)
        expect(reach('host', action, role)).toBeUndefined();
  });

  // Who acts on an order is said by the rules of its level; an approval is theirs to give where the rules ask for it.
  test('auditors change nothing but by orders', () => {
    const changing = ACTIONS.filter(
      // To acknowledge is to speak for oneself alone, of whatever one may read.
      (action) =>
        !/\.read$|^order\.|^dispute\.|^(export\.create|log\.(archive|mirror)|report\.(run|grant)|incident\.export|grant\.approve|notice\.acknowledge|transcript\.check)$|^duty\.(confirm|return)$/.test(
          action,
        ),
    );
    for (const action of changing) {
      expect(reach('auditor', action, 'auditor') ?? 'self').toBe('self');
      expect(reach('host', action, 'auditor') ?? 'self').toBe('self');
    }
  });

  test('a researcher sees only their own tokens, usage and entries', () => {
    for (const action of ['token.read', 'usage.read', 'log.read', 'token.revoke'] as const)
      expect(reach('partner', action, 'researcher')).toBe('self');
  });
});

describe('reach', () => {
  test('a role of another kind of lab counts for nothing', () => {
    expect(reach('partner', 'grant.approve', 'admin', 'safety')).toBeUndefined();
    expect(reach('auditor', 'grant.approve', 'safety')).toBeUndefined();
  });

  test('of several roles the widest counts', () => {
    expect(reach('partner', 'usage.read', 'researcher', 'lead')).toBe('lab');
    expect(reach('partner', 'usage.read', 'lead', 'researcher')).toBe('lab');
  });

  test('a person without roles may do nothing', () => {
    for (const action of ACTIONS) expect(reach('host', action)).toBeUndefined();
  });

  test('a person who was removed may do nothing', () => {
    const { lab, person } = aMember(HOST, 'gone', 'admin', 'safety', 'auditor');
    for (const action of ACTIONS)
      expect(reachOf({ lab, person: { ...person, removedAt: 1 } }, action)).toMatchObject({
        code: 'person_removed',
      });
  });

  test('a refusal names the roles that would do', () => {
    const why = reachOf(aMember(PARTNER, 'lead', 'lead'), 'grant.approve');
    expect(why).toMatchObject({
      code: 'role_required',
      message:
        'Your role does not allow this. It asks for the role admin or safety or executive or auditor of the host lab.',
    });
    expect(reachOf(aMember(PARTNER, 'a', 'auditor', 'researcher'), 'person.remove')).toMatchObject({
      message:
        'Your roles do not allow this. It asks for the role admin or safety of the host lab, or lead of the partner lab.',
    });
  });

  test('ends at the lab, or at the person', () => {
    const who = aMember(PARTNER, 'who', 'lead');
    const own = { labId: PARTNER.id, personId: who.person.id };
    const colleague = { ...own, personId: 'per_other' };
    const foreign = { labId: OTHER_PARTNER.id, personId: 'per_third' };
    const table: [Reach, typeof own, boolean][] = [
      ['all', foreign, true],
      ['lab', own, true],
      ['lab', colleague, true],
      ['lab', foreign, false],
      ['self', own, true],
      ['self', colleague, false],
      ['self', foreign, false],
    ];
    for (const [how, owner, expected] of table) expect(isWithin(how, who, owner)).toBe(expected);
    // What belongs to nobody is within nobody's reach but everybody's.
    for (const nobody of [{}, { labId: null, personId: null }]) {
      expect(isWithin('lab', who, nobody)).toBe(false);
      expect(isWithin('self', who, nobody)).toBe(false);
    }
  });
});
