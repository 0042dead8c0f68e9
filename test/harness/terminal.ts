// A terminal of any size for views: what is on it after each key, as a person sees it. Real Ink draws; only the two ends of
// the wire are made up.
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { render } from 'ink';
import type { ReactNode } from 'react';

/** How what painter.ts writes begins, and each line of it. */
const PAINTED = '\u001b[?2026h';
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what a terminal gets
const LINE = /\u001b\[(\d+);1H\u001b\[K(.*?)(?=\u001b\[(?:\d+;1H|H))/gs;

class Output extends EventEmitter {
  readonly isTTY = true;
  columns: number;
  rows: number;
  /** As Ink draws it, or as it was painted line by line. */
  frame = '';
  #painted: string[] = [];

  constructor(columns: number, rows: number) {
    super();
    this.columns = columns;
    this.rows = rows;
  }

  write(text: string, done?: () => void): boolean {
    if (text.startsWith(PAINTED)) this.#paint(text);
    else if (text !== '') this.frame = text;
    done?.();
    return true;
  }

  #paint(text: string): void {
    if (text.includes('\u001b[2J')) this.#painted = [];
    for (const [, row = '1', line = ''] of text.matchAll(LINE)) {
      while (this.#painted.length < Number(row)) this.#painted.push('');
      this.#painted[Number(row) - 1] = line;
    }
    this.frame = this.#painted.join('\n').replace(/\n+$/, '');
  }
}

/** A view on it. Keys are written as a terminal sends them. */
export interface Shown {
  readonly lines: () => readonly string[];
  readonly text: () => string;
  /** Resolves when what has changed is drawn. */
  readonly settled: () => Promise<void>;
  readonly press: (...keys: readonly string[]) => Promise<void>;
  readonly resize: (columns: number, rows: number) => Promise<void>;
  /** Resolves when the view has ended; rejects with its error. */
  readonly ended: Promise<unknown>;
  readonly end: () => void;
}

export const KEYS = {
  up: '\u001b[A',
  down: '\u001b[B',
  right: '\u001b[C',
  left: '\u001b[D',
  pageUp: '\u001b[5~',
  pageDown: '\u001b[6~',
  home: '\u001b[H',
  end: '\u001b[F',
  enter: '\r',
  escape: '\u001b',
  backspace: '\u007f',
  ctrlC: '\u0003',
} as const;

/** Longer than Ink waits for the rest of what begins like an escape sequence. */
const KEY_MS = 30;

/** Shows a view on a terminal of this size. */
export async function show(view: ReactNode, columns: number, rows: number): Promise<Shown> {
  const stdout = new Output(columns, rows);
  const stdin = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: () => stdin,
    ref: () => stdin,
    unref: () => stdin,
  });
  const app = render(view, {
    stdout: stdout as unknown as NodeJS.WriteStream,
    stdin: stdin as unknown as NodeJS.ReadStream,
    // Each frame whole, as soon as it is there.
    debug: true,
    exitOnCtrlC: false,
    patchConsole: false,
  });
  const ended = app.waitUntilExit();
  ended.catch(() => {});
  const settle = async () => {
    await new Promise((resolve) => setTimeout(resolve, KEY_MS));
    await app.waitUntilRenderFlush();
  };
  await settle();
  return {
    lines: () => stdout.frame.replace(/\n$/, '').split('\n'),
    text: () => stdout.frame,
    settled: settle,
    async press(...keys) {
      for (const key of keys) {
        stdin.write(key);
        await settle();
      }
    },
    async resize(nextColumns, nextRows) {
      Object.assign(stdout, { columns: nextColumns, rows: nextRows });
      stdout.emit('resize');
      await settle();
    },
    ended,
    end: () => app.unmount(),
  };
}
