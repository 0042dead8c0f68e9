// What is done here with events before they are shown: only sessions that lag, and no sizes, where that was asked for.

import { numberIn, readEvent, textIn } from './event.js';
import type { TailOptions } from './options.js';
import type { EventLine } from './watch.js';

/** Sessions that are remembered to lag; beyond, the oldest is forgotten. */
const MOST_LAGGING = 10_000;

/** Passes the lines that are wanted, as they are wanted. */
export class Sift {
  readonly #minLagBytes: number | undefined;
  readonly #hidden: boolean;
  readonly #lagging = new Set<string>();

  constructor({ minLagBytes, payload }: Pick<TailOptions, 'minLagBytes' | 'payload'>) {
    this.#minLagBytes = minLagBytes;
    this.#hidden = payload === 'hidden';
  }

  /** Of some lines those that pass; the same array where all do. */
  pass(lines: readonly EventLine[]): readonly EventLine[] {
    if (this.#minLagBytes === undefined && !this.#hidden) return lines;
    return lines.flatMap((line) => {
      if (this.#minLagBytes !== undefined && !this.#isWanted(line, this.#minLagBytes)) return [];
      return this.#hidden && line.name === 'frame' ? [withoutSize(line)] : [line];
    });
  }

  #isWanted({ name, text }: EventLine, minLagBytes: number): boolean {
    const event = readEvent(text);
    const session = event && textIn(event, 'session');
    // What is said of the stream, or of no session, is never left out: a gap of a whole room is one of lagging sessions.
    if (event === undefined || session === undefined) return true;
    if (name === 'lag' || name === 'held') {
      if ((numberIn(event, 'bytes') ?? 0) >= minLagBytes) this.#remember(session);
      return this.#lagging.has(session);
    }
    if (name === 'released' || name === 'close') return this.#lagging.delete(session);
    return this.#lagging.has(session) || (name === 'gap' && event['reason'] === 'lag');
  }

  #remember(session: string): void {
    this.#lagging.delete(session);
    this.#lagging.add(session);
    if (this.#lagging.size <= MOST_LAGGING) return;
    for (const oldest of this.#lagging) {
      this.#lagging.delete(oldest);
      break;
    }
  }
}

function withoutSize(line: EventLine): EventLine {
  const event = readEvent(line.text);
  return event === undefined ? line : { name: line.name, text: JSON.stringify({ ...event, bytes: undefined }) };
}
