// Frames as the page shows them: kept as they went by, up to a bound, and decoded only when they are looked at. A token in
// an authentication is not shown.

import { HEADER_BYTES, isFault, Op, readHeader } from '../protocol/frame.js';
import { formatId, type MessageId } from '../protocol/ids.js';
import { decodeAck, decodeNativePush, FLAG_EPHEMERAL, FLAG_REDELIVERED } from '../protocol/native.js';
import { parseGap, parseJoinReply, parsePresenceReply, parseRoomRequest } from '../protocol/native-json.js';

/** Bytes of a frame that are kept to be looked at. */
const KEPT_BYTES = 2_048;

/** A frame that went by. */
export interface Frame {
  readonly direction: 'in' | 'out';
  /** Of performance.now(), ms. */
  readonly at: number;
  readonly op: number;
  readonly seq: number;
  readonly ver: number;
  readonly packLen: number;
  readonly headerLen: number;
  /** Its beginning. */
  readonly bytes: Uint8Array;
}

const NAMES: ReadonlyMap<number, string> = new Map([
  [Op.HEARTBEAT, 'heartbeat'],
  [Op.HEARTBEAT_REPLY, 'heartbeat reply'],
  [Op.PUSH, 'push'],
  [Op.AUTH, 'auth'],
  [Op.AUTH_REPLY, 'auth reply'],
  [Op.ACK, 'ack'],
  [Op.GAP, 'gap'],
  [Op.JOIN, 'join'],
  [Op.JOIN_REPLY, 'join reply'],
  [Op.LEAVE, 'leave'],
  [Op.LEAVE_REPLY, 'leave reply'],
  [Op.DISCONNECT, 'disconnect'],
  [Op.PRESENCE, 'presence'],
  [Op.PRESENCE_REPLY, 'presence reply'],
]);

export function nameOf(op: number): string {
  return NAMES.get(op) ?? `op ${op}`;
}

export function isHeartbeat({ op }: Frame): boolean {
  return op === Op.HEARTBEAT || op === Op.HEARTBEAT_REPLY;
}

/** The frames of one message of the line; none of bytes that are no frame. */
export function framesOf(direction: 'in' | 'out', data: Uint8Array, at: number): Frame[] {
  const frames: Frame[] = [];
  let offset = 0;
  while (offset + HEADER_BYTES <= data.length) {
    const { packLen, headerLen, ver, op, seq } = readHeader(data, offset);
    if (packLen < HEADER_BYTES || headerLen < HEADER_BYTES || headerLen > packLen) break;
    const end = Math.min(data.length, offset + packLen, offset + KEPT_BYTES);
    const bytes = op === Op.AUTH ? withoutBody(data, offset, end, headerLen) : data.slice(offset, end);
    frames.push({ direction, at, op, seq, ver, packLen, headerLen, bytes });
    offset += packLen;
  }
  return frames;
}

/** What an authentication says is secret: its length is all that is kept. */
function withoutBody(data: Uint8Array, offset: number, end: number, headerLen: number): Uint8Array {
  return data.slice(offset, Math.min(end, offset + headerLen));
}

/** What a frame is about, in a few words: an id, a room. */
export function aboutOf(frame: Frame): string {
  const { op, bytes, headerLen } = frame;
  const body = bytes.subarray(headerLen);
  switch (op) {
    case Op.PUSH: {
      const push = pushOf(frame);
      if (push === undefined) return '';
      const id = push.flags === 'ephemeral' ? push.flags : push.id;
      return push.log === undefined ? id : `${push.log} ${id}`;
    }
    case Op.ACK: {
      const id = decodeAck(body);
      return isFault(id) ? '' : `up to ${formatId(id)}`;
    }
    case Op.GAP: {
      const gap = parseGap(body);
      return isFault(gap) ? '' : `${gap.log} ${formatId(gap.after)} … ${formatId(gap.upTo)}`;
    }
    case Op.JOIN:
    case Op.LEAVE:
    case Op.LEAVE_REPLY:
    case Op.PRESENCE: {
      const request = parseRoomRequest(body);
      return isFault(request) ? '' : request.room;
    }
    case Op.JOIN_REPLY: {
      const reply = parseJoinReply(body);
      if (isFault(reply)) return '';
      return 'error' in reply ? `${reply.room}: ${reply.error}` : `${reply.room} at ${formatId(reply.head)}`;
    }
    case Op.PRESENCE_REPLY: {
      const reply = parsePresenceReply(body);
      return isFault(reply) ? '' : 'error' in reply ? reply.error : `${reply.count} here`;
    }
    default:
      return '';
  }
}

/** A field of a frame as the page lists it. */
export interface Field {
  readonly name: string;
  readonly value: string;
}

/** The fields of the header, in the order in which they are sent. */
export function fieldsOf(frame: Frame): readonly Field[] {
  const { packLen, headerLen, ver, op, seq } = frame;
  const fields = [
    { name: 'packLen', value: String(packLen) },
    { name: 'headerLen', value: String(headerLen) },
    { name: 'ver', value: String(ver) },
    { name: 'op', value: `${op} ${nameOf(op)}` },
    { name: 'seq', value: String(seq) },
  ];
  const push = op === Op.PUSH ? pushOf(frame) : undefined;
  if (push === undefined) return fields;
  return [
    ...fields,
    { name: 'id', value: push.id },
    { name: 'flags', value: push.flags },
    { name: 'topic', value: push.log ?? '(empty: the user’s own log)' },
  ];
}

function pushOf({ bytes, headerLen }: Frame): { id: string; flags: string; log: string | undefined } | undefined {
  if (headerLen <= HEADER_BYTES || headerLen > bytes.length) return undefined;
  const push = decodeNativePush(bytes, 0, headerLen);
  if (isFault(push)) return undefined;
  const flags = [
    ...(push.flags & FLAG_REDELIVERED ? ['redelivered'] : []),
    ...(push.flags & FLAG_EPHEMERAL ? ['ephemeral'] : []),
  ];
  return { id: formatId(push.id), flags: flags.join(', ') || 'none', log: push.log };
}

/** The id that an acknowledgement names. */
export function acknowledgedBy({ op, bytes, headerLen }: Frame): MessageId | undefined {
  if (op !== Op.ACK) return undefined;
  const id = decodeAck(bytes.subarray(headerLen));
  return isFault(id) ? undefined : id;
}

/** A line of a hex dump: bytes of one kind, one after another. */
export interface HexRun {
  readonly kind: 'header' | 'extended' | 'body';
  readonly hex: string;
  readonly text: string;
}

/** A hex dump, 16 bytes a line, each line in runs by the part of the frame that they belong to. */
export function hexOf({ bytes, headerLen }: Frame, limit = 256): readonly (readonly HexRun[])[] {
  const lines: HexRun[][] = [];
  for (let start = 0; start < Math.min(bytes.length, limit); start += 16) {
    const line: HexRun[] = [];
    const end = Math.min(start + 16, bytes.length, limit);
    for (let at = start; at < end; ) {
      const kind = at < HEADER_BYTES ? 'header' : at < headerLen ? 'extended' : 'body';
      const kindEnd = kind === 'header' ? HEADER_BYTES : kind === 'extended' ? headerLen : end;
      const part = bytes.subarray(at, Math.min(end, kindEnd));
      line.push({ kind, hex: Array.from(part, hexByte).join(' '), text: Array.from(part, printable).join('') });
      at += part.length;
    }
    lines.push(line);
  }
  return lines;
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function printable(byte: number): string {
  return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : byte === 0x20 ? ' ' : '·';
}
