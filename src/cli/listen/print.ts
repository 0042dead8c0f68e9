// A message as `listen` prints it: on a terminal time, id and text; in a pipe, and with --json, an object a line. JSON stands
// there as it came (integers above 2^53 survive); only line ends between its tokens become spaces.

import type { Message } from '../../client/index.js';
import { formatId, type LogName } from '../../protocol/ids.js';
import type { Gap } from '../../protocol/native-json.js';
import { decodeText, isJson } from '../../protocol/text.js';
import { clock } from '../output.js';
import { printable } from '../style.js';

/** `{"log","id","message","redelivered","receivedAt"}`; `base64` in place of `message` when it is not UTF-8. */
export function messageObject(message: Message): string {
  const { log, id, redelivered, ephemeral, operation, receivedAt } = message;
  const fields = [
    `"log":${JSON.stringify(log ?? null)}`,
    `"id":${id === undefined ? 'null' : `"${formatId(id)}"`}`,
    payloadField(message.payload),
    `"redelivered":${redelivered}`,
    ...(ephemeral ? ['"ephemeral":true'] : []),
    ...(operation === 5 ? [] : [`"operation":${operation}`]),
    `"receivedAt":"${new Date(receivedAt).toISOString()}"`,
  ];
  return `{${fields.join(',')}}`;
}

function payloadField(payload: Uint8Array): string {
  const text = decodeText(payload);
  if (text === undefined) return `"base64":"${Buffer.from(payload).toString('base64')}"`;
  if (!isJson(payload)) return `"message":${JSON.stringify(text)}`;
  return `"message":${text.replace(/[\r\n]+/g, ' ').trim()}`;
}

/** `{"gap":{"log","after","upTo"}}`. */
export function gapObject({ log, after, upTo }: Gap): string {
  return JSON.stringify({ gap: { log, after: formatId(after), upTo: formatId(upTo) } });
}

/** `14:02:11.304  1-1  {"test":1}`; the log stands there when it is not the user's own. */
export function messageLine(message: Message, own: LogName | undefined): string {
  const { log, id, redelivered, ephemeral, receivedAt, payload } = message;
  const name = id === undefined ? (ephemeral ? 'ephemeral' : '-') : formatId(id);
  const full = log === undefined || log === own ? name : `${log}@${name}`;
  const text = decodeText(payload);
  const shown =
    text === undefined ? `${payload.length} bytes: ${Buffer.from(payload).toString('base64')}` : printable(text);
  return `${clock(receivedAt)}  ${full}  ${shown.replace(/\n/g, ' ')}${redelivered ? '  (redelivered)' : ''}`;
}

/** What is gone. */
export function gapText({ log, after, upTo }: Gap): string {
  return `A gap in ${log}: what lies after ${formatId(after)} up to ${formatId(upTo)} is gone.`;
}
