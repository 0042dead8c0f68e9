// Puts a view on a screen of its own, and gives the terminal back on every way out: the end of the view, an error in it, a
// signal, an exception that nobody caught, a reader that has gone. What was on the screen before comes back.

import { writeSync } from 'node:fs';
import { render } from 'ink';
import type { ReactNode } from 'react';
import { asImgoError, ImgoError } from '../../protocol/errors.js';

/** Leaves the other screen, shows the cursor, ends bracketed paste and synchronized drawing. */
const RESTORE = '\u001b[?2026l\u001b[?2004l\u001b[?1049l\u001b[?25h';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Shows a view until it exits (useApp), `stop` aborts, or the process is told to end.
 * @throws ImgoError interrupted (a signal), what the view exits with, `internal` for what nobody caught
 */
export async function showView(view: ReactNode, stop?: AbortSignal): Promise<void> {
  let over: ImgoError | 'gone' | undefined;
  const end = (why: ImgoError | 'gone' | undefined): void => {
    over ??= why;
    app.unmount();
  };
  const interrupted = () => end(new ImgoError('interrupted'));
  const stopped = () => end(undefined);
  const thrown = (error: unknown): void => end(isGone(error) ? 'gone' : asImgoError(error));
  // The last thing that is written, whatever else failed: a terminal that is left as it is serves nobody.
  const restore = (): void => {
    try {
      writeSync(1, RESTORE);
    } catch {
      // There is no terminal any more.
    }
  };
  // A bug must not end the process before the terminal is its own again.
  process.on('uncaughtException', thrown);
  for (const signal of SIGNALS) process.on(signal, interrupted);
  process.once('exit', restore);
  stop?.addEventListener('abort', stopped, { once: true });
  const app = render(view, {
    alternateScreen: true,
    interactive: true,
    exitOnCtrlC: false,
    patchConsole: false,
  });
  try {
    if (stop?.aborted === true) stopped();
    await app.waitUntilExit();
  } catch (error) {
    over ??= asImgoError(error);
  } finally {
    restore();
    process.off('exit', restore);
    process.off('uncaughtException', thrown);
    for (const signal of SIGNALS) process.off(signal, interrupted);
    stop?.removeEventListener('abort', stopped);
  }
  // Nobody is there to be told.
  if (over === 'gone') process.exit(0);
  if (over !== undefined) throw over;
}

/** Of a terminal that was closed. */
function isGone(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return code === 'EPIPE' || code === 'EIO';
}
