// What must hold at rest (delivery.md section 6), judged from what the clients wrote down and from what was answered to those
// who pushed. Each violation is one sentence.

import { compareIds, formatId, type LogName, type MessageId } from '../../src/protocol/ids.js';
import type { Arrival, SimClient } from './client.js';
import type { Cluster } from './cluster.js';

/** How the violation begins that a comet's own round repairs. */
export const UNREGISTERED = 'open sessions that the router does not know';

/** No byte takes longer to a client than this. */
const ON_ITS_WAY_MS = 60;

/** One push and what its caller was told. */
export interface Submitted {
  readonly log: LogName;
  readonly body: string;
  outcome: 'pending' | 'accepted' | 'refused' | 'unknown';
  /** Of the accept; with a key the entry may have the id of an earlier attempt. */
  id: MessageId | undefined;
  /** Carries an idempotency key, and was repeated while the outcome was unknown. */
  readonly keyed: boolean;
}

export interface Evidence {
  readonly cluster: Cluster;
  readonly clients: readonly SimClient[];
  readonly submitted: ReadonlyMap<string, Submitted>;
  /** Nothing was trimmed or expired on purpose: then no gap may be told. */
  readonly ample: boolean;
}

export async function violations(evidence: Evidence): Promise<readonly string[]> {
  const found: string[] = [];
  found.push(...(await logsHoldWhatWasAppended(evidence)));
  found.push(...idsNameOnePayload(evidence));
  for (const client of evidence.clients) {
    found.push(...arrivalsAreLegitimate(evidence, client));
    found.push(...arrivalsAreInOrder(client));
    if (evidence.cluster.store.failovers === 0) found.push(...repeatsAreFlagged(client));
    if (client.revokedAt === Number.POSITIVE_INFINITY) found.push(...nothingIsMissing(evidence, client));
    // A revocation does not find a session whose registration a failover took back, until its comet re-reads.
    else if (evidence.cluster.store.failovers === 0) found.push(...nothingAfterRevocation(client));
  }
  found.push(...(await cursorsStayBehind(evidence)));
  found.push(...(await routerEqualsSockets(evidence)));
  found.push(...evidence.cluster.errors);
  if (!evidence.cluster.broker.drained) found.push('at rest the queue is not drained');
  return found;
}

/** What is in the queue is in the store, where nobody's acknowledgement lets it go: nothing was skipped. */
async function logsHoldWhatWasAppended({ cluster, ample }: Evidence): Promise<string[]> {
  if (!ample) return [];
  const found: string[] = [];
  const first = firstIds(cluster);
  for (const { log } of cluster.broker.partitions) {
    for (const { record } of log) {
      // Repeated under its idempotency key, a record is appended once.
      if (record.log.startsWith('user:') || first.get(bodyOf(record)) !== record.id) continue;
      if (!(await cluster.store.holds(record.log, record.id))) {
        found.push(`${record.log}@${formatId(record.id)} is in the queue and not in the store`);
      }
    }
  }
  return found;
}

/** The id that each body, of that log or any, has first in the queue: repeated under its idempotency key, that is the one it keeps. */
function firstIds(cluster: Cluster, of?: LogName): ReadonlyMap<string, MessageId> {
  const first = new Map<string, MessageId>();
  for (const { log } of cluster.broker.partitions) {
    for (const { record } of log) {
      if ((of ?? record.log) === record.log && !first.has(bodyOf(record))) first.set(bodyOf(record), record.id);
    }
  }
  return first;
}

function bodyOf({ payload }: { readonly payload: Uint8Array }): string {
  return new TextDecoder().decode(payload);
}

/** 7: no id for two payloads, no payload (they are unique) under two ids. */
function idsNameOnePayload({ clients, submitted }: Evidence): string[] {
  const found: string[] = [];
  const bodies = new Map<string, string>();
  const ids = new Map<string, string>();
  const see = (log: LogName, id: MessageId, body: string): void => {
    const full = `${log}@${formatId(id)}`;
    if ((bodies.get(full) ?? body) !== body) found.push(`${full} names ${body} and ${bodies.get(full)}`);
    if ((ids.get(body) ?? full) !== full) found.push(`${body} has the ids ${full} and ${ids.get(body)}`);
    bodies.set(full, body);
    ids.set(body, full);
  };
  for (const { log, id, body, keyed } of submitted.values()) if (id !== undefined && !keyed) see(log, id, body);
  for (const { journal } of clients) {
    for (const arrival of journal.flat()) {
      if (arrival.kind === 'message') see(arrival.log, arrival.id, arrival.body);
    }
  }
  return found;
}

/** 2: nothing that nobody submitted, that was refused, or that was for somebody else. */
function arrivalsAreLegitimate(
  { cluster, submitted, ample }: Evidence,
  { journal, options, log }: SimClient,
): string[] {
  const found: string[] = [];
  const logs = new Set<string>([log, 'all', ...options.rooms.map((room) => `room:${room}`)]);
  const arrived = new Set<string>();
  for (const arrival of journal.flat()) {
    if (arrival.kind === 'gap') {
      // A store that lost its tail may take a log for forgotten before it is filled again; a topic that cannot be read when a
      // member comes back tells it a gap rather than let it wait.
      if (ample && cluster.store.failovers === 0 && arrival.log === log && !hadAll(cluster, arrived, arrival))
        found.push(`${options.name} was told a gap in ${arrival.log} though all was kept: ${show(arrival)}`);
      continue;
    }
    arrived.add(arrival.body);
    const push = submitted.get(arrival.body);
    if (push === undefined) found.push(`${options.name} got ${arrival.body}, which nobody submitted`);
    else if (push.outcome === 'refused') found.push(`${options.name} got ${arrival.body}, which was refused`);
    else if (push.log !== arrival.log)
      found.push(`${options.name} got ${arrival.body} of ${push.log} as ${arrival.log}`);
    if (!logs.has(arrival.log)) found.push(`${options.name} got ${arrival.body} of ${arrival.log}, where it is not`);
  }
  return found;
}

