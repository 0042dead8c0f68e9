// `imgo push --dry-run`: whom a push would reach, and where. Nothing is pushed.

import { formatDuration } from '../../server/units.js';
import type { Api } from '../api.js';
import type { Output } from '../output.js';
import { printable } from '../style.js';
import type { MessageField } from './message.js';
import { pushBody } from './one.js';
import { type PushTarget, requestTargets } from './target.js';

interface Target {
  readonly log: string;
  readonly sessions?: readonly { readonly session: string; readonly device: string; readonly node: string }[];
  readonly devices?: readonly string[];
  readonly nodes?: readonly { readonly node: string; readonly members: number }[];
}

interface Plan {
  readonly bytes: number;
  readonly ttlMs: number;
  readonly counts: Readonly<Record<'targets' | 'online' | 'sessions' | 'nodes' | 'kept', number>>;
  readonly targets: readonly Target[];
  readonly more: number;
}

/** Sessions and nodes that a line names. */
const NAMED = 4;

/** Prints it: a line a target, then the sum. @throws ImgoError what the server says */
export async function dryRun(
  api: Api,
  target: PushTarget,
  message: MessageField,
  ttl: string | undefined,
  output: Output,
): Promise<void> {
  for (const { to } of requestTargets(target, message.bytes)) {
    const body = pushBody(to, message, ttl);
    const plan = await api.json<Plan>({ method: 'POST', path: '/v1/push/dry-run', body });
    if (output.json) await output.object(plan);
    else await print(plan, output);
  }
  if (!output.json) output.note('Nothing was pushed.');
}

async function print({ bytes, ttlMs, counts, targets, more }: Plan, output: Output): Promise<void> {
  for (const target of targets) await output.line(printable(`${target.log}  ${whom(target)}`));
  if (more > 0) await output.line(`and ${more} more`);
  const { sessions, nodes, online } = counts;
  const kept = ttlMs === 0 ? 'nothing is kept' : `kept for ${formatDuration(ttlMs)}`;
  const users = counts.targets > 1 ? ` of ${online} of ${counts.targets} users` : '';
  output.note(`${bytes} B to ${plural(sessions, 'session')}${users} on ${plural(nodes, 'node')}; ${kept}.`);
}

function whom({ sessions, devices, nodes }: Target): string {
  if (nodes !== undefined) {
    const members = nodes.reduce((sum, one) => sum + one.members, 0);
    const where = some(nodes.map((one) => `${one.node} ${one.members}`));
    return members === 0 ? 'nobody is there' : `${plural(members, 'member')}: ${where}`;
  }
  const waiting = (devices ?? []).map((device) => (device === '' ? 'whoever names no device' : device));
  const waits = waiting.length === 0 ? '' : `; waits for ${some(waiting)}`;
  if (sessions === undefined || sessions.length === 0) return `nobody is online${waits}`;
  const who = sessions.map(
    ({ session, device, node }) => `${session}${device === '' ? '' : ` (${device})`} on ${node}`,
  );
  return `${plural(sessions.length, 'session')}: ${some(who)}${waits}`;
}

function some(names: readonly string[]): string {
  return names.length <= NAMED
    ? names.join(', ')
    : `${names.slice(0, NAMED).join(', ')} and ${names.length - NAMED} more`;
}

function plural(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
