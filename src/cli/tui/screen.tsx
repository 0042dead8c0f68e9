// The frame of a view: it knows the size of its terminal and follows it, draws lines, and where there is no place for them
// says that in one. Keys come one by one, and Ctrl-C and
// Ctrl-Z do what they do everywhere.

import { Box, type Key, Text, useApp, useInput, useStdout } from 'ink';
import { type ReactNode, useEffect, useState } from 'react';
import { ImgoError } from '../../protocol/errors.js';
import { line } from './line.js';
import { isTooSmall, type Look, lookOf, SMALLEST } from './look.js';

/** The look of the terminal that a view is on; drawn anew when that changes. */
export function useLook(): Look {
  const { stdout } = useStdout();
  const [look, setLook] = useState(() => lookOf(stdout as NodeJS.WriteStream));
  useEffect(() => {
    const resized = () => setLook(lookOf(stdout as NodeJS.WriteStream));
    stdout.on('resize', resized);
    return () => void stdout.off('resize', resized);
  }, [stdout]);
  return look;
}

/** Lines of a view, as line.ts makes them; those that have no place are left out. */
export function Lines(props: { readonly lines: readonly string[]; readonly look: Look }): ReactNode {
  return (
    <Box flexDirection="column">
      {props.lines.slice(0, props.look.rows).map((text, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a line is its place
        <Text key={at} wrap="truncate">
          {text === '' ? ' ' : text}
        </Text>
      ))}
    </Box>
  );
}

/** A whole view: what `draw` makes of the look, or one line that it needs more place. */
export function Screen(props: { readonly draw: (look: Look) => readonly string[] }): ReactNode {
  const look = useLook();
  return <Lines lines={isTooSmall(look) ? [tooSmall(look)] : props.draw(look)} look={look} />;
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
  useInput((input, key) => {
    for (const [one, pressed] of keysOf(input, key)) {
      if (pressed.ctrl && one === 'c') exit(new ImgoError('interrupted'));
      else if (pressed.ctrl && one === 'z') void suspendTerminal(stopHere);
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
