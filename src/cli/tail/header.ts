// The bytes of a frame's header, which an event has as fields: written again as the protocol says. Events carry no bytes of a
// frame but its payload, and that only where it was asked for.

import { writeU16, writeU32, writeU64 } from '../../protocol/bytes.js';
import { HEADER_BYTES, writeHeader } from '../../protocol/frame.js';
import { NATIVE_HEADER_BYTES } from '../../protocol/native.js';
import type { SeenEvent } from './event.js';

/** Undefined: it is no frame of bytes (imgo's JSON), or its fields do not say all of its header. */
export function headerBytes({ header }: SeenEvent): Buffer | undefined {
  if (typeof header !== 'object' || header === null) return undefined;
  const fields = header as Readonly<Record<string, unknown>>;
  const number = (name: string) => (typeof fields[name] === 'number' ? fields[name] : Number.NaN);
  const [packLen, headerLen, ver, op, seq] = ['packLen', 'headerLen', 'ver', 'op', 'seq'].map(number) as Five;
  const topic = Buffer.from(typeof fields['topic'] === 'string' ? fields['topic'] : '');
  const known = headerLen === HEADER_BYTES ? HEADER_BYTES : NATIVE_HEADER_BYTES + topic.length;
  if (![packLen, headerLen, ver, op, seq].every(Number.isSafeInteger) || headerLen !== known) return undefined;
  const bytes = Buffer.alloc(headerLen);
  writeHeader(bytes, 0, packLen, headerLen, ver, op, seq);
  if (headerLen === HEADER_BYTES) return bytes;
  const [epoch, n, flags] = ['epoch', 'n', 'flags'].map(number) as [number, number, number];
  if (![epoch, n, flags].every(Number.isSafeInteger)) return undefined;
  writeU32(bytes, HEADER_BYTES, epoch);
  writeU64(bytes, HEADER_BYTES + 4, n);
  writeU16(bytes, HEADER_BYTES + 12, flags);
  writeU16(bytes, HEADER_BYTES + 14, topic.length);
  bytes.set(topic, NATIVE_HEADER_BYTES);
  return bytes;
}

type Five = [number, number, number, number, number];
