/**
 * What of `imgo top` is looked at: the view, its order and filter, where one has gone into (a node, a room, a user, a session),
 * and what is asked of the server for it. Pure steps: no terminal, no server.
 */
import { ImgoError } from '../../protocol/errors.js';
import { nearest } from '../../protocol/nearest.js';
import type { TopQuery } from '../../server/logic/top.js';
import { NODE_ORDERS, ROOM_ORDERS, SESSION_ORDERS } from '../../server/logic/top-orders.js';
import { AT_TOP, type Scroll } from '../tui/list.js';

export const VIEWS = ['nodes', 'rooms', 'users', 'sessions', 'queue', 'limits', 'alerts'] as const;
export type View = (typeof VIEWS)[number];

/** What one has gone into. */
export type Scope =
  | { readonly kind: 'node'; readonly node: string }
  | { readonly kind: 'room'; readonly room: string }
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'session'; readonly session: string };

/** Which table of the server a view is made from. */
const TABLES: Readonly<Record<View, TopQuery['table']>> = {
  nodes: 'nodes',
  rooms: 'rooms',
  users: 'sessions',
  sessions: 'sessions',
  queue: 'nodes',
  limits: 'nodes',
  alerts: 'nodes',
};

const ORDERS = { nodes: NODE_ORDERS, rooms: ROOM_ORDERS, sessions: SESSION_ORDERS } as const;

export interface TopState {
  readonly view: View;
  readonly orders: { readonly nodes: string; readonly rooms: string; readonly sessions: string };
  readonly filter: string;
  readonly scopes: readonly { readonly scope: Scope; readonly back: Pick<TopState, 'view' | 'scroll' | 'filter'> }[];
  readonly scroll: Scroll;
}

/** @throws ImgoError usage: an order that the view does not have */
export function firstState(options: {
  readonly view: View;
  readonly sort: string | undefined;
  readonly filter: string;
}): TopState {
  const { view, sort, filter } = options;
  const table = TABLES[view];
  const orders = { nodes: 'conns', rooms: 'members', sessions: 'gap' };
  if (sort !== undefined) {
    if (!(ORDERS[table] as readonly string[]).includes(sort)) {
      const close = nearest(sort, ORDERS[table]);
      const hint = close === undefined ? '' : ` Did you mean ${close}?`;
      const detail = `--sort of ${view} is one of ${ORDERS[table].join(', ')}.${hint}`;
      throw new ImgoError('usage', { detail, command: 'top' });
    }
    orders[table] = sort;
  }
  return { view, orders, filter, scopes: [], scroll: AT_TOP };
}

export function scopeOf({ scopes }: TopState): Scope | undefined {
  return scopes.at(-1)?.scope;
}

/** The table of the server that the view shows. */
export function tableOf({ view }: TopState): TopQuery['table'] {
  return TABLES[view];
}

export function orderOf(state: TopState): string {
  return state.orders[tableOf(state)];
}

export function withView(state: TopState, view: View): TopState {
  return view === state.view ? state : { ...state, view, scroll: AT_TOP, filter: '' };
}

export function nextOrder(state: TopState): TopState {
  const table = tableOf(state);
  const all: readonly string[] = ORDERS[table];
  const next = all[(all.indexOf(state.orders[table]) + 1) % all.length] ?? state.orders[table];
  return { ...state, orders: { ...state.orders, [table]: next }, scroll: AT_TOP };
}

export function withFilter(state: TopState, filter: string): TopState {
  return { ...state, filter, scroll: AT_TOP };
}

/** Goes into something; Esc comes back to where one was. */
export function into(state: TopState, scope: Scope): TopState {
  const { view, scroll, filter } = state;
  const next: View = scope.kind === 'node' ? 'nodes' : scope.kind === 'room' ? 'rooms' : 'sessions';
  const scopes = [...state.scopes, { scope, back: { view, scroll, filter } }];
  return { ...state, scopes, view: next, scroll: AT_TOP, filter: '' };
}

export function back(state: TopState): TopState {
  const last = state.scopes.at(-1);
  return last === undefined ? withFilter(state, '') : { ...state, ...last.back, scopes: state.scopes.slice(0, -1) };
}

/** What is asked of the server: so many rows of the table, from the first that is seen on, and of the others beside it. */
export function queryOf(state: TopState, rows: number, beside = 5): string {
  const { filter, scroll, view } = state;
  const scope = state.scopes.findLast(({ scope: { kind } }) => kind === 'node' || kind === 'room')?.scope;
  const whole = view === 'users' || view === 'alerts' || view === 'queue';
  const search = new URLSearchParams({
    table: tableOf(state),
    from: String(whole ? 0 : scroll.top),
    limit: String(whole ? 100 : Math.max(1, Math.min(100, rows))),
    beside: String(view === 'nodes' ? beside : 1),
    nodes_by: state.orders.nodes,
    rooms_by: state.orders.rooms,
    sessions_by: state.orders.sessions,
  });
  if (filter !== '' && view !== 'alerts' && view !== 'queue') search.set('search', filter);
  if (scope?.kind === 'node') search.set('node', scope.node);
  if (scope?.kind === 'room') search.set('room', scope.room);
  return `/v1/top?${search}`;
}
