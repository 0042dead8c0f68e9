// The list of messages: a row each, what it says opened on demand, gaps and breaks of the connection between them. Latency is
// told for what this page pushed itself: from the push to the arrival, by one clock.

import type { Message } from '../client/browser.js';
import { formatId, type LogName } from '../protocol/ids.js';
import type { Gap } from '../protocol/native-json.js';
import { byId, copyButton, element, say } from './dom.js';
import { Feed } from './feed.js';
import { bytesText, countText, durationText, timeText } from './format.js';
import { jsonFault, prettyJson } from './json.js';
import { type Caller, messageText } from './snippets.js';

/** Characters of a payload in a row, and in an opened one. */
const IN_ROW = 300;
const OPENED = 16_384;
/** Pushes whose arrival is awaited, and rows whose push may still be answered. */
const REMEMBERED = 500;

interface Arrival {
  readonly kind: 'message';
  readonly log: LogName | undefined;
  readonly id: string | undefined;
  /** The beginning of the payload. */
  readonly text: string;
  readonly bytes: number;
  readonly at: number;
  readonly wall: number;
  readonly marks: readonly Mark[];
}

type Mark = 'kept' | 'redelivered' | 'ephemeral';

interface Note {
  readonly kind: 'gap' | 'offline' | 'online';
  readonly text: string;
  readonly wall: number;
}

const MARKS: Readonly<Record<Mark, string>> = {
  kept: 'It was accepted while nobody of you was there, and waited',
  redelivered: 'It may have been delivered before',
  ephemeral: 'It was never stored: ttl 0',
};

export class MessageRows {
  readonly #feed: Feed<Arrival | Note>;
  readonly #caller: Caller;
  /** When this page pushed what has not arrived, by log@id. */
  readonly #pushed = new Map<string, number>();
  /** Where the latency of what arrived is to stand, and when it arrived. */
  readonly #arrived = new Map<string, { readonly at: number; cell: HTMLElement | undefined }>();
  #count = 0;

  /** `caller`: who copies commands. */
  constructor(caller: Caller) {
    this.#caller = caller;
    this.#feed = new Feed<Arrival | Note>(
      'messages',
      (item) => (item.kind === 'message' ? this.#row(item) : noteRow(item)),
      (count) => `${countText(count, 'new row')} in messages`,
    );
  }

  add(message: Message, isKept: boolean, at: number): void {
    const { log, payload, redelivered, ephemeral } = message;
    const id = message.id === undefined ? undefined : formatId(message.id);
    const marks: Mark[] = [];
    if (isKept) marks.push('kept');
    if (redelivered) marks.push('redelivered');
    if (ephemeral) marks.push('ephemeral');
    const text = new TextDecoder().decode(payload.subarray(0, OPENED));
    if (log !== undefined && id !== undefined) remember(this.#arrived, `${log}@${id}`, { at, cell: undefined });
    this.#feed.add({ kind: 'message', log, id, text, bytes: payload.length, at, wall: Date.now(), marks });
    this.#count++;
    say(byId('message-count'), this.#count.toLocaleString('en'));
    byId('messages-empty').hidden = true;
  }

  gap({ log, after, upTo }: Gap): void {
    const count = after.epoch === upTo.epoch ? countText(upTo.n - after.n, 'message') : 'Messages';
    this.#note('gap', `Gap: ${count} of ${log} after ${formatId(after)}, up to ${formatId(upTo)}, will not come.`);
  }

  /** The connection broke, or is there again. */
  note(kind: 'offline' | 'online', text: string): void {
    this.#note(kind, text);
  }

  /** This page pushed it: `at` of performance.now(), before the call. */
  pushed(log: string, id: string, at: number): void {
    const key = `${log}@${id}`;
    const arrived = this.#arrived.get(key);
    remember(this.#pushed, key, at);
    if (arrived?.cell !== undefined) showLatency(arrived.cell, arrived.at - at);
  }

  pause(isPaused: boolean): void {
    this.#feed.pause(isPaused);
  }

  shown(): void {
    this.#feed.shown();
  }

  clear(): void {
    this.#feed.clear();
    this.#count = 0;
    say(byId('message-count'), '0');
    byId('messages-empty').hidden = false;
  }

  #note(kind: Note['kind'], text: string): void {
    this.#feed.add({ kind, text, wall: Date.now() });
    byId('messages-empty').hidden = true;
  }

  #row(item: Arrival): HTMLElement {
    const { log, id, text, bytes, marks, at, wall } = item;
    const latency = element('span', { class: 'latency' });
    if (log !== undefined && id !== undefined) {
      const key = `${log}@${id}`;
      const since = this.#pushed.get(key);
      if (since !== undefined) showLatency(latency, at - since);
      const arrived = this.#arrived.get(key);
      if (arrived !== undefined) arrived.cell = latency;
    }
    const summary = element(
      'summary',
      {},
      element('time', {}, timeText(wall)),
      logTag(log),
      element('span', { class: 'payload' }, text.slice(0, IN_ROW).replace(/\s+/g, ' ')),
      element(
        'span',
        { class: 'marks' },
        ...marks.map((mark) => element('span', { class: 'mark', title: MARKS[mark], 'data-mark': mark }, mark)),
      ),
      latency,
      element('span', { class: 'id' }, id ?? '–'),
      element('span', { class: 'size' }, bytesText(bytes)),
    );
    const details = element('details', {}, summary);
    details.addEventListener('toggle', () => {
      if (details.open && details.childElementCount === 1) details.append(this.#opened(item));
    });
    return element('li', { class: 'message', 'data-marks': marks.join(' ') }, details);
  }

  #opened({ log, id, text, bytes, marks }: Arrival): HTMLElement {
    const isWhole = bytes <= OPENED;
    const shown = isWhole && jsonFault(text) === undefined ? prettyJson(text) : text;
    const parts: HTMLElement[] = [
      element('pre', { tabindex: '0', 'aria-label': 'Message' }, element('code', {}, shown)),
    ];
    if (!isWhole) {
      parts.push(element('p', { class: 'hint' }, `The first ${bytesText(OPENED)} of ${bytesText(bytes)}.`));
    }
    for (const mark of marks)
      parts.push(element('p', { class: 'hint' }, `${mark}: ${MARKS[mark].replace(/^It/, 'it')}.`));
    if (log !== undefined && id !== undefined) {
      const command = messageText(`${log}@${id}`, this.#caller);
      const copy = element('button', { type: 'button', class: 'quiet' }, 'Copy');
      copyButton(copy, () => command);
      parts.push(element('p', { class: 'hint' }, 'Where it is now, and who has it:'));
      parts.push(element('div', { class: 'copyline' }, element('code', {}, command), copy));
    }
    return element('div', { class: 'opened' }, ...parts);
  }
}

function showLatency(cell: HTMLElement, ms: number): void {
  cell.textContent = durationText(ms);
  cell.title = 'From the push to its arrival in this page';
}

function logTag(log: LogName | undefined): HTMLElement {
  const kind = log === undefined || log.startsWith('user:') ? 'you' : log === 'all' ? 'all' : 'room';
  const text = kind === 'room' && log !== undefined ? log.slice('room:'.length) : kind;
  return element('span', { class: 'log', 'data-log': kind, title: log ?? '' }, text);
}

function noteRow({ kind, text, wall }: Note): HTMLElement {
  return element(
    'li',
    { class: 'note', 'data-kind': kind },
    element('time', {}, timeText(wall)),
    element('span', {}, text),
  );
}

/** The newest so many. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.set(key, value);
  if (map.size > REMEMBERED) map.delete(map.keys().next().value as string);
}
