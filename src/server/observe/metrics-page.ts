// /metrics as a page: its text, and who may read it. On a node with the API that is whoever has an API key that may read; the key
// of observe.metrics_key_file opens this page and nothing else, on every node. Comets and jobs apart know no API keys: off
// loopback theirs opens with that key alone.

import { readFileSync } from 'node:fs';
import { ImgoError } from '../../protocol/errors.js';
import { secretOf } from '../logic/access.js';
import { sameHash, secretHash } from '../logic/secrets.js';

/** The page. */
export interface MetricsPage {
  /** The answer to a scrape. */
  text(): Promise<string>;
  /** True when the request has the key of this page. */
  opens(authorization: string | undefined): boolean;
}

/** What can be guessed opens nothing. */
const KEY_LENGTH = 16;

/** Reads the key. `file` undefined: there is none. @throws ImgoError file_unreadable */
export function metricsPage(source: { text(): Promise<string> }, file: string | undefined): MetricsPage {
  const hash = file === undefined ? undefined : secretHash(readKey(file));
  return {
    text: () => source.text(),
    opens(authorization) {
      const secret = secretOf(authorization);
      return hash !== undefined && secret !== undefined && sameHash(hash, secretHash(secret));
    },
  };
}

function readKey(file: string): string {
  let key: string;
  try {
    key = readFileSync(file, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new ImgoError('file_unreadable', { file, detail: code ?? 'it cannot be read' }, { cause: error });
  }
  if (key.length >= KEY_LENGTH) return key;
  throw new ImgoError('file_unreadable', { file, detail: `a key has ${KEY_LENGTH} characters or more` });
}
