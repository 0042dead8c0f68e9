// Secrets that a command is given: files, standard input, the environment; never arguments, which every user of the
// machine can read. They are trimmed of the line end that editors add.

import { closeSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
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

/** A client's token: a file, `-`, or IMGO_TOKEN. @throws ImgoError usage, file_unreadable */
export function readToken(file: string | undefined, command: string): string {
  if (file !== undefined) return readSecret(file);
  const token = process.env['IMGO_TOKEN']?.trim();
  if (token !== undefined && token !== '') return token;
  throw new ImgoError('usage', { detail: 'There is no token: give a file, - for stdin, or IMGO_TOKEN.', command });
}

/** A file for a secret that does not exist yet. */
export interface SecretFile {
  /** Once. */
  readonly write: (secret: string) => void;
  /** There will be no secret. */
  readonly discard: () => void;
}

/**
 * Opens a new file that only its owner can read, before the secret exists: a failure costs nothing. Never replaces one.
 * @throws ImgoError file_exists, file_unreadable
 */
export function reserveSecretFile(file: string): SecretFile {
  let fd: number;
  try {
    fd = openSync(file, 'wx', 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw new ImgoError('file_exists', { file });
    throw new ImgoError('file_unreadable', { file, detail: code ?? 'it cannot be written' });
  }
  return {
    write(secret) {
      writeSync(fd, `${secret}\n`);
      closeSync(fd);
    },
    discard() {
      closeSync(fd);
      rmSync(file, { force: true });
    },
  };
}
