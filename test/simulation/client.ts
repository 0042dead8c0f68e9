// A device with a journal: it connects, authenticates, receives, acknowledges late, falls silent, stops reading, comes back.
// It hides nothing: everything that arrived is written down, per connection, in the order of arrival.

import { encodeFrame, Op, readHeader } from '../../src/protocol/frame.js';
import {
  compareIds,
  type LogName,
  type MessageId,
  maxId,
  type RoomId,
  roomLog,
  type UserId,
  userLog,
} from '../../src/protocol/ids.js';
import { decodeNativePush, encodeAck, FLAG_REDELIVERED, NATIVE_VER } from '../../src/protocol/native.js';
import { encodeNativeAuth, parseDisconnect, parseGap, parseNativeAuthReply } from '../../src/protocol/native-json.js';
import { Connection } from './connection.js';
import type { Network } from './network.js';
import type { SimProcess } from './scheduler.js';

/** What arrived, in one connection. */
export type Arrival = { /** Virtual ms. */ readonly at: number } & (
  | {
      readonly kind: 'message';
      readonly log: LogName;
      readonly id: MessageId;
      readonly body: string;
      readonly redelivered: boolean;
    }
  | { readonly kind: 'gap'; readonly log: LogName; readonly after: MessageId; readonly upTo: MessageId }
);

export interface ClientOptions {
  readonly name: string;
  readonly user: UserId;
  readonly token: string;
  /** `own`: it tells its cursor; `stored`: it starts where the server says, and acknowledges. */
  readonly cursor: 'own' | 'stored';
  readonly rooms: readonly RoomId[];
}

/** A comet that can be connected to. */
export interface Listening {
  readonly process: SimProcess;
  accept(connection: Connection): void;
}

const ANSWER_MS = 4_000;

export class SimClient {
  readonly options: ClientOptions;
  readonly process: SimProcess;
  /** By connection. */
  readonly journal: Arrival[][] = [];
  /** Per log: everything up to here was received or told as a gap; for a room, from where it joined. */
  readonly positions = new Map<LogName, MessageId>();
  /** Where it first stood in a log. */
  readonly joinedAt = new Map<LogName, MessageId>();
  readonly disconnects: string[] = [];
  session: string | undefined;
  /** The highest id of its user log that any connection brought. */
  received: MessageId = { epoch: 0, n: 0 };
  readonly #network: Network;
  readonly #story: string[] = [];
  readonly #comets: () => readonly Listening[];
  #connection: Connection | undefined;
  #authenticated = false;
  #acking = false;
  /** Virtual ms: from then on its token was good for nothing. */
  revokedAt = Number.POSITIVE_INFINITY;

  constructor(process: SimProcess, network: Network, options: ClientOptions, comets: () => readonly Listening[]) {
    this.process = process;
    this.options = options;
    this.#network = network;
    this.#comets = comets;
  }

  get log(): LogName {
    return userLog(this.options.user);
  }

  get open(): boolean {
    return this.#authenticated && this.#connection?.over === false;
  }

  start(): void {
    this.#reconnect(0);
  }

