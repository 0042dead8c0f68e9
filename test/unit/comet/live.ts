// A comet with real sockets on loopback, on the real logic, job, queue and memory engines; and raw clients that show every
// frame they are sent.
import { connect, type Socket } from 'node:net';
import { afterEach } from 'vitest';
import { WebSocket } from 'ws';
import { encodeFrame, HEADER_BYTES, limitsFromServer, Op } from '../../../src/protocol/frame.js';
import {
  ALL_LOG,
  type LogName,
  type MessageId,
  type NodeId,
  type RoomId,
  roomLog,
  type UserId,
  userLog,
} from '../../../src/protocol/ids.js';
import { decodeNativePush, NATIVE_SUBPROTOCOL, NATIVE_VER, type NativePush } from '../../../src/protocol/native.js';
import { encodeNativeAuth } from '../../../src/protocol/native-json.js';
import { FrameReader, type FrameSink, readMessage, Verdict } from '../../../src/protocol/reader.js';
import { type Clock, systemClock } from '../../../src/server/clock.js';
import { type Comet, createComet } from '../../../src/server/comet/comet.js';
import { type CometOptions, cometDefaults } from '../../../src/server/comet/options.js';
import { createJob } from '../../../src/server/job/job.js';
import { type LogicOptions, logicDefaults } from '../../../src/server/logic/options.js';
import { createLogicService, type Logic } from '../../../src/server/logic/sessions.js';
import { Tokens } from '../../../src/server/logic/tokens.js';
import { EventHub } from '../../../src/server/observe/hub.js';
import { createEmbeddedQueue } from '../../../src/server/queue/embedded.js';
import { createMemoryRegistry } from '../../../src/server/router/memory.js';
import type { Registry } from '../../../src/server/router/registry.js';
import type { CometStats, LogicService } from '../../../src/server/rpc/services.js';
import type { Buckets } from '../../../src/server/store/buckets.js';
import type { Credentials } from '../../../src/server/store/credentials.js';
import { createMemoryBuckets } from '../../../src/server/store/memory.js';
import { createMemoryCredentials } from '../../../src/server/store/memory-credentials.js';

const DAY = 86_400_000;
const text = new TextDecoder();

/** Parts of the options that a test changes. */
export interface LiveOptions {
  readonly listen?: Partial<CometOptions['listen']>;
  readonly limits?: Partial<CometOptions['limits']>;
  readonly delivery?: Partial<CometOptions['delivery']>;
  readonly fanout?: Partial<CometOptions['fanout']>;
  readonly logic?: Partial<LogicOptions>;
  readonly clock?: Clock;
  readonly leaseMs?: number;
  readonly renewMs?: number;
  /** Stands between the comet and logic. */
  readonly between?: (logic: Logic) => LogicService;
  readonly registry?: (registry: Registry) => Registry;
  readonly keep?: { readonly messages: number; readonly bytes: number; readonly ageMs: number };
}

/** A function that starts what a test needs, and ends it after that test. For the top of a file. */
export function livePerTest(): (options?: LiveOptions) => Promise<Live> {
  let live: Live | undefined;
  afterEach(async () => {
    await live?.[Symbol.asyncDispose]();
    live = undefined;
  });
  return async (options) => {
    live = await Live.start(options);
    return live;
  };
}

/** Everything of one process but HTTP. */
export class Live implements AsyncDisposable {
  readonly clients: (RawTcp | RawWs)[] = [];
  readonly warnings: string[] = [];
  comet!: Comet;
  hub!: EventHub;
  buckets!: Buckets;
  credentials!: Credentials;
  logic!: Logic;
  tokens!: Tokens;
  registry!: Registry;
  #push!: (log: LogName, payload: Uint8Array, operation?: number) => Promise<MessageId>;
  #ephemeral!: (log: LogName, payload: Uint8Array) => Promise<void>;
  #stop!: () => Promise<void>;

