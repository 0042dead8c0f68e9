// A receiver of any dialect over TCP or WebSocket that writes down everything it gets, duplicates included, and comes
// back after every break until it is stopped. Native ones acknowledge what they wrote down.
import { connect, type Socket } from 'node:net';
import { WebSocket } from 'ws';
import { fingerprint, type Journal, type ReceiverLine } from './journal.js';
import { ackBody, compareIds, type Frame, frame, frames, nativeHeader } from './wire.js';

export type Dialect = 'native' | 'imgo' | 'goim1' | 'goim2';

export interface ReceiverOptions {
  /** Name in the journal: unique per (user, device). */
  readonly who: string;
  readonly dialect: Dialect;
  readonly transport: 'tcp' | 'ws';
  /** Asked at every attempt: addresses change with a restart. */
  readonly address: () => { readonly tcp: string; readonly ws: string } | undefined;
  readonly token: string;
  readonly user: string;
  readonly device?: string;
  readonly rooms?: readonly string[];
  /** Native: sends its own position at AUTH; otherwise the server's cursor decides. */
  readonly ownCursor?: boolean;
  /** Native: acknowledges this share of the time, so that restarts find unacknowledged messages. */
  readonly ackEveryMs?: number;
  readonly journal: Journal<ReceiverLine>;
  readonly retryMs?: number;
  /** Comes back when the server said that it may (native), and the later the more often it was in vain. */
  readonly patient?: boolean;
}

const OP = {
  heartbeat: 2,
  push: 5,
  auth: 7,
  authReply: 8,
  raw: 9,
  ack: 256,
  gap: 257,
  joinReply: 259,
  disconnect: 262,
};
/** Well below the idle limit of five minutes. */
const HEARTBEAT_MS = 60_000;
/** The longest that a patient one waits by itself. */
const PATIENCE_MS = 5_000;
let connections = 0;

export class RawReceiver {
  readonly options: ReceiverOptions;
  /** Pushes written down, duplicates included. */
  received = 0;
  opened = 0;
  #stopped = true;
  #socket: Socket | undefined;
  #ws: WebSocket | undefined;
  #rest: Buffer = Buffer.alloc(0);
  #c = 0;
  /** The address that was dialled, and when. */
  #to = '';
  #dialledAt = 0;
  #position: string | undefined;
  /** In the logs of rooms and of broadcasts. */
  readonly #positions = new Map<string, string>();
  #acked: string | undefined;
  #ackTimer: NodeJS.Timeout | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #authenticated = false;
  #why = '';
  #inVain = 0;

  constructor(options: ReceiverOptions) {
    this.options = options;
  }

  get open(): boolean {
    return this.#authenticated;
  }

  /** It has dialled, and waits to be let in. */
  get dialling(): boolean {
    return !this.#authenticated && (this.#socket !== undefined || this.#ws !== undefined);
  }

  /** It is to be connected: it was started, and not stopped since. */
  get wanted(): boolean {
    return !this.#stopped;
  }

  /** Connects, and again after every break. Does nothing while it is running. */
  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    if (this.#socket === undefined && this.#ws === undefined) this.#dial();
  }

  /** Closes and stays away until `start`; what was received is acknowledged first (native). */
  stop(): void {
    this.#stopped = true;
    this.#sendAck();
    this.#socket?.end();
    this.#ws?.close();
  }

  /** As a client that dies: no acknowledgement, no goodbye. */
  abort(): void {
    this.#stopped = true;
    this.#socket?.resetAndDestroy();
    this.#ws?.terminate();
  }

