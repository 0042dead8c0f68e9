// `imgo top` on a terminal: draws what the feed knows, and does what keys say. What it shows and where keys lead is drawn and
// stepped elsewhere (draw.ts, state.ts); here is only what changes with time.

import { useApp, useInput } from 'ink';
import { type ReactNode, useEffect, useReducer, useRef, useState } from 'react';
import { asTyped } from '../own-name.js';
import { answerOf, confirmLine, type Entry, entryLine, entryOf, typed } from '../tui/entry.js';
import { helpLines, type KeyHelp, keyLine } from '../tui/keys.js';
import { line } from '../tui/line.js';
import { scrolled } from '../tui/list.js';
import type { Look } from '../tui/look.js';
import { Screen, useControlKeys, useLook } from '../tui/screen.js';
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
  /** What `t` shows of what is selected; undefined: nothing can be. */
  readonly tail?: ((selected: Selected, leave: () => void) => ReactNode) | undefined;
}

type Mode =
  | { readonly kind: 'look' }
  | { readonly kind: 'help' }
  | { readonly kind: 'filter'; readonly entry: Entry }
  | { readonly kind: 'confirm'; readonly action: Action }
  | { readonly kind: 'tail'; readonly selected: Selected };

const LOOKING: Mode = { kind: 'look' };
/** How long it says what became of something. */
const SAID_MS = 8_000;
/** Without news it is drawn so often: it says for how long there were none. */
const REDRAW_MS = 1_000;

export function TopView(props: TopProps): ReactNode {
  const { source, tail } = props;
  const [state, setState] = useState(props.first);
  const [mode, setMode] = useState<Mode>(LOOKING);
  const [said, setSaid] = useState<{ readonly text: string; readonly at: number }>();
  const [paused, setPaused] = useState<Known>();
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const asked = useRef<Question>({ query: '', scope: undefined });
  const look = useLook();
  const { exit } = useApp();
  useControlKeys();

  const known = paused ?? source.known;
  const standing: Standing = {
    server: props.server,
    intervalMs: props.intervalMs,
    agoMs: performance.now() - source.known.answeredAt,
    error: source.known.error?.code,
    paused: paused !== undefined,
  };
  const drawn = screenful(state, known, standing, look);
  const question = {
    query: queryOf({ ...state, scroll: drawn.scroll }, drawn.wanted, drawn.beside),
    scope: scopeOf(state),
  };
  const changed = JSON.stringify(question) !== JSON.stringify(asked.current);
  asked.current = question;

  useEffect(() => {
    source.start(() => asked.current, redraw);
    const timer = setInterval(redraw, REDRAW_MS);
    return () => {
      source.stop();
      clearInterval(timer);
    };
  }, [source]);
  useEffect(() => {
    if (changed) source.now();
  });

  const go = (next: TopState) => {
    setPaused(undefined);
    setState(next);
  };
  const confirm = (action: Action | undefined, otherwise: string) => {
    if (action === undefined) setSaid({ text: otherwise, at: performance.now() });
    else setMode({ kind: 'confirm', action });
  };
  const run = (action: Action) => {
    setMode(LOOKING);
    setSaid({ text: `${action.command} …`, at: performance.now() });
    void props.act(action).then((text) => {
      setSaid({ text, at: performance.now() });
      source.now();
    });
  };

  useInput(
    (input, key) => {
      if (key.ctrl) return;
      const moved = scrolled(drawn.scroll, input, key, drawn.count, drawn.height);
      const view = VIEWS[Number(input) - 1];
      if (moved !== undefined) setState({ ...state, scroll: moved });
      else if (view !== undefined) go(withView(state, view));
      else if (input === 'a') go(withView(state, 'alerts'));
      else if (input === 's') go(nextOrder(state));
      else if (input === '/') setMode({ kind: 'filter', entry: entryOf(state.filter) });
      else if (input === ' ' || input === 'p') setPaused(paused === undefined ? source.known : undefined);
      else if (key.return) go(goInto(state, drawn.selected));
      else if (key.escape || key.backspace) go(back(state));
      else if (input === 'K') confirm(kickOf(drawn.selected), 'K closes a session or a user: select one');
      else if (input === 'D')
        confirm(drainOf(drawn.selected), 'D empties a comet: select one; Enter shows the processes of a node');
      else if (input === 't' && tail !== undefined && drawn.selected !== undefined)
        setMode({ kind: 'tail', selected: drawn.selected });
      else if (input === '?') setMode({ kind: 'help' });
      else if (input === 'q') exit();
    },
    { isActive: mode.kind === 'look' },
  );
  useInput(
    (input, key) => {
      if (mode.kind === 'help') setMode(LOOKING);
      if (mode.kind === 'confirm') {
        const yes = answerOf(input, key);
        if (yes === true) run(mode.action);
        else if (yes === false) setMode(LOOKING);
      }
      if (mode.kind !== 'filter') return;
      const next = typed(mode.entry, input, key);
      if (next === 'cancelled') setMode(LOOKING);
      else if (next === 'done') {
        setMode(LOOKING);
        go(withFilter(state, mode.entry.text.trim()));
      } else setMode({ kind: 'filter', entry: next });
    },
    { isActive: mode.kind !== 'look' && mode.kind !== 'tail' },
  );

  if (mode.kind === 'tail' && tail !== undefined) return tail(mode.selected, () => setMode(LOOKING));
  if (mode.kind === 'help') return <Screen draw={(one) => helpLines('imgo top', keysFor(props), HELP, one)} />;
  const news = said !== undefined && performance.now() - said.at < SAID_MS ? said.text : undefined;
  return <Screen draw={(one) => [...padded(drawn, one), foot(mode, news, standing, keysFor(props), one)]} />;
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
