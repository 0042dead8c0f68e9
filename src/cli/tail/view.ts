// What the view of `tail` looks like: sessions above, events below, one event from near when it was asked for. It draws one
// moment for any size of terminal; what has no place is left out from the least important on.

import { count, short, size, time } from '../../bench/numbers.js';
import { age } from '../output.js';
import { spark } from '../tui/draw.js';
import { entryLine } from '../tui/entry.js';
import { helpLines, type KeyHelp, keyLine } from '../tui/keys.js';
import { line, type Part, rule, spread } from '../tui/line.js';
import type { Look } from '../tui/look.js';
import { type TableColumn, tableLines } from '../tui/table.js';
import { detailLines, detailTitle } from './detail.js';
import { readEvent, type SeenEvent, textIn } from './event.js';
import type { Feed } from './feed.js';
import type { KeptEvent } from './kept.js';
import { watchedText } from './options.js';
import type { WatchedSession } from './sessions.js';
import type { TailState } from './state.js';
import { type EventWords, wordsOf } from './words.js';

const KEYS: readonly KeyHelp[] = [
  { key: '↑↓', word: 'event', does: 'choose an event, and pause; also j k, PgUp PgDn, Home End' },
  { key: 'enter', word: 'decode', does: 'its fields; PgUp PgDn scroll them' },
  { key: 'x', word: 'hex', does: 'the bytes of its header, and of its payload' },
  { key: 'p', word: 'payload', does: 'its payload, JSON a value a line' },
  { key: '/', word: 'search', does: 'find a text; n and N go to the next older and newer one' },
  { key: 'f', word: 'filter', does: 'show only what has these words: push in #2 >50ms !heartbeat' },
  { key: 'space', word: 'pause', does: 'stand still; what comes is still counted' },
  { key: 'g', word: 'live', does: 'follow what comes again' },
  { key: 'h', word: 'heartbeats', does: 'show heartbeats, or not' },
  { key: 'e', word: 'events', does: 'show events without frames, or all' },
  { key: 'esc', word: 'back', does: 'close the detail, the search, the pause, the filter' },
  { key: 'q', word: 'quit', does: 'end; so does Ctrl-C' },
];
const NOTES = [
  '→ from the client   ← to the client   · in the server   ✖ something is lost',
  'accepted→socket and socket→ack say from where to where the time was taken.',
];
/** With fewer lines there is no table of sessions. */
const WITH_SESSIONS = 14;

/** The lines of the whole screen. Says to the state how high its lists are. */
export function drawTail(state: TailState, server: string, look: Look, now: number): readonly string[] {
  if (state.open.is === 'help') return helpLines('imgo tail: keys', KEYS, NOTES, look);
  const { feed } = state;
  const head = [title(feed, server, look, now), counters(state, look)];
  const sessions = look.rows < WITH_SESSIONS ? [] : sessionLines(feed, look, now);
  const below = look.rows - head.length - sessions.length - 1;
  const detailHeight = state.detail === undefined ? 0 : Math.max(3, Math.floor(below / 2));
  const listHeight = Math.max(1, below - detailHeight - 2);
  state.settle({ list: listHeight, detail: Math.max(1, detailHeight - 1) });
  const list = eventLines(state, look, listHeight);
  const lines = [
    ...head,
    ...sessions,
    rule('EVENTS', look, standing(state)),
    ...list,
    ...Array.from({ length: listHeight + 1 - list.length }, () => ''),
    ...detailPane(state, look, detailHeight),
  ];
  return [...lines.slice(0, look.rows - 1), bottom(state, look)];
}

function title(feed: Feed, server: string, look: Look, now: number): string {
  const watched = watchedText(feed.options);
  return spread([{ text: 'imgo tail', colour: 'bold' }, `  ${watched} · ${server}`], streamText(feed, now), look);
}

function streamText({ stream }: Feed, now: number): string {
  if (stream === undefined) return '○ connecting';
  if (stream.is === 'live') return '● live';
  const again = Math.max(0, Math.ceil((stream.againAt - now) / 1_000));
  return `○ ${stream.why}: cut ${age(now - stream.since)} ago, again in ${again}s`;
}

