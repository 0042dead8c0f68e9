// The same load with something and without it, in short turns next to each other: what else a machine does comes and goes more
// slowly than that, so that the ratio of two turns says more than two figures of minutes, and many ratios say how much.

/** Of many pairs. */
export interface Paired {
  /** With it to without it, in the mean, and the standard error of that. */
  readonly ratio: number;
  readonly error: number;
  readonly pairs: number;
  /** In the mean. */
  readonly with: number;
  readonly without: number;
}

/** The highest and the lowest, of each so large a share, count as the ones next to them: what else began or ended within a pair. */
const OUTER = 1 / 8;

function meanOf(figures: readonly number[]): number {
  return figures.reduce((sum, one) => sum + one, 0) / figures.length;
}

/**
 * The mean without the outer ones, and its standard error by the variance with them drawn in
 * (Tukey and McLaughlin 1963, https://www.jstor.org/stable/25049278).
 */
function trimmed(figures: readonly number[]): readonly [mean: number, error: number] {
  const sorted = [...figures].sort((a, b) => a - b);
  const outer = Math.floor(sorted.length * OUTER);
  const inner = sorted.slice(outer, sorted.length - outer);
  const [low = 0, high = 0] = [inner[0], inner.at(-1)];
  const drawnIn = sorted.map((one) => Math.min(high, Math.max(low, one)));
  const middle = meanOf(drawnIn);
  const variance = drawnIn.reduce((sum, one) => sum + (one - middle) ** 2, 0) / (drawnIn.length - 1);
  return [meanOf(inner), (Math.sqrt(variance) * Math.sqrt(sorted.length)) / inner.length];
}

/** `all`: with it, and without it. A pair of which one turn has no figure does not count. */
export function paired(all: readonly (readonly [beside: number, without: number])[]): Paired {
  const pairs = all.filter(([beside, without]) => Number.isFinite(beside / without));
  const [ratio, error] = trimmed(pairs.map(([beside, without]) => beside / without));
  const [beside] = trimmed(pairs.map(([one]) => one));
  const [without] = trimmed(pairs.map(([, one]) => one));
  return { ratio, error, pairs: pairs.length, with: beside, without };
}

/** `x1.021 ± 0.008 in 40 pairs`. */
export function shown({ ratio, error, pairs }: Paired): string {
  return `x${ratio.toFixed(3)} ± ${error.toFixed(3)} in ${pairs} pairs`;
}
