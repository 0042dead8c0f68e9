// The files that a run is to write, looked at before it starts: a report that cannot be kept is told while nothing is lost.

import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ImgoError } from '../../protocol/errors.js';

/**
 * Opens each as it will be written, and leaves nothing behind. What is there already is to be replaced.
 * @throws ImgoError report_unwritable, usage when two are the same
 */
export function checkWritable(files: readonly (string | undefined)[]): void {
  const named = files.filter((file) => file !== undefined);
  if (new Set(named.map((file) => resolve(file))).size < named.length) {
    throw new ImgoError('usage', { detail: '--html and --out name the same file.', command: 'bench' });
  }
  for (const file of named) {
    const isNew = openIn(file, 'wx');
    if (isNew) rmSync(file, { force: true });
    else openIn(file, 'r+');
  }
}

/** false: it exists already. */
function openIn(file: string, mode: 'wx' | 'r+'): boolean {
  try {
    closeSync(openSync(file, mode));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw unwritable(file, error);
  }
}

/** @throws ImgoError report_unwritable */
export function writeReport(file: string, text: string): void {
  try {
    writeFileSync(file, text);
  } catch (error) {
    throw unwritable(file, error);
  }
}

function unwritable(file: string, error: unknown): ImgoError {
  return new ImgoError('report_unwritable', { file, detail: why(error) }, { cause: error });
}

function why(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'its folder does not exist';
  if (code === 'ENOTDIR') return 'a part of its path is no folder';
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') return 'it may not be written';
  if (code === 'EISDIR') return 'it is a folder';
  return code ?? 'it cannot be written';
}
