// The frame of a view: it knows the size of its terminal and follows it, draws lines, and where there is no place for them
// says that in one. Keys come one by one, and Ctrl-C and Ctrl-Z do what they do everywhere.

import { type Key, useApp, useInput, useStdout } from 'ink';
import { type ReactNode, useEffect, useLayoutEffect, useState } from 'react';
import { ImgoError } from '../../protocol/errors.js';
import { line } from './line.js';
import { isTooSmall, type Look, lookOf, SMALLEST } from './look.js';
import { painterOf } from './painter.js';

/** The look of the terminal that a view is on; drawn anew when that changes. */
export function useLook(): Look {
  const { stdout } = useStdout();
  const [look, setLook] = useState(() => lookOf(stdout as NodeJS.WriteStream));
  useEffect(() => {
    const resized = () => {
      // A terminal moves lines about when its size changes.
      painterOf(stdout).forget();
      setLook(lookOf(stdout as NodeJS.WriteStream));
    };
    stdout.on('resize', resized);
    return () => void stdout.off('resize', resized);
  }, [stdout]);
  return look;
}

/** A whole view: what `draw` makes of the look, or one line that it needs more place. It is painted when it is committed. */
export function Screen(props: { readonly draw: (look: Look) => readonly string[] }): ReactNode {
  const look = useLook();
  const { stdout } = useStdout();
  const lines = isTooSmall(look) ? [tooSmall(look)] : props.draw(look);
  useLayoutEffect(() => painterOf(stdout).paint(lines, look));
  return null;
}

function tooSmall(look: Look): string {
  const { columns, rows } = SMALLEST;
  return line([`needs ${columns} x ${rows}; q ends`], look);
}

/**
 * Gives each key to `press`. Ctrl-C ends the view as interrupted, Ctrl-Z stops the program until it is continued. What comes
 * at once, as over a slow line or from a paste, comes key by key.
 */
export function useKeys(press: (input: string, key: Key) => void): void {
  const { exit, suspendTerminal } = useApp();
  const { stdout } = useStdout();
  const suspend = async () => {
    const painter = painterOf(stdout);
    painter.pause();
    await suspendTerminal(stopHere);
    painter.resume();
  };
  useInput((input, key) => {
    for (const [one, pressed] of keysOf(input, key)) {
      if (pressed.ctrl && one === 'c') exit(new ImgoError('interrupted'));
      else if (pressed.ctrl && one === 'z') void suspend();
      else press(one, pressed);
    }
  });
}

const graphemes = new Intl.Segmenter();

/** The keys of one chunk of input. */
function keysOf(input: string, key: Key): readonly (readonly [string, Key])[] {
  if (input.length < 2 || key.ctrl || key.meta) return [[input, key]];
  return [...graphemes.segment(input)].map(({ segment }) => {
    if (/[\r\n]/.test(segment)) return ['', { ...key, return: true }];
    if (segment === '\u007f') return ['', { ...key, backspace: true }];
    if (segment === '\u0003') return ['c', { ...key, ctrl: true }];
    return [segment, key];
  });
}

/** Resolves when the shell has continued this program. */
async function stopHere(): Promise<void> {
  const continued = new Promise<void>((resolve) => process.once('SIGCONT', () => resolve()));
  process.kill(process.pid, 'SIGTSTP');
  await continued;
}
