// `imgo msg`: one message as its log has it, with its state per device; what it says only where that is asked for and allowed.

import { formatDuration } from '../../server/units.js';
import type { Api } from '../api.js';
import type { Output } from '../output.js';
import { localise, printable } from '../style.js';
import { type MessageName, messagePath } from './name.js';
import { deviceLine, type ShownDevice, type ShownVerdict, verdictLine } from './timeline.js';

interface ShownMessage {
  readonly log: string;
  readonly id: string;
  readonly state: 'kept' | 'gone';
  readonly bytes: number | null;
  readonly operation: number | null;
  readonly acceptedAt: string | null;
  readonly expiresAt: string | null;
  readonly ttlLeftMs: number | null;
  readonly online: number | null;
  readonly devices: readonly ShownDevice[];
  readonly verdict: ShownVerdict;
}

/** Prints it. @throws ImgoError message_not_found, message_gone, payloads_hidden, what the server says */
export async function showMessage(api: Api, name: MessageName, payload: boolean, output: Output): Promise<void> {
  const more: Readonly<Record<string, string>> = payload ? { payload: 'full' } : {};
  const answer = await api.call({ path: messagePath('/v1/messages', name, more) });
  // The message stands in it as it came: parsed and written anew, large integers would be others.
  const text = answer.body.toString('utf8');
  if (output.json) return output.line(text);
  const message = JSON.parse(text) as ShownMessage;
  for (const line of lines(message)) await output.line(localise(printable(line)));
  if (payload) await output.line(localise(printable(`  ${payloadOf(text)}`)));
  await output.line(localise(printable(verdictLine(message.verdict))));
}

function lines(message: ShownMessage): readonly string[] {
  const { log, id, state, bytes, operation, acceptedAt, expiresAt, ttlLeftMs, online, devices } = message;
  const facts = [
    ...(bytes === null ? [] : [`${bytes} B`]),
    ...(operation === null ? [] : [`operation ${operation}`]),
    ...(acceptedAt === null ? [] : [`accepted ${acceptedAt}`]),
    state,
    ...(expiresAt === null || ttlLeftMs === null
      ? []
      : [`until ${expiresAt} (${formatDuration(seconds(ttlLeftMs))} left)`]),
  ];
  const sessions = online === null ? [] : [`  ${online} session${online === 1 ? '' : 's'} online`];
  return [`${log}@${id} · ${facts.join(' · ')}`, ...sessions, ...devices.map(deviceLine)];
}

function seconds(ms: number): number {
  return ms < 1_000 ? Math.round(ms) : Math.round(ms / 1_000) * 1_000;
}

/** The last field of the answer, as it came: what is named like it within the message is none of it. */
function payloadOf(text: string): string {
  const { base64 } = JSON.parse(text) as { readonly base64?: string };
  if (base64 !== undefined) return base64;
  const start = text.indexOf(',"message":', text.indexOf(',"verdict":'));
  return text.slice(start + ',"message":'.length, -1);
}
