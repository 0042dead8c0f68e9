/**
 * How far a mean of one run is from what it would be if the same run went on: a circular block bootstrap of its per-second
 * values (Politis and Romano 1992). Blocks, because a second is like the one before it: a sweep may take ten of them.
 */

/** Fewer seconds say nothing of their noise. */
const MIN_SECONDS = 8;
const RESAMPLES = 1_000;

/**
 * Three times the deviation of the resampled means, as a share of the mean; null: too few values, or none. Three, because a
 * dozen figures are judged at once and none of them should be called different by chance.
 */
export function relativeNoise(values: readonly number[]): number | null {
  const { length } = values;
  if (length < MIN_SECONDS) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / length;
  if (!(mean > 0)) return null;
  const block = Math.ceil(Math.sqrt(length));
  const random = generator(length);
  const means = Array.from({ length: RESAMPLES }, () => {
    let sum = 0;
    for (let taken = 0; taken < length; ) {
      const from = Math.floor(random() * length);
      for (let at = 0; at < block && taken < length; at++, taken++) sum += values[(from + at) % length] as number;
    }
    return sum / length;
  });
  const squares = means.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return (3 * Math.sqrt(squares / RESAMPLES)) / mean;
}

/** Uniform in [0, 1) (mulberry32, public domain): the same figures give the same verdict. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
