import { describe, expect, test } from 'vitest';
import {
  decideLift,
  orderSpecSchema,
  refusalByOrders,
  selectorSchema,
} from '../../src/core/orders.ts';
import { HOST, LEAD, PARTNER, aMember, anOrder, idOf } from '../support/facts.ts';

const ISSUER = aMember(HOST, 'safety', 'safety');
const OTHER = aMember(HOST, 'other', 'safety');

describe('an order is lifted', () => {
  const order = anOrder('o', { all: true }, { issuedBy: ISSUER.person.id });

  test('by another person than the one who issued it', () => {
    expect(decideLift(order, OTHER)).toBeNull();
    expect(decideLift(order, ISSUER)).toMatchObject({ code: 'second_person_needed' });
  });

  test('once', () => {
    for (const who of [ISSUER, OTHER])
      expect(decideLift({ ...order, liftedAt: 1, liftedBy: OTHER.person.id }, who)).toMatchObject({
        code: 'order_not_in_force',
      });
  });
});

test('a refusal names the orders, and who to ask', () => {
  const order = anOrder('o', { lab: PARTNER.id });
  const subject = { grantId: idOf('grt', 'one'), labId: PARTNER.id };
  expect(refusalByOrders([order], subject)).toMatchObject({
    code: 'lab_suspended',
    message: `Access of this lab is suspended by an order (${order.id}; level 4, suspend). Ask the host lab.`,
    orders: [order.id],
  });
});

describe('a selector', () => {
  test.each([
    { all: true },
    { grant: idOf('grt', 'one') },
    { lab: PARTNER.id },
    { endpoint: 'demo' },
    { model: 'model-a-1' },
    { person: LEAD.person.id },
  ])('%j names one thing', (selector) => {
    expect(selectorSchema.parse(selector)).toEqual(selector);
  });

  test.each([
    {},
    { all: false },
    { all: true, lab: PARTNER.id },
    { grant: PARTNER.id },
    { lab: 'Partner Lab' },
    { endpoint: '' },
    { everything: true },
    null,
    'all',
  ])('%j does not', (selector) => {
    expect(selectorSchema.safeParse(selector).success).toBe(false);
  });
});

test('an order needs grounds, and other levels are refused by name', () => {
  const spec = { selector: { all: true }, grounds: 'A reason' };
  expect(orderSpecSchema.parse(spec)).toMatchObject({ level: 4 });
  for (const grounds of [undefined, '', '   '])
    expect(orderSpecSchema.safeParse({ ...spec, grounds }).success).toBe(false);
  const refused = orderSpecSchema.safeParse({ ...spec, level: 5 });
  expect(refused.error?.issues[0]?.message).toContain('only level 4');
});
