// Puts lines on a terminal: each in its place, and only those that have changed. They come ready to be written (line.ts). Ink
// would lay them out and take them apart cell by cell: at 200 x 60 that is 65 to 100 ms of CPU a frame, which a key
// would wait for.

import type { Look } from './look.js';

type Terminal = Pick<NodeJS.WriteStream, 'write'>;

/** Terminals that know it show what lies between at once; others pass over it. */
const [TOGETHER, SHOWN] = ['\u001b[?2026h', '\u001b[?2026l'];
const CLEAR = '\u001b[2J';
/** Where the cursor rests: a line end that is written there (Ink's) scrolls nothing. */
const TOP_LEFT = '\u001b[H';

/** What is on one terminal. */
export class Painter {
  readonly #terminal: Terminal;
  #lines: readonly string[] = [];
  #columns = 0;
  #rows = 0;
  #paused = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Shows these lines, from the top, and nothing below them; those that have no place are left out. */
  paint(lines: readonly string[], { columns, rows }: Pick<Look, 'columns' | 'rows'>): void {
    const before = this.#columns === columns && this.#rows === rows ? this.#lines : undefined;
    const next = lines.slice(0, rows);
    this.#lines = next;
    this.#columns = columns;
    this.#rows = rows;
    if (!this.#paused) this.#write(next, before);
  }

  /** What is on it is not known any more: the next frame is painted whole. */
  forget(): void {
    this.#columns = 0;
  }

  /** Somebody else has the terminal: nothing is written until `resume`. */
  pause(): void {
    this.#paused = true;
  }

  /** The terminal is there again, and nothing is on it. */
  resume(): void {
    this.#paused = false;
    this.#write(this.#lines, undefined);
  }

  /** `before`: what is there; undefined: it is not known. */
  #write(next: readonly string[], before: readonly string[] | undefined): void {
    let text = before === undefined ? CLEAR : '';
    const rows = Math.max(next.length, before?.length ?? 0);
    for (let at = 0; at < rows; at++) {
      const line = next[at] ?? '';
      // Erased first: after a line as wide as the terminal the cursor still stands on its last cell.
      if (line !== (before?.[at] ?? '')) text += `\u001b[${at + 1};1H\u001b[K${line}`;
    }
    if (text !== '') this.#terminal.write(`${TOGETHER}${text}${TOP_LEFT}${SHOWN}`);
  }
}

const painters = new WeakMap<Terminal, Painter>();

/** The one of a terminal: whatever view draws next goes on from what is there. */
export function painterOf(terminal: Terminal): Painter {
  const known = painters.get(terminal);
  if (known !== undefined) return known;
  const painter = new Painter(terminal);
  painters.set(terminal, painter);
  return painter;
}
