// `imgo top` on a terminal: draws what the feed knows, and does what keys say. What it shows and where keys lead is drawn and
// stepped elsewhere (draw.ts, state.ts); here is only what changes with time.

import { type Key, useApp } from 'ink';
import { type ReactNode, useEffect, useReducer, useRef } from 'react';
import { asTyped } from '../own-name.js';
import { answerOf, confirmLine, type Entry, entryLine, entryOf, typed } from '../tui/entry.js';
import { helpLines, type KeyHelp, keyLine } from '../tui/keys.js';
import { line } from '../tui/line.js';
import { scrolled } from '../tui/list.js';
import type { Look } from '../tui/look.js';
import { Screen, useKeys, useLook } from '../tui/screen.js';
import type { Action } from './act.js';
import { drainOf, kickOf } from './act.js';
import { type Screenful, type Selected, screenful } from './draw.js';
import type { Known, Question } from './feed.js';
import { isStale, type Standing } from './head.js';
import { HELP, KEYS } from './keys.js';
import { back, into, nextOrder, queryOf, scopeOf, type TopState, VIEWS, withFilter, withView } from './state.js';

/** Where its news come from. */
export interface Source {
  readonly known: Known;
  start(question: () => Question, changed: () => void): void;
  stop(): void;
  now(): void;
}

export interface TopProps {
  readonly source: Source;
  readonly first: TopState;
  readonly server: string;
  readonly intervalMs: number;
  /** Does it, and says what became of it. */
  readonly act: (action: Action) => Promise<string>;
  /** What `t` shows of what is selected until it is left; undefined: nothing can be. */
  readonly tail?: ((selected: Selected, leave: (said: string | undefined) => void) => ReactNode) | undefined;
}

type Mode =
  | { readonly kind: 'look' }
  | { readonly kind: 'help' }
  | { readonly kind: 'filter'; readonly entry: Entry }
  | { readonly kind: 'confirm'; readonly action: Action }
  | { readonly kind: 'tail'; readonly selected: Selected };

/** What is looked at. Keys that come at once see what the one before has made of it. */
interface Now {
  state: TopState;
  mode: Mode;
  /** What is held, while paused. */
  held: Known | undefined;
  said: { readonly text: string; readonly at: number } | undefined;
  /** What the server is asked. */
  question: Question;
}

const LOOKING: Mode = { kind: 'look' };
/** How long it says what became of something. */
const SAID_MS = 8_000;
/** Without news it is drawn so often: it says for how long there were none. */
const REDRAW_MS = 1_000;

