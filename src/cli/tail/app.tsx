// The view of `tail` as Ink runs it: keys to the state, news to the screen.

import { useApp } from 'ink';
import { type ReactNode, useEffect, useReducer } from 'react';
import { Screen, useKeys } from '../tui/screen.js';
import type { TailState } from './state.js';
import { drawTail } from './view.js';

/** `server`: where it is, as the title says it. `leave`: what q does; without it the program ends. */
export function TailApp(props: {
  readonly state: TailState;
  readonly server: string;
  readonly leave?: () => void;
}): ReactNode {
  const { state, server, leave } = props;
  const { exit } = useApp();
  const [, redraw] = useReducer((drawn: number) => drawn + 1, 0);
  useEffect(() => {
    state.feed.onNews(redraw);
    return () => state.feed.onNews(() => {});
  }, [state]);
  useKeys((input, key) => {
    if (state.press(input, key)) (leave ?? exit)();
    else redraw();
  });
  return <Screen draw={(look) => drawTail(state, server, look, Date.now())} />;
}
