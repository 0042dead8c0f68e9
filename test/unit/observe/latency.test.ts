// Latencies: percentiles are those of the samples, within a bucket; the recent ones forget; several add up.
import { describe, expect, it } from 'vitest';
import { addUp, LATENCY_BOUNDS_MS, Latency, percentile } from '../../../src/server/observe/latency.js';

describe('a latency', () => {
  it('has the percentiles of its samples, to the width of a bucket', () => {
    const latency = new Latency();
    for (let ms = 1; ms <= 1_000; ms++) latency.add(ms, 0);
    const { recent, counts, sumMs } = latency.figures(0);
    expect(counts).toEqual(recent);
    expect(sumMs).toBe(500_500);
    expect(percentile(recent, 0.5)).toBeCloseTo(500, -1);
    expect(percentile(recent, 0.99)).toBeCloseTo(990, -2);
  });

  it('forgets after ten seconds, and keeps the totals', () => {
    const latency = new Latency();
    latency.add(5, 100);
    latency.add(5, 9_000);
    expect(percentile(latency.figures(9_500).recent, 0.5)).toBeGreaterThan(3);
    expect(latency.figures(10_500).recent.reduce((a, b) => a + b)).toBe(1);
    expect(percentile(latency.figures(60_000).recent, 0.5)).toBeUndefined();
    expect(latency.totals().counts.reduce((a, b) => a + b)).toBe(2);
  });

  it('takes what clocks that differ make negative, and what is longer than all bounds', () => {
    const latency = new Latency();
    latency.add(-3, 0);
    latency.add(1e9, 0);
    const { counts } = latency.totals();
    expect([counts[0], counts.at(-1)]).toEqual([1, 1]);
    expect(percentile(counts, 1)).toBe(LATENCY_BOUNDS_MS.at(-1));
  });

  it('adds up over nodes', () => {
    const [one, other] = [new Latency(), new Latency()];
    for (let n = 0; n < 99; n++) one.add(1, 0);
    other.add(1_000, 0);
    const all = addUp([one.figures(0).recent, other.figures(0).recent]);
    expect(percentile(all, 0.5)).toBeLessThanOrEqual(1);
    expect(percentile(all, 0.999)).toBeGreaterThan(700);
  });
});
