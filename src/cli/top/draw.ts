/**
 * `imgo top` as lines: figures, alerts, and the table of the view, in the place that there is. It also says what of the table
 * is seen and which row keys act on, so that what a key does is what one sees.
 */
import { count } from '../../bench/numbers.js';
import type { SessionRow, TopAnswer } from '../../server/logic/top.js';
import type { NodeRow } from '../../server/logic/top-nodes.js';
import { line } from '../tui/line.js';
import { clamp, type Scroll } from '../tui/list.js';
import { type TableColumn, tableLines } from '../tui/table.js';
import { type Known, rowOf } from './feed.js';
import { alertLines, figureLines, isStale, type Standing, titleLine } from './head.js';
import { type Drawing, heading } from './heading.js';
import { adviceLines, queueLines, reasonLines, sessionLines } from './pages.js';
import { orderOf, type Scope, scopeOf, type TopState } from './state.js';
import {
  limitColumns,
  nodeColumns,
  roomColumns,
  sessionColumns,
  USER_COLUMNS,
  type UserRow,
  usersOf,
} from './tables.js';

/** What keys act on. */
export type Selected =
  | { readonly kind: 'node'; readonly node: NodeRow }
  | { readonly kind: 'room'; readonly room: string; readonly node: string | undefined }
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'session'; readonly session: SessionRow };

export interface Screenful {
  readonly lines: readonly string[];
  /** Of the table: rows that there are, rows that are seen. */
  readonly count: number;
  readonly height: number;
  readonly scroll: Scroll;
  readonly selected: Selected | undefined;
  /** Rows to ask the server for, and of each other table. */
  readonly wanted: number;
  readonly beside: number;
}

/** A rule and the titles of columns. */
const TABLE_HEAD = 2;
/** The last line. */
const FOOT = 1;

interface Table {
  readonly title: string;
  readonly lines: (rows: number, scroll: Scroll) => readonly string[];
  readonly count: number;
  /** Of these the server has sent those from `from` on. */
  readonly from: number;
  readonly sent: number;
  readonly select: (at: number) => Selected | undefined;
}

/** All lines but the last, which is the view's own. */
export function screenful(state: TopState, known: Known, standing: Standing, look: Drawing): Screenful {
  const { moment } = known;
  const place = look.rows - FOOT;
  const title = titleLine(moment, standing, look);
  const beside = Math.max(3, Math.min(25, Math.floor((place - 15) / 4)));
  if (moment === undefined) {
    const waiting = isStale(standing) ? [] : [line([' waiting for the first answer …'], look)];
    return {
      lines: [title, ...waiting],
      count: 0,
      height: 1,
      scroll: state.scroll,
      selected: undefined,
      wanted: 20,
      beside,
    };
  }
  const { answer } = moment;
  const figures = figureLines(moment, look.rows >= 20 ? 4 : look.rows >= 14 ? 3 : 1, look);
  const ofAlerts = state.view === 'alerts' ? 0 : look.rows >= 28 ? 5 : look.rows >= 18 ? 3 : look.rows >= 13 ? 2 : 0;
  const head = [title, ...figures, ...alertLines(answer, ofAlerts, look)];
  const room = place - head.length;
  const page = pageOf(state, known, look);
  if (page !== undefined) {
    const height = Math.max(1, room - 1);
    const scroll = clamp({ cursor: state.scroll.cursor, top: state.scroll.cursor }, page.lines.length, 1);
    const first = Math.max(0, Math.min(scroll.cursor, page.lines.length - height));
    const lines = [...head, heading(page.title, look), ...page.lines.slice(first, first + height)];
    const last = Math.max(1, page.lines.length - height + 1);
    return {
      lines,
      count: last,
      height,
      scroll: { cursor: first, top: first },
      selected: page.selected,
      wanted: 1,
      beside,
    };
  }
  const table = tableOf(state, known, look);
  const others = state.view === 'nodes' ? besideOf(answer, room, table.count) : { rooms: 0, sessions: 0 };
  const besideLines = linesBeside(known, others, look);
  const seen = Math.max(1, room - TABLE_HEAD - besideLines.length);
  // An answer is bounded: where it has fewer rows than there is place for, these are what is seen.
  const left = table.count - table.from;
  const height = table.sent > 0 && table.sent < Math.min(left, seen) ? table.sent : seen;
  const scroll = clamp(state.scroll, table.count, height);
  const note = look.columns >= 40 && state.view !== 'users' ? `sort: ▾${orderOf(state)}` : '';
  const main = [heading(titleOf(table, state), look, note), ...table.lines(height, scroll)];
  return {
    lines: [...head, ...main, ...besideLines].slice(0, place),
    count: table.count,
    height,
    scroll,
    selected: table.select(scroll.cursor),
    wanted: seen,
    beside,
  };
}

function titleOf({ title }: Table, { filter, scopes }: TopState): string {
  const where = scopes.map(({ scope }) => `${scope.kind} ${nameOf(scope)}`).join(' › ');
  return [where, title, filter === '' ? '' : `with "${filter}"`].filter((part) => part !== '').join(' · ');
}

/** The name of what one has gone into. */
export function nameOf(scope: Scope): string {
  switch (scope.kind) {
    case 'node':
      return scope.node;
    case 'room':
      return scope.room;
    case 'user':
      return scope.user;
    case 'session':
      return scope.session;
  }
}

