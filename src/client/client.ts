// A client that stays connected: authenticates, hands on messages in order, acknowledges them, resumes from its own
// positions after a break, and comes back when the server said it should. Runs in a browser: no Node API here.
//
//   idle -> dialling -> authenticating -> open -> (closed -> waiting -> dialling ...) -> ended
import type { Dialect } from '../protocol/dialect.js';
import { disconnectByCode, type Reconnect } from '../protocol/disconnect.js';
import { isFault, Op } from '../protocol/frame.js';
import { ALL_LOG, type MessageId, type RoomId, roomLog } from '../protocol/ids.js';
import {
  parseDisconnect,
  parseGap,
  parseJoinReply,
  parseLeaveReply,
  parseNativeAuthReply,
  parsePresenceReply,
  type RoomState,
} from '../protocol/native-json.js';
import { Acknowledger } from './acknowledger.js';
import type { Carrier, Dial } from './carrier.js';
import { Inbox } from './inbox.js';
import type { ClientHandlers, ClientOptions, Closed, Opened } from './options.js';
import { Receiver } from './receiver.js';
import { Requests } from './requests.js';

const DEFAULT_HEARTBEAT_MS = 240_000;
const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const DEFAULT_PENDING_BYTES = 4 * 1024 * 1024;
/** How long silence may exceed a heartbeat before the connection counts as dead. */
const SILENCE_GRACE_MS = 20_000;

/** Waits for the reply to a JOIN, LEAVE or PRESENCE. */
interface Waiter {
  resolve(value: RoomState | number | undefined): void;
  reject(error: Error): void;
}

export class Client {
  /** Resolves when the client has ended for good, with the last reason. */
  readonly ended: Promise<Closed>;
  readonly #options: ClientOptions;
  readonly #handlers: ClientHandlers;
  readonly #dial: Dial;
  readonly #dialect: Dialect;
  readonly #carrierKind: 'tcp' | 'ws';
  readonly #inbox: Inbox;
  readonly #acks: Acknowledger;
  readonly #rooms: Map<RoomId, MessageId | undefined>;
  readonly #waiters = new Map<string, Waiter[]>();
  #end: (closed: Closed) => void = () => {};
  #requests: Requests;
  #carrier: Carrier | undefined;
  #attempt = 0;
  #failures = 0;
  #opens = 0;
  /** The handler threw, and has taken nothing of the user's log since: attempts go on slowing down. */
  #handlerFailed = false;
  #paused = false;
  #stopped = false;
  #finished = false;
  #authenticated = false;
  #told: { readonly code: number; readonly reason: string; readonly reconnect: Reconnect } | undefined;
  #timers: ReturnType<typeof setTimeout>[] = [];
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #lastHeard = 0;

