// Text that is typed into a view (a filter, a search), and questions that want a yes: pure steps from key to key.

import type { Key } from 'ink';
import { cell, cut, widthOf } from './cells.js';
import { line } from './line.js';
import type { Look } from './look.js';

/** What was typed so far, and where the cursor stands in it (UTF-16 units). */
export interface Entry {
  readonly text: string;
  readonly at: number;
}

/** Longer than anything that is searched for. */
const MOST = 512;
const graphemes = new Intl.Segmenter();

/** An entry that begins with a text. */
export function entryOf(text: string): Entry {
  return { text, at: text.length };
}

/** What a key makes of it: another entry, `done` (Enter), or `cancelled` (Esc, or Backspace in an empty one). */
export function typed(entry: Entry, input: string, key: Key): Entry | 'done' | 'cancelled' {
  const { text, at } = entry;
  const before = text.slice(0, at);
  const after = text.slice(at);
  if (key.return) return 'done';
  if (key.escape) return 'cancelled';
  if (key.backspace || key.delete) {
    if (text === '') return 'cancelled';
    const shorter = [...graphemes.segment(before)].slice(0, -1).map(({ segment }) => segment);
    return { text: shorter.join('') + after, at: shorter.join('').length };
  }
  if (key.ctrl && input === 'u') return { text: after, at: 0 };
  if (key.home || (key.ctrl && input === 'a')) return { text, at: 0 };
  if (key.end || (key.ctrl && input === 'e')) return { text, at: text.length };
  if (key.leftArrow) return { text, at: at - ([...graphemes.segment(before)].at(-1)?.segment.length ?? 0) };
  if (key.rightArrow) return { text, at: at + ([...graphemes.segment(after)][0]?.segment.length ?? 0) };
  if (input === '' || key.ctrl || key.meta || text.length + input.length > MOST) return entry;
  return { text: before + input + after, at: at + input.length };
}

/** The line in which it is typed: a sign such as `/`, the text, the cursor, a hint at the right where there is place. */
export function entryLine(sign: string, { text, at }: Entry, look: Look, hint = ''): string {
  const room = Math.max(1, look.columns - widthOf(sign) - 1);
  // The end of what stands before the cursor is what one looks at.
  let before = text.slice(0, at);
  while (widthOf(before) > room - 1) before = before.slice(1);
  const [under = ' '] = [...graphemes.segment(text.slice(at))].map(({ segment }) => segment);
  const after = cut(text.slice(at + under.length), room - widthOf(before) - 1);
  const cursor = look.coloured ? ({ text: under, colour: 'inverse' } as const) : under === ' ' ? '_' : `[${under}]`;
  const space = look.columns - widthOf(sign) - widthOf(before) - widthOf(after) - 4;
  const said = hint === '' || space < widthOf(hint) ? '' : cell(hint, space, 'right');
  return line([{ text: sign, colour: 'bold' }, before, cursor, after, { text: ` ${said}`, colour: 'dim' }], look);
}

/** A question that is answered with y, or with anything else. */
export function confirmLine(question: string, look: Look): string {
  const asked = cut(question, Math.max(8, look.columns - 12));
  return line([{ text: asked, colour: 'yellow' }, ' ', { text: 'y yes  n no', colour: 'bold' }], look);
}

/** The answer that a key is; undefined: none. Enter is none, so that nothing is confirmed by habit. */
export function answerOf(input: string, key: Key): boolean | undefined {
  if (input === 'y' || input === 'Y') return true;
  if (input === 'n' || input === 'N' || key.escape) return false;
  return undefined;
}
