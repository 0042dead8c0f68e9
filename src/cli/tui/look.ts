// What a view has to draw with: the size of its terminal, and whether it may use colours and signs beyond ASCII.

import { isColoured, isUnicode } from '../style.js';

/** All that drawing depends on, beside what is drawn. */
export interface Look {
  readonly columns: number;
  readonly rows: number;
  readonly coloured: boolean;
  readonly unicode: boolean;
}

/** Below this a view says so instead of drawing. */
export const SMALLEST = { columns: 40, rows: 8 } as const;

/** The look of a terminal. A stream that does not know its size counts as 80 x 24. */
export function lookOf(stream: { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number }): Look {
  return {
    columns: stream.columns || 80,
    rows: stream.rows || 24,
    coloured: isColoured(stream),
    unicode: isUnicode(),
  };
}

/** True where a view would only be a broken one. */
export function isTooSmall({ columns, rows }: Look): boolean {
  return columns < SMALLEST.columns || rows < SMALLEST.rows;
}
