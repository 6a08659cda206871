import { describe, expect, it } from 'vitest';
import { refusalOfEndedGrant } from '../../src/core/access.ts';
import {
  invitationStanding,
  placesTaken,
  refusalOfLink,
  refusalOfPlace,
  type Invitation,
} from '../../src/core/invitations.ts';
import { rosterOf } from '../../src/core/grants.ts';
import type { Member } from '../../src/core/people.ts';
import {
  HOST,
  HOUR,
  LEAD,
  NOW,
  OTHER_PARTNER,
  PARTNER,
  RESEARCHER,
  aGrant,
  aMember,
  aSpec,
  at,
  idOf,
} from '../support/facts.ts';

const DIGEST = 'ab'.repeat(32);

const anInvitation = (changes: Partial<Invitation> = {}): Invitation => ({
  id: idOf('inv', 'one'),
  labId: PARTNER.id,
  name: 'Nia New',
  roles: ['researcher'],
  attributes: {},
  subject: null,
  grantId: null,
  rosterUntil: null,
  secretDigest: DIGEST,
  invitedBy: LEAD.person.id,
  createdAt: NOW - HOUR,
  expiresAt: NOW + HOUR,
  joinedAs: null,
  endedAt: null,
  withdrawnBecause: null,
  ...changes,
});

const removed: Member = { ...LEAD, person: { ...LEAD.person, removedAt: NOW } };

describe('an invitation', () => {
  it.each([
    ['open', {}],
    ['open', { expiresAt: NOW + 1 }],
    ['expired', { expiresAt: NOW }],
    ['withdrawn', { endedAt: NOW - 1 }],
    ['withdrawn', { endedAt: NOW - 1, expiresAt: NOW - 1 }],
    ['joined', { endedAt: NOW - 1, joinedAs: RESEARCHER.person.id, expiresAt: NOW - 1 }],
  ] as const)('is %s with %j', (state, changes) => {
    const facts = { invitation: anInvitation(changes), inviter: LEAD, grant: undefined };
    expect(invitationStanding(facts, NOW).state).toBe(state);
  });

  it.each([
    ['of somebody removed', { inviter: removed }, 'withdrawn', 'invitation_not_valid'],
    ['of nobody', { inviter: undefined }, 'withdrawn', 'invitation_not_valid'],
    ['onto a grant in force', { grant: aGrant() }, 'open', undefined],
    ['onto a draft', { grant: aGrant({ state: 'draft' }) }, 'open', undefined],
    ['onto a revoked grant', { grant: aGrant({ state: 'revoked' }) }, 'expired', 'grant_revoked'],
    ['onto a closed grant', { grant: aGrant({ state: 'closed' }) }, 'expired', 'grant_closed'],
  ] as const)('%s is %4$s', (_name, facts, state, code) => {
    const standing = invitationStanding(
      { invitation: anInvitation(), inviter: LEAD, grant: undefined, ...facts },
      NOW,
    );
    expect([standing.state, standing.refusal?.code]).toEqual([state, code]);
  });

  it('onto a grant is over with its window', () => {
    const facts = {
      invitation: anInvitation({ expiresAt: NOW + 10 * HOUR }),
      inviter: LEAD,
      grant: aGrant(),
    };
    expect(invitationStanding(facts, NOW + HOUR - 1)).toEqual({ state: 'open', refusal: null });
    expect(invitationStanding(facts, NOW + HOUR)).toMatchObject({
      state: 'expired',
      refusal: { code: 'grant_expired' },
    });
  });

  it.each([
    [null, 'invitation_not_valid'],
    ['person_removed', 'invitation_not_valid'],
    ['access_handed_back', 'invitation_not_valid'],
    ['grant_revoked', 'grant_revoked'],
    ['grant_closed', 'grant_closed'],
  ] as const)('that was withdrawn because of %s says so', (withdrawnBecause, code) => {
    const invitation = anInvitation({ endedAt: NOW - 1, withdrawnBecause });
    const standing = invitationStanding({ invitation, inviter: LEAD, grant: undefined }, NOW);
    expect([standing.state, standing.refusal?.code]).toEqual(['withdrawn', code]);
  });
});

