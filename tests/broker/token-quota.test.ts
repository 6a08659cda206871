import { beforeEach, expect, test } from 'vitest';
import { Policy } from '../../src/broker/policy.ts';
import { TokenQuota } from '../../src/broker/token-quota.ts';
import type { LiveToken } from '../../src/store/context.ts';
import { LEAD, NOW, RESEARCHER, idOf } from '../support/facts.ts';

const MOST = 3;
const ME = RESEARCHER.person.id;

let now: number;
let policy: Policy;
let quota: TokenQuota;

beforeEach(() => {
  now = NOW;
  policy = new Policy(
    { labs: [], people: [], grants: [], ordersInForce: [], liveTokens: [] },
    0,
    new Map(),
  );
  quota = new TokenQuota({ policy, clock: () => now, most: MOST });
});

const token = (name: string, changes: Partial<LiveToken> = {}): LiveToken => ({
  id: idOf('tok', name),
  audience: 'gateway',
  personId: ME,
  kid: 'kid',
  grantId: null,
  runId: null,
  purpose: null,
  expiresAt: NOW + 60_000,
  revokedAt: null,
  jkt: null,
  narrowing: null,
  ...changes,
});

const issued = (...tokens: LiveToken[]): void =>
  policy.apply(
    tokens.map((value) => ({ kind: 'token', value })),
    0,
  );

/** How much room there is; all of it is given back. */
function room(personId = ME): number {
  const taken: (() => void)[] = [];
  for (let one = quota.take(personId); one; one = quota.take(personId)) taken.push(one);
  for (const giveBack of taken) giveBack();
  return taken.length;
}

test('what is being issued takes room, until it is given back', () => {
  const first = quota.take(ME);
  expect(room()).toBe(MOST - 1);
  first?.();
  expect(room()).toBe(MOST);
});

test('live tokens take room, those of others do not', () => {
  issued(token('a'), token('b', { audience: 'control' }), token('c', { personId: LEAD.person.id }));
  expect([room(), room(LEAD.person.id)]).toEqual([MOST - 2, MOST - 1]);
});

test('tokens that ended or expired take none, and are not counted again', () => {
  issued(token('a'), token('b'), token('c', { expiresAt: NOW + 1 }));
  expect(room()).toBe(0);
  policy.apply([{ kind: 'tokens_ended', ids: [token('a').id], at: now }], 1);
  expect(room()).toBe(1);
  now = NOW + 1;
  expect(room()).toBe(2);
  now = NOW + 60_000;
  expect(room()).toBe(MOST);
  policy.forgetTokensExpiredBefore(now + 1);
  expect(room()).toBe(MOST);
});

test('tokens that the broker finds at its start are counted', () => {
  policy = new Policy(
    { labs: [], people: [], grants: [], ordersInForce: [], liveTokens: [token('a')] },
    0,
    new Map(),
  );
  quota = new TokenQuota({ policy, clock: () => now, most: MOST });
  expect(room()).toBe(MOST - 1);
});
