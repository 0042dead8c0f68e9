// What has come of a stream, for a view: the newest events, counts of all, and the sessions. It takes events at any rate, and
// says at most four times a second that there is something new.

import { isOfTheStream, numberIn, readEvent } from './event.js';
import { Kept } from './kept.js';
import type { TailOptions } from './options.js';
import type { Presence } from './presence.js';
import { WatchedSessions } from './sessions.js';
import { Sift } from './sift.js';
import { type Decision, decisionOf, isHeartbeat, type Wanted } from './wanted.js';
import type { EventLine, EventReader, WatchState } from './watch.js';

const TELL_MS = 250;
/** Seconds of which the rate is kept. */
const RATES = 120;

/** Of the frames that come together only the last are read: where a session is, is what the newest say. */
const READ_FRAMES = 50;

/** By how many sessions more match; in rooms they come and go without it. */
const CHANGES: Readonly<Record<string, number>> = { open: 1, close: -1 };

export class Feed implements EventReader {
  readonly options: TailOptions;
  readonly kept = new Kept();
  readonly sessions = new WatchedSessions();
  /** Undefined until something came. */
  stream: WatchState | undefined;
  /** Events so far; what the stream says of itself is none. */
  total = 0;
  /** Of the events, those that are shown. */
  shown = 0;
  /** Events that the server says did not reach this stream. */
  dropped = 0;
  /** Sessions that match: as the stream began with, and what came and went since. */
  matched: number | undefined;
  /** Nodes that are watched; with one there is no need to name it. */
  nodes = 1;
  /** What there is to say where no session matches. */
  nobody: string | undefined;
  /** Events a second, the newest last. */
  readonly rates: number[] = [];
  readonly #enough: () => void;
  readonly #sift: Sift;
  #wanted: Wanted = { heartbeats: false, frames: true, filter: '' };
  #decide: Decision = this.#decision();
  #inSecond = 0;
  #matchedAt = 0;
  #tell: () => void = () => {};
  #telling: NodeJS.Timeout | undefined;

  /** `enough`: called when as many events came as were asked for. */
  constructor(options: TailOptions, enough: () => void) {
    this.options = options;
    this.#enough = enough;
    this.#sift = new Sift(options);
  }

  /** Who is told that something is new. */
  onNews(tell: () => void): void {
    this.#tell = tell;
  }

  get wanted(): Wanted {
    return this.#wanted;
  }

  /** Decides again what is shown, of what is kept and of `others`. */
  want(
    change: Partial<Wanted>,
    others: Iterable<{ readonly name: string; readonly text: string; shown: boolean }>,
  ): void {
    this.#wanted = { ...this.#wanted, ...change };
    this.#decide = this.#decision();
    for (const events of [this.kept.all(), others]) {
      for (const event of events) event.shown = this.#decide(event.name, event.text);
    }
  }

  events(lines: readonly EventLine[]): void {
    const { count } = this.options;
    const passed = this.#sift.pass(lines);
    for (const [at, { name, text }] of passed.entries()) {
      if (name === 'keepalive') continue;
      const shown = this.#decide(name, text);
      this.kept.add(name, text, shown);
      // Asked for so that `h` has some to show at once; who does not want them has none of them counted.
      if (!shown && isHeartbeat(name, text)) continue;
      if (name !== 'frame' || at >= passed.length - READ_FRAMES) this.#note(name, text);
      if (isOfTheStream(name)) continue;
      this.total += 1;
      this.#inSecond += 1;
      if (shown) this.shown += 1;
      if (count !== undefined && this.total >= count) {
        this.#enough();
        break;
      }
    }
    this.news();
  }

  state(state: WatchState): void {
    this.stream = state;
    this.news();
  }

  /** Takes over what the server lists. */
  present({ listed, ended }: Presence): void {
    this.sessions.listed(listed);
    this.sessions.ended(ended, Date.now());
    this.news();
  }

  /** Once a second. */
  tick(): void {
    this.rates.push(this.#inSecond);
    this.#inSecond = 0;
    if (this.rates.length > RATES) this.rates.shift();
    this.news();
  }

  /** Something is new. */
  news(): void {
    this.#telling ??= setTimeout(() => {
      this.#telling = undefined;
      this.#tell();
    }, TELL_MS);
  }

  /** Nothing is told any more. */
  end(): void {
    clearTimeout(this.#telling);
    this.#tell = () => {};
  }

  #note(name: string, text: string): void {
    const event = readEvent(text);
    if (event === undefined) return;
    if (name === 'watching') {
      this.matched = numberIn(event, 'sessions');
      this.#matchedAt = numberIn(event, 'at') ?? 0;
      this.nodes = numberIn(event, 'nodes') ?? 1;
      // A stream begins, perhaps again: who has gone meanwhile is found out.
      this.sessions.doubt();
    } else if (name === 'dropped') this.dropped += numberIn(event, 'count') ?? 0;
    else {
      this.#count(name, numberIn(event, 'at') ?? 0);
      this.sessions.seen(event);
    }
  }

  /** Who came or went since the stream began; what the flight recorder has of before is counted already. */
  #count(name: string, at: number): void {
    if (this.matched === undefined || this.options.rooms.length > 0 || at <= this.#matchedAt) return;
    this.matched += CHANGES[name] ?? 0;
  }

  #decision(): Decision {
    return decisionOf(this.#wanted, (session) => this.sessions.numberOf(session));
  }
}
