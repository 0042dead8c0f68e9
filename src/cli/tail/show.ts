// `tail` on a terminal: the stream, who is there, and the view, until one of them ends.

import { setTimeout as wait } from 'node:timers/promises';
import { createElement } from 'react';
import { ImgoError } from '../../protocol/errors.js';
import { formatDuration } from '../../server/units.js';
import type { Api } from '../api.js';
import { showView } from '../tui/terminal.js';
import { TailApp } from './app.js';
import { Feed } from './feed.js';
import { streamPath, type TailOptions } from './options.js';
import { nobodyThere, watchedSessions } from './presence.js';
import { TailState } from './state.js';
import { watch } from './watch.js';

const LIST_MS = 2_000;
const TICK_MS = 1_000;
/** Sessions whose fields are asked for one by one. */
const UNLISTED = 10;

/** A stream that is read, and what a view of it stands on. */
export interface OpenTail {
  readonly state: TailState;
  /** Aborted when nothing more comes. */
  readonly over: AbortSignal;
  /** Ends it. @throws ImgoError as watch.ts, timeout: what has ended it before */
  end(): Promise<void>;
}

/** Begins to read. */
export function openTail(options: TailOptions, api: Api): OpenTail {
  const stop = new AbortController();
  let failure: unknown;
  const feed = new Feed(options, () => stop.abort());
  const end = (why: unknown): void => {
    failure ??= why;
    stop.abort();
  };
  const { timeoutMs } = options;
  const timedOut = () => end(new ImgoError('timeout', { duration: formatDuration(timeoutMs ?? 0) }));
  const timeout = timeoutMs === undefined ? undefined : setTimeout(timedOut, timeoutMs);
  const tick = setInterval(() => feed.tick(), TICK_MS);
  const reading = watch(api, streamPath(options, true), feed, stop.signal).catch(end);
  const listing = keepListing(options, api, feed, stop.signal);
  return {
    state: new TailState(feed),
    over: stop.signal,
    async end() {
      clearTimeout(timeout);
      clearInterval(tick);
      feed.end();
      stop.abort();
      await Promise.all([reading, listing]);
      if (failure !== undefined) throw failure;
    },
  };
}

/** Shows events until the user has had enough. @throws ImgoError as watch.ts and terminal.ts, timeout */
export async function showTail(options: TailOptions, api: Api): Promise<void> {
  const { state, over, end } = openTail(options, api);
  const { host } = new URL(api.server.url);
  try {
    await showView(createElement(TailApp, { state, server: host }), over);
  } catch (error) {
    await end().catch(() => {});
    throw error;
  }
  await end();
}

async function keepListing(options: TailOptions, api: Api, feed: Feed, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    feed.present(await watchedSessions(api, options, feed.sessions.unlisted(UNLISTED), signal));
    if (feed.matched === 0) feed.nobody = await nobodyThere(options, api, signal);
    await wait(LIST_MS, undefined, { signal }).catch(() => {});
  }
}
