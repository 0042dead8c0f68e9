/**
 * What `imgo top` draws, as one answer: totals, alerts, and the first rows of nodes, rooms and sessions in an order. Counts only
 * grow, and who draws makes rates of them. However many sessions, rooms and nodes there are, an answer is at most 20 KB: rows
 * that would make it larger are left out, and can be asked for by `from`.
 */
import { formatId } from '../../protocol/ids.js';
import type { Alert } from '../observe/alarm.js';
import type { Facts } from '../observe/facts.js';
import { addUp, percentile } from '../observe/latency.js';
import type { QueueStats } from '../queue/queue.js';
import type { SlowSession, TopicOrder, TopicStats } from '../rpc/services.js';
import type { StoreHealth } from '../store/buckets.js';
import { isoTime } from './schemas.js';
import { dropsOf, type NodeRow, nodeRows, type Rates } from './top-nodes.js';
import type { NodeOrder, RoomOrder, SessionOrder } from './top-orders.js';

/** What an answer may weigh. */
const MOST_BYTES = 20_000;
const ALERTS = 20;

/** What is asked for: one table from a row on, and the first rows of the others. */
export interface TopQuery {
  readonly table: 'nodes' | 'rooms' | 'sessions';
  readonly from: number;
  readonly limit: number;
  /** Rows of the other tables. */
  readonly beside: number;
  readonly nodesBy: NodeOrder;
  readonly roomsBy: RoomOrder;
  readonly sessionsBy: SessionOrder;
  /** Only rows of the table with this in their names. */
  readonly search?: string | undefined;
  /** Only this node: its processes, its rooms, its sessions. */
  readonly node?: string | undefined;
  /** Only this room, a row for each comet that has members. */
  readonly room?: string | undefined;
}

export interface RoomRow {
  /** `(all)` is everybody's log. */
  readonly room: string;
  /** How many comets have members; with `room` asked for, which one this row is of. */
  readonly nodes: number;
  readonly node?: string;
  readonly members: number;
  readonly lagging: number;
  /** Counts. */
  readonly messages: number;
  readonly deliveries: number;
  readonly gaps: number;
  /** Messages a second, lately. */
  readonly perSecond: number;
  readonly windowMs: number;
  /** Of the comet that takes the longest. */
  readonly sweepMs: number;
  /** For how long its ring holds messages at their present rate; null: longer than can be told. */
  readonly ringMs: number | null;
  readonly ringBytes: number;
}

export interface SessionRow {
  readonly session: string;
  readonly user: string | null;
  readonly node: string;
  readonly dialect: string;
  readonly transport: string;
  readonly since: string;
  /** Where it is the furthest behind. */
  readonly log: string | null;
  readonly cursor: string;
  readonly head: string;
  readonly lagBytes: number;
  readonly heldMs: number;
  readonly gapInMs: number | null;
}

/** Rows of a table from one on, of those that are kept in this order, of so many. */
export interface Rows<T> {
  readonly total: number;
  readonly kept: number;
  readonly from: number;
  readonly items: readonly T[];
}

export interface TopTotals {
  readonly nodes: number;
  readonly processes: number;
  readonly silent: number;
  readonly gone: number;
  readonly connections: number;
  /** null: nothing bounds them. */
  readonly capacity: number | null;
  readonly sessions: number;
  readonly lagging: number;
  readonly rooms: number;
  readonly byDialect: Readonly<Record<string, number>>;
  readonly rssBytes: number;
  /** Counts, since this logic looks: of nodes that are gone, too. */
  readonly opened: number;
  readonly accepted: number;
  readonly refused: number;
  readonly deliveries: number;
  readonly flushes: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly redelivered: number;
  readonly gaps: number;
  readonly drops: number;
  readonly cpuSeconds: number;
  /** Of the last ten seconds; null: nothing was accepted, or delivered. */
  readonly acceptMs: { readonly p50: number; readonly p99: number } | null;
  readonly deliverMs: { readonly p50: number; readonly p99: number } | null;
}

