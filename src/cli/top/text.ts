// `imgo top` without a terminal of its own: the same blocks as aligned text, in a pipe and with --once.

import type { Look } from '../tui/look.js';
import { screenful } from './draw.js';
import type { Known } from './feed.js';
import type { Standing } from './head.js';
import type { TopState } from './state.js';

/** Rows of a table that are printed. */
export const PRINTED = 20;
const COLUMNS = 120;
/** As much place as there has to be for all blocks. */
const ROWS = 60;

/** A look, as lines. Rules become titles: nothing is framed. */
export function textOf(
  state: TopState,
  known: Known,
  standing: Standing,
  look: Pick<Look, 'coloured' | 'unicode'> & { readonly columns?: number | undefined },
): readonly string[] {
  const drawing = { ...look, columns: look.columns ?? COLUMNS, rows: ROWS, framed: false };
  const { lines } = screenful(state, known, standing, drawing);
  return lines.map((text) => text.trimEnd());
}
