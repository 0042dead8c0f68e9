// The list of frames in both directions, each decoded when it is opened: the fields of its header, its bytes. And the last one,
// always.

import { Op } from '../protocol/frame.js';
import { byId, element, paced, say } from './dom.js';
import { Feed } from './feed.js';
import { bytesText, timeText } from './format.js';
import { aboutOf, type Frame, fieldsOf, framesOf, hexOf, isHeartbeat, nameOf } from './frames.js';

export class FrameRows {
  readonly #feed = new Feed<Frame>('frames', frameRow);
  readonly #trip: (ms: number) => void;
  readonly #showSoon = paced(() => this.#show(), 100);
  #count = 0;
  #last: Frame | undefined;
  #beatAt = 0;

  /** `trip`: told how long a heartbeat took to be answered. */
  constructor(trip: (ms: number) => void) {
    this.#trip = trip;
  }

  add(direction: 'in' | 'out', data: Uint8Array, at: number): void {
    const withHeartbeats = byId<HTMLInputElement>('heartbeats').checked;
    for (const frame of framesOf(direction, data, at)) {
      if (frame.op === Op.HEARTBEAT) this.#beatAt = at;
      if (frame.op === Op.HEARTBEAT_REPLY) this.#trip(at - this.#beatAt);
      if (isHeartbeat(frame) && !withHeartbeats) continue;
      this.#count++;
      this.#last = frame;
      this.#feed.add(frame);
    }
    this.#showSoon();
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
    say(byId('frame-count'), '0');
    byId('frames-empty').hidden = false;
  }

  #show(): void {
    if (this.#last === undefined) return;
    say(byId('frame-count'), this.#count.toLocaleString('en'));
    byId('frames-empty').hidden = true;
    byId('last-frame').replaceChildren(frameHead(this.#last), ...decoded(this.#last, 64));
  }
}

function frameRow(frame: Frame): HTMLElement {
  const { direction, op, seq, packLen, at } = frame;
  const summary = element(
    'summary',
    {},
    element('time', {}, timeText(performance.timeOrigin + at)),
    element(
      'span',
      { class: 'way', 'data-way': direction, title: direction === 'in' ? 'to this page' : 'from this page' },
      direction === 'in' ? '←' : '→',
    ),
    element('span', { class: 'op' }, `${nameOf(op)} ${op}`),
    element('span', { class: 'about' }, aboutOf(frame)),
    element('span', { class: 'id' }, `seq ${seq}`),
    element('span', { class: 'size' }, bytesText(packLen)),
  );
  const details = element('details', {}, summary);
  details.addEventListener('toggle', () => {
    if (details.open && details.childElementCount === 1) {
      details.append(element('div', { class: 'opened' }, ...decoded(frame, 256)));
    }
  });
  return element('li', { class: 'frame-row' }, details);
}

function frameHead({ direction, op, packLen }: Frame): HTMLElement {
  const way = direction === 'in' ? '← in' : '→ out';
  return element('p', { class: 'frame-head' }, `${way} · ${nameOf(op)} · ${bytesText(packLen)}`);
}

/** Its fields, and so many of its bytes. */
function decoded(frame: Frame, limit: number): HTMLElement[] {
  const fields = fieldsOf(frame).map(({ name, value }) =>
    element('div', {}, element('dt', {}, name), element('dd', {}, value)),
  );
  const lines = hexOf(frame, limit).map((runs) =>
    element(
      'div',
      { class: 'hex-line' },
      element(
        'span',
        { class: 'hex' },
        ...spaced(runs.map(({ kind, hex }) => element('span', { 'data-kind': kind }, hex))),
      ),
      element(
        'span',
        { class: 'ascii', 'aria-hidden': 'true' },
        ...runs.map(({ kind, text }) => element('span', { 'data-kind': kind }, text)),
      ),
    ),
  );
  const rest = frame.packLen - Math.min(limit, frame.bytes.length);
  const why = frame.op === Op.AUTH ? 'of the authentication, which has the token, are not kept' : 'more';
  return [
    element('dl', { class: 'fields' }, ...fields),
    element('div', { class: 'dump' }, ...lines),
    ...(rest > 0 ? [element('p', { class: 'hint' }, `${bytesText(rest)} ${why}.`)] : []),
  ];
}

function spaced(parts: readonly HTMLElement[]): (HTMLElement | string)[] {
  return parts.flatMap((part, at) => (at === 0 ? [part] : [' ', part]));
}