export interface TopAnswer {
  readonly at: string;
  readonly version: string;
  readonly development: boolean;
  readonly totals: TopTotals;
  readonly alertCount: number;
  readonly alerts: readonly (Omit<Alert, 'since'> & { readonly since: string })[];
  readonly queue: QueueStats;
  readonly store: StoreHealth;
  readonly job: Readonly<Record<string, number>>;
  /** Drops, refusals and closes of all comets by reason. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly nodes: Rows<NodeRow>;
  readonly rooms: Rows<RoomRow>;
  readonly sessions: Rows<SessionRow>;
}

/** What is known beside what nodes say of themselves. */
export interface TopSources {
  readonly facts: Facts;
  readonly alerts: readonly Alert[];
  readonly development: boolean;
  readonly counted: Readonly<Record<string, number>>;
  readonly pushed: { readonly accepted: number; readonly refused: number };
  readonly job: Readonly<Record<string, number>>;
  readonly reasons: Readonly<Record<string, number>>;
  readonly perSecond: Rates;
}

/** The order in which comets are to give their topics. */
export function topicOrder(by: RoomOrder): TopicOrder {
  return by === 'rate' || by === 'sweep' || by === 'lag' ? by : 'members';
}

export function topAnswer(query: TopQuery, sources: TopSources): TopAnswer {
  const { facts, development, job, reasons } = sources;
  const inTable = (table: TopQuery['table']) => (query.table === table ? query.search : undefined);
  const nodes = nodeRows(facts, sources.perSecond, query.nodesBy, { search: inTable('nodes'), node: query.node });
  const rooms = roomRows(facts, query, inTable('rooms'));
  const sessions = sessionRows(facts, query);
  const totals = totalsOf(sources);
  const head = {
    at: isoTime(facts.at),
    version: facts.version,
    development,
    totals,
    alertCount: sources.alerts.length,
    alerts: sources.alerts.slice(0, ALERTS).map((alert) => ({ ...alert, since: isoTime(alert.since) })),
    queue: facts.queue,
    store: facts.store,
    job,
    reasons,
  };
  const budget = { left: MOST_BYTES - JSON.stringify(head).length - 200 };
  const part = <T>(table: TopQuery['table'], rows: readonly T[], total = rows.length): Rows<T> => {
    const asked = query.table === table;
    const from = asked ? query.from : 0;
    return {
      total,
      kept: rows.length,
      from,
      items: fitting(rows.slice(from, from + (asked ? query.limit : query.beside)), budget),
    };
  };
  // What stands beside the table comes first: it is small.
  const parts = {
    ...(query.table === 'nodes' ? {} : { nodes: part('nodes', nodes) }),
    ...(query.table === 'rooms' ? {} : { rooms: part('rooms', rooms.rows, rooms.total) }),
    ...(query.table === 'sessions' ? {} : { sessions: part('sessions', sessions, totals.sessions) }),
  };
  return {
    ...head,
    nodes: parts.nodes ?? part('nodes', nodes),
    rooms: parts.rooms ?? part('rooms', rooms.rows, rooms.total),
    sessions: parts.sessions ?? part('sessions', sessions, totals.sessions),
  };
}

/** As many rows as there is place for. */
function fitting<T>(rows: readonly T[], budget: { left: number }): readonly T[] {
  const kept: T[] = [];
  for (const row of rows) {
    const bytes = Buffer.byteLength(JSON.stringify(row)) + 1;
    if (bytes > budget.left) break;
    budget.left -= bytes;
    kept.push(row);
  }
  return kept;
}

function totalsOf({ facts, counted, pushed, reasons }: TopSources): TopTotals {
  const there = facts.nodes.filter(({ state }) => state !== 'gone');
  const comets = there.flatMap(({ comet }) => comet ?? []);
  const sum = (of: (comet: (typeof comets)[number]) => number) => comets.reduce((all, comet) => all + of(comet), 0);
  const byDialect: Record<string, number> = {};
  for (const comet of comets) {
    for (const [name, many] of Object.entries(comet.byDialect)) byDialect[name] = (byDialect[name] ?? 0) + many;
  }
  const bounded = comets.length > 0 && comets.every(({ capacity }) => capacity !== undefined);
  return {
    nodes: new Set(there.map(({ node }) => node.replace(/\/\d+$/, ''))).size,
    processes: there.length,
    silent: there.filter(({ silentMs }) => silentMs > 0).length,
    gone: facts.nodes.length - there.length,
    connections: sum(({ connections }) => connections),
    capacity: bounded ? sum(({ capacity }) => capacity?.most ?? 0) : null,
    sessions: sum(({ sessions }) => sessions),
    lagging: sum(({ lagging }) => lagging ?? 0),
    rooms: Math.max(0, ...comets.map(({ topics, topicCount }) => (topicCount ?? topics.length) - 1)),
    byDialect,
    rssBytes: there.reduce((all, { comet, report }) => all + (comet?.rssBytes ?? report?.rssBytes ?? 0), 0),
    opened: counted['accepted'] ?? 0,
    ...pushed,
    deliveries: (counted['deliveries'] ?? 0) + (counted['topics_deliveries'] ?? 0),
    flushes: counted['flushes'] ?? 0,
    bytesIn: counted['bytes_in'] ?? 0,
    bytesOut: counted['bytes_out'] ?? 0,
    redelivered: counted['redelivered'] ?? 0,
    gaps: (counted['gaps'] ?? 0) + (counted['topics_gaps_log'] ?? 0),
    drops: dropsOf(reasons, counted),
    cpuSeconds: counted['cpu_seconds'] ?? 0,
    acceptMs: percentilesOf(
      there.flatMap(({ report }) => (report?.push?.took === undefined ? [] : [report.push.took.recent])),
    ),
    deliverMs: percentilesOf(comets.flatMap(({ took }) => (took === undefined ? [] : [took.recent]))),
  };
}

function percentilesOf(recent: readonly (readonly number[])[]): TopTotals['acceptMs'] {
  const counts = addUp(recent);
  const p50 = percentile(counts, 0.5);
  const p99 = percentile(counts, 0.99);
  return p50 === undefined || p99 === undefined ? null : { p50, p99 };
}

function roomRows(
  facts: Facts,
  query: TopQuery,
  search: string | undefined,
): { readonly rows: readonly RoomRow[]; readonly total: number } {
  const rows = new Map<string, RoomRow>();
  let most = 0;
  for (const { node, state, comet } of facts.nodes) {
    if (state === 'gone' || comet === undefined || !isOf(node, query.node)) continue;
    most = Math.max(most, (comet.topicCount ?? comet.topics.length) - 1);
    for (const topic of comet.topics) {
      const room = topic.log === 'all' ? '(all)' : topic.log.slice('room:'.length);
      if (search !== undefined && !room.includes(search)) continue;
      if (query.room !== undefined && room !== query.room) continue;
      const key = query.room === undefined ? room : `${room} ${node}`;
      const row = roomRow(room, topic);
      const known = rows.get(key);
      if (query.room !== undefined) rows.set(key, { ...row, node });
      else rows.set(key, known === undefined ? row : together(known, row));
    }
  }
  const by = ROOM_FIGURES[query.roomsBy];
  const sorted = [...rows.values()].sort(
    (a, b) => by(b) - by(a) || Number(a.room === '(all)') - Number(b.room === '(all)') || (a.room < b.room ? -1 : 1),
  );
  const all = search === undefined && query.room === undefined ? Math.max(most, sorted.length) : sorted.length;
  return { rows: sorted, total: all };
}

const ROOM_FIGURES: Readonly<Record<RoomOrder, (row: RoomRow) => number>> = {
  members: ({ members }) => members,
  rate: ({ perSecond }) => perSecond,
  sweep: ({ sweepMs }) => sweepMs,
  lag: ({ lagging }) => lagging,
  gaps: ({ gaps }) => gaps,
  room: () => 0,
};

function roomRow(room: string, topic: TopicStats): RoomRow {
  const { members, lagging, windowMs, sweepMs, ringBytes } = topic;
  const { messages = 0, deliveries = 0, gaps = 0, perSecond = 0, ringMs = null } = topic;
  const counts = { messages, deliveries, gaps, perSecond };
  return { room, nodes: 1, members, lagging, ...counts, windowMs, sweepMs, ringMs, ringBytes };
}

/** Members of two comets: messages are the same ones, deliveries are not. */
function together(a: RoomRow, b: RoomRow): RoomRow {
  const slow = b.sweepMs > a.sweepMs ? b : a;
  return {
    room: a.room,
    nodes: a.nodes + 1,
    members: a.members + b.members,
    lagging: a.lagging + b.lagging,
    messages: Math.max(a.messages, b.messages),
    deliveries: a.deliveries + b.deliveries,
    gaps: a.gaps + b.gaps,
    perSecond: Math.max(a.perSecond, b.perSecond),
    windowMs: slow.windowMs,
    sweepMs: slow.sweepMs,
    ringMs: slow.ringMs,
    ringBytes: a.ringBytes + b.ringBytes,
  };
}

function sessionRows(facts: Facts, query: TopQuery): readonly SessionRow[] {
  const rows: { readonly node: string; readonly slow: SlowSession }[] = [];
  for (const { node, state, comet } of facts.nodes) {
    if (state === 'gone' || !isOf(node, query.node)) continue;
    for (const slow of comet?.slowest ?? []) rows.push({ node, slow });
  }
  const by = SESSION_FIGURES[query.sessionsBy];
  return rows
    .sort((a, b) => by(a.slow) - by(b.slow) || b.slow.lagBytes - a.slow.lagBytes || nameOrder(a.slow, b.slow))
    .map(({ node, slow }) => sessionRow(node, slow));
}

/** Smallest first. */
const SESSION_FIGURES: Readonly<Record<SessionOrder, (session: SlowSession) => number>> = {
  gap: ({ gapInMs }) => gapInMs ?? Number.MAX_VALUE,
  lag: ({ lagBytes }) => -lagBytes,
  held: ({ heldMs }) => -heldMs,
  since: ({ since }) => since,
  user: () => 0,
};

function nameOrder(a: SlowSession, b: SlowSession): number {
  return (a.user ?? '') < (b.user ?? '') ? -1 : 1;
}

function sessionRow(node: string, slow: SlowSession): SessionRow {
  const { session, user, dialect, transport, since, log, cursor, head, lagBytes, heldMs, gapInMs } = slow;
  return {
    session,
    user: user ?? null,
    node,
    dialect,
    transport,
    since: isoTime(since),
    log: log ?? null,
    cursor: formatId(cursor),
    head: formatId(head),
    lagBytes,
    heldMs: Math.round(heldMs),
    gapInMs: gapInMs === undefined ? null : Math.round(gapInMs),
  };
}

/** The node itself, or a worker of it. */
function isOf(node: string, asked: string | undefined): boolean {
  return asked === undefined || node === asked || node.startsWith(`${asked}/`);
}