  #dial(): void {
    const address = this.options.address();
    if (address === undefined) {
      this.#again();
      return;
    }
    this.#c = ++connections;
    this.#rest = Buffer.alloc(0);
    this.#authenticated = false;
    this.#why = '';
    this.#to = address[this.options.transport];
    this.#dialledAt = performance.now();
    if (this.options.transport === 'tcp') {
      const [host = '127.0.0.1', port = '0'] = address.tcp.split(':');
      const socket = connect({ host, port: Number(port), noDelay: true });
      this.#socket = socket;
      socket.on('connect', () => this.#send(this.#auth()));
      socket.on('data', (chunk: Buffer) => this.#data(chunk));
      socket.on('error', (error) => {
        this.#why = error.message;
      });
      socket.on('end', () => socket.end());
      socket.on('close', () => this.#closed(this.#why));
    } else {
      const ws = new WebSocket(address.ws, this.options.dialect === 'native' ? 'imgo.v2' : [], {
        perMessageDeflate: false,
      });
      this.#ws = ws;
      ws.on('open', () => this.#send(this.#auth()));
      ws.on('message', (data: Buffer, binary: boolean) => {
        if (binary) this.#data(data);
        else this.#json(data.toString('utf8'));
      });
      ws.on('error', (error) => {
        this.#why = error.message;
      });
      ws.on('close', (code) => this.#closed(`${code} ${this.#why}`));
    }
  }

  #auth(): Buffer | string {
    const { dialect, transport, token, user, device, rooms = [] } = this.options;
    if (dialect === 'native') {
      const cursor = this.options.ownCursor === true ? this.#position : undefined;
      const positions = Object.fromEntries(rooms.map((room) => [room, this.#positions.get(`room:${room}`) ?? null]));
      const all = this.#positions.get('all') ?? null;
      return frame(2, OP.auth, 1, JSON.stringify({ token, device, cursor, rooms: positions, all }));
    }
    if (dialect === 'goim2') {
      const body = {
        mid: Number(user),
        key: '',
        room_id: rooms[0] ?? '',
        platform: 'web',
        accepts: [4, 5, 1000],
        token,
      };
      return frame(1, OP.auth, 1, JSON.stringify(body));
    }
    if (dialect === 'imgo' && transport === 'ws') return JSON.stringify({ ver: 1, op: OP.auth, seq: 1, body: token });
    return frame(1, OP.auth, 1, token);
  }

  #data(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#rest = frames(this.#rest, (each) => this.#frame(each));
  }

  #frame(each: Frame): void {
    if (each.op === OP.authReply) this.#opened(each.body);
    else if (this.options.dialect === 'native') this.#native(each);
    else if (this.options.dialect === 'goim2') this.#goim(each);
    else if (each.op === OP.push) this.#push(each.body.toString('utf8'), undefined);
  }

  #goim(each: Frame): void {
    if (each.op === OP.raw) frames(each.body, (inner) => this.#frame(inner));
    else if (![3, 8, 13, 15, 17].includes(each.op)) this.#push(each.body.toString('utf8'), undefined);
  }

  #native(each: Frame): void {
    const { journal, who } = this.options;
    if (each.op === OP.push) {
      const header = nativeHeader(each.extra);
      this.#push(each.body.toString('utf8'), header);
    } else if (each.op === OP.gap) {
      const gap = JSON.parse(each.body.toString('utf8')) as { log: string; after: string; upTo: string };
      const own = gap.log === `user:${this.options.user}`;
      journal.write({ ev: 'gap', c: this.#c, who, log: own ? '' : gap.log, after: gap.after, upTo: gap.upTo });
      if (own) this.#advance(gap.upTo);
      else this.#positions.set(gap.log, gap.upTo);
    } else if (each.op === OP.disconnect) {
      this.#why = each.body.toString('utf8');
    }
  }

  #push(payload: string, header: { id: string; flags: number; topic: string } | undefined): void {
    const { journal, who } = this.options;
    const base = { ev: 'push' as const, c: this.#c, who, ...fingerprint(payload) };
    this.received++;
    if (header === undefined) {
      journal.write(base);
      return;
    }
    journal.write({ ...base, log: header.topic, id: header.id, flags: header.flags });
    if (header.id === '0-0') return;
    if (header.topic === '') this.#advance(header.id);
    else this.#positions.set(header.topic, header.id);
  }

  #advance(id: string): void {
    if (this.#position === undefined || compareIds(this.#position, id) < 0) this.#position = id;
    this.#ackTimer ??= setTimeout(() => this.#sendAck(), this.options.ackEveryMs ?? 200);
  }

  #sendAck(): void {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    const id = this.#position;
    if (this.options.dialect !== 'native' || !this.#authenticated || id === undefined || id === this.#acked) return;
    this.#acked = id;
    this.#send(frame(2, OP.ack, 0, ackBody(id)));
    this.options.journal.write({ ev: 'ack', c: this.#c, who: this.options.who, id });
  }

  #json(text: string): void {
    for (const item of JSON.parse(text) as { op: number; body: unknown }[]) {
      if (item.op === OP.authReply) this.#opened(Buffer.alloc(0));
      else if (item.op === OP.push) this.#push(JSON.stringify(item.body), undefined);
    }
  }

  #opened(body: Buffer): void {
    const { journal, who, dialect } = this.options;
    this.#authenticated = true;
    this.#inVain = 0;
    this.opened++;
    this.#heartbeat = setInterval(() => this.#sendHeartbeat(), HEARTBEAT_MS).unref();
    const tookMs = Math.round(performance.now() - this.#dialledAt);
    journal.write({ ev: 'open', c: this.#c, who, to: this.#to, tookMs });
    if (dialect !== 'native') return;
    this.#acked = undefined;
    const { rooms, all } = JSON.parse(body.toString('utf8')) as {
      rooms: Record<string, { head?: string }>;
      all: { head?: string };
    };
    const joined = Object.entries(rooms).map(([room, state]) => [`room:${room}`, state] as const);
    for (const [log, { head }] of [...joined, ['all', all] as const]) {
      if (head === undefined) continue;
      journal.write({ ev: 'joined', c: this.#c, who, log, head: this.#positions.get(log) ?? head });
      if (!this.#positions.has(log)) this.#positions.set(log, head);
    }
  }

  #sendHeartbeat(): void {
    const { dialect, transport } = this.options;
    if (dialect === 'imgo' && transport === 'ws') this.#send(JSON.stringify({ ver: 1, op: OP.heartbeat, seq: 2 }));
    else this.#send(frame(dialect === 'native' ? 2 : 1, OP.heartbeat, 2));
  }

  #send(data: Buffer | string): void {
    if (this.#socket?.writable === true) this.#socket.write(data);
    else if (this.#ws?.readyState === WebSocket.OPEN) this.#ws.send(data);
  }

  #closed(why: string): void {
    this.#authenticated = false;
    this.#socket = undefined;
    this.#ws = undefined;
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    clearInterval(this.#heartbeat);
    this.options.journal.write({ ev: 'close', c: this.#c, who: this.options.who, why });
    this.#again();
  }

  #again(): void {
    if (this.#stopped) return;
    setTimeout(() => {
      if (!this.#stopped && this.#socket === undefined && this.#ws === undefined) this.#dial();
    }, this.#pauseMs()).unref();
  }

  #pauseMs(): number {
    const { retryMs = 50, patient = false } = this.options;
    if (!patient) return retryMs;
    const [, min, max] = /"reconnect":\{"minMs":(\d+),"maxMs":(\d+)\}/.exec(this.#why) ?? [];
    if (max !== undefined) return Number(min) + Math.random() * (Number(max) - Number(min));
    const most = Math.min(PATIENCE_MS, retryMs * 2 ** this.#inVain++);
    return most / 2 + (Math.random() * most) / 2;
  }
}