  /** The connection ends; the comet hears of it after `silenceMs`. */
  drop(silenceMs: number): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    connection.close(silenceMs);
    this.#lost(connection, this.process.scheduler.between(1, 3_000));
  }

  /** What was written for it before is still to come. */
  get stalled(): boolean {
    return this.#connection?.stalled === true;
  }

  stall(): void {
    this.#connection?.stall();
  }

  unstall(): void {
    this.#connection?.unstall();
  }

  /** What happened to it, line by line. */
  story(): readonly string[] {
    return this.#story;
  }

  #note(line: string): void {
    this.#story.push(`${this.process.scheduler.now.toFixed(1)} ${this.options.name} ${line}`);
  }

  #reconnect(delayMs: number): void {
    this.process.after(delayMs, () => {
      if (this.#connection !== undefined) return;
      const live = this.#comets().filter(({ process }) => process.state !== 'dead');
      if (live.length === 0) {
        this.#reconnect(200);
        return;
      }
      this.#connect(this.process.scheduler.pick(live));
    });
  }

  #connect(comet: Listening): void {
    this.journal.push([]);
    const connection: Connection = new Connection(comet.process, this.process, this.#network, {
      data: (bytes) => this.#data(connection, bytes),
      closed: () => this.#lost(connection, this.process.scheduler.between(10, 1_000)),
    });
    this.#connection = connection;
    this.#authenticated = false;
    this.#note(`connects to ${comet.process.name} with ${this.options.cursor} ${show(this.positions.get(this.log))}`);
    connection.open(() => comet.accept(connection));
    const { token, cursor } = this.options;
    const rooms = new Map(this.options.rooms.map((room) => [room, this.positions.get(roomLog(room))]));
    const auth = encodeNativeAuth({
      token,
      cursor: cursor === 'own' ? this.positions.get(this.log) : undefined,
      rooms,
      all: this.positions.get('all' as LogName),
    });
    connection.send(encodeFrame(NATIVE_VER, Op.AUTH, 1, auth));
    this.process.after(ANSWER_MS, () => {
      if (this.#connection !== connection || this.#authenticated) return;
      connection.close(0);
      this.#lost(connection, 10);
    });
  }

  #lost(connection: Connection, delayMs: number): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#authenticated = false;
    this.session = undefined;
    this.#note('is disconnected');
    this.#reconnect(delayMs);
  }

  /** Writes are whole frames. */
  #data(connection: Connection, bytes: Uint8Array): void {
    if (this.#connection !== connection) return;
    for (let at = 0; at < bytes.length; ) {
      const header = readHeader(bytes, at);
      const body = bytes.subarray(at + header.headerLen, at + header.packLen);
      this.#frame(connection, header.op, header.headerLen, bytes, at, body);
      at += header.packLen;
    }
  }

  #frame(connection: Connection, op: number, headerLen: number, bytes: Uint8Array, at: number, body: Uint8Array): void {
    if (op === Op.AUTH_REPLY) this.#authReply(body);
    else if (op === Op.PUSH) this.#push(connection, bytes, at, headerLen, body);
    else if (op === Op.GAP) {
      const gap = parseGap(body);
      if (typeof gap === 'string') throw new Error(`gap: ${gap}`);
      this.#arrived(connection, { kind: 'gap', at: this.process.monotonic(), ...gap });
    } else if (op === Op.DISCONNECT) {
      const told = parseDisconnect(body);
      if (typeof told !== 'string') this.disconnects.push(`${told.code}`);
    }
  }

  #authReply(body: Uint8Array): void {
    const reply = parseNativeAuthReply(body);
    if (typeof reply === 'string') throw new Error(`auth reply: ${reply}`);
    this.#authenticated = true;
    this.session = reply.session;
    this.#note(`is session ${reply.session}, head ${show(reply.head)}`);
    if (!this.joinedAt.has(this.log)) this.joinedAt.set(this.log, { epoch: 0, n: 0 });
    for (const [room, state] of reply.rooms) {
      const log = roomLog(room);
      if ('error' in state || this.joinedAt.has(log)) continue;
      this.joinedAt.set(log, state.head);
      this.positions.set(log, state.head);
    }
  }

  #push(connection: Connection, bytes: Uint8Array, at: number, headerLen: number, body: Uint8Array): void {
    const push = decodeNativePush(bytes, at, headerLen);
    if (typeof push === 'string') throw new Error(`push: ${push}`);
    this.#arrived(connection, {
      kind: 'message',
      at: this.process.monotonic(),
      log: push.log ?? this.log,
      id: push.id,
      body: new TextDecoder().decode(body),
      redelivered: (push.flags & FLAG_REDELIVERED) !== 0,
    });
  }

  #arrived(connection: Connection, arrival: Arrival): void {
    this.journal.at(-1)?.push(arrival);
    if (arrival.kind === 'gap')
      this.#note(`is told ${arrival.log} ${show(arrival.after)}..${show(arrival.upTo)} is gone`);
    else this.#note(`gets ${arrival.body}: ${arrival.log}@${show(arrival.id)}${arrival.redelivered ? ' again' : ''}`);
    const { log } = arrival;
    const id = arrival.kind === 'message' ? arrival.id : arrival.upTo;
    const before = this.positions.get(log);
    this.positions.set(log, before === undefined ? id : maxId(before, id));
    // The first it hears of `all` is where it stands there.
    if (!this.joinedAt.has(log) && arrival.kind === 'message') this.joinedAt.set(log, arrival.id);
    if (log !== this.log) return;
    if (compareIds(id, this.received) > 0) this.received = id;
    this.#ackLater(connection);
  }

  #ackLater(connection: Connection): void {
    if (this.#acking) return;
    this.#acking = true;
    const { scheduler } = this.process;
    this.process.after(scheduler.between(1, scheduler.chance(0.2) ? 2_000 : 100), () => {
      this.#acking = false;
      if (this.#connection !== connection || connection.over) return;
      connection.send(encodeFrame(NATIVE_VER, Op.ACK, 0, encodeAck(this.received)));
    });
  }
}

function show(id: MessageId | undefined): string {
  return id === undefined ? '-' : `${id.n}`;
}