describe('a link', () => {
  it.each<[string, Invitation | undefined, string, Member | undefined, string | undefined]>([
    ['of an open invitation', anInvitation(), DIGEST, LEAD, undefined],
    ['from an admin', anInvitation(), DIGEST, aMember(HOST, 'admin', 'admin'), undefined],
    ['of no invitation', undefined, DIGEST, undefined, 'invitation_not_valid'],
    // What an unknown invitation is compared with opens nothing either.
    ['of no invitation at all', undefined, '00'.repeat(32), undefined, 'invitation_not_valid'],
    ['with another secret', anInvitation(), 'cd'.repeat(32), LEAD, 'invitation_not_valid'],
    ['that has expired', anInvitation({ expiresAt: NOW }), DIGEST, LEAD, 'invitation_not_valid'],
    ['from somebody removed', anInvitation(), DIGEST, removed, 'invitation_not_valid'],
    ['from a researcher', anInvitation(), DIGEST, RESEARCHER, 'invitation_not_valid'],
    [
      "from another lab's lead",
      anInvitation(),
      DIGEST,
      aMember(OTHER_PARTNER, 'oda', 'lead'),
      'invitation_not_valid',
    ],
  ])('%s', (_name, invitation, digest, inviter, code) => {
    const facts = invitation && { invitation, inviter, grant: undefined };
    expect(refusalOfLink(facts, digest, NOW)?.code).toBe(code);
  });

  it('with another secret tells nothing of the grant', () => {
    const facts = {
      invitation: anInvitation(),
      inviter: LEAD,
      grant: aGrant({ state: 'revoked' }),
    };
    expect(refusalOfLink(facts, 'cd'.repeat(32), NOW)?.code).toBe('invitation_not_valid');
    expect(refusalOfLink(facts, DIGEST, NOW)?.code).toBe('grant_revoked');
  });
});

describe('the places of a roster', () => {
  const everybody = (): boolean => true;
  const joiner = (name: string, until: number | null = null) => ({
    personId: idOf('per', name),
    until,
  });
  const joiners = [joiner('one'), joiner('two', NOW + 1), joiner('gone', NOW)];

  it('are taken by those whom the text names and those who joined, each once', () => {
    expect(placesTaken(aGrant({ joiners }), everybody, NOW)).toBe(4);
    const both = [{ person: LEAD.person.id }, { person: idOf('per', 'one') }];
    expect(placesTaken(aGrant({ joiners, spec: aSpec({ people: both }) }), everybody, NOW)).toBe(3);
  });

  it('are one for each, whose end is the earliest that is said', () => {
    const named = { person: idOf('per', 'one') };
    const later = at(NOW + 9 * HOUR);
    for (const [inText, invited, until] of [
      [named, NOW + 1, NOW + 1],
      [{ ...named, until: later }, null, NOW + 9 * HOUR],
      [{ ...named, until: later }, NOW + 1, NOW + 1],
      [named, null, Infinity],
    ] as const) {
      const spec = aSpec({ people: [inText] });
      const grant = aGrant({ spec, joiners: [joiner('one', invited)] });
      expect(rosterOf(grant)).toEqual([{ personId: named.person, until }]);
    }
    const over = aGrant({ spec: aSpec({ people: [named] }), joiners: [joiner('one', NOW)] });
    expect(placesTaken(over, everybody, NOW)).toBe(0);
  });

  it('are free again after a removal, a hand-back and their end', () => {
    const present = (id: string): boolean => id !== LEAD.person.id;
    expect(placesTaken(aGrant({ joiners }), present, NOW)).toBe(3);
    const leavers = [RESEARCHER.person.id];
    expect(placesTaken(aGrant({ joiners, leavers }), everybody, NOW)).toBe(3);
    const people = [{ person: LEAD.person.id, until: at(NOW) }];
    expect(placesTaken(aGrant({ spec: aSpec({ people }) }), everybody, NOW)).toBe(0);
  });

  it('are as many as the grant says, and none where it says nothing', () => {
    const capped = aGrant({ spec: aSpec({ maxPeople: 3 }) });
    expect([2, 3, 4].map((taken) => refusalOfPlace(capped, taken)?.code)).toEqual([
      undefined,
      'roster_full',
      'roster_full',
    ]);
    expect(refusalOfPlace(aGrant(), 0)?.code).toBe('roster_full');
  });
});

it.each([
  ['draft', undefined],
  ['submitted', undefined],
  ['returned', undefined],
  ['approved', undefined],
  ['active', undefined],
  ['rejected', 'grant_not_active'],
  ['revoked', 'grant_revoked'],
  ['closed', 'grant_closed'],
] as const)('a grant that is %s: %s', (state, code) => {
  expect(refusalOfEndedGrant(aGrant({ state }), NOW)?.code).toBe(code);
});

it('a grant whose window is over takes nobody, one whose window is to come does', () => {
  expect(refusalOfEndedGrant(aGrant(), NOW + HOUR)?.code).toBe('grant_expired');
  expect(refusalOfEndedGrant(aGrant(), NOW - 2 * HOUR)).toBeNull();
});
