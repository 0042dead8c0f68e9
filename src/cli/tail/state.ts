// Where the user of the view is, and what each key does there. To scroll is to pause: what is looked at stays where it is,
// while everything that comes goes on being counted.

import type { Key } from 'ink';
import { type Entry, entryOf, typed } from '../tui/entry.js';
import { clamp, type Scroll, stepOf } from '../tui/list.js';
import type { DetailOf } from './detail.js';
import type { Feed } from './feed.js';
import type { KeptEvent } from './kept.js';
import { searchOf } from './wanted.js';

/** What takes the keys. */
export type Open =
  | { readonly is: 'list' }
  | { readonly is: 'help' }
  | { readonly is: 'entry'; readonly of: 'search' | 'filter'; readonly entry: Entry };

/** The list while it stands still. */
export interface Held {
  /** All that were kept. */
  readonly all: readonly KeptEvent[];
  /** Of these, what is shown. */
  readonly events: readonly KeptEvent[];
  readonly scroll: Scroll;
  /** Events that had come by then. */
  readonly total: number;
}

/** How many lines the list and the detail have. */
export interface Heights {
  readonly list: number;
  readonly detail: number;
}

export class TailState {
  readonly feed: Feed;
  open: Open = { is: 'list' };
  held: Held | undefined;
  detail: { readonly of: DetailOf; readonly top: number } | undefined;
  search = '';
  /** What came of the last key, where that cannot be seen. */
  remark = '';
  #heights: Heights = { list: 10, detail: 10 };

  constructor(feed: Feed) {
    this.feed = feed;
  }

  /** The event that keys act on. */
  get current(): KeptEvent | undefined {
    return this.held?.events[this.held.scroll.cursor];
  }

  /** What is looked at stays in sight. */
  settle(heights: Heights): void {
    this.#heights = heights;
    if (this.held === undefined) return;
    this.held = { ...this.held, scroll: clamp(this.held.scroll, this.held.events.length, heights.list) };
  }

  /** Does what a key asks for; true: the view is to end. */
  press(input: string, key: Key): boolean {
    this.remark = '';
    if (this.open.is === 'help') {
      this.open = { is: 'list' };
      return false;
    }
    if (this.open.is === 'entry') {
      this.#type(this.open, input, key);
      return false;
    }
    if (input === 'q' && !key.ctrl) return true;
    this.#inList(input, key);
    return false;
  }

  #type(open: Extract<Open, { is: 'entry' }>, input: string, key: Key): void {
    const next = typed(open.entry, input, key);
    if (typeof next !== 'string') {
      this.open = { ...open, entry: next };
      return;
    }
    this.open = { is: 'list' };
    if (next === 'cancelled') return;
    const text = open.entry.text.trim();
    if (open.of === 'filter') {
      this.#want({ filter: text });
      return;
    }
    this.search = text;
    if (text !== '') this.#find(-1, true);
  }

  #inList(input: string, key: Key): void {
    const step = stepOf(input, key, this.held?.events.length ?? this.feed.kept.size, this.#heights.list);
    if (key.escape) this.#back();
    else if (key.return) this.#look('fields');
    else if (this.detail !== undefined && (key.pageUp || key.pageDown)) this.#page(key.pageUp ? -1 : 1, this.detail);
    else if (step !== undefined) this.#move(step);
    else this.#actions[input]?.();
  }

  readonly #actions: Readonly<Record<string, () => void>> = {
    '?': () => {
      this.open = { is: 'help' };
    },
    '/': () => {
      this.open = { is: 'entry', of: 'search', entry: entryOf('') };
    },
    f: () => {
      this.open = { is: 'entry', of: 'filter', entry: entryOf(this.feed.wanted.filter) };
    },
    ' ': () => (this.held === undefined ? this.#hold() : this.#live()),
    g: () => this.#live(),
    n: () => this.#find(-1, false),
    N: () => this.#find(1, false),
    x: () => this.#look('hex'),
    p: () => this.#look('payload'),
    h: () => this.#want({ heartbeats: !this.feed.wanted.heartbeats }),
    e: () => this.#want({ frames: !this.feed.wanted.frames }),
  };

  #page(direction: -1 | 1, detail: Exclude<TailState['detail'], undefined>): void {
    this.detail = { ...detail, top: Math.max(0, detail.top + direction * this.#heights.detail) };
  }

  /** One step back: the detail, the search, the pause, the filter. */
  #back(): void {
    if (this.detail !== undefined) this.detail = undefined;
    else if (this.search !== '') this.search = '';
    else if (this.held !== undefined) this.#live();
    else if (this.feed.wanted.filter !== '') this.#want({ filter: '' });
  }

  /** Opens the detail, looks at it in another way, or, when it is looked at like that already, closes it. */
  #look(of: DetailOf): void {
    this.#hold();
    if (this.current === undefined) {
      this.remark = 'There is no event to look at yet.';
      this.#live();
    } else this.detail = this.detail?.of === of ? undefined : { of, top: 0 };
  }

  /** What is there stays as it is; the cursor is at the newest. */
  #hold(): void {
    if (this.held !== undefined) return;
    const { kept, total } = this.feed;
    const all = kept.all();
    const events = all.filter(({ shown }) => shown);
    const scroll = clamp({ cursor: events.length - 1, top: events.length }, events.length, this.#heights.list);
    this.held = { all, events, scroll, total };
  }

  #live(): void {
    this.held = undefined;
    this.detail = undefined;
  }

  #move(by: number): void {
    // The newest is where it is already: to go down from there is to follow.
    if (this.held === undefined && by > 0) return;
    const fresh = this.held === undefined;
    this.#hold();
    if (this.held === undefined) return;
    const { events, scroll } = this.held;
    // The first key upwards marks the newest; the next ones move.
    this.#goTo(scroll.cursor + (fresh && by === -1 ? 0 : by), events);
  }

  #goTo(cursor: number, events: readonly KeptEvent[]): void {
    if (this.held === undefined) return;
    const scroll = clamp({ ...this.held.scroll, cursor }, events.length, this.#heights.list);
    if (this.detail !== undefined) this.detail = { ...this.detail, top: 0 };
    this.held = { ...this.held, events, scroll };
  }

  #want(change: Parameters<Feed['want']>[0]): void {
    const at = this.current?.n;
    this.feed.want(change, this.held?.all ?? []);
    if (this.held === undefined) return;
    const events = this.held.all.filter(({ shown }) => shown);
    const next = events.findIndex(({ n }) => n >= (at ?? 0));
    this.#goTo(next < 0 ? events.length - 1 : next, events);
  }

  /** To the next match: -1 towards older ones, 1 towards newer ones. */
  #find(direction: -1 | 1, here: boolean): void {
    if (this.search === '') {
      this.remark = 'Nothing to search for: / asks for a text.';
      return;
    }
    this.#hold();
    if (this.held === undefined) return;
    const { events, scroll } = this.held;
    const matches = searchOf(this.search);
    for (let at = scroll.cursor + (here ? 0 : direction); at >= 0 && at < events.length; at += direction) {
      const event = events[at];
      if (event === undefined || !matches(event.name, event.text)) continue;
      this.#goTo(at, events);
      return;
    }
    this.remark = `No ${direction < 0 ? 'older' : 'newer'} event with ${this.search}.`;
  }
}
