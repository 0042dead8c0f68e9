// A scrolling list with a cursor, as pure steps: which item keys act on, and which part of the list is seen.

import type { Key } from 'ink';

/** Indices into the list: the item under the cursor, the first one seen. */
export interface Scroll {
  readonly cursor: number;
  readonly top: number;
}

export const AT_TOP: Scroll = { cursor: 0, top: 0 };

/** The same, within a list of `count` items of which `height` are seen, the cursor among them. */
export function clamp({ cursor, top }: Scroll, count: number, height: number): Scroll {
  const seen = Math.max(1, height);
  const at = Math.max(0, Math.min(cursor, count - 1));
  const first = Math.max(at - seen + 1, Math.min(top, at));
  return { cursor: at, top: Math.max(0, Math.min(first, count - seen)) };
}

/** Where a key leads: arrows, j and k, pages, Home and End; undefined when it is none of these. */
export function scrolled(scroll: Scroll, input: string, key: Key, count: number, height: number): Scroll | undefined {
  const by = stepOf(input, key, count, Math.max(1, height));
  return by === undefined ? undefined : clamp({ ...scroll, cursor: scroll.cursor + by }, count, height);
}

/** How far a key moves the cursor in a list, or undefined. */
export function stepOf(input: string, key: Key, count: number, height: number): number | undefined {
  if (key.upArrow || input === 'k') return -1;
  if (key.downArrow || input === 'j') return 1;
  if (key.pageUp) return -height;
  if (key.pageDown) return height;
  if (key.home) return -count;
  if (key.end) return count;
  return undefined;
}