/**
 * The device had all of it. When its comet's lease ends, so does its session's hold on what it has not read yet here; an
 * acknowledgement of its session before, late, then lets go of what that one was given.
 */
function hadAll(cluster: Cluster, arrived: ReadonlySet<string>, gap: Arrival & { readonly kind: 'gap' }): boolean {
  for (const [body, id] of firstIds(cluster, gap.log)) {
    if (compareIds(gap.after, id) < 0 && compareIds(id, gap.upTo) <= 0 && !arrived.has(body)) return false;
  }
  return true;
}

/** 3: in one session the ids of a log increase, and so do gaps. */
function arrivalsAreInOrder({ journal, options }: SimClient): string[] {
  const found: string[] = [];
  for (const [session, arrivals] of journal.entries()) {
    const last = new Map<LogName, MessageId>();
    for (const arrival of arrivals) {
      const before = last.get(arrival.log);
      const id = arrival.kind === 'message' ? arrival.id : arrival.upTo;
      if (before !== undefined && compareIds(id, before) <= 0) {
        found.push(`${options.name}, session ${session}: ${show(arrival)} after ${formatId(before)}`);
      }
      last.set(arrival.log, id);
    }
  }
  return found;
}

/** 4: what came before in another session is flagged when it comes again. */
function repeatsAreFlagged({ journal, options, log }: SimClient): string[] {
  const found: string[] = [];
  const seen = new Set<string>();
  for (const arrival of journal.flat()) {
    if (arrival.kind === 'gap' || arrival.log !== log) continue;
    if (seen.has(arrival.body) && !arrival.redelivered)
      found.push(`${options.name} got ${show(arrival)} again, unflagged`);
    seen.add(arrival.body);
  }
  return found;
}

/** 1: whatever was accepted since the client stands in the log arrived, or a gap covers it. */
function nothingIsMissing({ cluster, submitted }: Evidence, client: SimClient): string[] {
  const found: string[] = [];
  const first = firstIds(cluster);
  const arrivals = client.journal.flat();
  const bodies = new Set(arrivals.flatMap((arrival) => (arrival.kind === 'message' ? [arrival.body] : [])));
  const gaps = arrivals.filter((arrival) => arrival.kind === 'gap');
  for (const { log, body, outcome } of submitted.values()) {
    const id = first.get(body);
    const from = client.joinedAt.get(log);
    if (outcome !== 'accepted' || id === undefined || from === undefined) continue;
    if (compareIds(id, from) <= 0 || bodies.has(body)) continue;
    const told = gaps.some((gap) => gap.log === log && compareIds(gap.after, id) < 0 && compareIds(id, gap.upTo) <= 0);
    if (!told) found.push(`${client.options.name} never got ${log}@${formatId(id)} (${body}), nor a gap`);
  }
  return found;
}

/** 10: when the revocation was answered, what was on its way arrives, and nothing else. */
function nothingAfterRevocation({ journal, options, revokedAt }: SimClient): string[] {
  const late = journal.flat().find(({ at }) => at > revokedAt + ON_ITS_WAY_MS);
  return late === undefined ? [] : [`${options.name} got ${show(late)} at ${late.at}, revoked at ${revokedAt}`];
}

/** 6: no stored cursor is above what its device was sent. */
async function cursorsStayBehind({ cluster, clients }: Evidence): Promise<string[]> {
  const found: string[] = [];
  for (const client of clients) {
    const devices = await cluster.store.engine.devices(client.options.user);
    const device = devices.find((entry) => entry.device === client.options.name);
    if (device !== undefined && compareIds(device.cursor, client.received) > 0) {
      found.push(
        `the cursor of ${client.options.name} is ${formatId(device.cursor)}, it got up to ${formatId(client.received)}`,
      );
    }
  }
  return found;
}

/** 9: the sessions that the router knows are those that are open. */
async function routerEqualsSockets({ cluster, clients }: Evidence): Promise<string[]> {
  const known = (await cluster.store.engine.sessions({ after: undefined, limit: 1_000 })).map(({ session }) => session);
  const open = clients.flatMap(({ session, open: isOpen }) => (isOpen && session !== undefined ? [session] : []));
  const missing = open.filter((session) => !known.includes(session as never));
  const stale = known.filter((session) => !open.includes(session));
  const found: string[] = [];
  if (missing.length > 0) found.push(`${UNREGISTERED}: ${missing.join(' ')}`);
  // What a lost answer or a lost tail leaves behind goes with its comet's incarnation.
  if (stale.length > 0 && cluster.lostOpens === 0 && cluster.store.failovers === 0)
    found.push(`sessions that the router knows and nobody holds: ${stale.join(' ')}`);
  const closed = clients
    .filter((client) => !client.open && client.revokedAt === Number.POSITIVE_INFINITY)
    .map(({ options }) => options.name);
  if (closed.length > 0) found.push(`at rest these could not stay connected: ${closed.join(' ')}`);
  return found;
}

function show(arrival: Arrival): string {
  return arrival.kind === 'message'
    ? `${arrival.log}@${formatId(arrival.id)} (${arrival.body})`
    : `the gap ${formatId(arrival.after)}..${formatId(arrival.upTo)} of ${arrival.log}`;
}
