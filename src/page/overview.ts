// What the server says of itself below: sessions, rooms; and what this page was refused, by code. It asks while the part is in
// view and the page is looked at, one call after another, and says when it has no answer.

import type { Api, Problem } from './api.js';
import { button, byId, element, say } from './dom.js';
import { agoText, bytesText, timeText } from './format.js';

/** Between two looks, ms. */
const EVERY_MS = 2_000;
/** Rows of a table. */
const ROWS = 8;
const ERRORS = 12;

interface SessionInfo {
  readonly session: string;
  readonly user: string | null;
  readonly device: string;
  readonly dialect: string;
  readonly transport: string;
  readonly since: string;
  readonly position: string;
  readonly lagBytes: number | null;
  readonly state: string | null;
}

interface Page<T> {
  readonly items: readonly T[];
  readonly next: string | null;
}

export class Overview {
  readonly #api: Api;
  readonly #mayAsk: () => boolean;
  readonly #join: (room: string) => void;
  readonly #errors = new Map<string, { count: number; at: number; text: string }>();
  #inView = false;
  #own = '';
  #answeredAt = 0;

  /** `mayAsk`: not before there is a key where one is needed. */
  constructor(api: Api, mayAsk: () => boolean, join: (room: string) => void) {
    this.#api = api;
    this.#mayAsk = mayAsk;
    this.#join = join;
    new IntersectionObserver((entries) => {
      this.#inView = entries.some((entry) => entry.isIntersecting);
    }).observe(byId('sessions'));
    void this.#look();
  }

  /** The session of this page, which is marked. */
  set own(session: string) {
    this.#own = session;
  }

  failed({ code, message }: Problem): void {
    const known = this.#errors.get(code);
    this.#errors.delete(code);
    this.#errors.set(code, { count: (known?.count ?? 0) + 1, at: Date.now(), text: message });
    if (this.#errors.size > ERRORS) this.#errors.delete(this.#errors.keys().next().value as string);
    const rows = [...this.#errors]
      .reverse()
      .map(([name, { count, at, text }]) => [
        element('code', { title: text }, name),
        `${count}`,
        timeText(at).slice(0, 8),
      ]);
    byId('errors').replaceChildren(table('Errors by code', ['Code', 'Times', 'Last'], rows));
  }

  async #look(): Promise<never> {
    for (;;) {
      if (this.#inView && !document.hidden && this.#mayAsk()) await this.#ask();
      await new Promise((next) => setTimeout(next, EVERY_MS));
    }
  }

  async #ask(): Promise<void> {
    try {
      const sessions = (await this.#api.get(`/v1/sessions?limit=${ROWS + 1}`)) as Page<SessionInfo>;
      const rooms = (await this.#api.get(`/v1/rooms?limit=${ROWS + 1}`)) as Page<{ room: string; members: number }>;
      this.#answeredAt = Date.now();
      this.#showSessions(sessions);
      this.#showRooms(rooms);
    } catch {
      const since =
        this.#answeredAt === 0 ? 'No answer' : `No answer for ${Math.round((Date.now() - this.#answeredAt) / 1_000)} s`;
      for (const id of ['session-count', 'room-count']) say(byId(id), since);
    }
  }

  #showSessions({ items, next }: Page<SessionInfo>): void {
    say(byId('session-count'), countOf(items.length, next));
    if (items.length === 0) {
      hint('sessions', 'Nobody is connected.');
      return;
    }
    const rows = items
      .slice(0, ROWS)
      .map((one) => [
        element('span', { title: one.session }, one.session === this.#own ? 'this page' : one.session.slice(0, 10)),
        one.user ?? '–',
        one.device.startsWith('~') || one.device === '' ? '–' : one.device,
        `${one.dialect} ${one.transport}`,
        agoText(one.since),
        one.position,
        one.lagBytes === null ? '–' : bytesText(one.lagBytes),
      ]);
    const heads = ['Session', 'User', 'Device', 'Speaks', 'Since', 'Position', 'Lag'];
    byId('sessions').replaceChildren(table('Sessions', heads, rows));
  }

  #showRooms({ items, next }: Page<{ room: string; members: number }>): void {
    say(byId('room-count'), countOf(items.length, next));
    if (items.length === 0) {
      hint('all-rooms', 'Nobody is in a room. Join one above.');
      return;
    }
    const focused = document.activeElement?.getAttribute('data-room');
    const rows = items
      .slice(0, ROWS)
      .map(({ room, members }) => [
        room,
        `${members}`,
        button('Join', { class: 'quiet', 'aria-label': `Join ${room}`, 'data-room': room }, () => this.#join(room)),
      ]);
    byId('all-rooms').replaceChildren(table('Rooms', ['Room', 'Members', ''], rows));
    if (typeof focused === 'string') {
      for (const one of byId('all-rooms').querySelectorAll('button')) if (one.dataset['room'] === focused) one.focus();
    }
  }
}

function countOf(count: number, next: string | null): string {
  return next !== null || count > ROWS ? `${ROWS} of more` : String(count);
}

function hint(id: string, text: string): void {
  byId(id).replaceChildren(element('p', { class: 'hint' }, text));
}

function table(caption: string, heads: readonly string[], rows: readonly (readonly (Node | string)[])[]): HTMLElement {
  return element(
    'div',
    { class: 'scroll', tabindex: '0', role: 'group', 'aria-label': caption },
    element(
      'table',
      {},
      element('thead', {}, element('tr', {}, ...heads.map((head) => element('th', { scope: 'col' }, head)))),
      element('tbody', {}, ...rows.map((cells) => element('tr', {}, ...cells.map((cell) => element('td', {}, cell))))),
    ),
  );
}
