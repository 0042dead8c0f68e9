// Bytes of a file or of stdin (`-`), as they come.

import { createReadStream } from 'node:fs';
import { ImgoError } from '../protocol/errors.js';
import { nameOf, whyUnreadable } from './secrets.js';

/** The bytes of `file`, chunk by chunk. @throws ImgoError file_unreadable while it is read */
export async function* createInput(file: string): AsyncGenerator<Buffer> {
  const stream = file === '-' ? process.stdin : createReadStream(file);
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) yield chunk;
  } catch (error) {
    throw new ImgoError('file_unreadable', { file: nameOf(file), detail: whyUnreadable(error) }, { cause: error });
  }
}
