// What a log keeps, as JSON whose messages are the very bytes that were pushed. What is not JSON is shown as base64.

import { compareIds, formatId, type LogName, type MessageId, ZERO_ID } from '../../protocol/ids.js';
import type { Buckets, DeviceState, Entry } from '../store/buckets.js';
import { isJsonText } from './push-body.js';
import { isoTime } from './schemas.js';

/** A page is at most this large, plus one message. */
const PAGE_BYTES = 1024 * 1024;

export interface PageRequest {
  readonly after: MessageId | undefined;
  readonly limit: number;
  /** undefined: not a user's log. */
  readonly devices?: readonly DeviceState[];
}

/** `{"log","head","trimmedTo","items":[…],"devices"?,"next"}`. */
export async function keptMessages(buckets: Buckets, log: LogName, page: PageRequest): Promise<Buffer> {
  const state = await buckets.log(log);
  const after = page.after ?? ZERO_ID;
  const read = await buckets.read(log, after, { entries: page.limit, bytes: PAGE_BYTES });
  const parts: Buffer[] = [];
  const text = (json: string) => parts.push(Buffer.from(json));
  text(`{"log":${JSON.stringify(log)},"head":"${formatId(read.head)}"`);
  text(`,"trimmedTo":"${formatId(state?.trimmedTo ?? ZERO_ID)}","items":[`);
  for (const [index, item] of read.items.entries()) {
    if (index > 0) text(',');
    if (item.kind === 'gap') {
      text(JSON.stringify({ gap: { after: formatId(item.after), upTo: formatId(item.upTo) } }));
      continue;
    }
    const { entry } = item;
    const { id, acceptedAt, expiresAt, operation } = entry;
    const head = { id: formatId(id), acceptedAt: isoTime(acceptedAt), expiresAt: isoTime(expiresAt), operation };
    const devices = page.devices === undefined ? {} : { state: stateOf(entry, page.devices) };
    text(JSON.stringify({ ...head, ...devices }).slice(0, -1));
    if (isJsonText(entry.payload)) parts.push(Buffer.from(',"message":'), Buffer.from(entry.payload));
    else text(`,"base64":"${Buffer.from(entry.payload).toString('base64')}"`);
    text('}');
  }
  text(']');
  if (page.devices !== undefined) text(`,"devices":${JSON.stringify(page.devices.map(showDevice))}`);
  text(`,"next":${compareIds(read.readTo, read.head) < 0 ? `"${formatId(read.readTo)}"` : 'null'}}`);
  return Buffer.concat(parts);
}

/** By device; '' is all that name none. */
function stateOf(entry: Entry, devices: readonly DeviceState[]): Record<string, string> {
  const states = devices.map(({ device, cursor, sentTo }): [string, string] => {
    if (compareIds(cursor, entry.id) >= 0) return [device, 'acknowledged'];
    return [device, compareIds(sentTo, entry.id) >= 0 ? 'sent' : 'waiting'];
  });
  return Object.fromEntries(states);
}

function showDevice({ device, cursor, sentTo, clean, lastSeen }: DeviceState) {
  return { device, cursor: formatId(cursor), sentTo: formatId(sentTo), clean, lastSeen: isoTime(lastSeen) };
}
