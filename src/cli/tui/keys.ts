// Which keys there are, on the last line of a view and on the page that `?` opens.

import { cell, cut, widthOf, wrapped } from './cells.js';
import { line, type Part } from './line.js';
import type { Look } from './look.js';

/** A key and what it does, in a word or two for the line and in a sentence for the page. */
export interface KeyHelp {
  readonly key: string;
  readonly word: string;
  readonly does: string;
}

/** The last line: as many keys as there is place for, the first ones first, `?` always. */
export function keyLine(keys: readonly KeyHelp[], look: Look): string {
  const help: readonly Part[] = [{ text: '?', colour: 'bold' }, ' help'];
  let room = look.columns - 7;
  const parts: Part[] = [];
  for (const { key, word } of keys) {
    const width = widthOf(key) + widthOf(word) + 3;
    if (width > room) break;
    room -= width;
    parts.push({ text: key, colour: 'bold' }, ` ${word}  `);
  }
  return line([' ', ...parts, ...help], look);
}

/** The page of all keys, and what else is worth knowing; it fits the terminal. What is too long for a line takes several where they have place. */
export function helpLines(
  title: string,
  keys: readonly KeyHelp[],
  notes: readonly string[],
  look: Look,
): readonly string[] {
  const width = Math.max(...keys.map(({ key }) => widthOf(key)));
  const page = (pieces: (text: string, columns: number) => readonly string[]) => [
    line([{ text: cut(title, look.columns), colour: 'bold' }], look),
    '',
    ...keys.flatMap(({ key, does }) =>
      pieces(does, look.columns - width - 3).map((text, at) =>
        line([' ', { text: cell(at === 0 ? key : '', width), colour: 'bold' }, `  ${text}`], look),
      ),
    ),
    ...(notes.length === 0 ? [] : ['']),
    ...notes.flatMap((note) =>
      pieces(note, look.columns - 3).map((text, at) => line([at === 0 ? ` ${text}` : `   ${text}`], look)),
    ),
  ];
  const whole = page(wrapped);
  const all = whole.length < look.rows ? whole : page((text) => [text]);
  return [...all.slice(0, look.rows - 1), line([{ text: ' Any key goes back.', colour: 'dim' }], look)];
}