export function TopView(props: TopProps): ReactNode {
  const { source, tail } = props;
  const first = { state: props.first, mode: LOOKING, held: undefined, said: undefined };
  const { current: now } = useRef<Now>({ ...first, question: { query: '', scope: undefined } });
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const look = useLook();
  const { exit } = useApp();

  const standing = (): Standing => ({
    server: props.server,
    intervalMs: props.intervalMs,
    agoMs: performance.now() - source.known.answeredAt,
    error: source.known.error?.code,
    paused: now.held !== undefined,
  });
  const draw = () => screenful(now.state, now.held ?? source.known, standing(), look);
  const say = (text: string) => {
    now.said = { text, at: performance.now() };
    redraw();
  };

  const drawn = draw();
  const query = queryOf({ ...now.state, scroll: drawn.scroll }, drawn.wanted, drawn.beside);
  const question = { query, scope: scopeOf(now.state) };
  const changed = JSON.stringify(question) !== JSON.stringify(now.question);
  now.question = question;

  useEffect(() => {
    source.start(() => now.question, redraw);
    const timer = setInterval(redraw, REDRAW_MS);
    return () => {
      source.stop();
      clearInterval(timer);
    };
  }, [source, now]);
  useEffect(() => {
    if (changed) source.now();
  });

  const go = (next: TopState) => {
    now.held = undefined;
    now.state = next;
  };
  const ask = (action: Action | undefined, otherwise: string) => {
    if (action === undefined) say(otherwise);
    else now.mode = { kind: 'confirm', action };
  };
  const run = (action: Action) => {
    now.mode = LOOKING;
    say(`${action.command} …`);
    void props.act(action).then((text) => {
      say(text);
      source.now();
    });
  };
  const looking = (input: string, key: Key): void => {
    if (key.ctrl) return;
    const { scroll, count, height, selected } = draw();
    const { state } = now;
    const moved = scrolled(scroll, input, key, count, height);
    const view = VIEWS[Number(input) - 1];
    if (moved !== undefined) now.state = { ...state, scroll: moved };
    else if (view !== undefined) go(withView(state, view));
    else if (input === 'a') go(withView(state, 'alerts'));
    else if (input === 's') go(nextOrder(state));
    else if (input === '/') now.mode = { kind: 'filter', entry: entryOf(state.filter) };
    else if (input === ' ' || input === 'p') now.held = now.held === undefined ? source.known : undefined;
    else if (key.return) go(goInto(state, selected));
    else if (key.escape || key.backspace) go(back(state));
    else if (input === 'K') ask(kickOf(selected), 'K closes a session or a user: select one');
    else if (input === 'D') ask(drainOf(selected), 'D empties a comet: Enter shows the processes of a node');
    else if (input === 't' && tail !== undefined && selected !== undefined) now.mode = { kind: 'tail', selected };
    else if (input === '?') now.mode = { kind: 'help' };
    else if (input === 'q') exit();
  };
  const filtering = (entry: Entry, input: string, key: Key): void => {
    const next = typed(entry, input, key);
    now.mode = next === 'cancelled' || next === 'done' ? LOOKING : { kind: 'filter', entry: next };
    if (next === 'done') go(withFilter(now.state, entry.text.trim()));
  };
  const confirming = (action: Action, input: string, key: Key): void => {
    const yes = answerOf(input, key);
    if (yes === true) run(action);
    else if (yes === false) now.mode = LOOKING;
  };
  useKeys((input, key) => {
    const { mode } = now;
    // It has keys of its own.
    if (mode.kind === 'tail') return;
    if (mode.kind === 'look') looking(input, key);
    else if (mode.kind === 'filter') filtering(mode.entry, input, key);
    else if (mode.kind === 'confirm') confirming(mode.action, input, key);
    else now.mode = LOOKING;
    redraw();
  });

  const { mode, said } = now;
  if (mode.kind === 'tail' && tail !== undefined) {
    return tail(mode.selected, (text) => {
      now.mode = LOOKING;
      if (text !== undefined) say(text);
      redraw();
    });
  }
  if (mode.kind === 'help') return <Screen draw={(one) => helpLines('imgo top', keysFor(props), HELP, one)} />;
  const news = said !== undefined && performance.now() - said.at < SAID_MS ? said.text : undefined;
  return <Screen draw={(one) => [...padded(drawn, one), foot(mode, news, standing(), keysFor(props), one)]} />;
}

/** The last line is the last of the terminal. */
function padded({ lines }: Screenful, { rows }: Look): readonly string[] {
  return Array.from({ length: Math.max(0, rows - 1) }, (_none, at) => lines[at] ?? '');
}

function keysFor({ tail }: Pick<TopProps, 'tail'>): readonly KeyHelp[] {
  return tail === undefined ? KEYS.filter(({ key }) => key !== 't') : KEYS;
}

function foot(mode: Mode, said: string | undefined, standing: Standing, all: readonly KeyHelp[], look: Look): string {
  if (mode.kind === 'filter') return entryLine('/', mode.entry, look, 'Enter filters, Esc leaves it');
  if (mode.kind === 'confirm') {
    return confirmLine(`${mode.action.question} (${asTyped(mode.action.command)})`, look);
  }
  if (said !== undefined) return line([{ text: ` ${asTyped(said)}`, colour: 'cyan' }], look);
  const keys = isStale(standing) ? all.filter(({ key }) => key === 'q') : all;
  return keyLine(keys, look);
}

function goInto(state: TopState, selected: Selected | undefined): TopState {
  const scope = scopeOf(state);
  switch (selected?.kind) {
    case undefined:
      return state;
    case 'node':
      // A process of the node that one is in: there is nothing further in it.
      return scope?.kind === 'node' ? state : into(state, { kind: 'node', node: selected.node.node });
    case 'room':
      // Everybody's log has no page of its own.
      if (selected.room === '(all)') return state;
      if (selected.node !== undefined) return into(state, { kind: 'node', node: selected.node });
      return into(state, { kind: 'room', room: selected.room });
    case 'user':
      return into(state, { kind: 'user', user: selected.user });
    case 'session':
      if (scope?.kind === 'session') return state;
      return into(state, { kind: 'session', session: selected.session.session });
  }
}
