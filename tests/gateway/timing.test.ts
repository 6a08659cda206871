import { describe, expect, it } from 'vitest';
import { Timing } from '../../src/gateway/timing.ts';

describe('the time of a request', () => {
  it('is split into its arrival, ours and the upstream’s, with nothing left out', () => {
    const timing = new Timing(1_000);
    timing.received(1_010);
    timing.upstreamBegun(1_013);
    timing.upstreamFirstByte(1_100);
    timing.upstreamEnded(1_200);
    const split = timing.split(1_204);
    expect(split).toEqual({ receiveMs: 10, gatewayMs: 7, upstreamMs: 187, firstByteMs: 87 });
    expect(split.receiveMs + split.gatewayMs + split.upstreamMs).toBe(204);
  });

  it('is all ours until the upstream is asked', () => {
    const timing = new Timing(0);
    timing.received(1);
    timing.upstreamEnded(30);
    expect(timing.split(50)).toEqual({
      receiveMs: 1,
      gatewayMs: 49,
      upstreamMs: 0,
      firstByteMs: undefined,
    });
  });

  it('that passes while the upstream is silent is the upstream’s', () => {
    const timing = new Timing(0);
    timing.received(1);
    timing.upstreamBegun(3);
    expect(timing.split(100)).toMatchObject({ gatewayMs: 2, upstreamMs: 97 });
  });

  it('counts from the first of each mark', () => {
    const timing = new Timing(0);
    for (const now of [1, 500]) timing.received(now);
    for (const now of [2, 600]) timing.upstreamBegun(now);
    for (const now of [10, 700]) timing.upstreamFirstByte(now);
    for (const now of [20, 800]) timing.upstreamEnded(now);
    expect(timing.split(25)).toEqual({
      receiveMs: 1,
      gatewayMs: 6,
      upstreamMs: 18,
      firstByteMs: 8,
    });
  });

  it('stands in a header in tenths of milliseconds', () => {
    const timing = new Timing(0);
    timing.received(0.04);
    timing.upstreamBegun(1.26);
    timing.upstreamFirstByte(124.66);
    expect(timing.header(125.7)).toBe('receive;dur=0, gateway;dur=2.3, upstream;dur=123.4');
  });
});