function counters({ feed }: TailState, look: Look): string {
  const { options, kept, rates, total, shown, dropped } = feed;
  const matched = Math.max(feed.sessions.open(Date.now()), feed.matched ?? 0);
  const share = total === 0 ? 100 : Math.floor((shown / total) * 100);
  const sampled = options.sample === undefined ? '' : ` of a sample of ${Number((options.sample * 100).toFixed(4))} %`;
  const parts: Part[] = [
    ` ${count(matched)} ${matched === 1 ? 'session' : 'sessions'}${sampled}`,
    `   ${short(rates.at(-1) ?? 0)} ev/s`,
    ...(look.columns >= 110 ? [`  ${spark(rates, 20, look.unicode)}`] : []),
    `   ${short(total)} events`,
    ...(share === 100 ? [] : [{ text: `   shown ${share} %`, colour: 'cyan' } as const]),
    { text: `   dropped ${short(dropped)}`, colour: dropped > 0 ? 'red' : undefined },
    `   payload ${options.payload}`,
    ...(kept.came > kept.size ? [{ text: `   last ${short(kept.size)} kept`, colour: 'dim' } as const] : []),
  ];
  return line(parts, look);
}

const SESSION_COLUMNS = (now: number): readonly TableColumn<WatchedSession>[] => [
  { title: '#', width: 3, right: true, value: ({ n }) => String(n) },
  { title: 'SESSION', width: 18, value: ({ session }) => session },
  { title: 'USER', width: 8, upTo: 20, leaves: 3, value: ({ user }) => user },
  { title: 'DEVICE', width: 8, upTo: 12, leaves: 4, value: ({ device }) => device },
  { title: 'NODE', width: 10, upTo: 16, leaves: 2, value: ({ node }) => node },
  { title: 'DIALECT', width: 10, leaves: 5, value: ({ dialect }) => dialect },
  { title: 'PEER', width: 15, leaves: 7, value: ({ peer }) => peer },
  {
    title: 'SINCE',
    width: 6,
    right: true,
    leaves: 6,
    value: ({ since }) => (since === undefined ? '' : age(now - since)),
  },
  { title: 'POSITION', width: 12, upTo: 16, value: ({ position }) => position },
  { title: 'SENT', width: 12, upTo: 16, leaves: 1, value: ({ sentTo }) => sentTo },
  {
    title: 'LAG',
    width: 8,
    right: true,
    value: ({ lagBytes }) => (lagBytes === undefined ? '' : size(lagBytes)),
  },
  { title: 'STATE', width: 11, upTo: 16, value: (one) => stateOf(one, now), colour: colourOf },
];

function stateOf({ closedAt, heldSince, state }: WatchedSession, now: number): string {
  if (closedAt !== undefined) return `ended ${age(now - closedAt)}`;
  if (heldSince !== undefined) return `held ${time(Math.max(0, now - heldSince))}`;
  return state === 'streaming' ? 'ok' : state.replace('_', ' ');
}

function colourOf({ closedAt, heldSince, state }: WatchedSession) {
  if (closedAt !== undefined) return 'dim';
  return heldSince !== undefined || state === 'held' ? 'yellow' : undefined;
}

/** A quarter of the screen at most. */
function sessionLines(feed: Feed, look: Look, now: number): readonly string[] {
  const all = feed.sessions.list(now);
  if (all.length === 0) {
    const nobody = feed.matched === 0 ? (feed.nobody ?? '') : '';
    return [line([{ text: ` ${nobody}`, colour: 'yellow' }], look)];
  }
  const height = Math.max(2, Math.floor(look.rows / 4));
  const shown = all.length > height ? all.slice(0, height - 1) : all;
  const rest = all.length - shown.length;
  const more = rest === 0 ? [] : [line([{ text: `     and ${count(rest)} more`, colour: 'dim' }], look)];
  const needless = [feed.nodes > 1 ? '' : 'NODE', feed.options.users.length === 1 ? 'USER' : ''];
  const columns = SESSION_COLUMNS(now).filter((column) => !needless.includes(column.title));
  return [...tableLines(shown, columns, look), ...more];
}

