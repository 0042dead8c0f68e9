// The page's own session: a user's token, the client library on a line that can be cut, the rooms it is in. It comes back by
// the client's rules; only a token of its own making that the server does not know any more is replaced by a new one.

import { type Client, type Closed, connectWebSocket, type Message, type Opened } from '../client/browser.js';
import { DISCONNECT } from '../protocol/disconnect.js';
import { encodeFrame, Op } from '../protocol/frame.js';
import { ALL_LOG, type LogName, type MessageId, maxId, type RoomId, roomLog, type UserId } from '../protocol/ids.js';
import { NATIVE_VER } from '../protocol/native.js';
import type { Gap, RoomState } from '../protocol/native-json.js';
import { type Api, Problem } from './api.js';
import { Line, type Tap } from './line.js';

/** Where the session is. Times are of Date.now(), ms. */
export type State =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting' }
  | { readonly kind: 'connected'; readonly opened: Opened }
  | { readonly kind: 'waiting'; readonly reason: string; readonly until: number }
  | { readonly kind: 'offline'; readonly until: number }
  | { readonly kind: 'refused'; readonly problem: Problem };

/** Who connects, and how. */
export interface Who {
  readonly url: string;
  readonly user: UserId;
  readonly device: string | undefined;
  /** One that somebody brought; undefined: the page makes its own. */
  readonly token: string | undefined;
}

export interface ConnectionEvents {
  state(state: State): void;
  /** `kept`: it was there before the session opened. `at`: of performance.now(), ms. */
  message(message: Message, kept: boolean, at: number): void;
  gap(gap: Gap): void;
  rooms(rooms: ReadonlyMap<RoomId, string | undefined>): void;
  /** A connection ended, or something was refused. */
  failed(problem: Problem): void;
  readonly frame: Tap;
}

/** A made token lives so long: a page that is left open makes another one. */
const TOKEN_TTL = '2h';
const HEARTBEAT_MS = 15_000;
/** Longer than the page is ever offline on purpose: an attempt waits on the cut line. */
const CONNECT_TIMEOUT_MS = 30_000;

export class Connection {
  readonly #api: Api;
  readonly #events: ConnectionEvents;
  readonly #line: Line;
  /** Joined, or (with a code) refused. */
  readonly #rooms = new Map<RoomId, string | undefined>();
  /** Where each log was read to, for the client after the next. */
  readonly #positions = new Map<LogName, MessageId>();
  /** What was there when the session opened. */
  #heads = new Map<LogName, MessageId>();
  #client: Client | undefined;
  #who: Who | undefined;
  #made: { readonly token: string; readonly attempts: number } | undefined;
  #attempts = 0;
  #state: State = { kind: 'idle' };
  #offline: ReturnType<typeof setTimeout> | undefined;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #seq = 0x4000_0000;

  constructor(api: Api, events: ConnectionEvents) {
    this.#api = api;
    this.#events = events;
    this.#line = new Line(events.frame);
  }

  get state(): State {
    return this.#state;
  }

  get user(): UserId | undefined {
    return this.#who?.user;
  }

  connect(who: Who): void {
    const before = this.#who;
    if (before?.user !== who.user || before.url !== who.url) this.#positions.clear();
    this.#who = who;
    this.#made = undefined;
    this.#start();
  }

