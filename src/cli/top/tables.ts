// The tables of `imgo top`: what stands in their columns, how wide these are, and in which order they leave a narrow terminal.

import { count, percent, short, size, time } from '../../bench/numbers.js';
import type { RoomRow, SessionRow } from '../../server/logic/top.js';
import type { NodeRow } from '../../server/logic/top-nodes.js';
import { age } from '../output.js';
import type { Colour } from '../style.js';
import { widthOf } from '../tui/cells.js';
import type { TableColumn } from '../tui/table.js';
import { type Moment, roomKey } from './moment.js';

const NONE = '-';
const SPARKS = '▁▂▃▄▅▆▇█';
const PLAIN_SPARKS = '_.:-=+*#';
/** From here on a figure is coloured: where its alert would be. */
const NEAR_LIMIT = 0.9;
const LATE_MS = 100;

/** A figure that may not be known yet. */
function rate(value: number | undefined): string {
  return value === undefined ? NONE : short(value);
}

/** `38 ms`, `1.2 s`: whole where it is long. */
function brief(ms: number): string {
  return ms < 999.5 ? `${Math.round(ms)} ms` : time(ms);
}

function whole(share: number): string {
  return `${Math.round(share * 100)}%`;
}

/** `1.1G`, `151M`. */
function memory(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)}G` : `${Math.round(bytes / 2 ** 20)}M`;
}

export function nodeColumns(moment: Moment, unicode: boolean): readonly TableColumn<NodeRow>[] {
  const rates = ({ node }: NodeRow) => moment.nodes.get(node) ?? {};
  const workers = moment.answer.nodes.items.some((node) => node.workers.length > 0);
  const columns: readonly (TableColumn<NodeRow> | undefined)[] = [
    { title: 'NODE', value: ({ node }) => node, width: nodeWidth(moment), upTo: 24 },
    { title: 'ROLE', value: roleOf, width: 5, leaves: 6 },
    { title: 'CONNS', value: ({ connections }) => count(connections), width: 9, right: true },
    { title: 'FD', value: fdOf, width: 4, right: true, leaves: 3, colour: (row) => red(fdShare(row) >= NEAR_LIMIT) },
    { title: 'OUT/s', value: (row) => rate(rates(row).deliveries), width: 6, right: true },
    { title: 'FLUSH/s', value: (row) => rate(rates(row).flushes), width: 7, right: true, leaves: 7 },
    {
      title: 'LOOP99',
      value: ({ loopP99Ms }) => brief(loopP99Ms),
      width: 6,
      right: true,
      leaves: 1,
      colour: ({ loopP99Ms }) => yellow(loopP99Ms >= LATE_MS),
    },
    { title: 'LAGGING', value: ({ lagging }) => count(lagging), width: 7, right: true, leaves: 4 },
    {
      title: 'DROP/s',
      value: (row) => rate(rates(row).drops),
      width: 6,
      right: true,
      leaves: 5,
      colour: (row) => yellow((rates(row).drops ?? 0) > 0),
    },
    { title: 'CPU', value: (row) => cpuOf(rates(row).cpuSeconds), width: 4, right: true, leaves: 2 },
    { title: 'RSS', value: ({ rssBytes }) => memory(rssBytes), width: 5, right: true, leaves: 9 },
    workers
      ? { title: 'WORKERS fd·loop', value: (row) => workersOf(row, unicode), width: 15, upTo: 35, leaves: 8 }
      : undefined,
    { title: 'STATE', value: stateOf, width: 8, upTo: 20, colour: stateColour },
  ];
  return columns.filter((column) => column !== undefined);
}

/** As wide as the names are, within bounds; names made up by a server have ten signs. */
function nodeWidth({ answer }: Moment): number {
  return Math.min(24, Math.max(10, ...answer.nodes.items.map(({ node }) => widthOf(node))));
}

function red(is: boolean): Colour | undefined {
  return is ? 'red' : undefined;
}

function yellow(is: boolean): Colour | undefined {
  return is ? 'yellow' : undefined;
}

function roleOf({ roles }: NodeRow): string {
  return roles.length === 3 ? 'all' : roles.length === 0 ? NONE : roles.join('+');
}

function fdShare({ fdUsed, fdLimit }: NodeRow): number {
  return fdLimit === 0 ? 0 : fdUsed / fdLimit;
}

function fdOf(row: NodeRow): string {
  return row.fdUsed === 0 || row.fdLimit === 0 ? NONE : whole(fdShare(row));
}

function cpuOf(seconds: number | undefined): string {
  return seconds === undefined ? NONE : whole(seconds);
}

function workersOf({ workers }: NodeRow, unicode: boolean): string {
  const signs = unicode ? SPARKS : PLAIN_SPARKS;
  const sign = (share: number) => signs[Math.max(0, Math.min(7, Math.floor(share * 7.999)))] ?? '';
  const shown = workers.slice(0, 16);
  return `${shown.map(([fd]) => sign(fd)).join('')} ${shown.map(([, ms]) => sign(ms / (2 * LATE_MS))).join('')}`.trim();
}

/** What is the matter with it, in a word. */
export function stateOf(row: NodeRow): string {
  if (row.state === 'gone') return 'gone';
  if (row.state === 'silent') return `away ${age(row.silentMs)}`;
  if (row.state === 'draining') return 'draining';
  if (row.problems.length > 0) return row.problems[0] ?? '';
  if (fdShare(row) >= NEAR_LIMIT) return 'fd';
  return row.loopP99Ms >= LATE_MS ? 'loop' : 'ok';
}

function stateColour(row: NodeRow): Colour | undefined {
  if (row.state === 'gone') return 'dim';
  if (row.state === 'silent' || row.problems.length > 0 || fdShare(row) >= NEAR_LIMIT) return 'red';
  return row.state === 'draining' || row.loopP99Ms >= LATE_MS ? 'yellow' : undefined;
}

export function roomColumns(moment: Moment): readonly TableColumn<RoomRow>[] {
  const rates = (row: RoomRow) => moment.rooms.get(roomKey(row)) ?? {};
  const apart = moment.answer.rooms.items.some(({ node }) => node !== undefined);
  return [
    { title: 'ROOM', value: ({ room }) => room, width: 12, upTo: 40 },
    apart
      ? { title: 'NODE', value: ({ node }) => node ?? '', width: 8, upTo: 20 }
      : { title: 'NODES', value: ({ nodes }) => count(nodes), width: 5, right: true, leaves: 6 },
    { title: 'MEMBERS', value: ({ members }) => count(members), width: 9, right: true },
    { title: 'MSG/s', value: (row) => rate(rates(row).messages ?? row.perSecond), width: 6, right: true },
    { title: 'OUT/s', value: (row) => rate(rates(row).deliveries), width: 6, right: true, leaves: 2 },
    {
      title: 'WINDOW→NOW',
      value: ({ windowMs, sweepMs }) => `${Math.round(windowMs)}→${brief(Math.max(windowMs, sweepMs))}`,
      width: 12,
      right: true,
      leaves: 4,
    },
    {
      title: 'SWEEP',
      value: ({ sweepMs }) => brief(sweepMs),
      width: 7,
      right: true,
      leaves: 1,
      colour: ({ sweepMs, windowMs }) => yellow(windowMs > 0 && sweepMs > 2 * windowMs),
    },
    {
      title: 'RING USED',
      value: ({ sweepMs, ringMs }) => (ringMs === null || ringMs === 0 ? NONE : percent(sweepMs / ringMs)),
      width: 9,
      right: true,
      leaves: 5,
      colour: ({ sweepMs, ringMs }) => red(ringMs !== null && sweepMs > 0.25 * ringMs),
    },
    { title: 'LAGGING', value: ({ lagging }) => count(lagging), width: 7, right: true, leaves: 3 },
    { title: 'GAPS', value: ({ gaps }) => short(gaps), width: 5, right: true, leaves: 3 },
  ];
}

export function sessionColumns(nowMs: number): readonly TableColumn<SessionRow>[] {
  return [
    { title: 'SESSION', value: ({ session }) => session, width: 18 },
    { title: 'USER', value: ({ user }) => user ?? NONE, width: 9, upTo: 20 },
    { title: 'NODE', value: ({ node }) => node, width: 12, upTo: 16, leaves: 4 },
    { title: 'DIALECT', value: ({ dialect, transport }) => `${dialect} ${transport}`, width: 10, leaves: 6 },
    { title: 'SINCE', value: ({ since }) => age(nowMs - Date.parse(since)), width: 6, right: true, leaves: 7 },
    { title: 'LOG', value: ({ log }) => log ?? NONE, width: 10, upTo: 30, leaves: 8 },
    { title: 'CURSOR', value: ({ cursor }) => shortId(cursor), width: 8, upTo: 14, right: true, leaves: 5 },
    { title: 'HEAD', value: ({ head }) => shortId(head), width: 8, upTo: 14, right: true, leaves: 5 },
    { title: 'LAG', value: ({ lagBytes }) => size(lagBytes), width: 8, right: true },
    { title: 'LAST DRAIN', value: drainOf, width: 10, right: true, leaves: 3 },
    {
      title: 'GAP IN',
      value: ({ gapInMs }) => (gapInMs === null ? NONE : time(gapInMs)),
      width: 6,
      right: true,
      colour: ({ gapInMs }) => red(gapInMs !== null && gapInMs < 60_000),
    },
  ];
}

/** An id whose epoch is long (a time) is told apart by what comes after it. */
function shortId(id: string): string {
  return id.length > 8 ? `…${id.slice(id.lastIndexOf('-'))}` : id;
}

/** When its socket last took all that it was given. */
function drainOf({ heldMs }: SessionRow): string {
  return heldMs === 0 ? 'now' : `${brief(heldMs)} ago`;
}

/** The slow sessions of one user. */
export interface UserRow {
  readonly user: string;
  readonly sessions: number;
  readonly nodes: readonly string[];
  readonly lagBytes: number;
  readonly heldMs: number;
  readonly gapInMs: number | null;
}

/** Users of sessions, in the order of these. */
export function usersOf(sessions: readonly SessionRow[]): readonly UserRow[] {
  const users = new Map<string, UserRow>();
  for (const { user, node, lagBytes, heldMs, gapInMs } of sessions) {
    if (user === null) continue;
    const known = users.get(user);
    const gaps = [known?.gapInMs ?? null, gapInMs].filter((gap) => gap !== null);
    users.set(user, {
      user,
      sessions: (known?.sessions ?? 0) + 1,
      nodes: [...new Set([...(known?.nodes ?? []), node])],
      lagBytes: (known?.lagBytes ?? 0) + lagBytes,
      heldMs: Math.max(known?.heldMs ?? 0, heldMs),
      gapInMs: gaps.length === 0 ? null : Math.min(...gaps),
    });
  }
  return [...users.values()];
}

export const USER_COLUMNS: readonly TableColumn<UserRow>[] = [
  { title: 'USER', value: ({ user }) => user, width: 12, upTo: 40 },
  { title: 'SESSIONS', value: ({ sessions }) => (sessions === 0 ? '?' : count(sessions)), width: 8, right: true },
  { title: 'NODES', value: ({ nodes }) => nodes.join(' '), width: 10, upTo: 40, leaves: 3 },
  { title: 'LAG', value: ({ lagBytes }) => size(lagBytes), width: 8, right: true },
  { title: 'HELD', value: ({ heldMs }) => (heldMs === 0 ? NONE : brief(heldMs)), width: 8, right: true, leaves: 1 },
  { title: 'GAP IN', value: ({ gapInMs }) => (gapInMs === null ? NONE : time(gapInMs)), width: 6, right: true },
];

/** What each node uses of what it may. */
export function limitColumns(moment: Moment): readonly TableColumn<NodeRow>[] {
  return [
    { title: 'NODE', value: ({ node }) => node, width: nodeWidth(moment), upTo: 24 },
    { title: 'CONNS', value: ({ connections }) => count(connections), width: 9, right: true },
    {
      title: 'OF AT MOST',
      value: ({ capacity }) => (capacity === null ? NONE : count(capacity)),
      width: 10,
      right: true,
      leaves: 1,
    },
    {
      title: 'USED',
      value: ({ connections, capacity }) => (capacity === null ? NONE : whole(connections / Math.max(1, capacity))),
      width: 5,
      right: true,
      colour: ({ connections, capacity }) => red(capacity !== null && connections >= NEAR_LIMIT * capacity),
    },
    { title: 'DESCRIPTORS', value: ({ fdUsed }) => count(fdUsed), width: 11, right: true },
    { title: 'OF', value: ({ fdLimit }) => (fdLimit === 0 ? NONE : count(fdLimit)), width: 9, right: true, leaves: 2 },
    { title: 'USED', value: fdOf, width: 5, right: true, colour: (row) => red(fdShare(row) >= NEAR_LIMIT) },
    { title: 'RSS', value: ({ rssBytes }) => memory(rssBytes), width: 6, right: true, leaves: 3 },
    { title: 'PROCESSES', value: ({ processes }) => count(processes), width: 9, right: true, leaves: 5 },
    { title: 'VERSION', value: ({ version }) => version, width: 8, leaves: 6 },
    { title: 'STATE', value: stateOf, width: 8, upTo: 20, colour: stateColour },
  ];
}
