// Tables that fit a width: columns of fixed width, one that takes what is left, and those that matter least go first where
// there is no place for all. Rows do not change their columns as figures come and go: nothing jumps.

import type { Colour } from '../style.js';
import { cell, widthOf } from './cells.js';
import { line, type Part } from './line.js';
import type { Look } from './look.js';

/** A column: its title, what stands in it, and the cells that it has. */
export interface TableColumn<T> {
  readonly title: string;
  readonly value: (item: T) => string;
  /** Cells; never less than the title. */
  readonly width: number;
  /** It takes what the others leave, up to so many cells; `Infinity`: all. */
  readonly upTo?: number;
  readonly right?: boolean;
  readonly colour?: (item: T) => Colour | undefined;
  /** Columns with the highest leave first; without one it stays. */
  readonly leaves?: number;
}

/** Marks the row that keys act on. */
const CURSOR = '▸';
const GAP = 2;

/** The columns that have a place, with their widths. */
export function fitColumns<T>(
  columns: readonly TableColumn<T>[],
  width: number,
): readonly (TableColumn<T> & { readonly cells: number })[] {
  let shown = columns.map((column) => ({ ...column, cells: Math.max(column.width, widthOf(column.title)) }));
  const needed = () => shown.reduce((sum, { cells }) => sum + cells + GAP, -GAP);
  while (needed() > width) {
    const leaving = shown.reduce((most, { leaves = 0 }) => Math.max(most, leaves), 0);
    if (leaving === 0) break;
    shown = shown.filter(({ leaves = 0 }) => leaves !== leaving);
  }
  let spare = Math.max(0, width - needed());
  return shown.map((column) => {
    const more = Math.min(spare, Math.max(0, (column.upTo ?? 0) - column.cells));
    spare -= more;
    return { ...column, cells: column.cells + more };
  });
}

/** The title line, then a line an item. `cursor`: the index of the item that keys act on. */
export function tableLines<T>(
  items: readonly T[],
  columns: readonly TableColumn<T>[],
  look: Look,
  cursor?: number,
): readonly string[] {
  const margin = 1;
  const shown = fitColumns(columns, look.columns - margin);
  const title = shown.map(({ title, cells, right }) => cell(title, cells, right ? 'right' : 'left')).join('  ');
  const rows = items.map((item, at) => {
    const here = at === cursor;
    const parts: Part[] = [here ? CURSOR : ' '];
    for (const [index, column] of shown.entries()) {
      if (index > 0) parts.push(' '.repeat(GAP));
      const text = cell(column.value(item), column.cells, column.right ? 'right' : 'left');
      parts.push({ text, colour: column.colour?.(item) });
    }
    if (!here) return line(parts, look);
    const plain = parts.map((part) => (typeof part === 'string' ? part : part.text)).join('');
    return line([{ text: cell(plain, look.columns), colour: 'inverse' }], look);
  });
  return [line([{ text: ` ${title}`, colour: 'dim' }], look), ...rows];
}
