import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rootAt } from '../../../src/core/audit/merkle.ts';
import { pastByProof } from '../../../src/core/audit/proofs.ts';
import {
  compareByTree,
  compareCheckpoints,
  seenCheckpoint,
  whyNoSplitView,
  type SeenCheckpoint,
  type SplitView,
} from '../../../src/core/audit/split-view.ts';
import { decideWatch } from '../../../src/core/audit/watching.ts';
import { SampleLog } from '../../support/witnesses.ts';

const sizes = fc.tuple(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 1, max: 80 }));

const seen = (log: SampleLog, size?: number): SeenCheckpoint =>
  seenCheckpoint(log.checkpoint(size));

const evidenceOf = (found: ReturnType<typeof compareByTree>): SplitView | undefined =>
  found.verdict === 'split' ? found.evidence : undefined;

describe('two checkpoints of a log', () => {
  it('of one history are consistent, whichever sizes they have', () => {
    fc.assert(
      fc.property(sizes, ([one, other]) => {
        const log = new SampleLog('log.example/a').growTo(Math.max(one, other));
        const [less, more] = [Math.min(one, other), Math.max(one, other)];
        const [first, second] = [seen(log, one), seen(log, other)];
        expect(compareByTree(first, second, log.hashAt).verdict).toBe('consistent');
        expect(compareCheckpoints(first, second, log.proof(less, more)).verdict).toBe('consistent');
      }),
    );
  });

  it('of two histories prove a split view by the hashes of either, to anybody who has the key', () => {
    fc.assert(
      fc.property(sizes, fc.nat(79), ([one, other], at) => {
        const before = Math.min(one, at);
        const log = new SampleLog('log.example/a').growTo(one);
        const lie = log.fork(Math.min(before, one - 1)).growTo(Math.max(one, other), 'lie');
        const found = evidenceOf(compareByTree(seen(log), seen(lie), lie.hashAt));
        if (found === undefined) throw new Error('It was not found.');
        expect(whyNoSplitView(found, log.verifierKey)).toBeUndefined();
        expect(() => whyNoSplitView(found, new SampleLog('log.example/a').verifierKey)).toThrow(
          'signed by',
        );
      }),
    );
  });

  it('of two sizes show nothing without a proof, and nothing by hashes that are wrong', () => {
    const log = new SampleLog('log.example/a').growTo(9);
    const other = new SampleLog('log.example/a').growTo(9, 'other');
    const [five, nine] = [seen(log, 5), seen(log)];
    expect(compareCheckpoints(five, nine, undefined)).toEqual({ verdict: 'undecided' });
    expect(compareCheckpoints(five, nine, other.proof(5))).toEqual({ verdict: 'undecided' });
    expect(compareByTree(five, nine, other.hashAt)).toEqual({ verdict: 'undecided' });
  });
});

describe('a proof of consistency', () => {
  it('tells the past that the newer log has, unless that is a full tree', () => {
    fc.assert(
      fc.property(sizes, ([one, other]) => {
        const [old, size] = [Math.min(one, other), Math.max(one, other)];
        const log = new SampleLog('log.example/a').growTo(size);
        const newRoot = rootAt(size, log.hashAt);
        const claim = { oldSize: old, newSize: size, newRoot, proof: log.proof(old) };
        const tells = old < size && !Number.isInteger(Math.log2(old));
        expect(pastByProof(claim)).toEqual(tells ? rootAt(old, log.hashAt) : undefined);
        const wrong = { ...claim, newRoot: rootAt(1, log.hashAt) };
        expect(size > 1 ? pastByProof(wrong) : undefined).toBeUndefined();
      }),
    );
  });
});

describe('evidence that does not prove it', () => {
  const log = new SampleLog('log.example/a').growTo(9);
  const lie = log.fork(3).growTo(12, 'lie');

  it('is told from evidence that does, with the reason', () => {
    const older = log.checkpoint();
    const newer = lie.checkpoint();
    const past = { root: rootAt(9, lie.hashAt), proof: lie.proof(9) };
    const why = (some: Partial<SplitView>): string | undefined =>
      whyNoSplitView({ older, newer, past, ...some }, log.verifierKey);
    expect(why({})).toBeUndefined();
    expect(why({ past: undefined })).toContain('no proof between');
    expect(why({ past: { ...past, proof: past.proof.slice(1) } })).toContain('does not lead');
    expect(why({ past: { ...past, root: rootAt(9, log.hashAt) } })).toContain('continues');
    expect(why({ newer: older })).toContain('the same');
  });
});

describe('a witness', () => {
  /** What somebody sends it: by an honest log or a lying one, with the size it believes in, and a right proof or not. */
  const calls = fc.array(
    fc.record({
      lies: fc.boolean(),
      size: fc.integer({ min: 1, max: 40 }),
      old: fc.option(fc.integer({ min: 0, max: 40 })),
      garbles: fc.boolean(),
    }),
    { maxLength: 30 },
  );

  it('signs one history only, never a smaller log, and keeps proof of what it is shown of another', () => {
    const honest = new SampleLog('log.example/a').growTo(40);
    const lying = honest.fork(11).growTo(40, 'lie');
    fc.assert(
      fc.property(calls, (asked) => {
        let known: SeenCheckpoint | undefined;
        const signed: { size: number; by: SampleLog }[] = [];
        const evidence: SplitView[] = [];
        for (const { lies, size, old, garbles } of asked) {
          const by = lies ? lying : honest;
          const from = old ?? known?.size ?? 0;
          const proof = from <= size && !garbles ? by.proof(from, size) : [Buffer.alloc(32, 1)];
          const submitted = { ...seen(by, size), old: from, proof };
          const decision = decideWatch(known, submitted);
          if ('splitView' in decision && decision.splitView) evidence.push(decision.splitView);
          if (decision.verdict !== 'cosign') continue;
          signed.push({ size, by });
          known = submitted;
        }
        const sizesSigned = signed.map(({ size }) => size);
        expect(sizesSigned).toEqual([...sizesSigned].sort((one, other) => one - other));
        // Up to there, both are the same.
        const pasts = new Set(signed.filter(({ size }) => size > 11).map(({ by }) => by));
        expect(pasts.size).toBeLessThan(2);
        for (const one of evidence) expect(whyNoSplitView(one, honest.verifierKey)).toBeUndefined();
      }),
    );
  });

  it('proves a lie by the very proof that came with it', () => {
    const honest = new SampleLog('log.example/a').growTo(21);
    const lying = honest.fork(11).growTo(30, 'lie');
    const decision = decideWatch(seen(honest), { ...seen(lying), old: 21, proof: lying.proof(21) });
    expect(decision).toMatchObject({
      verdict: 'inconsistent',
      splitView: { origin: honest.origin },
    });
    const same = decideWatch(seen(honest), { ...seen(lying, 21), old: 3, proof: [] });
    expect(same).toMatchObject({ verdict: 'conflict', size: 21, splitView: { past: undefined } });
  });
});
