/**
 * The connections of one receiver process: dialled so that a bounded number is under way, authenticated, kept alive with
 * heartbeats spread over time, ended and opened again or stalled when the run wants it; where that is wanted, one that breaks comes
 * back, and native ones resume. Every failure is counted by its reason.
 * A connection costs a socket, a closure and some bytes in arrays.
 */
import { Socket, type SocketConstructorOpts } from 'node:net';
import { disconnectByCode, type Reconnect } from '../protocol/disconnect.js';
import { Op } from '../protocol/frame.js';
import { parseDisconnect } from '../protocol/native-json.js';
import { Acknowledger } from './acknowledger.js';
import { roomName, roomOf, userName } from './aims.js';
import { Breaks } from './breaks.js';
import { Histogram } from './latencies.js';
import type { ReceiverSetup } from './messages.js';
import { Dialler } from './pace.js';
import { gapOf, headsOf } from './resume.js';
import type { Samples } from './samples.js';
import { TokenStore } from './token-store.js';
import { Turns } from './turns.js';
import { FrameWalker } from './wire/frames.js';
import { MessageWalker } from './wire/messages.js';
import type { Bytes, Unit, WalkEvents, Walker } from './wire/walker.js';
import { type Identity, UPGRADE_ANSWER, type Wire, wireOf } from './wire/wire.js';

/** As imgo's and goim's own benchmark clients do; servers give up after five minutes. */
const HEARTBEAT_MS = 240_000;
/** Where a process waits between its turns, those of so long go out together. */
const BURST_MS = 10_000;
const TICK_MS = 1_000;
const AUTH_MS = 30_000;
const CHURN_TICK_MS = 100;
/** Another address is tried when a port is not free, so often. */
const MOST_TRIES = 4;
/** Why a connection is given up that speaks another protocol. */
const NONSENSE = 'nonsense';
const NO_PORT = new Set(['EADDRNOTAVAIL', 'EADDRINUSE']);
const READ_BYTES = 256 * 1024;

/** What became of a connection, so far. */
export const Fate = { OPENED: 1, CHURNED: 2, SLOW: 4, GAPPED: 8, ENDED: 16, BROKEN: 32 } as const;

class ClientSocket extends Socket {
  readonly owner: Clients;
  /** Its connection, by number within the process; -1: it is nobody's any more. */
  index: number;

  constructor(owner: Clients, index: number, options: SocketConstructorOpts) {
    super(options);
    this.owner = owner;
    this.index = index;
  }
}

/** A connection between its dial and its answer. */
interface Pending {
  readonly since: number;
  readonly tries: number;
}

/** Why a connection ends, in the server's words, and when it is to be back. */
interface Said {
  readonly reason: string;
  readonly reconnect: Reconnect | undefined;
}

export class Clients implements WalkEvents {
  readonly walker: Walker;
  readonly fates: Uint8Array;
  readonly failed: Record<string, number> = {};
  readonly connectMs = new Histogram();
  readonly acknowledger: Acknowledger | undefined;
  /** undefined: who breaks is gone for good. */
  readonly breaks: Breaks | undefined;
  readonly turns: Turns;
  open = 0;
  settled = 0;
  bytes = 0;
  gaps = 0;
  churned = 0;
  /** Messages that came to connections that had broken, after they were back, and had been due before. */
  resumed = 0;
  readonly #setup: ReceiverSetup;
  readonly #wire: Wire;
  readonly #samples: Samples;
  readonly #read = Buffer.allocUnsafeSlow(READ_BYTES);
  readonly #sockets: (ClientSocket | undefined)[] = [];
  readonly #tokens: TokenStore;
  readonly #said = new Map<number, Said>();
  readonly #pending = new Map<number, Pending>();
  readonly #dialler: Dialler;
  readonly #now: () => number;
  #onSettled: (() => void) | undefined;
  #beating = 0;
  readonly #tickingSince: number;
  #leaving = 0;
  #toLeave = 0;
  #churning: NodeJS.Timeout | undefined;
  #ending = false;

