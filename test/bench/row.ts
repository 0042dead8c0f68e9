// What a benchmark module gives to the runner: figures, each beside a bare reference of the same run.

/** One line of the table. */
export interface BenchRow {
  readonly name: string;
  /** What was measured, in `unit`. */
  readonly figure: number;
  /** The bare reference in the same unit; undefined where there is none. */
  readonly reference?: number;
  /** Where it is the mean of many ratios, and not that of the two. */
  readonly ratio?: number;
  readonly unit: string;
  /** The figure must be at least (or, with `most`, at most) this; or the ratio at most that. */
  readonly bound?: { readonly least: number } | { readonly most: number } | { readonly ratio: number };
  readonly note?: string;
}

/** A module that `npm run bench` runs. */
export interface Bench {
  readonly name: string;
  readonly run: () => Promise<readonly BenchRow[]> | readonly BenchRow[];
}

/** True when the row has no bound or keeps it. */
export function holds(row: BenchRow): boolean {
  if (row.bound === undefined) return true;
  if ('ratio' in row.bound) return (ratioOf(row) ?? Number.POSITIVE_INFINITY) <= row.bound.ratio;
  return 'least' in row.bound ? row.figure >= row.bound.least : row.figure <= row.bound.most;
}

/** Figure to reference. */
export function ratioOf({ ratio, figure, reference }: BenchRow): number | undefined {
  return ratio ?? (reference === undefined ? undefined : figure / reference);
}
