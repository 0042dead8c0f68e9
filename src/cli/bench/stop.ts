import { onStarterGone } from '../starter.js';

/**
 * What cuts a run short: the first Ctrl-C or SIGTERM gives the account of what there was, a second one ends at once. For a starter
 * that is gone there is none.
 */
export function nextStop(): AbortController {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(130);
      stop.abort();
    });
  }
  onStarterGone(() => process.exit(130));
  return stop;
}
