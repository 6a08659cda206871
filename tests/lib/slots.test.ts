/** What stands in for a `Set` and a `Map` of what comes and goes does what they would do. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ShortLivedMap } from '../../src/lib/short-lived-map.ts';
import { Slots, type Slotted } from '../../src/lib/slots.ts';

const members = (many: number): Slotted[] => Array.from({ length: many }, () => ({ slot: -1 }));

describe('slots', () => {
  test('hold what a set would hold, whatever comes and goes', () => {
    const step = fc.record({
      does: fc.constantFrom('add' as const, 'delete' as const),
      which: fc.nat(7),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const all = members(8);
        const slots = new Slots<Slotted>();
        const set = new Set<Slotted>();
        for (const { does, which } of steps) {
          const member = all[which] as Slotted;
          slots[does](member);
          set[does](member);
          expect(slots.size).toBe(set.size);
          expect(new Set(slots)).toEqual(set);
          expect([...slots]).toHaveLength(set.size);
          for (const one of all) expect(slots.has(one)).toBe(set.has(one));
        }
      }),
    );
  });

  test('a member that was taken out is in no slot', () => {
    const [first, second] = members(2) as [Slotted, Slotted];
    const slots = new Slots<Slotted>();
    slots.add(first);
    slots.add(second);
    slots.delete(first);
    expect([first.slot, second.slot]).toEqual([-1, 0]);
    slots.delete(second);
    expect([second.slot, slots.size]).toEqual([-1, 0]);
  });

  test('may change while they are gone through: all that were there are met, once', () => {
    const all = members(6);
    const slots = new Slots<Slotted>();
    for (const member of all) slots.add(member);
    const met: Slotted[] = [];
    for (const member of slots) {
      met.push(member);
      slots.delete(member);
      slots.delete(all[5] as Slotted);
      if (met.length === 2) slots.add({ slot: -1 });
    }
    // By identity: all of them look the same.
    expect(met.map((member) => all.indexOf(member))).toEqual([0, 1, 2, 3, 4, 5]);
    expect(slots.size).toBe(1);
  });

  test('do not take one of other slots for their own', () => {
    const [mine, other] = members(2) as [Slotted, Slotted];
    const [slots, others] = [new Slots<Slotted>(), new Slots<Slotted>()];
    slots.add(mine);
    others.add(other);
    expect(slots.has(other)).toBe(false);
    slots.delete(other);
    expect([slots.size, others.has(other)]).toEqual([1, true]);
  });
});

describe('a short-lived map', () => {
  /** Names that every object has, and those that are kept in another way than others. */
  const KEYS = [
    'req_1',
    'req_2',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '0',
    '',
  ];

  test('holds what a map would hold, whatever the keys are called', () => {
    const step = fc.record({
      does: fc.constantFrom('set', 'delete'),
      key: fc.constantFrom(...KEYS),
      value: fc.constantFrom<unknown>(0, '', false, null, NaN, {}),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const wasThere: unknown[][] = [];
        const [short, map] = [new ShortLivedMap<unknown>(), new Map<string, unknown>()];
        for (const { does, key, value } of steps) {
          if (does === 'delete') wasThere.push([short.delete(key), map.delete(key)]);
          else for (const one of [short, map]) one.set(key, value);
          for (const one of KEYS) expect(short.get(one)).toBe(map.get(one));
        }
        for (const [inShort, inMap] of wasThere) expect(inShort).toBe(inMap);
      }),
    );
  });

  test('shares nothing with others', () => {
    const [one, other] = [new ShortLivedMap<object>(), new ShortLivedMap<object>()];
    one.set('__proto__', { polluted: true });
    expect([other.get('polluted'), other.get('__proto__'), one.get('polluted')]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect({}).not.toHaveProperty('polluted');
  });
});
