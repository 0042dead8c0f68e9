// What a push carries: JSON as the bytes that came, unless --text or --base64 say otherwise. JSON is checked and never
// written anew: integers above 2^53 survive.

import { createReadStream } from 'node:fs';
import { ImgoError } from '../../protocol/errors.js';
import { decodeText } from '../../protocol/text.js';
import { nameOf, whyUnreadable } from '../secrets.js';

/** A message, ready to stand in a request: `"message":…` or `"base64":…`. */
export interface MessageField {
  readonly field: Buffer;
  /** Of the payload. */
  readonly bytes: number;
}

/** Where a message comes from, and what it is. */
export interface MessageSource {
  /** The argument; `-` is stdin. */
  readonly argument: string | undefined;
  readonly file: string | undefined;
  readonly as: 'json' | 'text' | 'base64';
}

/** No message is larger, whatever the server allows. */
const MAX_INPUT_BYTES = 32 * 2 ** 20;

/** @throws ImgoError usage, file_unreadable, not_json, payload_too_large */
export async function readMessage(source: MessageSource): Promise<MessageField> {
  const { argument, file, as } = source;
  if ((argument === undefined) === (file === undefined)) {
    const detail = file === undefined ? 'There is no message.' : 'Give a message or --file, not both.';
    throw new ImgoError('usage', { detail, command: 'push' });
  }
  const from = file ?? (argument === '-' ? '-' : undefined);
  const bytes = from === undefined ? Buffer.from(argument ?? '') : withoutLastNewline(await readAll(from));
  return field(bytes, as);
}

function field(bytes: Buffer, as: MessageSource['as']): MessageField {
  if (as === 'base64') {
    const text = bytes.toString('latin1').replace(/\s+/g, '');
    const payload = Buffer.from(text, 'base64');
    if (payload.toString('base64').replace(/=+$/, '') !== text.replace(/=+$/, '')) {
      throw new ImgoError('usage', { detail: 'The message is not base64.', command: 'push' });
    }
    return { field: Buffer.from(`"base64":"${payload.toString('base64')}"`), bytes: payload.length };
  }
  const text = decodeText(bytes);
  if (text === undefined) throw new ImgoError('not_json', { detail: 'it is not UTF-8' });
  if (as === 'text') {
    const json = JSON.stringify(text);
    return { field: Buffer.from(`"message":${json}`), bytes: Buffer.byteLength(json) };
  }
  try {
    JSON.parse(text);
  } catch {
    // The parser's own words repeat the message, which may be nobody's business.
    throw new ImgoError('not_json', {});
  }
  const trimmed = Buffer.from(text.trim());
  return { field: Buffer.concat([Buffer.from('"message":'), trimmed]), bytes: trimmed.length };
}

/** Everything in a file, `-` is stdin; bounded. @throws ImgoError file_unreadable, payload_too_large */
export async function readAll(file: string, limit = MAX_INPUT_BYTES): Promise<Buffer> {
  const stream = file === '-' ? process.stdin : createReadStream(file);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit) throw new ImgoError('payload_too_large', { size: `more than ${limit}`, limit });
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof ImgoError) throw error;
    throw new ImgoError('file_unreadable', { file: nameOf(file), detail: whyUnreadable(error) });
  }
  return Buffer.concat(chunks);
}

function withoutLastNewline(bytes: Buffer): Buffer {
  if (bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1);
}
