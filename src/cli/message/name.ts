// The full name of a message as it is typed: LOG@ID, split at the last @; and the call that asks for it.

import { ImgoError } from '../../protocol/errors.js';
import { parseId, parseLogName } from '../../protocol/ids.js';

/** A message, by name. */
export interface MessageName {
  readonly log: string;
  /** `1-42`, or `t-MARK` of what is not stored. */
  readonly id: string;
}

/** @throws ImgoError message_name_invalid */
export function messageName(text: string): MessageName {
  const at = text.lastIndexOf('@');
  if (at < 0) throw new ImgoError('message_name_invalid', { detail: 'there is no @ in it' });
  const log = text.slice(0, at);
  const id = text.slice(at + 1);
  if (parseLogName(log) === undefined) {
    throw new ImgoError('message_name_invalid', { detail: 'what stands before the @ is no log' });
  }
  if (parseId(id) === undefined && !/^t-[0-9a-f]{32}$/.test(id)) {
    throw new ImgoError('message_name_invalid', { detail: 'what stands after the @ is no id' });
  }
  return { log, id };
}

/** The path of a call that asks for one message. */
export function messagePath(
  call: string,
  { log, id }: MessageName,
  more: Readonly<Record<string, string>> = {},
): string {
  return `${call}?${new URLSearchParams({ log, id, ...more })}`;
}
