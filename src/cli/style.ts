// How text looks on the streams this process has: colour only on a terminal that wants it, signs only where the locale
// has them. Nothing here changes data: only messages for people are styled.

/** Signs with their plain twins for a locale that is not Unicode. */
interface Signs {
  readonly error: string;
  readonly warning: string;
  readonly advice: string;
  readonly dot: string;
  readonly ellipsis: string;
  readonly done: string;
  readonly failed: string;
  readonly times: string;
  readonly about: string;
  readonly atMost: string;
}

const UNICODE: Signs = {
  error: '✖',
  warning: '▲',
  advice: '→',
  dot: '·',
  ellipsis: '…',
  done: '✓',
  failed: '✗',
  times: '×',
  about: '±',
  atMost: '≤',
};
const ASCII: Signs = {
  error: 'x',
  warning: '!',
  advice: '->',
  dot: '-',
  ellipsis: '...',
  done: '+',
  failed: 'x',
  times: 'x',
  about: '+-',
  atMost: '<=',
};
const PLAIN: ReadonlyMap<string, string> = new Map(
  Object.entries(UNICODE).map(([name, sign]) => [sign, ASCII[name as keyof Signs]]),
);

type Environment = Readonly<Record<string, string | undefined>>;

/** True where the locale says UTF-8: LC_ALL before LC_CTYPE before LANG, as everywhere. */
export function isUnicode(env: Environment = process.env): boolean {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
  return /utf-?8/i.test(locale);
}

/** Replaces the signs that a text of ours contains by plain ones where the locale needs that. */
export function localise(text: string, env: Environment = process.env): string {
  if (isUnicode(env)) return text;
  return text.replace(/[✖▲→·…✓✗×±≤]/g, (sign) => PLAIN.get(sign) ?? sign);
}

/** True when this stream may be coloured: a terminal, and neither NO_COLOR, TERM=dumb nor --no-color. */
export function isColoured(stream: { readonly isTTY?: boolean }, env: Environment = process.env): boolean {
  if (stream.isTTY !== true || env['TERM'] === 'dumb') return false;
  return !env['NO_COLOR'] && !process.argv.includes('--no-color');
}

const CODES = { red: 31, green: 32, yellow: 33, cyan: 36, dim: 2, bold: 1, inverse: 7 } as const;

/** What `paint` can do. */
export type Colour = keyof typeof CODES;

/** Text in a colour, or as it is. */
export function paint(colour: Colour, text: string, on: boolean): string {
  return on && text !== '' ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
}

/** Text that came from elsewhere, safe for a terminal: control characters are shown, not obeyed. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what has to go
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (char) => {
    return `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
  });
}

/**
 * A line, and what of it is wider on lines below it, which begin where its words do after a label; broken between items (`·`, two
 * spaces) where there are some, otherwise between words.
 */
export function fold(text: string, width: number): readonly string[] {
  const indent = /^ *\S* {2,}/.exec(text)?.[0].length ?? 2;
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const head = rest.slice(indent, width + 1);
    const between = Math.max(head.lastIndexOf('· ') + 1, head.lastIndexOf('  '));
    const inside = between > 0 ? between : head.lastIndexOf(' ');
    // Behind a word that is wider than the terminal.
    const at = inside > 0 ? inside : rest.indexOf(' ', indent) - indent;
    if (at <= 0) break;
    lines.push(rest.slice(0, indent + at).trimEnd());
    rest = ' '.repeat(indent) + rest.slice(indent + at).trimStart();
  }
  return [...lines, rest];
}

/** Columns of a stream; what is no terminal has 100. */
export function columns(stream: { readonly columns?: number }): number {
  const width = stream.columns;
  return width === undefined || width < 20 ? 100 : width;
}
