// Lines of a view: parts in their colours, cut at the edge, in plain signs where the locale has no others. Whoever makes
// lines writes in Unicode and thinks in cells; this is the one place that knows what the terminal may be given.

import { type Colour, paint } from '../style.js';
import { cut, toAscii, widthOf } from './cells.js';
import type { Look } from './look.js';

/** A piece of a line: as it is, or in a colour. */
export type Part = string | { readonly text: string; readonly colour: Colour | undefined };

type Drawing = Pick<Look, 'columns' | 'coloured' | 'unicode'>;

/** A line of at most `look.columns` cells, ready for the terminal. */
export function line(parts: readonly Part[], look: Drawing): string {
  let left = look.columns;
  let drawn = '';
  for (const part of parts) {
    const { text, colour } = typeof part === 'string' ? { text: part, colour: undefined } : part;
    const shown = cut(text, left);
    left -= widthOf(shown);
    const plain = look.unicode ? shown : toAscii(shown);
    drawn += colour === undefined ? plain : paint(colour, plain, look.coloured);
    if (left <= 0) break;
  }
  return drawn;
}

/** A line with something at its right edge; on a narrow terminal the left side gives way. */
export function spread(leftParts: readonly Part[], rightText: string, look: Drawing): string {
  const right = cut(rightText, look.columns);
  const room = look.columns - widthOf(right) - 1;
  const left = line(leftParts, { ...look, columns: Math.max(0, room) });
  const used = leftParts.reduce((sum, part) => sum + widthOf(typeof part === 'string' ? part : part.text), 0);
  const gap = ' '.repeat(Math.max(1, look.columns - Math.min(used, room) - widthOf(right)));
  return `${left}${gap}${look.unicode ? right : toAscii(right)}`;
}

/** A rule over the whole width, with a title in it: `─ TITLE ───────── note ─`. */
export function rule(title: string, look: Drawing, note = ''): string {
  const end = note === '' ? '' : ` ${cut(note, look.columns)} ─`;
  const begin = title === '' ? '' : `─ ${cut(title, Math.max(8, look.columns - widthOf(end) - 4))} `;
  const rest = look.columns - widthOf(begin) - widthOf(end);
  const text = rest >= 1 ? `${begin}${'─'.repeat(rest)}${end}` : begin;
  return line([{ text, colour: 'dim' }], look);
}