  static async start(options: LiveOptions = {}): Promise<Live> {
    const live = new Live();
    const clock = options.clock ?? systemClock;
    const keep = options.keep ?? { messages: 1_000, bytes: 1024 * 1024, ageMs: 7 * DAY };
    const buckets = createMemoryBuckets(
      {
        keep,
        rooms: { messages: 1_000, bytes: 1024 * 1024, ageMs: 3_600_000 },
        devicesPerUser: 16,
        newDevice: 'kept',
        idempotency: { forMs: DAY, bytes: 1024 * 1024 },
        forgetLogAfterMs: 30 * DAY,
      },
      clock,
    );
    const credentials = createMemoryCredentials();
    const made = createMemoryRegistry({ clock, leaseMs: options.leaseMs ?? 10_000 });
    const registry = options.registry?.(made) ?? made;
    const node = 'c-1' as NodeId;
    const cometFor = (asked: NodeId) => (asked === node ? live.comet.service : undefined);
    live.hub = new EventHub(node, clock);
    const logicOptions = { ...logicDefaults, roomsJoin: 'open' as const, ...options.logic };
    const parts = { buckets, credentials, registry, clock, options: logicOptions, cometFor };
    const logic = createLogicService(parts);
    const queue = createEmbeddedQueue({ epoch: buckets.epoch, clock, maxWaitingBytes: 64 * 1024 * 1024 });
    const job = createJob({
      queue,
      buckets,
      registry,
      clock,
      hub: live.hub,
      cometFor: (record) => cometFor(record.node) as NonNullable<ReturnType<typeof cometFor>>,
    });
    const base = cometDefaults;
    live.comet = await createComet({
      options: {
        listen: { ...base.listen, ...options.listen },
        limits: { ...base.limits, ...options.limits },
        delivery: { ...base.delivery, ...options.delivery },
        fanout: { ...base.fanout, windowMs: 0, ...options.fanout },
      },
      logic: options.between?.(logic) ?? logic,
      registry,
      clock,
      log: { warn: (_details, message) => live.warnings.push(message) },
      node,
      version: 'test',
      renewMs: options.renewMs ?? 1_000,
      hub: live.hub,
    });
    await live.comet.listen();
    const consuming = new AbortController();
    const running = job.run(consuming.signal);
    live.buckets = buckets;
    live.credentials = credentials;
    live.logic = logic;
    live.registry = registry;
    live.tokens = new Tokens(parts);
    live.#push = async (log, payload, operation) => {
      const acceptedAt = clock.now();
      const record = { log, payload, acceptedAt, expiresAt: acceptedAt + DAY };
      return (await queue.accept(operation === undefined ? record : { ...record, operation })).id;
    };
    live.#ephemeral = (log, payload) =>
      queue.acceptEphemeral({ log, payload, acceptedAt: clock.now(), ephemeral: true });
    live.#stop = async () => {
      for (const client of live.clients) client.destroy();
      await live.comet.stop(2_000);
      consuming.abort();
      await queue[Symbol.asyncDispose]();
      await running;
      await buckets[Symbol.asyncDispose]();
    };
    return live;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }

  async token(user: string, device?: string, rooms: readonly string[] = [], ttlMs?: number): Promise<string> {
    const [made] = await this.tokens.create([{ user: user as UserId, device: device as never, rooms, ttlMs }]);
    return made?.secret as string;
  }

  push(user: string, payload: string | Uint8Array, operation?: number): Promise<MessageId> {
    return this.#push(userLog(user as UserId), bytes(payload), operation);
  }

  pushRoom(room: string, payload: string | Uint8Array, operation?: number): Promise<MessageId> {
    return this.#push(roomLog(room as RoomId), bytes(payload), operation);
  }

  pushAll(payload: string | Uint8Array, operation?: number): Promise<MessageId> {
    return this.#push(ALL_LOG, bytes(payload), operation);
  }

  pushEphemeral(user: string, payload: string): Promise<void> {
    return this.#ephemeral(userLog(user as UserId), bytes(payload));
  }

  stats(): Promise<CometStats> {
    return this.comet.service.stats();
  }

  /** The count of a reason, 0 when it never happened. */
  async reason(name: string): Promise<number> {
    return (await this.stats()).reasons[name] ?? 0;
  }

  async tcp(kind: 'tcp' | 'goim' = 'tcp'): Promise<RawTcp> {
    const client = await RawTcp.open(this.comet.addresses()[kind] as string);
    this.clients.push(client);
    return client;
  }

  async ws(protocol?: string, headers: Record<string, string> = {}): Promise<RawWs> {
    const client = await RawWs.open(this.comet.addresses().ws as string, protocol, headers);
    this.clients.push(client);
    return client;
  }

  /** A native session over TCP. */
  async native(auth: Parameters<typeof encodeNativeAuth>[0]): Promise<RawTcp> {
    const client = await this.tcp();
    client.send(encodeFrame(NATIVE_VER, Op.AUTH, 1, encodeNativeAuth(auth)));
    await client.next(Op.AUTH_REPLY);
    return client;
  }

  /** imgo's dialect over TCP. */
  async imgo(token: string): Promise<RawTcp> {
    const client = await this.tcp();
    client.send(encodeFrame(1, Op.AUTH, 7, bytes(token)));
    await client.next(Op.AUTH_REPLY);
    return client;
  }
}