  constructor(setup: ReceiverSetup, samples: Samples, now: () => number) {
    const { dialect, transport, host, port, path, count, pushOp, ordered, sampleEvery } = setup;
    this.#setup = setup;
    this.#samples = samples;
    this.#now = now;
    this.turns = new Turns(setup.turnMs);
    this.#wire = wireOf(dialect, transport, host, port, path);
    this.fates = new Uint8Array(count);
    this.#tokens = new TokenStore(count);
    this.breaks = setup.reconnect ? new Breaks(setup.addresses.length, now) : undefined;
    const kind = { pushOp, native: dialect === 'native' };
    this.walker =
      transport === 'tcp'
        ? new FrameWalker(count, this.#read, ordered, this, kind)
        : new MessageWalker(count, this.#read, ordered, this, kind, UPGRADE_ANSWER);
    for (let index = 0; index < count; index++) {
      if ((setup.first + index) % sampleEvery === 0) this.walker.watched[index] = 1;
    }
    if (dialect === 'native') {
      // Every user's log has to be acknowledged, so every push may be one of it.
      this.walker.watched.fill(1);
      this.acknowledger = new Acknowledger(count, setup.reconnect, (index, epoch, n) => {
        if (!this.#pending.has(index)) this.write(index, this.#wire.ack({ epoch, n }));
      });
    }
    this.#dialler = new Dialler(setup, (index) => this.#dial(index, 1));
    this.#tickingSince = now();
    setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** Tokens of the next connections. */
  take(tokens: readonly string[]): void {
    this.#tokens.add(tokens);
  }

  /** Opens all connections. `settled` is told when each has been answered or has failed. */
  dial(settled: () => void): void {
    this.#onSettled = settled;
    for (let index = 0; index < this.#setup.count; index++) this.#dialler.add(index);
  }

  /** Connections begin to end and to come back, and the slow ones stop reading. */
  disturb(): void {
    const { slow, churn, first, count } = this.#setup;
    const every = slow > 0 ? Math.max(1, Math.round(1 / slow)) : 0;
    for (let index = 0; every > 0 && index < count; index++) {
      if ((first + index) % every !== every - 1) continue;
      this.#mark(index, Fate.SLOW);
      this.#sockets[index]?.pause();
    }
    if (churn > 0) this.#churning = setInterval(() => this.#churn(), CHURN_TICK_MS);
  }

  calm(): void {
    clearInterval(this.#churning);
    for (const [index, socket] of this.#sockets.entries()) {
      if (((this.fates[index] as number) & Fate.SLOW) !== 0) socket?.resume();
    }
  }

  write(index: number, bytes: Uint8Array): void {
    this.#sockets[index]?.write(bytes);
  }

  /** All are gone, and no reason is counted. */
  end(): void {
    this.#ending = true;
    for (const socket of this.#sockets) socket?.destroy();
  }

  pushes(index: number, bytes: Bytes, at: number, count: number, unit: Unit): void {
    this.acknowledger?.took(index, bytes, at, count, unit);
    const fate = this.fates[index] as number;
    const backAt = (fate & Fate.BROKEN) === 0 ? 0 : (this.breaks?.backAt(index) ?? 0);
    if (backAt > 0) this.resumed += this.#samples.dueBefore(backAt, bytes, at, count, unit);
    if ((this.#setup.first + index) % this.#setup.sampleEvery !== 0) return;
    // What came late for that reason is in no latency.
    const countsFrom = (fate & (Fate.SLOW | Fate.CHURNED)) === 0 ? backAt : Infinity;
    this.#samples.took(index, bytes, at, count, unit, countsFrom);
  }

  control(index: number, op: number, { buffer }: Bytes, from: number, end: number): void {
    if (op === Op.AUTH_REPLY) this.#opened(index, buffer.subarray(from, end));
    else if (op === Op.GAP) {
      this.gaps++;
      this.#mark(index, Fate.GAPPED);
      const gap = this.breaks && gapOf(buffer.subarray(from, end));
      if (gap === undefined) return;
      this.breaks?.gap(index, gap);
      this.acknowledger?.positions.set(gap.log, index, gap.upTo.epoch, gap.upTo.n);
    } else if (op === Op.DISCONNECT) {
      const word = parseDisconnect(buffer.subarray(from, end));
      if (typeof word !== 'string') this.#said.set(index, word);
    }
  }

  socket(index: number, what: 'upgraded' | 'ping' | 'close', { buffer, view }: Bytes, from: number, end: number): void {
    if (what === 'upgraded') this.write(index, this.#auth(index));
    else if (what === 'ping') this.write(index, this.#wire.pong(buffer.subarray(from, end)));
    else if (!this.#said.has(index)) {
      const code = end - from >= 2 ? view.getUint16(from) : undefined;
      const reconnect = code === undefined ? undefined : disconnectByCode(code)?.reconnect;
      this.#said.set(index, { reason: `closed ${code ?? ''}`.trim(), reconnect });
    }
  }

  /** The first bytes of a connection that is there. */
  connected(socket: ClientSocket): void {
    if (socket.index >= 0) socket.write(this.#wire.upgrade ?? this.#auth(socket.index));
  }

  /** A connection is over, or never came. */
  lost(socket: ClientSocket, found: string): void {
    const { index } = socket;
    if (index < 0) return;
    this.#drop(socket);
    const pending = this.#pending.get(index);
    const said = this.#said.get(index);
    this.#said.delete(index);
    if (pending !== undefined) {
      if (NO_PORT.has(found) && pending.tries < MOST_TRIES) {
        this.#dial(index, pending.tries + 1);
        return;
      }
      this.#settle(index);
      this.#dialler.failed();
    } else this.open--;
    if (this.#ending) return;
    const reason = found !== 'closed' ? found : (said?.reason ?? (pending === undefined ? 'closed' : 'refused'));
    if (this.#comesBack(index, reason, said?.reconnect)) return;
    if (pending === undefined) this.#mark(index, Fate.ENDED);
    this.failed[reason] = (this.failed[reason] ?? 0) + 1;
  }

  /** It was open once, and is dialled again after a while; or not, because the run or the server does not want it. */
  #comesBack(index: number, reason: string, told: Reconnect | undefined): boolean {
    const { breaks } = this;
    if (breaks === undefined || ((this.fates[index] as number) & Fate.OPENED) === 0) return false;
    if (breaks.isAway(index)) breaks.failed(index, reason);
    else {
      breaks.broke(index, this.#addressOf(index), reason);
      this.#mark(index, Fate.BROKEN);
      this.walker.watched[index] = 1;
    }
    if (told === false || reason === NONSENSE) {
      breaks.gaveUp(index);
      return false;
    }
    setTimeout(() => this.#dialler.again(index), breaks.delayMs(index, told));
    return true;
  }

  /** The place of the address that it dials. */
  #addressOf(index: number): number {
    const { addresses, first } = this.#setup;
    return this.breaks?.addressOf(index) ?? (first + index) % Math.max(1, addresses.length);
  }

  #auth(index: number): Uint8Array {
    const { first, userBase, dialect, namesRoom, rooms } = this.#setup;
    const connection = first + index;
    const room = namesRoom ? roomName(dialect, roomOf(connection, rooms)) : undefined;
    const identity = { user: userName(userBase, connection), token: this.#tokens.at(index), room };
    return this.#wire.auth(this.#resumes(index) ? { ...identity, ...this.#standing(index) } : identity);
  }

  #resumes(index: number): boolean {
    return this.breaks !== undefined && ((this.fates[index] as number) & Fate.OPENED) !== 0;
  }

  /** Where a connection that was open before goes on. */
  #standing(index: number): Pick<Identity, 'cursor' | 'since' | 'all'> {
    const positions = this.acknowledger?.positions;
    return {
      cursor: positions?.at('user', index),
      since: positions?.at('room', index),
      all: positions?.at('all', index),
    };
  }

  #dial(index: number, tries: number): void {
    const { addresses, sources, first } = this.#setup;
    const { host, port } = addresses[this.#addressOf(index)] ?? this.#setup;
    const source = sources[(first + index + tries - 1) % sources.length];
    this.walker.restart(index);
    const callback = (length: number) => {
      if (socket.index !== index) return true;
      this.bytes += length;
      this.turns.took();
      if (!this.walker.walk(index, length)) this.lost(socket, NONSENSE);
      return true;
    };
    const socket = new ClientSocket(this, index, { onread: { buffer: this.#read, callback } } as SocketConstructorOpts);
    this.#sockets[index] = socket;
    this.#pending.set(index, { since: this.#pending.get(index)?.since ?? this.#now(), tries });
    socket.once('connect', onConnect);
    socket.on('error', onError);
    socket.on('close', onClose);
    socket.setNoDelay(true);
    socket.connect(source === undefined ? { host, port } : { host, port, localAddress: source });
  }

  #opened(index: number, reply: Buffer): void {
    const pending = this.#pending.get(index);
    if (pending === undefined) return;
    const ms = this.#now() - pending.since;
    this.open++;
    this.#settle(index);
    if (this.breaks?.isAway(index)) this.breaks.back(index);
    else {
      this.connectMs.add(ms);
      if (this.acknowledger !== undefined && this.breaks !== undefined && !this.#resumes(index)) {
        // A log is read from its head: who breaks before its first message goes on from there.
        for (const [log, { epoch, n }] of headsOf(reply)) this.acknowledger.positions.set(log, index, epoch, n);
      }
    }
    this.#mark(index, Fate.OPENED);
    this.#dialler.answered(ms);
  }

  /** Its dial is over, one way or the other. */
  #settle(index: number): void {
    this.#pending.delete(index);
    if (((this.fates[index] as number) & Fate.OPENED) !== 0) return;
    this.settled++;
    if (this.settled < this.#setup.count) return;
    if (this.#setup.churn === 0 && this.breaks === undefined) this.#tokens.drop();
    // After what is being done with this connection.
    setImmediate(() => this.#onSettled?.());
  }

  #drop(socket: ClientSocket): void {
    this.#sockets[socket.index] = undefined;
    socket.index = -1;
    socket.destroy();
  }

  #mark(index: number, fate: number): void {
    this.fates[index] = (this.fates[index] as number) | fate;
  }

  /** Each connection in its turn, so that they do not all speak at once; and who waits for an answer for too long is over. */
  #tick(): void {
    const { length } = this.#sockets;
    // By the clock, not by ticks: on a busy machine these come late, and a late heartbeat is a lost connection.
    const elapsed = this.#now() - this.#tickingSince;
    const until = this.turns.everyMs === 0 ? elapsed : Math.floor(elapsed / BURST_MS) * BURST_MS;
    const due = Math.floor((until / HEARTBEAT_MS) * length);
    while (this.#beating < due) {
      const index = this.#beating++ % length;
      if (!this.#pending.has(index)) this.#sockets[index]?.write(this.#wire.heartbeat);
    }
    const late = this.#now() - AUTH_MS;
    for (const [index, { since }] of this.#pending) {
      if (since > late) break;
      const socket = this.#sockets[index];
      if (socket !== undefined) this.lost(socket, 'timeout');
    }
  }

  /** The next ones leave and come back. While messages are audited every other connection stays for good. */
  #churn(): void {
    const { churn, count, first, mode } = this.#setup;
    const stays = mode === 'connect' ? 1 : 2;
    this.#toLeave += (churn * count * CHURN_TICK_MS) / 1_000;
    for (let looked = 0; this.#toLeave >= 1 && looked < count; looked++) {
      const index = this.#leaving++ % count;
      if ((first + index) % stays !== stays - 1 || this.#pending.has(index)) continue;
      const socket = this.#sockets[index];
      if (socket === undefined) continue;
      this.#toLeave--;
      this.churned++;
      this.open--;
      this.#mark(index, Fate.CHURNED);
      this.#drop(socket);
      this.#dialler.add(index);
    }
  }
}

function onConnect(this: ClientSocket): void {
  this.owner.connected(this);
}

function onError(this: ClientSocket, error: NodeJS.ErrnoException): void {
  this.owner.lost(this, error.code ?? 'error');
}

function onClose(this: ClientSocket): void {
  this.owner.lost(this, 'closed');
}
