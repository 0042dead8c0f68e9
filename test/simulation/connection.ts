// A TCP connection between a client and a comet, as far as the comet's sessions can tell: bytes in order, late; a kernel that
// takes nothing while the client does not read; an end that the other side sees late, or very late.

import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import type { Network } from './network.js';
import type { SimProcess } from './scheduler.js';

export interface ClientSide {
  data(bytes: Uint8Array): void;
  closed(): void;
}

/** What sessions use of a net.Socket. */
class SimSocket extends EventEmitter {
  readonly remoteAddress = '192.0.2.1';
  destroyed = false;
  errored: Error | null = null;
  writableEnded = false;
  #paused = false;
  readonly #connection: Connection;

  constructor(connection: Connection) {
    super();
    this.#connection = connection;
  }

  get writable(): boolean {
    return !this.destroyed && !this.writableEnded;
  }

  get writableLength(): number {
    return this.#connection.untaken;
  }

  write(bytes: Uint8Array, done?: (error?: Error | null) => void): boolean {
    this.#connection.fromServer(bytes, done);
    return this.writableLength === 0;
  }

  end(): this {
    this.writableEnded = true;
    this.#connection.serverEnds();
    return this;
  }

  destroy(): this {
    this.#connection.serverDestroys();
    return this;
  }

  pause(): this {
    this.#paused = true;
    return this;
  }

  resume(): this {
    this.#paused = false;
    this.#connection.serverReads();
    return this;
  }

  isPaused(): boolean {
    return this.#paused;
  }

  setNoDelay(): this {
    return this;
  }
}

export class Connection {
  readonly server: SimProcess;
  readonly client: SimProcess;
  readonly socket: Socket;
  /** Bytes that the kernel has not taken, because the client does not read. */
  untaken = 0;
  /** Neither side will hear anything more. */
  over = false;
  readonly #sim: SimSocket;
  readonly #network: Network;
  readonly #side: ClientSide;
  #stalled = false;
  #waiting: { bytes: Uint8Array; done: ((error?: Error | null) => void) | undefined }[] = [];
  #inbox: Uint8Array[] = [];
  /** Nothing overtakes: when the last thing sent in each direction arrives. */
  #toClientAt = 0;
  #toServerAt = 0;

  constructor(server: SimProcess, client: SimProcess, network: Network, side: ClientSide) {
    this.server = server;
    this.client = client;
    this.#network = network;
    this.#side = side;
    this.#sim = new SimSocket(this);
    this.socket = this.#sim as unknown as Socket;
    server.onDeath.add(this.#serverDied);
  }

  readonly #serverDied = (): void => this.#endForClient();

  // The client's side.

  /** The first thing that reaches the comet. */
  open(accept: () => void): void {
    this.#toServer(accept);
  }

  send(bytes: Uint8Array): void {
    if (this.over) return;
    this.#toServer(() => {
      this.#inbox.push(bytes);
      this.serverReads();
    });
  }

  /** The client closes; the comet hears of it after `silenceMs`. */
  close(silenceMs: number): void {
    if (this.over) return;
    this.over = true;
    this.#waiting = [];
    this.server.onDeath.delete(this.#serverDied);
    this.#toServerAt += silenceMs;
    this.#toServer(() => this.#closeServer());
  }

  get stalled(): boolean {
    return this.#stalled;
  }

  stall(): void {
    this.#stalled = true;
  }

  unstall(): void {
    if (!this.#stalled) return;
    this.#stalled = false;
    const waiting = this.#waiting;
    this.#waiting = [];
    // The kernel needs no process to deliver what it has; the comet hears of it when it runs.
    for (const { bytes } of waiting) if (bytes.length > 0) this.#toClient(() => this.#side.data(bytes));
    this.#toServer(() => {
      this.untaken = 0;
      for (const { done } of waiting) if (done !== undefined) this.server.soon(() => done());
    });
  }

  // The comet's side.

  fromServer(bytes: Uint8Array, done: ((error?: Error | null) => void) | undefined): void {
    if (this.#sim.destroyed) {
      if (done !== undefined) this.server.soon(() => done(new Error('destroyed')));
      return;
    }
    if (this.#stalled) {
      // An empty write completes when those before it do.
      this.#waiting.push({ bytes: bytes.slice(), done });
      this.untaken += Math.max(1, bytes.length);
      return;
    }
    if (done !== undefined) this.server.soon(() => done());
    if (bytes.length === 0 || this.over) return;
    const copy = bytes.slice();
    this.#toClient(() => this.#side.data(copy));
  }

  serverReads(): void {
    while (this.#inbox.length > 0 && !this.#sim.isPaused() && !this.#sim.destroyed) {
      const bytes = this.#inbox.shift();
      if (bytes !== undefined) this.#sim.emit('data', Buffer.from(bytes));
    }
  }

  /** The comet's half is closed: the client closes the other. */
  serverEnds(): void {
    this.#endForClient();
    this.server.after(1, () => this.#closeServer());
  }

  serverDestroys(): void {
    if (this.#sim.destroyed) return;
    this.#endForClient();
    this.#sim.destroyed = true;
    this.server.soon(() => this.#sim.emit('close'));
  }

  #closeServer(): void {
    if (this.#sim.destroyed) return;
    this.#sim.destroyed = true;
    this.#sim.emit('close');
  }

  #endForClient(): void {
    this.server.onDeath.delete(this.#serverDied);
    if (this.over) return;
    this.#toClient(() => {
      if (this.over) return;
      this.over = true;
      this.#side.closed();
    });
  }

  #toClient(run: () => void): void {
    const { scheduler } = this.client;
    this.#toClientAt = Math.max(this.#toClientAt + 0.001, scheduler.now + this.#network.latency());
    scheduler.schedule(this.client, this.#toClientAt - scheduler.now, () => {
      if (!this.over) run();
    });
  }

  #toServer(run: () => void): void {
    const { scheduler } = this.server;
    this.#toServerAt = Math.max(this.#toServerAt + 0.001, scheduler.now + this.#network.latency());
    scheduler.schedule(this.server, this.#toServerAt - scheduler.now, run);
  }
}