function bytes(payload: string | Uint8Array): Uint8Array {
  return typeof payload === 'string' ? Buffer.from(payload) : payload;
}

/** A frame as a client got it. */
export interface Got {
  readonly op: number;
  readonly seq: number;
  readonly ver: number;
  readonly body: string;
  readonly push: NativePush | undefined;
}

/** Resolves when `check` holds; looks again whenever something arrives or closes. */
abstract class Receiver {
  readonly frames: Got[] = [];
  closed = false;
  #waiting: (() => void)[] = [];

  protected changed(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }

  async until(check: () => boolean): Promise<void> {
    while (!check()) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** The first frame of this op from index `from` on. */
  async next(op: number, from = 0): Promise<Got> {
    const find = () => this.frames.find((frame, at) => at >= from && frame.op === op);
    await this.until(() => find() !== undefined || this.closed);
    const found = find();
    if (found === undefined) throw new Error(`closed before op ${op}; got ${JSON.stringify(this.frames)}`);
    return found;
  }

  /** Bodies of pushes so far. */
  get bodies(): string[] {
    return this.frames.filter(({ op }) => op === Op.PUSH).map(({ body }) => body);
  }

  async bodiesCount(count: number): Promise<string[]> {
    await this.until(() => this.bodies.length >= count || this.closed);
    return this.bodies;
  }

  async end(): Promise<void> {
    await this.until(() => this.closed);
  }

  protected sink: FrameSink = {
    frame: (buf, start, headerLen, end, op, seq, ver) => {
      const push = headerLen > HEADER_BYTES ? decodeNativePush(buf, start, headerLen) : undefined;
      if (typeof push === 'string') throw new Error(push);
      if (op === Op.RAW) readMessage(buf, limitsFromServer(1 << 20), this.sink, start + headerLen, end);
      else this.frames.push({ op, seq, ver, body: text.decode(buf.subarray(start + headerLen, end)), push });
      return Verdict.MORE;
    },
    fault: (fault) => {
      throw new Error(`the server sent a malformed frame: ${fault}`);
    },
  };
}

export class RawTcp extends Receiver {
  readonly socket: Socket;
  /** Sizes of the chunks that arrived. */
  readonly chunks: number[] = [];

  private constructor(socket: Socket) {
    super();
    this.socket = socket;
    const reader = new FrameReader(limitsFromServer(1 << 20));
    socket.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk.length);
      reader.push(chunk, this.sink);
      this.changed();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.closed = true;
      this.changed();
    });
  }

  static open(address: string): Promise<RawTcp> {
    const [host, port] = address.split(':');
    const socket = connect({ host: host as string, port: Number(port), noDelay: true });
    return new Promise((resolve, reject) => {
      socket.once('connect', () => resolve(new RawTcp(socket)));
      socket.once('error', reject);
    });
  }

  send(frame: Uint8Array): void {
    this.socket.write(frame);
  }

  destroy(): void {
    this.socket.destroy();
  }
}

export class RawWs extends Receiver {
  readonly ws: WebSocket;
  /** Text messages as they came. */
  readonly texts: string[] = [];
  readonly messages: number[] = [];
  code: number | undefined;

  private constructor(ws: WebSocket) {
    super();
    this.ws = ws;
    ws.on('message', (data: Buffer, binary: boolean) => {
      this.messages.push(data.length);
      if (binary) readMessage(data, limitsFromServer(1 << 20), this.sink);
      else {
        const message = data.toString();
        this.texts.push(message);
        for (const { ver, op, seq, body } of JSON.parse(message)) {
          this.frames.push({ ver, op, seq, body: JSON.stringify(body), push: undefined });
        }
      }
      this.changed();
    });
    ws.on('error', () => undefined);
    ws.on('close', (code) => {
      this.code = code;
      this.closed = true;
      this.changed();
    });
  }

  static open(address: string, protocol: string | undefined, headers: Record<string, string>): Promise<RawWs> {
    const ws = new WebSocket(address, protocol === undefined ? [] : [protocol], { headers, perMessageDeflate: false });
    const client = new RawWs(ws);
    return new Promise((resolve, reject) => {
      ws.once('open', () => resolve(client));
      ws.once('error', reject);
    });
  }

  send(message: string | Uint8Array): void {
    this.ws.send(message);
  }

  destroy(): void {
    this.ws.terminate();
  }
}

export { NATIVE_SUBPROTOCOL };
