// Where a command's words go: data to stdout and nothing else there; remarks to stderr, unless quiet. On a terminal a
// table, in a pipe bare values, with --json objects. Writing waits for a slow reader, so that nothing piles up here.

import { asTyped } from './own-name.js';
import { columns, fold, isColoured, localise, paint, printable } from './style.js';

/** A column of a table: its title, and what stands in it. */
export interface Column<T> {
  readonly title: string;
  readonly value: (item: T) => string;
  /** Numbers stand to the right. */
  readonly right?: boolean;
}

/** What decides how much is said, and in which form. */
export interface OutputOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

export class Output {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
  /** stdout is a terminal. */
  readonly isTerminal: boolean = process.stdout.isTTY === true;
  /** Somebody reads the remarks as they come. */
  readonly isWatched: boolean = process.stderr.isTTY === true;

  constructor(options: OutputOptions) {
    this.json = options.json;
    this.quiet = options.quiet;
    this.verbose = options.verbose;
  }

  /** Data: a line of stdout. Resolves when the reader keeps up. */
  async line(text: string): Promise<void> {
    await this.raw(`${text}\n`);
  }

  /** Data: a line of stdout; on a terminal that is too narrow for it, several. */
  async folded(text: string): Promise<void> {
    for (const line of this.isTerminal ? fold(text, columns(process.stdout)) : [text]) await this.line(line);
  }

  /** Data as it is: whole lines. Resolves when the reader keeps up. */
  async raw(text: string | Uint8Array): Promise<void> {
    const { stdout } = process;
    // A reader that has gone never drains; closed-pipe.ts ends the program then.
    if (!stdout.write(text)) await new Promise<void>((resolve) => stdout.once('drain', resolve));
  }

  /** Data: an object as one line. */
  async object(value: unknown): Promise<void> {
    await this.line(JSON.stringify(value));
  }

  /** A remark for people; not with --quiet. With --json remarks stay on stderr, too. */
  note(text: string): void {
    if (!this.quiet) process.stderr.write(`${localise(asTyped(printable(text)))}\n`);
  }

  /** A warning for people; --quiet does not silence it. */
  warn(text: string): void {
    const sign = paint('yellow', localise('▲'), isColoured(process.stderr));
    process.stderr.write(`${sign} ${localise(asTyped(printable(text)))}\n`);
  }

  /** Only with -v. */
  detail(text: string): void {
    if (this.verbose) process.stderr.write(`${localise(printable(text))}\n`);
  }

  /**
   * Items: objects a line with --json; a table on a terminal; in a pipe the bare value of each, or, where one value is
   * not enough, objects as well.
   */
  async items<T extends object>(
    items: readonly T[],
    table: { readonly columns: readonly Column<T>[]; readonly bare?: (item: T) => string; readonly none: string },
  ): Promise<void> {
    if (this.json || (!this.isTerminal && table.bare === undefined)) {
      for (const item of items) await this.object(item);
    } else if (!this.isTerminal) {
      for (const item of items) await this.line(table.bare?.(item) ?? '');
    } else if (items.length === 0) {
      this.note(table.none);
    } else {
      for (const line of renderTable(items, table.columns, columns(process.stdout), isColoured(process.stdout))) {
        await this.line(line);
      }
    }
  }
}

/** Rows under titles, each column as wide as its widest; the last one is cut at the edge. */
export function renderTable<T>(
  items: readonly T[],
  table: readonly Column<T>[],
  width: number,
  coloured = false,
): readonly string[] {
  const rows = items.map((item) => table.map((column) => printable(column.value(item))));
  const widths = table.map((column, at) => Math.max(column.title.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const format = (cells: readonly string[]) =>
    cells
      .map((cell, at) => (table[at]?.right === true ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0)))
      .join('  ')
      .trimEnd()
      .slice(0, width);
  const title = format(table.map((column) => column.title.toUpperCase()));
  return [paint('dim', title, coloured), ...rows.map(format)];
}

/** `2m04s`, `6h12m`, `3d`: how long ago, or how long still. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m${String(seconds % 60).padStart(2, '0')}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours}h${String(minutes % 60).padStart(2, '0')}m`;
  return `${Math.floor(hours / 24)}d`;
}

/** `14:02:11.304`: a moment (wall time, ms) in the time of this place. */
export function clock(ms: number): string {
  const at = new Date(ms);
  const two = (value: number) => String(value).padStart(2, '0');
  const millis = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${millis}`;
}