  /** Connects at once. Use `connect` of index.ts or browser.ts. */
  constructor(options: ClientOptions, handlers: ClientHandlers, carrier: 'tcp' | 'ws', dial: Dial) {
    this.#options = options;
    this.#handlers = handlers;
    this.#dial = dial;
    this.#dialect = options.dialect ?? 'native';
    this.#carrierKind = carrier;
    this.#requests = new Requests(this.#dialect, carrier);
    this.#rooms = roomsOf(options);
    this.#acks = new Acknowledger((upTo) => {
      if (!this.#authenticated || this.#carrier === undefined) return false;
      this.#carrier.send(this.#requests.acknowledge(upTo));
      return true;
    });
    this.#inbox = new Inbox(
      handlers,
      {
        maxPendingBytes: options.maxPendingBytes ?? DEFAULT_PENDING_BYTES,
        full: () => this.#pause(),
        roomy: () => this.#resume(),
        failed: (error) => {
          this.#handlerFailed = true;
          this.#drop(undefined, `the message handler failed: ${String(error)}`);
        },
      },
      (upTo) => {
        this.#handlerFailed = false;
        if (this.#dialect === 'native' && options.ack !== 'none') this.#acks.add(upTo);
      },
    );
    const { promise, resolve } = Promise.withResolvers<Closed>();
    this.ended = promise;
    this.#end = resolve;
    this.#connect();
  }

  /** Acknowledges the user's log up to an id (with `ack: 'none'`). Nothing in legacy dialects: they cannot say it. */
  acknowledge(upTo: MessageId): void {
    if (this.#dialect === 'native') this.#acks.add(upTo);
  }

  /** Joins a room, from a position or its head, and again after every reconnect. */
  async join(room: RoomId, since?: MessageId): Promise<RoomState> {
    const reply = await this.#ask(`join ${room}`, this.#requests.join(room, since));
    const state = reply as RoomState;
    if (!('error' in state)) {
      this.#rooms.set(room, since);
      this.#inbox.startAt(roomLog(room), since ?? state.head);
    }
    return state;
  }

  async leave(room: RoomId): Promise<void> {
    this.#rooms.delete(room);
    this.#inbox.forget(roomLog(room));
    await this.#ask(`leave ${room}`, this.#requests.leave(room));
  }

  /** Sessions in the room, over the whole cluster. */
  async presence(room: RoomId): Promise<number> {
    const { seq, frame } = this.#requests.presence(room);
    return (await this.#ask(`presence ${seq}`, frame)) as number;
  }

  /** Ends the client: acknowledges what was taken, closes, does not come back. */
  close(): Promise<Closed> {
    this.#stopped = true;
    if (this.#carrier === undefined) this.#finish({ code: undefined, reason: 'closed here', retryInMs: undefined });
    else {
      if (this.#authenticated) this.#acks.flush();
      this.#carrier.close(1000, 'closed by the client');
    }
    return this.ended;
  }

  #connect(): void {
    const attempt = ++this.#attempt;
    this.#told = undefined;
    this.#authenticated = false;
    this.#paused = false;
    const mine = (): boolean => attempt === this.#attempt && !this.#finished;
    const receiver = new Receiver(this.#dialect, this.#carrierKind, {
      push: (push) => {
        if (mine()) this.#inbox.push(push, Date.now());
      },
      control: (op, seq, body) => {
        if (mine()) this.#control(op, seq, body);
      },
      fault: (fault) => {
        if (mine()) this.#drop(undefined, `the server sent a malformed frame (${fault})`);
      },
    });
    this.#later(this.#options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS, () => {
      if (mine() && !this.#authenticated) this.#drop(undefined, 'no reply to the authentication in time');
    });
    this.#carrier = this.#dial({
      opened: () => {
        if (mine()) void this.#authenticate(attempt);
      },
      data: (data) => {
        this.#lastHeard = Date.now();
        if (mine()) receiver.receive(data);
      },
      closed: (code, reason) => {
        if (mine()) this.#closed(code, reason);
      },
    });
  }

  async #authenticate(attempt: number): Promise<void> {
    try {
      const { token } = this.#options;
      const secret = typeof token === 'string' ? token : await token();
      if (attempt !== this.#attempt || this.#finished) return;
      // Where it resumes is what the server may forget: without automatic acknowledgement that is what was acknowledged.
      const taken = this.#options.ack === 'none' ? this.#acks.latest : this.#inbox.ownPosition();
      const cursor = taken ?? this.#options.cursor;
      const all = this.#inbox.position(ALL_LOG) ?? this.#options.all;
      const rooms =
        this.#rooms.size === 0 && this.#options.rooms === undefined
          ? undefined
          : new Map(Array.from(this.#rooms, ([room, since]) => [room, this.#inbox.position(roomLog(room)) ?? since]));
      this.#carrier?.send(this.#requests.auth(secret, this.#options, { cursor, rooms, all }));
    } catch (error) {
      if (attempt === this.#attempt) this.#drop(undefined, `no token: ${String(error)}`);
    }
  }

  #control(op: number, seq: number, body: Uint8Array): void {
    if (op === Op.AUTH_REPLY) this.#authReply(body);
    else if (this.#dialect === 'native') this.#native(op, seq, body);
  }

  #authReply(body: Uint8Array): void {
    if (this.#authenticated) return;
    let opened: Opened;
    let heartbeatMs = DEFAULT_HEARTBEAT_MS;
    const again = this.#opens > 0;
    if (this.#dialect === 'native') {
      const reply = parseNativeAuthReply(body);
      if (isFault(reply)) {
        this.#drop(undefined, `the reply to AUTH is malformed (${reply})`);
        return;
      }
      this.#inbox.setUser(reply.user);
      // The head is where a room starts that was joined there. A room that resumes still has the messages up to it to come.
      for (const [room, state] of reply.rooms) {
        const log = roomLog(room);
        if (!('error' in state) && this.#inbox.position(log) === undefined) {
          this.#inbox.startAt(log, this.#rooms.get(room) ?? state.head);
        }
      }
      if (reply.all !== undefined && this.#inbox.position(ALL_LOG) === undefined) {
        this.#inbox.startAt(ALL_LOG, this.#options.all ?? reply.all.head);
      }
      heartbeatMs = reply.heartbeatMs;
      opened = { session: reply.session, user: reply.user, head: reply.head, rooms: reply.rooms, again };
    } else {
      opened = { session: undefined, user: undefined, head: undefined, rooms: new Map(), again };
    }
    this.#authenticated = true;
    this.#opens++;
    if (!this.#handlerFailed) this.#failures = 0;
    this.#startHeartbeat(heartbeatMs);
    this.#acks.flush();
    this.#handlers.opened?.(opened);
  }

  #native(op: number, seq: number, body: Uint8Array): void {
    if (op === Op.GAP) {
      const gap = parseGap(body);
      if (isFault(gap)) this.#drop(undefined, `the server sent a malformed gap (${gap})`);
      else this.#inbox.gap(gap);
    } else if (op === Op.DISCONNECT) {
      const told = parseDisconnect(body);
      if (!isFault(told)) this.#told = told;
    } else if (op === Op.JOIN_REPLY) {
      const reply = parseJoinReply(body);
      if (!isFault(reply)) this.#answer(`join ${reply.room}`, reply);
    } else if (op === Op.LEAVE_REPLY) {
      const reply = parseLeaveReply(body);
      if (!isFault(reply)) this.#answer(`leave ${reply.room}`, undefined);
    } else if (op === Op.PRESENCE_REPLY) {
      const reply = parsePresenceReply(body);
      if (isFault(reply)) return;
      if ('count' in reply) this.#answer(`presence ${seq}`, reply.count);
      else this.#refuse(`presence ${seq}`, reply.error);
    }
  }

  #ask(key: string, frame: Uint8Array): Promise<RoomState | number | undefined> {
    if (this.#dialect !== 'native' || !this.#authenticated) {
      return Promise.reject(new Error('rooms are joined, left and counted on an open native connection'));
    }
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(key) ?? [];
      waiters.push({ resolve, reject });
      this.#waiters.set(key, waiters);
      this.#carrier?.send(frame);
    });
  }

  #answer(key: string, value: RoomState | number | undefined): void {
    const waiters = this.#waiters.get(key);
    waiters?.shift()?.resolve(value);
    if (waiters?.length === 0) this.#waiters.delete(key);
  }

  #refuse(key: string, code: string): void {
    const waiters = this.#waiters.get(key);
    waiters?.shift()?.reject(new Error(code));
    if (waiters?.length === 0) this.#waiters.delete(key);
  }

  #startHeartbeat(everyMs: number): void {
    this.#lastHeard = Date.now();
    this.#carrier?.send(this.#requests.heartbeat());
    this.#heartbeat = setInterval(() => {
      const silence = this.#paused ? 0 : Date.now() - this.#lastHeard;
      if (silence > everyMs + SILENCE_GRACE_MS) this.#drop(undefined, 'the server fell silent');
      else this.#carrier?.send(this.#requests.heartbeat());
    }, everyMs);
  }

  /** Too much waits for the handler: stop reading, or where that is impossible come back later and resume. */
  #pause(): void {
    if (this.#carrier?.pause !== undefined) {
      this.#paused = true;
      this.#carrier.pause();
    } else this.#drop(undefined, 'the message handler is too slow: resuming later');
  }

  #resume(): void {
    this.#paused = false;
    this.#lastHeard = Date.now();
    this.#carrier?.resume?.();
  }

  /** Ends this connection from here. */
  #drop(code: number | undefined, reason: string): void {
    const carrier = this.#carrier;
    if (carrier === undefined) return;
    this.#closed(code, reason);
    carrier.close(1000);
  }

  #closed(code: number | undefined, reason: string): void {
    this.#attempt++;
    this.#carrier = undefined;
    this.#clearTimers();
    this.#inbox.clear();
    this.#acks.restart();
    const error = new Error(`the connection was closed: ${reason}`);
    for (const waiters of this.#waiters.values()) for (const waiter of waiters) waiter.reject(error);
    this.#waiters.clear();
    const row = code === undefined ? undefined : disconnectByCode(code);
    const policy = this.#told?.reconnect ?? row?.reconnect;
    const why = { code: this.#told?.code ?? code, reason: this.#told?.reason ?? row?.reason ?? reason };
    if (this.#stopped || this.#options.reconnect === false || policy === false) {
      this.#finish({ ...why, retryInMs: undefined });
      return;
    }
    const retryInMs = policy === undefined ? this.#backoff() : between(policy.minMs, policy.maxMs);
    this.#failures++;
    this.#later(retryInMs, () => {
      // What a handler still works on must count before the next connection says where to resume.
      void this.#inbox.idle().then(() => {
        if (!this.#finished && this.#carrier === undefined) this.#connect();
      });
    });
    this.#handlers.closed?.({ ...why, retryInMs });
  }

  /** 0.5 s, doubling to 30 s, each with full jitter over its upper half. */
  #backoff(): number {
    const top = Math.min(30_000, 500 * 2 ** Math.min(this.#failures, 10));
    return between(top / 2, top);
  }

  #finish(closed: Closed): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#clearTimers();
    this.#handlers.closed?.(closed);
    this.#end(closed);
  }

  #later(ms: number, run: () => void): void {
    this.#timers.push(setTimeout(run, ms));
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
    clearInterval(this.#heartbeat);
    this.#heartbeat = undefined;
  }
}

function between(minMs: number, maxMs: number): number {
  return minMs + Math.random() * (maxMs - minMs);
}

function roomsOf(options: ClientOptions): Map<RoomId, MessageId | undefined> {
  const { rooms } = options;
  if (rooms === undefined) return new Map();
  if (Array.isArray(rooms)) return new Map((rooms as readonly RoomId[]).map((room) => [room, undefined]));
  return new Map(rooms as ReadonlyMap<RoomId, MessageId | undefined>);
}