  disconnect(): void {
    const client = this.#client;
    this.#client = undefined;
    clearInterval(this.#heartbeat);
    void client?.close();
    // After that: what waits on a cut line was given up, and does not dial.
    this.#comeBack();
    this.#to({ kind: 'idle' });
  }

  /** The network is gone for so long. */
  goOffline(ms: number): void {
    this.#to({ kind: 'offline', until: Date.now() + ms });
    this.#line.cut();
    this.#offline = setTimeout(() => this.comeBack(), ms);
  }

  /** It is there again. */
  comeBack(): void {
    if (!this.#line.isCut) return;
    this.#to({ kind: 'connecting' });
    this.#comeBack();
  }

  async join(room: RoomId): Promise<void> {
    if (this.#state.kind !== 'connected' || this.#client === undefined) this.#rooms.set(room, undefined);
    else this.#joined(room, await this.#client.join(room).catch(() => undefined));
    this.#events.rooms(this.#rooms);
  }

  async leave(room: RoomId): Promise<void> {
    this.#rooms.delete(room);
    this.#positions.delete(roomLog(room));
    this.#events.rooms(this.#rooms);
    if (this.#state.kind === 'connected') await this.#client?.leave(room).catch(() => undefined);
  }

  /** Sessions in a room; undefined: nobody says. */
  async presence(room: RoomId): Promise<number | undefined> {
    if (this.#state.kind !== 'connected') return undefined;
    return this.#client?.presence(room).catch(() => undefined);
  }

  #comeBack(): void {
    clearTimeout(this.#offline);
    this.#line.restore();
  }

  #start(): void {
    const who = this.#who;
    if (who === undefined) return;
    this.#to({ kind: 'connecting' });
    const rooms = new Map([...this.#rooms.keys()].map((room) => [room, this.#positions.get(roomLog(room))]));
    const all = this.#positions.get(ALL_LOG);
    const options = {
      url: who.url,
      token: () => this.#token(),
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
      rooms,
      ...(who.device === undefined ? {} : { device: who.device }),
      ...(all === undefined ? {} : { all }),
    };
    const mine = () => client === this.#client;
    const client = connectWebSocket(
      options,
      {
        message: (message) => {
          if (mine()) this.#message(message);
        },
        gap: (gap) => {
          if (mine()) this.#events.gap(gap);
        },
        opened: (opened) => {
          if (mine()) this.#opened(opened);
        },
        closed: (closed) => {
          if (mine()) this.#closed(closed);
        },
      },
      this.#line.through,
    );
    this.#client = client;
  }

  async #token(): Promise<string> {
    const who = this.#who;
    this.#attempts++;
    if (who?.token !== undefined) return who.token;
    this.#made ??= { token: await this.#make(), attempts: this.#attempts };
    return this.#made.token;
  }

  async #make(): Promise<string> {
    const { user, device } = this.#who ?? {};
    const wishes = { user, ttl: TOKEN_TTL, rooms: ['*'], ...(device === undefined ? {} : { device }) };
    try {
      return ((await this.#api.post('/v1/tokens', JSON.stringify(wishes))) as { token: string }).token;
    } catch (error) {
      // What the server refuses it refuses again: no use in trying on.
      const problem = error as Problem;
      if (problem.status >= 400 && problem.status < 500) this.#refuse(problem);
      throw error;
    }
  }

  #message(message: Message): void {
    const { log, id } = message;
    const head = log === undefined ? undefined : this.#heads.get(log);
    const isKept = head !== undefined && id !== undefined && maxId(head, id) === head;
    if (log !== undefined && id !== undefined) this.#positions.set(log, id);
    this.#events.message(message, isKept, performance.now());
  }

  #opened(opened: Opened): void {
    this.#heads = new Map();
    if (opened.user !== undefined && opened.head !== undefined) {
      this.#heads.set(`user:${opened.user}` as LogName, opened.head);
    }
    for (const [room, state] of opened.rooms) this.#joined(room, state);
    this.#events.rooms(this.#rooms);
    this.#to({ kind: 'connected', opened });
    clearInterval(this.#heartbeat);
    this.#heartbeat = setInterval(() => {
      if (!document.hidden) this.#line.send(encodeFrame(NATIVE_VER, Op.HEARTBEAT, this.#seq++));
    }, HEARTBEAT_MS);
  }

  #joined(room: RoomId, state: RoomState | undefined): void {
    if (state === undefined) return;
    this.#rooms.set(room, 'error' in state ? state.error : undefined);
    if ('error' in state) this.#events.failed(new Problem(state.error, `The room ${room} was refused.`));
    else {
      const log = roomLog(room);
      this.#heads.set(log, state.head);
      if (!this.#positions.has(log)) this.#positions.set(log, state.head);
    }
  }

  #closed({ code, reason, retryInMs }: Closed): void {
    clearInterval(this.#heartbeat);
    if (this.#line.isCut) return;
    const name = Object.values(DISCONNECT).find((row) => row.code === code)?.name;
    const problem = new Problem(name ?? 'closed', sentence(reason));
    if (retryInMs !== undefined) {
      this.#events.failed(problem);
      this.#to({ kind: 'waiting', reason, until: Date.now() + retryInMs });
    } else if (this.#mayRenew(code)) {
      this.#made = undefined;
      this.#start();
    } else this.#refuse(problem);
  }

  /** A token that was good, and that the page can make again: it expired, or the server started anew and kept nothing. */
  #mayRenew(code: number | undefined): boolean {
    if (code !== DISCONNECT.token_expired.code && code !== DISCONNECT.token_refused.code) return false;
    return this.#made !== undefined && this.#made.attempts < this.#attempts;
  }

  #refuse(problem: Problem): void {
    const client = this.#client;
    this.#client = undefined;
    this.#to({ kind: 'refused', problem });
    this.#events.failed(problem);
    void client?.close();
  }

  #to(state: State): void {
    this.#state = state;
    this.#events.state(state);
  }
}

/** As a sentence stands. */
export function sentence(reason: string): string {
  return `${reason.charAt(0).toUpperCase()}${reason.slice(1).replace(/\.$/, '')}.`;
}
