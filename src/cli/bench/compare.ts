// `imgo bench compare A B`: both read and checked, then set side by side.

import { compareRuns, comparisonLines } from '../../bench/compare.js';
import { readResult } from '../../bench/result-file.js';
import type { Output } from '../output.js';
import { localise } from '../style.js';

/** @throws ImgoError bench_no_result */
export async function compareFiles(first: string, second: string, output: Output): Promise<void> {
  const [a, b] = [await readResult(first), await readResult(second)];
  const comparison = compareRuns(a, b);
  if (output.json) await output.object(comparison);
  else for (const line of comparisonLines(a, b, comparison)) await output.line(localise(line));
}
