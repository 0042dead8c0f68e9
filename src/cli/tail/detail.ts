// One event from near: its fields, its bytes (the header's, from its fields, and the payload's), or the payload as text. Nothing
// is shown of a payload that was not asked for.

import { size } from '../../bench/numbers.js';
import { decodeText, isJson } from '../../protocol/text.js';
import { clock } from '../output.js';
import { numberIn, payloadOf, readEvent, type SeenEvent, textIn } from './event.js';
import { headerBytes } from './header.js';

/** How it is looked at. */
export type DetailOf = 'fields' | 'hex' | 'payload';

/** What it is called: `frame user:123456@1-8840`. */
export function detailTitle(event: SeenEvent): string {
  const log = textIn(event, 'log');
  const id = textIn(event, 'id');
  return [event.event, id === undefined ? log : `${log ?? ''}@${id}`].filter((part) => part !== undefined).join(' ');
}

/** All its lines, of any length. */
export function detailLines(text: string, of: DetailOf): readonly string[] {
  const event = readEvent(text);
  if (event === undefined) return [text];
  if (of === 'fields') return fields(event);
  const payload = payloadOf(event);
  if (of === 'hex') return bytesOf(event, payload);
  return payload === undefined ? [noPayload(event)] : payloadLines(payload);
}

function noPayload(event: SeenEvent): string {
  if (event.event !== 'frame') return 'This is not a frame: it has no payload.';
  return 'No payload here: --payload full shows it, where observe.payloads of the server is "allowed".';
}

function fields(event: SeenEvent): readonly string[] {
  const { event: _name, at, header, body, ...rest } = event;
  const lines = [pair('at', typeof at === 'number' ? clock(at) : shown(at))];
  for (const [name, value] of Object.entries(rest)) if (value !== undefined) lines.push(pair(name, shown(value)));
  if (typeof header === 'object' && header !== null) {
    for (const [name, value] of Object.entries(header)) lines.push(pair(`header ${name}`, shown(value)));
  }
  const bytes = numberIn(event, 'bytes');
  if (typeof body === 'string') lines.push(pair('payload', size(Buffer.byteLength(body, 'base64'))));
  else if (event.event === 'frame' && bytes !== undefined) lines.push(pair('payload', 'hidden'));
  return lines;
}

function pair(name: string, value: string): string {
  return `${name.padEnd(16)} ${value}`;
}

function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** The header, then the payload, with offsets as they lie in the frame; what lies around it on WebSocket is not shown. */
function bytesOf(event: SeenEvent, payload: Buffer | undefined): readonly string[] {
  const header = headerBytes(event);
  if (header === undefined) return payload === undefined ? [noPayload(event)] : hex(payload, 0);
  const shown = payload === undefined ? [noPayload(event)] : hex(payload, header.length);
  return [`header, ${header.length} bytes`, ...hex(header, 0), 'payload', ...shown];
}

/** Sixteen bytes a line: offset, hex, ASCII. */
function hex(bytes: Buffer, offset: number): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const part = bytes.subarray(at, at + 16);
    const pairs = [...part].map((byte) => byte.toString(16).padStart(2, '0'));
    const text = part.toString('latin1').replace(/[^ -~]/g, '.');
    lines.push(`${(offset + at).toString(16).padStart(6, '0')}  ${pairs.join(' ').padEnd(47)}  ${text}`);
  }
  return lines.length === 0 ? ['The payload is empty.'] : lines;
}

function payloadLines(bytes: Buffer): readonly string[] {
  const text = decodeText(bytes);
  if (text === undefined) return [`${bytes.length} bytes that are not UTF-8; x shows them.`];
  if (text === '') return ['The payload is empty.'];
  return (isJson(bytes) ? indented(text) : text).split('\n');
}

/** JSON with a value a line. Its tokens stay as they are: large integers are not rounded. */
function indented(json: string): string {
  let depth = 0;
  let result = '';
  for (const [token] of json.matchAll(/"(?:[^"\\]|\\.)*"|[^\s"[\]{},:]+|[[\]{}]|[,:]/g)) {
    const newLine = () => `\n${'  '.repeat(depth)}`;
    if (token === '{' || token === '[') {
      depth += 1;
      result += token + newLine();
    } else if (token === '}' || token === ']') {
      depth -= 1;
      result = /[{[]\s*$/.test(result.slice(-2_000)) ? result.trimEnd() + token : result + newLine() + token;
    } else if (token === ',') result += token + newLine();
    else result += token === ':' ? ': ' : token;
  }
  return result;
}