interface Row {
  readonly event: SeenEvent;
  readonly words: EventWords;
  readonly number: string;
}

const EVENT_COLUMNS: readonly TableColumn<Row>[] = [
  { title: 'TIME', width: 12, value: ({ words }) => words.time },
  { title: '#', width: 2, upTo: 3, right: true, value: ({ number }) => number },
  {
    title: 'WHAT',
    width: 13,
    upTo: 14,
    value: ({ words }) => `${words.sign} ${words.what}`,
    colour: ({ words }) => words.colour,
  },
  { title: 'ID', width: 12, upTo: 14, value: ({ words }) => shortId(words.id) },
  { title: 'SIZE', width: 8, right: true, value: ({ words }) => words.size },
  { title: 'TOOK', width: 6, upTo: 7, right: true, value: ({ words }) => words.took },
  { title: 'NODE', width: 8, upTo: 14, leaves: 1, value: ({ event }) => textIn(event, 'node') ?? '' },
  { title: 'NOTE', width: 14, upTo: Number.POSITIVE_INFINITY, value: ({ words }) => words.note },
];

/** Of an id with a long epoch (a time) the end: that is what differs. */
function shortId(id: string): string {
  return id.length > 12 && /^\d+-\d+$/.test(id) ? `…${id.slice(id.lastIndexOf('-'))}` : id;
}

function eventLines(state: TailState, look: Look, height: number): readonly string[] {
  const { feed, held } = state;
  const { top, cursor } = held?.scroll ?? { top: 0, cursor: -1 };
  const seen = held === undefined ? feed.kept.last(height) : held.events.slice(top, top + height);
  const rows = seen.flatMap((kept) => rowOf(kept, feed) ?? []);
  const columns = EVENT_COLUMNS.filter((column) => column.title !== 'NODE' || feed.nodes > 1);
  return tableLines(rows, columns, look, held === undefined ? undefined : cursor - top);
}

function rowOf({ text, name }: KeptEvent, feed: Feed): Row {
  const event = readEvent(text) ?? { event: name };
  const words = wordsOf(event);
  const number = feed.sessions.numberOf(textIn(event, 'session') ?? '');
  return { event, words, number: number === undefined ? '' : String(number) };
}

/** Whether the list moves, and what it leaves out. */
function standing({ feed, held, search }: TailState): string {
  const { wanted, total } = feed;
  const parts = [
    wanted.filter === '' ? '' : `filter ${wanted.filter}`,
    wanted.frames ? '' : 'no frames',
    wanted.heartbeats ? 'heartbeats' : '',
    search === '' ? '' : `/${search}`,
    held === undefined ? 'following' : `paused, ${count(total - held.total)} since`,
  ];
  return parts.filter((part) => part !== '').join(' · ');
}

function detailPane(state: TailState, look: Look, height: number): readonly string[] {
  const { detail, current } = state;
  if (detail === undefined || height === 0) return [];
  if (current === undefined) return [rule('nothing here', look)];
  const event = readEvent(current.text) ?? { event: current.name };
  const all = detailLines(current.text, detail.of);
  const room = Math.max(1, height - 1);
  const top = Math.max(0, Math.min(detail.top, all.length - room));
  const seen = all.slice(top, top + room);
  const note = all.length > room ? `${detail.of} ${top + 1} to ${top + seen.length} of ${all.length}` : detail.of;
  return [rule(detailTitle(event), look, note), ...seen.map((text) => line([` ${text}`], look))];
}

function bottom({ open, remark }: TailState, look: Look): string {
  if (open.is === 'entry') {
    const hint = open.of === 'search' ? 'a text, then enter' : 'words such as push in #2 >50ms !ack';
    return entryLine(open.of === 'search' ? '/' : 'filter: ', open.entry, look, hint);
  }
  return remark === '' ? keyLine(KEYS, look) : line([{ text: ` ${remark}`, colour: 'yellow' }], look);
}
