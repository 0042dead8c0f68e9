// Text in the cells of a terminal: how wide it is, and made as wide as its place. What comes from elsewhere goes through
// `cell` or `cut` before it is drawn: control characters are shown, never obeyed. Widths are those that Ink counts with.

import { printable } from '../style.js';

const ELLIPSIS = '…';
const graphemes = new Intl.Segmenter();
const ASCII = /^[\u0020-\u007e]*$/;
const EMOJI = /^\p{RGI_Emoji}$/v;
const VISIBLE =
  /[^\p{Default_Ignorable_Code_Point}\p{Control}\p{Format}\p{Nonspacing_Mark}\p{Enclosing_Mark}\p{Surrogate}]/v;

/** Wide and fullwidth in Unicode's EastAsianWidth.txt, neighbours taken together: first and last of each range. */
const WIDE: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x231a, 0x231b],
  [0x2329, 0x232a],
  [0x23e9, 0x23ec],
  [0x25fd, 0x25fe],
  [0x2614, 0x2615],
  [0x2648, 0x2653],
  [0x26a1, 0x26a1],
  [0x2705, 0x2705],
  [0x2728, 0x2728],
  [0x274c, 0x274c],
  [0x2753, 0x2755],
  [0x2757, 0x2757],
  [0x2e80, 0x303e],
  [0x3041, 0x4dbf],
  [0x4e00, 0xa4cf],
  [0xa960, 0xa97c],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6b],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x17000, 0x18cff],
  [0x1aff0, 0x1b2fb],
  [0x1f200, 0x1f265],
  [0x1f300, 0x1f64f],
  [0x1f680, 0x1f6ff],
  [0x1f900, 0x1faff],
  [0x20000, 0x3fffd],
];

/** Cells that a text takes. */
export function widthOf(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += clusterWidth(segment);
  return width;
}

function clusterWidth(cluster: string): number {
  const first = cluster.charCodeAt(0);
  // Nearly all that is drawn: letters, arrows, lines and blocks; the rest is looked up.
  if (cluster.length === 1 && ((first >= 0x20 && first < 0x7f) || (first >= 0xa1 && first < 0x300 && first !== 0xad)))
    return 1;
  if (cluster.length === 1 && ((first >= 0x2190 && first < 0x2300) || (first >= 0x2400 && first < 0x25fd))) return 1;
  const at = cluster.search(VISIBLE);
  if (at < 0) return 0;
  if (EMOJI.test(cluster)) return 2;
  const code = cluster.codePointAt(at) ?? 0;
  return WIDE.some(([first, last]) => code >= first && code <= last) ? 2 : 1;
}

/** A text of at most so many cells; what is cut ends with an ellipsis. Line ends and tabs become spaces. */
export function cut(text: string, width: number): string {
  if (text.length <= width && ASCII.test(text)) return text;
  const shown = printable(text.replace(/\s/g, ' '));
  if (width <= 0) return '';
  let used = 0;
  let kept = '';
  let keptBefore = '';
  for (const { segment } of graphemes.segment(shown)) {
    const next = used + clusterWidth(segment);
    if (next > width) return `${keptBefore}${ELLIPSIS}`;
    // Where it still ends if the next one has no place: one cell is for the ellipsis.
    if (next <= width - 1) keptBefore = kept + segment;
    kept += segment;
    used = next;
  }
  return kept;
}

/** A text of exactly so many cells: cut, or padded on the right, or on the left where figures stand. */
export function cell(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  if (text.length <= width && ASCII.test(text)) return align === 'right' ? text.padStart(width) : text.padEnd(width);
  const shown = cut(text, width);
  const space = ' '.repeat(Math.max(0, width - widthOf(shown)));
  return align === 'right' ? `${space}${shown}` : `${shown}${space}`;
}

/** A text in lines of at most so many cells, broken between words. */
export function wrapped(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  let last = '';
  for (const word of text.split(' ')) {
    const longer = last === '' ? word : `${last} ${word}`;
    if (last !== '' && widthOf(longer) > width) {
      lines.push(last);
      last = word;
    } else last = longer;
  }
  return [...lines, last];
}

const PLAIN: Readonly<Record<string, string>> = {
  '…': '~',
  '→': '>',
  '←': '<',
  '↑': '^',
  '↓': 'v',
  '↵': '|',
  '·': '.',
  '✖': 'x',
  '✗': 'x',
  '✓': '+',
  '▲': '!',
  '▸': '>',
  '▾': 'v',
  '●': '*',
  '○': 'o',
  '─': '-',
  '│': '|',
  '×': 'x',
  '±': '~',
  '≤': '<',
};

/** A text as a locale without Unicode can show it, in as many cells: signs have plain twins, the rest is `?`. */
export function toAscii(text: string): string {
  if (ASCII.test(text)) return text;
  let plain = '';
  for (const { segment } of graphemes.segment(text)) {
    plain += ASCII.test(segment) ? segment : (PLAIN[segment] ?? '?'.repeat(clusterWidth(segment)));
  }
  return plain;
}
