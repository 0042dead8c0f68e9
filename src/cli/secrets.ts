// Secrets that a command is given: files, standard input, the environment; never arguments, which every user of the
// machine can read. They are trimmed of the line end that editors add.

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { ImgoError } from '../protocol/errors.js';

/** A secret is one short line. */
const MAX_SECRET_BYTES = 16_384;

/** The secret in a file; `-` is stdin. @throws ImgoError file_unreadable */
export function readSecret(file: string): string {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (error) {
    throw new ImgoError('file_unreadable', { file: nameOf(file), detail: whyUnreadable(error) });
  }
  const secret = text.trim();
  const fits = secret !== '' && secret.length <= MAX_SECRET_BYTES && !/[\s\p{Cc}]/u.test(secret);
  if (!fits) {
    throw new ImgoError('file_unreadable', { file: nameOf(file), detail: 'it does not hold one secret on one line' });
  }
  return secret;
}

/** What people call a file argument. */
export function nameOf(file: string): string {
  return file === '-' ? 'standard input' : file;
}

/** Why the system did not let a file be read or written. */
export function whyUnreadable(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'it may not be read';
  if (code === 'EISDIR') return 'it is a folder';
  return code ?? 'it cannot be read';
}

/**
 * The API key: --key-file, IMGO_KEY, or the file that the chosen server's run file names; undefined: none.
 * @throws ImgoError file_unreadable
 */
export function readKey(keyFile: string | undefined, fallback: string | undefined): string | undefined {
  if (keyFile !== undefined) return readSecret(keyFile);
  const key = process.env['IMGO_KEY']?.trim();
  if (key !== undefined && key !== '') return key;
  return fallback === undefined ? undefined : readSecret(fallback);
}

/**
 * Opens a new file that only its owner can read, before the secret exists: a failure costs nothing. Never replaces one.
 * @throws ImgoError file_exists, file_unreadable
 */
export function reserveSecretFile(file: string): (secret: string) => void {
  let fd: number;
  try {
    fd = openSync(file, 'wx', 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw new ImgoError('file_exists', { file });
    throw new ImgoError('file_unreadable', { file, detail: code ?? 'it cannot be written' });
  }
  return (secret) => {
    try {
      writeSync(fd, `${secret}\n`);
    } finally {
      closeSync(fd);
    }
  };
}
