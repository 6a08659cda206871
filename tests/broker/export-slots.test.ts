import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ExportSlots, type ExportSlot } from '../../src/broker/export-slots.ts';
import { ReaderPace } from '../../src/broker/reader-pace.ts';
import type { LabKind } from '../../src/core/people.ts';

const labsOf = (kind: LabKind, count: number): { id: string; kind: LabKind }[] =>
  Array.from({ length: count }, (_, i) => ({ id: `${kind}-${i}`, kind }));
const LABS = [...labsOf('host', 1), ...labsOf('auditor', 3), ...labsOf('partner', 5)];

describe('places for exports', () => {
  it('are four, two of a lab, and one is always left to the host and one to auditor labs', () => {
    const steps = fc.array(
      fc.record({ lab: fc.constantFrom(...LABS), gives: fc.nat(8), isBack: fc.boolean() }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(steps, (taken) => {
        const slots = new ExportSlots();
        const running: { lab: (typeof LABS)[number]; slot: ExportSlot }[] = [];
        for (const { lab, gives, isBack } of taken) {
          if (isBack) running.splice(gives, 1)[0]?.slot.cancel();
          else
            try {
              running.push({ lab, slot: slots.take('export', lab) });
            } catch {
              // What is refused changes nothing.
            }
          expect(running.length).toBeLessThanOrEqual(4);
          for (const { id } of LABS)
            expect(running.filter((one) => one.lab.id === id).length).toBeLessThanOrEqual(2);
          for (const kind of ['host', 'auditor'] as const)
            if (running.every((one) => one.lab.kind !== kind))
              slots.take('export', { id: `${kind}-0`, kind }).cancel();
        }
      }),
    );
  });

  it('are refused to a third of a lab, and to a third of the partners', () => {
    const slots = new ExportSlots();
    const [one, other, third] = labsOf('partner', 3) as [
      (typeof LABS)[0],
      (typeof LABS)[0],
      (typeof LABS)[0],
    ];
    slots.take('export', one);
    const second = slots.take('export', one);
    expect(() => slots.take('export', one)).toThrow('2 exports of your lab are running');
    expect(() => slots.take('export', other)).toThrow('As many exports are running');
    second.cancel();
    second.cancel();
    slots.take('export', other);
    expect(() => slots.take('export', third)).toThrow('As many exports are running');
    slots.take('report', third);
  });

  it('that a thread holds are given back when it has ended, not before', async () => {
    const slots = new ExportSlots();
    const [lab] = labsOf('host', 1) as [(typeof LABS)[0]];
    slots.take('export', lab);
    let end = (): void => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const slot = slots.take('export', lab);
    slot.holdUntil(ended);
    slot.cancel();
    expect(() => slots.take('export', lab)).toThrow('2 exports of your lab are running');
    end();
    await ended;
    slots.take('export', lab);
  });
});

describe('the pace of a reader', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const LEAST = { bytes: 1_000, withinMs: 100 };

  it('is too slow where bytes trickle, though none of them waits for long', () => {
    const tooSlow = vi.fn<() => void>();
    const pace = new ReaderPace(LEAST, tooSlow);
    for (let i = 0; i < 9; i += 1) {
      const taken = pace.offer(100);
      vi.advanceTimersByTime(11);
      taken();
    }
    expect(tooSlow).not.toHaveBeenCalled();
    pace.offer(100);
    vi.advanceTimersByTime(1);
    expect(tooSlow).toHaveBeenCalledOnce();
  });

  it('is good where enough is taken, however long the reader waits for more', () => {
    const tooSlow = vi.fn<() => void>();
    const pace = new ReaderPace(LEAST, tooSlow);
    for (let i = 0; i < 50; i += 1) {
      const taken = pace.offer(100);
      vi.advanceTimersByTime(9);
      taken();
      vi.advanceTimersByTime(5_000);
    }
    expect(tooSlow).not.toHaveBeenCalled();
  });
});
