// What there is to look at when a promise broke: what the journals and the server say of whom it broke for.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Account, Suspect } from '../harness/account.js';
import type { PusherLine, ReceiverLine } from '../harness/journal.js';
import { call } from '../harness/pusher.js';
import { compareIds } from '../harness/wire.js';
import type { ClusterNode } from './node.js';

const SUSPECTS = 5;
/** Of a receiver's journal, before and after. */
const AROUND = 12;

export interface EvidenceOptions {
  readonly account: Account;
  readonly pushes: readonly PusherLine[];
  readonly lines: readonly ReceiverLine[];
  readonly logic: string;
}

/** For people. */
export async function evidence({ account, pushes, lines, logic }: EvidenceOptions): Promise<readonly string[]> {
  const said: string[] = [];
  for (const suspect of account.suspects.slice(0, SUSPECTS)) {
    const { who, log, id } = suspect;
    said.push(`— ${who}, ${log}, ${id ?? 'no id'}`);
    const push = pushes.find((line) => line.to === log && line.id === id);
    said.push(`  pushed: ${push === undefined ? 'by nobody under this id' : JSON.stringify(push)}`);
    const own = lines.filter((line) => line.who === who);
    const at = placeOf(own, suspect);
    for (const line of own.slice(Math.max(0, at - AROUND), at + AROUND)) said.push(`  ${JSON.stringify(line)}`);
    const user = who.split('/')[0];
    for (const path of [`/v1/users/${user}/messages`, `/v1/users/${user}/sessions`]) {
      const answer = await call(`${logic}${path}`, 'GET', undefined, {}, 5_000).catch((error: unknown) => ({
        body: String(error),
      }));
      said.push(`  ${path}: ${answer.body.slice(0, 1_000)}`);
    }
  }
  return said;
}

/** What each node logged, a file each. */
export function writeLogs(folder: string, nodes: readonly ClusterNode[]): void {
  for (const node of nodes) writeFileSync(join(folder, `${node.name}.log`), node.log());
}

/** Where the id came last, or where it should have come. */
function placeOf(own: readonly ReceiverLine[], { log, id }: Suspect): number {
  if (id === undefined) return 0;
  const name = log.startsWith('user:') ? '' : log;
  const came = own.findLastIndex((line) => line.ev === 'push' && (line.log ?? '') === name && line.id === id);
  if (came >= 0) return came;
  return own.findIndex((line) => line.ev === 'push' && line.log === name && compareIds(line.id ?? '0-0', id) > 0);
}
