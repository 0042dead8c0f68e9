// Bars and sparklines: figures as signs of one line, in blocks or, where the locale has none, in ASCII.

const BLOCKS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
const SPARKS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const PLAIN_SPARKS = ['_', '.', ':', '-', '=', '+', '*', '#'];

/** A share from 0 to 1 as a bar, padded to its width. */
export function bar(share: number, width: number, unicode: boolean): string {
  const filled = Math.max(0, Math.min(1, share)) * width;
  if (!unicode) return '#'.repeat(Math.round(filled)).padEnd(width, '.');
  const whole = Math.floor(filled);
  return `${'█'.repeat(whole)}${BLOCKS[Math.floor((filled - whole) * 8)]}`.padEnd(width);
}

/** The newest of some values, one sign each, from 0 to the largest of those shown; padded on the right. */
export function spark(values: readonly number[], width: number, unicode: boolean): string {
  const shown = values.slice(-width);
  const most = Math.max(...shown, Number.MIN_VALUE);
  const signs = unicode ? SPARKS : PLAIN_SPARKS;
  return shown
    .map((value) => signs[Math.min(7, Math.floor((Math.max(0, value) / most) * 7.999))])
    .join('')
    .padEnd(width);
}
