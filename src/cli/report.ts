// How an error ends a command: one form for all (what happened, code and exit status, why, what next) on stderr, or one
// JSON object on stdout with --json; and the exit status. Nothing that is not in the error table gets another form.

import type { ErrorTable, ImgoError } from '../protocol/errors.js';
import { renderTable } from './output.js';
import { asTyped } from './own-name.js';
import { columns, isColoured, localise, paint, printable } from './style.js';

/** What a stack trace is for: shown with -v only. */
const DEFECT = 'internal';

/** An error as lines for people. */
export function renderError(error: ImgoError, width: number, coloured: boolean, aligned: boolean): string {
  const head = localise(`✖ ${asTyped(printable(error.message))}`);
  const tail = localise(`${error.code} · ${error.exit}`);
  const gap = aligned ? Math.max(2, width - head.length - tail.length) : 2;
  const first = `${paint('red', head.slice(0, 1), coloured)}${head.slice(1)}${' '.repeat(gap)}${paint('dim', tail, coloured)}`;
  const parts = error.advice.map((line) => localise(`→ ${asTyped(printable(line))}`));
  if (error.reason !== undefined) parts.unshift(asTyped(printable(error.reason)));
  const table = error.table === undefined ? [] : tableLines(error.table, coloured);
  return [first, ...table, ...wrap(parts, width - 2)].join('\n  ');
}

/** Figures stand at the right of their column; nothing is cut, as it may be a command to copy. */
function tableLines({ columns, rows }: ErrorTable, coloured: boolean): readonly string[] {
  const cells = columns.map((title, at) => {
    const right = rows.every((row) => /^\d/.test(row[at] ?? ''));
    return { title, right, value: (row: readonly string[]) => row[at] ?? '' };
  });
  return renderTable(rows, cells, Number.POSITIVE_INFINITY, coloured).map((line) => localise(line));
}

/** Puts parts on lines: as many a line as fit, none ever cut. */
function wrap(parts: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 3 + part.length <= width) lines[lines.length - 1] = `${last}   ${part}`;
    else lines.push(part);
  }
  return lines;
}

/** The object that `--json` prints. */
export function errorObject(error: ImgoError): object {
  const { code, message, reason, advice, table } = error;
  const entries = (row: readonly string[]) => table?.columns.map((title, at) => [title, row[at] ?? '']) ?? [];
  return {
    error: {
      code,
      message: asTyped(message),
      ...(reason === undefined ? {} : { reason: asTyped(reason) }),
      ...(table === undefined ? {} : { table: table.rows.map((row) => Object.fromEntries(entries(row))) }),
      advice: advice.map(asTyped),
    },
  };
}

/** True when the command line, or the environment, asks for JSON. Does not need a parsed command line. */
export function wantsJson(argv: readonly string[] = process.argv.slice(2)): boolean {
  const end = argv.indexOf('--');
  const flags = end < 0 ? argv : argv.slice(0, end);
  return flags.includes('--json') || /^(1|true|yes)$/i.test(process.env['IMGO_JSON'] ?? '');
}

/** Prints an error and sets the exit status of this process. */
export function report(error: ImgoError): void {
  process.exitCode = error.exit;
  // Who pressed Ctrl-C knows.
  if (error.code === 'interrupted') return;
  if (wantsJson()) {
    process.stdout.write(`${JSON.stringify(errorObject(error))}\n`);
    return;
  }
  const { stderr } = process;
  const width = Math.min(columns(stderr), 120);
  process.stderr.write(`${renderError(error, width, isColoured(stderr), stderr.isTTY === true)}\n`);
  const verbose = process.argv.includes('-v') || process.argv.includes('--verbose');
  if (verbose && error.code === DEFECT && error.cause instanceof Error) process.stderr.write(`${error.cause.stack}\n`);
}
