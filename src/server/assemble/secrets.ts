// Secrets of the engines outside of this process: from files, never from settings.

import { readFileSync } from 'node:fs';
import { ImgoError } from '../../protocol/errors.js';
import type { KafkaConfig } from '../config.js';

/** How it proves itself to the brokers; undefined: it does not. @throws ImgoError file_unreadable */
export function saslOf({ sasl }: KafkaConfig) {
  if (sasl === undefined) return undefined;
  const { username, mechanism, passwordFile } = sasl;
  return { username, mechanism, password: secretOf(passwordFile) ?? '' };
}

/** What is in a file, without its line end. @throws ImgoError file_unreadable */
export function secretOf(file: string | undefined): string | undefined {
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ImgoError('file_unreadable', { file, detail: code ?? 'it cannot be read' }, { cause: error });
  }
}
