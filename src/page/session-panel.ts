// The left side: who connects, the state it is in and what that means, being offline for a while, the rooms.

import { formatId, isName, type MessageId, type RoomId, type UserId } from '../protocol/ids.js';
import { type Connection, type State, sentence, type Who } from './connection.js';
import { button, byId, copyButton, element, say } from './dom.js';
import { type Facts, socketUrl } from './facts.js';
import { durationText } from './format.js';
import { NAME_RULE } from './push-form.js';

const OFFLINE_MS = 10_000;
/** When the three messages are pushed, of the time away. */
const MEANWHILE_MS = [2_000, 4_000, 6_000];

/** What the panel asks of the page. */
export interface PanelEvents {
  readonly connection: Connection;
  /** A key was typed. */
  key(key: string): void;
  user(user: UserId): void;
  room(room: RoomId): void;
  push(user: UserId, message: string): Promise<void>;
}

export class SessionPanel {
  readonly #facts: Facts;
  readonly #events: PanelEvents;
  readonly #state = byId('state');
  #counting: ReturnType<typeof setInterval> | undefined;
  #meanwhile: ReturnType<typeof setTimeout>[] = [];

  constructor(facts: Facts, events: PanelEvents) {
    this.#facts = facts;
    this.#events = events;
    const url = byId<HTMLInputElement>('url');
    url.value = socketUrl(facts, location) ?? `ws://${location.hostname}:8090/sub`;
    if (facts.ws === null) byId('connect-form').querySelector('details')?.setAttribute('open', '');
    if (facts.mode === 'production') this.askForKey();
    byId<HTMLFormElement>('connect-form').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#toggle();
    });
    byId('user').addEventListener('input', () => this.#checkUser());
    byId('offline').addEventListener('click', () => this.#offline());
    byId<HTMLFormElement>('join-form').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#join();
    });
    this.rooms(new Map());
  }

  show(state: State): void {
    clearInterval(this.#counting);
    this.#state.dataset['state'] = state.kind;
    const isUp = state.kind !== 'idle' && state.kind !== 'refused';
    const connect = byId<HTMLButtonElement>('connect');
    say(connect, isUp ? 'Disconnect' : 'Connect');
    connect.classList.toggle('primary', !isUp);
    for (const id of ['user', 'device', 'token', 'url']) byId<HTMLInputElement>(id).readOnly = isUp;
    const offline = byId<HTMLButtonElement>('offline');
    offline.disabled = state.kind !== 'connected' && state.kind !== 'offline';
    say(offline, state.kind === 'offline' ? 'Come back now' : 'Go offline for 10 s');
    if (state.kind !== 'offline') this.#stopMeanwhile();
    if (state.kind === 'idle') say(byId('fact-position'), '–');
    const { title, more } = this.#words(state);
    say(byId('state-text'), title);
    say(byId('state-more'), more);
    if (state.kind === 'connected') {
      say(byId('fact-session'), state.opened.session ?? '–');
      say(byId('fact-dialect'), 'native, imgo.v2');
    } else {
      for (const id of ['fact-session', 'fact-dialect', 'fact-trip']) say(byId(id), '–');
    }
    if (state.kind === 'offline' || state.kind === 'waiting') this.#countDown(state);
  }

  acknowledged(id: MessageId): void {
    say(byId('fact-position'), formatId(id));
  }

  trip(ms: number): void {
    say(byId('fact-trip'), durationText(ms));
  }

  rooms(rooms: ReadonlyMap<RoomId, string | undefined>): void {
    const chips = [...rooms].map(([room, refused]) => {
      const leave = button('×', { class: 'quiet', 'aria-label': `Leave ${room}`, title: `Leave ${room}` }, () => {
        void this.#events.connection.leave(room);
        byId('room').focus();
      });
      const why = refused === undefined ? undefined : element('code', {}, refused);
      return element('li', { 'data-refused': String(refused !== undefined) }, element('span', {}, room), why, leave);
    });
    const none = element('li', { class: 'hint' }, 'In none. A room’s messages reach who is in it.');
    byId('rooms').replaceChildren(...(chips.length === 0 ? [none] : chips));
  }

  async joinRoom(room: RoomId): Promise<void> {
    await this.#events.connection.join(room);
    this.#events.room(room);
  }

  /** A key is needed. */
  askForKey(): void {
    if (!byId('key-part').hidden) return;
    byId('key-part').hidden = false;
    byId<HTMLInputElement>('meanwhile').checked = false;
    const command = `${this.#facts.command} key create --scope token --scope push --scope read --ttl 1d --key-file imgo.key`;
    say(byId('key-command'), command);
    copyButton(byId('key-copy'), () => command);
    byId('key').addEventListener('input', () => this.#events.key(byId<HTMLInputElement>('key').value));
  }

  #checkUser(): boolean {
    const field = byId<HTMLInputElement>('user');
    const isGood = isName(field.value);
    field.setAttribute('aria-invalid', String(!isGood));
    say(byId('user-problem'), isGood ? '' : `Not a user id: ${NAME_RULE}`);
    if (isGood) this.#events.user(field.value as UserId);
    return isGood;
  }

  #toggle(): void {
    const { connection } = this.#events;
    const { kind } = connection.state;
    if (kind !== 'idle' && kind !== 'refused') {
      connection.disconnect();
      return;
    }
    if (!this.#checkUser()) {
      byId('user').focus();
      return;
    }
    const who = this.#who();
    const isAddress = /^wss?:\/\//.test(who.url) && URL.canParse(who.url);
    byId('url').setAttribute('aria-invalid', String(!isAddress));
    say(byId('url-problem'), isAddress ? '' : 'Not an address: ws://HOST:PORT/sub.');
    if (isAddress) connection.connect(who);
  }

  #who(): Who {
    const text = (id: string) => byId<HTMLInputElement>(id).value.trim();
    return {
      url: text('url'),
      user: byId<HTMLInputElement>('user').value as UserId,
      device: text('device') || undefined,
      token: text('token') || undefined,
    };
  }

  #offline(): void {
    const { connection } = this.#events;
    if (connection.state.kind === 'offline') {
      connection.comeBack();
      return;
    }
    connection.goOffline(OFFLINE_MS);
    const { user } = connection;
    if (user === undefined || !byId<HTMLInputElement>('meanwhile').checked) return;
    this.#meanwhile = MEANWHILE_MS.map((ms, at) =>
      setTimeout(() => {
        const message = JSON.stringify({ text: 'You were away', n: at + 1 });
        // What refuses it stands among the errors below.
        void this.#events.push(user, message).catch(() => undefined);
      }, ms),
    );
  }

  #stopMeanwhile(): void {
    for (const timer of this.#meanwhile) clearTimeout(timer);
    this.#meanwhile = [];
  }

  async #join(): Promise<void> {
    const field = byId<HTMLInputElement>('room');
    const room = field.value.trim() || field.placeholder;
    const isGood = isName(room);
    field.setAttribute('aria-invalid', String(!isGood));
    say(byId('room-problem'), isGood ? '' : `Not a room: ${NAME_RULE}`);
    if (!isGood) return;
    await this.joinRoom(room as RoomId);
    field.value = '';
  }

  #countDown(state: Extract<State, { until: number }>): void {
    const text = byId('state-more');
    const bar = byId('away');
    const start = Date.now();
    const show = () => {
      const left = Math.max(0, state.until - Date.now());
      bar.style.setProperty('--left', String(left / Math.max(1, state.until - start)));
      const seconds = Math.ceil(left / 1_000);
      if (state.kind === 'offline') say(text, `Back in ${seconds} s. Pushes go on: what is for you is kept.`);
      else say(text, `${sentence(state.reason)} ${left === 0 ? 'Trying again now.' : `Trying again in ${seconds} s.`}`);
    };
    show();
    this.#counting = setInterval(show, 200);
  }

  #words(state: State): { readonly title: string; readonly more: string } {
    switch (state.kind) {
      case 'idle':
        return { title: 'Not connected', more: 'Messages for you are kept meanwhile.' };
      case 'connecting':
        return { title: 'Connecting…', more: '' };
      case 'connected':
        return { title: `Connected as ${state.opened.user ?? 'somebody'}`, more: '' };
      case 'offline':
        return { title: 'Offline', more: '' };
      case 'waiting':
        return { title: 'Connection lost', more: '' };
      case 'refused': {
        const { code, message, detail, advice } = state.problem;
        const more = [detail, ...advice].filter((text) => text !== '').join(' ');
        return { title: message, more: more === '' ? code : `${code}. ${more}` };
      }
    }
  }
}
