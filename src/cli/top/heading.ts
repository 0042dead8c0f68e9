// What stands over a table: a rule over the whole width on a screen, a line of its own in text.

import { line, rule } from '../tui/line.js';
import type { Look } from '../tui/look.js';

/** `framed` false: text, without rules. */
export interface Drawing extends Look {
  readonly framed?: boolean;
}

export function heading(title: string, look: Drawing, note = ''): string {
  if (look.framed !== false) return rule(title, look, note);
  return `\n${line([{ text: title, colour: 'bold' }, note === '' ? '' : `  (${note})`], look)}`;
}
