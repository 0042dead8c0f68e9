// The value of a log's record: where the log stands, what is kept of it, and its devices' cursors. With a checksum.

import { crc32 } from 'node:zlib';
import { type MessageId, ZERO_ID } from '../../../protocol/ids.js';
import type { DeviceKey } from '../buckets.js';
import type { DeviceMark, DeviceSet, ForgottenDevice } from '../devices.js';
import { getId, putId, type Slab } from './layout.js';

/** What the store keeps of a log beside its entries; it outlives them. */
export interface LogRecord {
  head: MessageId;
  trimmedTo: MessageId;
  lastMid: number;
  messages: number;
  bytes: number;
  /** The oldest kept entry; ZERO_ID when there is none. */
  first: MessageId;
  /** When the oldest kept entry expires. Wall ms. */
  firstExpires: number;
  /** Wall ms. */
  usedAt: number;
  /** The epoch in which this record was written. */
  epoch: number;
  /** Anonymous sessions may have been sent everything up to here, by a process that crashed and left no mark. */
  crashedTo: MessageId;
  set: DeviceSet;
}

const HEADER = 107;
const DEVICE = 34;
const FORGOTTEN = 16;

/** A log record's value. */
export function encodeLog(slab: Slab, log: LogRecord): Buffer {
  const { devices, forgotten, forgottenFloor } = log.set;
  let size = HEADER + forgotten.length * FORGOTTEN;
  for (const mark of devices) size += DEVICE + Buffer.byteLength(mark.device);
  const start = slab.reserve(size);
  const { view } = slab;
  view.setUint8(start + 4, forgottenFloor === undefined ? 0 : 1);
  putId(view, start + 5, log.head);
  putId(view, start + 17, log.trimmedTo);
  view.setFloat64(start + 29, log.lastMid, true);
  view.setUint32(start + 37, log.messages, true);
  view.setFloat64(start + 41, log.bytes, true);
  putId(view, start + 49, log.first);
  view.setFloat64(start + 61, log.firstExpires, true);
  view.setFloat64(start + 69, log.usedAt, true);
  view.setUint32(start + 77, log.epoch, true);
  putId(view, start + 81, forgottenFloor ?? ZERO_ID);
  putId(view, start + 93, log.crashedTo);
  view.setUint8(start + 105, devices.length);
  view.setUint8(start + 106, forgotten.length);
  let at = start + HEADER;
  for (const mark of devices) {
    const length = slab.bytes.write(mark.device, at + DEVICE, 'utf8');
    view.setUint8(at, length);
    view.setUint8(at + 1, mark.clean ? 1 : 0);
    putId(view, at + 2, mark.cursor);
    putId(view, at + 14, mark.sentTo);
    view.setFloat64(at + 26, mark.lastSeen, true);
    at += DEVICE + length;
  }
  for (const one of forgotten) {
    view.setUint32(at, one.hash, true);
    putId(view, at + 4, one.cursor);
    at += FORGOTTEN;
  }
  const value = slab.take(start, size);
  view.setUint32(start, crc32(value.subarray(4)), true);
  return value;
}

/** The record, or undefined when it is not what was written. */
export function decodeLog(bytes: Uint8Array): LogRecord | undefined {
  if (bytes.length < HEADER) return undefined;
  const value = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint32(0, true) !== crc32(value.subarray(4))) return undefined;
  const devices: DeviceMark[] = [];
  const forgotten: ForgottenDevice[] = [];
  let at = HEADER;
  for (let left = view.getUint8(105); left > 0; left--) {
    const length = view.getUint8(at);
    devices.push({
      device: value.toString('utf8', at + DEVICE, at + DEVICE + length) as DeviceKey,
      cursor: getId(view, at + 2),
      sentTo: getId(view, at + 14),
      clean: view.getUint8(at + 1) === 1,
      lastSeen: view.getFloat64(at + 26, true),
    });
    at += DEVICE + length;
  }
  for (let left = view.getUint8(106); left > 0; left--) {
    forgotten.push({ hash: view.getUint32(at, true), cursor: getId(view, at + 4) });
    at += FORGOTTEN;
  }
  return {
    head: getId(view, 5),
    trimmedTo: getId(view, 17),
    lastMid: view.getFloat64(29, true),
    messages: view.getUint32(37, true),
    bytes: view.getFloat64(41, true),
    first: getId(view, 49),
    firstExpires: view.getFloat64(61, true),
    usedAt: view.getFloat64(69, true),
    epoch: view.getUint32(77, true),
    crashedTo: getId(view, 93),
    set: { devices, forgotten, forgottenFloor: view.getUint8(4) === 0 ? undefined : getId(view, 81) },
  };
}

/** What the sweep looks at, without decoding the rest. Undefined: not a record. */
export function peekLog(bytes: Uint8Array): { messages: number; firstExpires: number; usedAt: number } | undefined {
  if (bytes.length < HEADER) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return {
    messages: view.getUint32(37, true),
    firstExpires: view.getFloat64(61, true),
    usedAt: view.getFloat64(69, true),
  };
}
