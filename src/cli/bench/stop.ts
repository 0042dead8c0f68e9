/** What cuts a run short: the first Ctrl-C or SIGTERM gives the account of what there was, a second one ends at once. */
export function nextStop(): AbortController {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted) process.exit(130);
      stop.abort();
    });
  }
  return stop;
}
