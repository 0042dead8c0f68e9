// A stream of events that outlives its connection: it comes back, waiting longer each time, and says which time is missing.
// What ends it for good is told as an error: a key that may not, a server that is not there, or is too old.

import { setTimeout as wait } from 'node:timers/promises';
import { ImgoError } from '../../protocol/errors.js';
import type { Api } from '../api.js';
import { ExchangeError } from '../http.js';
import { nameOf } from './event.js';

/** A line of the stream and the name of its event. */
export interface EventLine {
  readonly name: string;
  readonly text: string;
}

/** How the stream is. Times are wall times, ms. */
export type WatchState =
  | { readonly is: 'live' }
  | { readonly is: 'cut'; readonly since: number; readonly why: string; readonly againAt: number };

/** Who reads it. */
export interface EventReader {
  /** Events as they come, many at once; no more are taken until it has resolved. */
  readonly events: (lines: readonly EventLine[]) => Promise<void> | void;
  readonly state: (state: WatchState) => void;
}

/** The server sends something every 15 s. */
const SILENCE_MS = 40_000;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;

/**
 * Reads until the signal.
 * @throws ImgoError what the server says to the first call, unreachable, server_too_old; later only what waiting cannot mend
 */
export async function watch(api: Api, path: string, reader: EventReader, signal: AbortSignal): Promise<void> {
  /** When something came last; undefined before anything did. */
  let heard: number | undefined;
  let waitMs = FIRST_WAIT_MS;
  let cut = false;
  while (!signal.aborted) {
    let why = 'the server ended it';
    try {
      for await (const texts of await api.lines({ path, silenceMs: SILENCE_MS, signal })) {
        const lines = linesOf(texts);
        if (cut || heard === undefined) {
          reader.state({ is: 'live' });
          waitMs = FIRST_WAIT_MS;
        }
        if (cut && heard !== undefined) lines.unshift(missedLine(heard, Date.now()));
        cut = false;
        heard = Date.now();
        const ended = lines.findIndex(({ name }) => name === 'end');
        if (ended >= 0) why = lines[ended]?.text.includes('"shutdown"') ? 'the server shuts down' : why;
        if (lines.length > 0) await reader.events(ended < 0 ? lines : lines.slice(0, ended));
        // Whoever reads may have had enough.
        if (signal.aborted) return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ExchangeError)) {
        if (heard === undefined || !mayPass(error)) throw explained(error, api);
        why = (error as ImgoError).code === 'unreachable' ? causeOf(error) : (error as ImgoError).message;
      } else if (heard === undefined) {
        throw new ImgoError('unreachable', { tried: `${api.server.url} (${error.why})` }, { cause: error });
      } else {
        why = error.why;
      }
    }
    cut = true;
    const ms = waitMs * (0.75 + Math.random() / 2);
    waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2);
    reader.state({ is: 'cut', since: heard ?? Date.now(), why, againAt: Date.now() + ms });
    await wait(ms, undefined, { signal }).catch(() => {});
  }
}

function linesOf(texts: readonly string[]): EventLine[] {
  const lines: EventLine[] = [];
  for (const text of texts) {
    const name = nameOf(text);
    if (name !== undefined) lines.push({ name, text });
  }
  return lines;
}

/** As the server says it of a node; here it is the whole stream. */
function missedLine(from: number, to: number): EventLine {
  return { name: 'missed', text: JSON.stringify({ event: 'missed', at: to, reason: 'connection_lost', from, to }) };
}

function mayPass(error: unknown): boolean {
  return error instanceof ImgoError && (error.code === 'unreachable' || error.retryable || error.http >= 500);
}

function causeOf(error: unknown): string {
  const { cause } = error as ImgoError;
  return cause instanceof ExchangeError ? cause.why : 'no answer';
}

function explained(error: unknown, api: Api): unknown {
  if (!(error instanceof ImgoError) || error.code !== 'not_found') return error;
  return new ImgoError('server_too_old', { url: api.server.url, path: '/v1/events' }, { cause: error });
}
