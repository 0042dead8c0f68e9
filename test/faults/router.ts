// Invariant 9: at rest the router equals the open sockets. Asked of a logic, page by page, and of every comet.
import { setTimeout as wait } from 'node:timers/promises';
import { call } from '../harness/pusher.js';
import type { Fleet } from './fleet.js';

const PAGE = 500;
/** A lease that is over and the sweep after it take seconds. */
const PATIENCE_MS = 30_000;

/** Resolves with what differs, by user; nothing when it came to be equal in time. */
export async function routerDifferences(logic: () => string, fleet: Fleet): Promise<readonly string[]> {
  for (const until = Date.now() + PATIENCE_MS; ; await wait(500)) {
    const differences = await look(logic(), fleet).catch((error: unknown) => [String(error)]);
    if (differences.length === 0 || Date.now() > until) return differences;
  }
}

async function look(logic: string, fleet: Fleet): Promise<readonly string[]> {
  const open = new Map<string, number>();
  for (const { options, open: isOpen } of fleet.receivers) {
    if (isOpen) open.set(options.user, (open.get(options.user) ?? 0) + 1);
  }
  const known = new Map<string, string[]>();
  for (let after: string | null = ''; after !== null; ) {
    const query = `limit=${PAGE}${after === '' ? '' : `&after=${encodeURIComponent(after)}`}`;
    const { items, next } = (await ask(`${logic}/v1/sessions?${query}`)) as {
      items: readonly { user: string; session: string; node: string; dialect: string }[];
      next: string | null;
    };
    for (const { user, session, node, dialect } of items) {
      known.set(user, [...(known.get(user) ?? []), `${session} (${dialect}) on ${node}`]);
    }
    after = next;
  }
  const differences: string[] = [];
  for (const user of new Set([...open.keys(), ...known.keys()])) {
    const sockets = open.get(user) ?? 0;
    const sessions = known.get(user) ?? [];
    if (sockets !== sessions.length) {
      differences.push(`user ${user}: ${sockets} open, the router has ${sessions.length}: ${sessions.join(', ')}`);
    }
  }
  const { items } = (await ask(`${logic}/v1/nodes`)) as {
    items: readonly { node: string; state: string; comet: { sessions: number; connections: number } | null }[];
  };
  const held = items.reduce((sum, { comet }) => sum + (comet?.sessions ?? 0), 0);
  if (held !== fleet.open) differences.push(`${fleet.open} open, the comets hold ${held} sessions`);
  return differences;
}

async function ask(url: string): Promise<unknown> {
  const answer = await call(url, 'GET', undefined, {}, 10_000);
  if (answer.status !== 200) throw new Error(`${url}: ${answer.status} ${answer.body}`);
  return JSON.parse(answer.body);
}
