/**
 * `imgo top`: on a terminal a view, else text or JSON, a block or an object a tick. The first answer comes before anything is
 * drawn, so that a server that is not there, refuses or is too old is an error like any other.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { ImgoError } from '../../protocol/errors.js';
import type { Api } from '../api.js';
import type { Output } from '../output.js';
import { columns, isColoured, isUnicode } from '../style.js';
import { canShowViews } from '../tui/available.js';
import { act } from './act.js';
import { Feed, type Known } from './feed.js';
import { firstState, queryOf, type TopState, type View } from './state.js';
import { PRINTED, textOf } from './text.js';

/** What flags say. */
export interface TopOptions {
  readonly view: View;
  readonly sort: string | undefined;
  readonly filter: string;
  readonly intervalMs: number;
  readonly once: boolean;
}

/**
 * Resolves when it is ended by q, or, with --once, after one look.
 * @throws ImgoError usage, unreachable, server_too_old, interrupted, what the server says to the key
 */
export async function top(api: Api, options: TopOptions, output: Output): Promise<void> {
  const state = firstState(options);
  const feed = new Feed(api, options.intervalMs);
  const first = await ask(feed, state, api);
  if (output.json) return printObjects(feed, state, first, options, api, output);
  if (options.once || !canShowViews()) return printText(feed, state, first, options, api, output);
  const [{ createElement }, { TopView }, { TailPane }, { showView }] = await Promise.all([
    import('react'),
    import('./view.js'),
    import('./tail-pane.js'),
    import('../tui/terminal.js'),
  ]);
  const { intervalMs } = options;
  const server = nameOf(api);
  await showView(
    createElement(TopView, {
      source: feed,
      first: state,
      server,
      intervalMs,
      act: (action) => act(api, action),
      tail: (selected, leave) => createElement(TailPane, { api, server, selected, leave }),
    }),
  );
}

async function ask(feed: Feed, state: TopState, api: Api): Promise<Known> {
  try {
    return await feed.ask({ query: queryOf(state, PRINTED), scope: undefined });
  } catch (error) {
    if (error instanceof ImgoError && error.code === 'not_found') {
      throw new ImgoError('server_too_old', { url: api.server.url, path: '/v1/top' }, { cause: error });
    }
    throw error;
  }
}

function nameOf({ server }: Api): string {
  return new URL(server.url).host;
}

/** Ticks until it is interrupted, after the first. A server that is away is waited for, and said. */
async function* ticks(
  feed: Feed,
  state: TopState,
  options: TopOptions,
  api: Api,
  output: Output,
): AsyncGenerator<Known> {
  const interrupted = new AbortController();
  const stop = () => interrupted.abort();
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    for (;;) {
      await wait(options.intervalMs, undefined, { signal: interrupted.signal });
      try {
        yield await ask(feed, state, api);
      } catch (error) {
        if (!(error instanceof ImgoError) || error.code !== 'unreachable') throw error;
        output.warn(`no answer for ${Math.round((performance.now() - feed.known.answeredAt) / 1_000)}s, retrying`);
      }
    }
  } catch (error) {
    if (interrupted.signal.aborted) throw new ImgoError('interrupted', {}, { cause: error });
    throw error;
  } finally {
    process.off('SIGINT', stop);
    process.off('SIGTERM', stop);
  }
}

async function printObjects(
  feed: Feed,
  state: TopState,
  first: Known,
  options: TopOptions,
  api: Api,
  output: Output,
): Promise<void> {
  await printObject(first, output);
  if (options.once) return;
  for await (const known of ticks(feed, state, options, api, output)) await printObject(known, output);
}

async function printObject({ moment }: Known, output: Output): Promise<void> {
  if (moment === undefined) return;
  const { at, version, totals, alerts, queue, store, reasons, nodes, rooms, sessions } = moment.answer;
  await output.object({
    ...{ at, version, totals, alerts, queue, store, reasons },
    nodes: nodes.items,
    rooms: rooms.items,
    sessions: sessions.items,
  });
}

/** The first block has rates, so it comes after a second look. */
async function printText(
  feed: Feed,
  state: TopState,
  _first: Known,
  options: TopOptions,
  api: Api,
  output: Output,
): Promise<void> {
  const { stdout } = process;
  const look = {
    columns: stdout.isTTY === true ? columns(stdout) : undefined,
    coloured: isColoured(stdout),
    unicode: isUnicode(),
  };
  for await (const known of ticks(feed, state, options, api, output)) {
    const standing = { server: nameOf(api), intervalMs: options.intervalMs, agoMs: 0, error: undefined, paused: false };
    await output.raw(`${textOf(state, known, standing, look).join('\n')}\n\n`);
    if (options.once) return;
  }
}