/** Views that are no table. */
function pageOf(
  state: TopState,
  known: Known,
  look: Drawing,
): { readonly title: string; readonly lines: readonly string[]; readonly selected?: Selected } | undefined {
  const answer = known.moment?.answer;
  if (answer === undefined) return undefined;
  const scope = scopeOf(state);
  if (scope?.kind === 'session' && state.view === 'sessions') {
    const [session] = known.sessions ?? [];
    const lines = sessionLines(scope.session, known.sessions, look);
    const page = { title: `SESSION ${scope.session}`, lines };
    return session === undefined ? page : { ...page, selected: { kind: 'session', session: rowOf(session) } };
  }
  if (state.view === 'queue') return { title: 'QUEUE', lines: queueLines(answer, look) };
  if (state.view === 'alerts') return { title: `ALERTS ${answer.alertCount}`, lines: adviceLines(answer, look) };
  return undefined;
}

function tableOf(state: TopState, known: Known, look: Drawing): Table {
  const moment = known.moment;
  if (moment === undefined) throw new Error('there is nothing to draw yet');
  const { nodes, rooms, sessions } = moment.answer;
  const now = Date.parse(moment.answer.at);
  const scope = scopeOf(state);
  switch (state.view) {
    case 'rooms':
      return table(`ROOMS ${of(rooms)}`, rooms, roomColumns(moment), look, (row) => {
        return { kind: 'room', room: row.room, node: row.node };
      });
    case 'users': {
      const all = usersOf(sessions.items);
      const { filter } = state;
      // Whoever is not slow can be asked for by name.
      const named: UserRow = { user: filter, sessions: 0, nodes: [], lagBytes: 0, heldMs: 0, gapInMs: null };
      const users = filter === '' || all.some(({ user }) => user === filter) ? all : [named, ...all];
      const title = `USERS of slow sessions ${count(all.length)}; / and an id finds any`;
      return table(title, whole(users), USER_COLUMNS, look, ({ user }) => ({ kind: 'user', user }));
    }
    case 'sessions': {
      const selected = (session: SessionRow): Selected => ({ kind: 'session', session });
      if (scope?.kind === 'user') {
        const mine = (known.sessions ?? []).map(rowOf).filter(({ session }) => session.includes(state.filter));
        return table(`SESSIONS ${mine.length}`, whole(mine), sessionColumns(now), look, selected);
      }
      return table(`SLOWEST SESSIONS ${of(sessions)}`, sessions, sessionColumns(now), look, selected);
    }
    case 'limits': {
      const made = table(`LIMITS ${of(nodes)}`, nodes, limitColumns(moment), look, (node) => ({ kind: 'node', node }));
      const reasons = reasonLines(moment.answer, look);
      return { ...made, lines: (rows, scroll) => [...made.lines(rows, scroll), '', ...reasons] };
    }
    default:
      return table(
        scope?.kind === 'node' ? `PROCESSES ${nodes.kept}` : `NODES ${of(nodes)}`,
        nodes,
        nodeColumns(moment, look.unicode),
        look,
        (node) => ({ kind: 'node', node }),
      );
  }
}

interface Sent<T> {
  readonly total: number;
  readonly kept: number;
  readonly from: number;
  readonly items: readonly T[];
}

function whole<T>(items: readonly T[]): Sent<T> {
  return { total: items.length, kept: items.length, from: 0, items };
}

/** `2 of 1,204`. */
function of({ total, kept }: Sent<unknown>): string {
  return kept < total ? `${count(kept)} of ${count(total)}` : count(total);
}

function table<T>(
  title: string,
  { kept, from, items }: Sent<T>,
  columns: readonly TableColumn<T>[],
  look: Drawing,
  select: (row: T) => Selected,
): Table {
  return {
    title,
    count: kept,
    from,
    sent: items.length,
    select(at) {
      const row = items[at - from];
      return row === undefined ? undefined : select(row);
    },
    lines(rows, { top, cursor }) {
      const first = top - from;
      const shown = items.slice(Math.max(0, first), Math.max(0, first + rows));
      // Text has no cursor.
      const at = first < 0 || look.framed === false ? undefined : cursor - top;
      const lines = tableLines(shown, columns, look, at);
      if (kept === 0) return [...lines, line([{ text: '  none', colour: 'dim' }], look)];
      return shown.length > 0 ? lines : [...lines, line([{ text: '  …', colour: 'dim' }], look)];
    },
  };
}

/** How many rows of rooms and sessions there is place for beside the nodes. */
function besideOf(
  { rooms, sessions }: TopAnswer,
  place: number,
  nodes: number,
): { readonly rooms: number; readonly sessions: number } {
  // Nodes come first; but a part of the place is always for the others.
  const left = place - TABLE_HEAD - Math.min(nodes, Math.max(3, Math.floor(place / 2) - 1));
  if (left < TABLE_HEAD + 1) return { rooms: 0, sessions: 0 };
  const ofRooms = Math.min(rooms.items.length, left < 2 * (TABLE_HEAD + 1) ? left - TABLE_HEAD : left / 2 - TABLE_HEAD);
  const rest = left - Math.floor(ofRooms) - TABLE_HEAD;
  return {
    rooms: Math.floor(ofRooms),
    sessions: Math.max(0, Math.min(sessions.items.length, rest - TABLE_HEAD)),
  };
}

function linesBeside(
  { moment }: Known,
  beside: { readonly rooms: number; readonly sessions: number },
  look: Drawing,
): readonly string[] {
  if (moment === undefined) return [];
  const { rooms, sessions, at } = moment.answer;
  const lines: string[] = [];
  if (beside.rooms > 0) {
    const shown = tableLines(rooms.items.slice(0, beside.rooms), roomColumns(moment), look);
    lines.push(heading(`ROOMS ${beside.rooms} of ${count(rooms.total)}`, look), ...shown);
  }
  if (beside.sessions > 0) {
    const shown = tableLines(sessions.items.slice(0, beside.sessions), sessionColumns(Date.parse(at)), look);
    lines.push(heading(`SLOWEST SESSIONS ${beside.sessions} of ${count(sessions.total)}`, look), ...shown);
  }
  return lines;
}
