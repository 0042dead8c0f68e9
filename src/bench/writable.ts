/** Paths that reports go to, tried before the run: an hour of measuring is not lost to a misspelled folder. */
import { constants } from 'node:fs';
import { access, open, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ImgoError } from '../protocol/errors.js';

/**
 * Resolves when a file can be written there. One that exists is left as it is, one that does not is not left behind.
 * @throws ImgoError report_unwritable, with why
 */
export async function checkWritable(file: string): Promise<void> {
  try {
    const there = await stat(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (there === undefined) {
      await (await open(file, 'wx')).close();
      await unlink(file);
      return;
    }
    if (there.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' });
    await access(file, constants.W_OK);
  } catch (error) {
    throw new ImgoError(
      'report_unwritable',
      { file, detail: whyNot(error, `there is no folder ${dirname(file)}`) },
      { cause: error },
    );
  }
}

/** Why the system did not let a file be opened; `missing`: what it means that it is not there. */
export function whyNot(error: unknown, missing: string): string {
  const { code } = error as NodeJS.ErrnoException;
  switch (code) {
    case 'ENOENT':
      return missing;
    case 'ENOTDIR':
      return 'a part of its path is not a folder';
    case 'EISDIR':
      return 'it is a folder';
    case 'EACCES':
    case 'EPERM':
      return 'there is no permission';
    case 'EROFS':
      return 'the file system may only be read';
    case 'ENOSPC':
      return 'the disk is full';
    default:
      return code ?? 'unknown';
  }
}
