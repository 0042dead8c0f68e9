// A whole logic role on the memory engines, the embedded queue and a real job, with a comet that writes down what it is told.
import { Writable } from 'node:stream';
import { pino } from 'pino';
import type { DisconnectName } from '../../../src/protocol/disconnect.js';
import type { MessageId, NodeId, RoomId, SessionId, UserId } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import { createJob } from '../../../src/server/job/job.js';
import { createLogicHttp, type LogicHttp, type LogicHttpOptions } from '../../../src/server/logic/http.js';
import { type LogicOptions, logicDefaults } from '../../../src/server/logic/options.js';
import { createLogicService, type Logic } from '../../../src/server/logic/sessions.js';
import { Metrics } from '../../../src/server/observe/metrics.js';
import { metricsPage } from '../../../src/server/observe/metrics-page.js';
import { TraceStore } from '../../../src/server/observe/traces.js';
import { createEmbeddedQueue } from '../../../src/server/queue/embedded.js';
import type { Queue } from '../../../src/server/queue/queue.js';
import { createMemoryRegistry } from '../../../src/server/router/memory.js';
import type { Lease, Registry } from '../../../src/server/router/registry.js';
import type {
  CometService,
  CometStats,
  DisconnectTarget,
  DrainOrder,
  Notification,
  OpenReply,
  OpenRequest,
  SessionInfo,
  StatsRequest,
} from '../../../src/server/rpc/services.js';
import type { Buckets, BucketsOptions } from '../../../src/server/store/buckets.js';
import type { Credentials } from '../../../src/server/store/credentials.js';
import { createMemoryBuckets } from '../../../src/server/store/memory.js';
import { createMemoryCredentials } from '../../../src/server/store/memory-credentials.js';

const DAY = 86_400_000;

export const bucketsOptions: BucketsOptions = {
  keep: { messages: 1_000, bytes: 1024 * 1024, ageMs: 7 * DAY },
  rooms: { messages: 1_000, bytes: 1024 * 1024, ageMs: 3_600_000 },
  devicesPerUser: 16,
  newDevice: 'kept',
  idempotency: { forMs: DAY, bytes: 64 * 1024 * 1024 },
  forgetLogAfterMs: 30 * DAY,
};

/** A document in the shape of the try-it page. */
export const pageDocument = '<style>b{}</style><script type="application/json">"FACTS"</script><script>go()</script>';

/** A comet that records: what it was told, and what it was asked to close. */
export class RecordingComet implements CometService {
  readonly notified: Notification[] = [];
  readonly disconnected: { readonly target: DisconnectTarget; readonly code: DisconnectName }[] = [];
  readonly rooms = new Map<RoomId, number>();
  /** What sessions have taken. */
  readonly positions = new Map<SessionId, MessageId>();
  drainOrder: DrainOrder | undefined;
  readonly statsAsked: (StatsRequest | undefined)[] = [];
  /** Answers disconnects only while true. */
  confirms = true;
  readonly node: NodeId;

  constructor(node: NodeId) {
    this.node = node;
  }

  async notify(notifications: readonly Notification[]): Promise<void> {
    this.notified.push(...notifications);
  }

  disconnect(target: DisconnectTarget, code: DisconnectName): Promise<number> {
    this.disconnected.push({ target, code });
    return this.confirms ? Promise.resolve(1) : new Promise<number>(() => undefined);
  }

  async resync(): Promise<void> {}

  async session(_session: SessionId): Promise<undefined> {
    return undefined;
  }

  async sessionsOf(ids: readonly SessionId[]): Promise<readonly (SessionInfo | undefined)[]> {
    return ids.map((session) => {
      const position = this.positions.get(session);
      return position === undefined ? undefined : ({ session, position } as SessionInfo);
    });
  }

  async sessionPage(): Promise<readonly SessionInfo[]> {
    return [];
  }

  async trace(): Promise<undefined> {
    return undefined;
  }

  async members(room: RoomId): Promise<number> {
    return this.rooms.get(room) ?? 0;
  }

  async drain(order: DrainOrder | undefined): Promise<void> {
    this.drainOrder = order;
  }

  async stats(request?: StatsRequest): Promise<CometStats> {
    this.statsAsked.push(request);
    return {
      node: this.node,
      draining: this.drainOrder !== undefined,
      connections: 3,
      sessions: 2,
      byDialect: { 'native-tcp': 2 },
      topics: [...this.rooms].map(([room, members]) => ({
        log: `room:${room}` as never,
        members,
        lagging: 0,
        windowMs: 100,
        sweepMs: 1,
        ringBytes: 10,
      })),
      counters: { deliveries: 7, flushes: 3 },
      reasons: { dropped_ephemeral_old: 1 },
      rssBytes: 1,
      cpuSeconds: 1,
      loopP99Ms: 1,
    };
  }
}

export interface Setup extends AsyncDisposable {
  readonly logic: Logic;
  readonly http: LogicHttp;
  readonly buckets: Buckets;
  readonly credentials: Credentials;
  readonly registry: Registry;
  readonly queue: Queue;
  readonly comet: RecordingComet;
  readonly lease: Lease;
  /** Everything that was logged, at every level. */
  readonly logged: () => string;
  /** Opens a session as the comet would. */
  readonly open: (token: string, more?: Partial<OpenRequest>) => Promise<OpenReply>;
}

export interface SetupOptions {
  readonly options?: Partial<LogicOptions>;
  readonly http?: Partial<LogicHttpOptions>;
  readonly queue?: (queue: Queue) => Queue;
  readonly leaseMs?: number;
  readonly job?: boolean;
  readonly metricsKeyFile?: string;
}

export async function setUp(given: SetupOptions = {}): Promise<Setup> {
  const clock = systemClock;
  const credentials = createMemoryCredentials();
  const buckets = createMemoryBuckets(bucketsOptions, clock);
  const registry = createMemoryRegistry({ clock, leaseMs: given.leaseMs ?? 10_000 });
  const embedded = createEmbeddedQueue({ epoch: buckets.epoch, clock, maxWaitingBytes: 64 * 1024 * 1024 });
  const queue = given.queue?.(embedded) ?? embedded;
  const comet = new RecordingComet('c/1' as NodeId);
  const lease = await registry.join({
    node: comet.node,
    roles: ['comet', 'logic', 'job'],
    address: '',
    version: '0.0.0',
    since: clock.now(),
  });
  const cometFor = (node: NodeId) => (node === comet.node ? comet : undefined);
  const stop = new AbortController();
  const job = createJob({ queue: embedded, buckets, registry, cometFor: () => comet, clock });
  const running = given.job === false ? Promise.resolve() : job.run(stop.signal);
  const options: LogicOptions = { ...logicDefaults, confirmMs: 50, ...given.options };
  const parts = { buckets, credentials, registry, queue, clock, options, cometFor };
  const logic = createLogicService(parts);
  let logged = '';
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      logged += chunk.toString();
      done();
    },
  });
  const metrics = new Metrics({
    clock,
    about: { version: '0.0.0', node: 'c', roles: ['comet', 'logic', 'job'] },
    problems: () => [],
    push: () => http.figures(),
    queue: () => queue.stats(),
    store: () => buckets.health(),
    job: () => job.counters,
    alerts: () => undefined,
    traces: () => new TraceStore(systemClock, 'l').counters,
    spans: () => undefined,
    comets: () => [comet],
  });
  const http: LogicHttp = createLogicHttp({
    ...parts,
    service: logic,
    log: pino({ level: 'trace' }, sink),
    version: '0.0.0',
    http: { host: '127.0.0.1', port: 0 },
    development: true,
    drain: { perSecond: 1_000, reconnect: { minMs: 1_000, maxMs: 30_000 } },
    reports: async (nodes) => nodes.map(() => undefined),
    watched: async () => [],
    origins: ['same-host'],
    metrics: metricsPage(metrics, given.metricsKeyFile),
    tryIt: { document: () => pageDocument, ws: () => 'ws://127.0.0.1:8090/sub', command: 'imgo' },
    ...given.http,
  });
  await http.listen();
  let seq = 0;
  return {
    logic,
    http,
    buckets,
    credentials,
    registry,
    queue,
    comet,
    lease,
    logged: () => logged,
    open: (token, more) =>
      logic.open({
        credential: { kind: 'token', token },
        comet: comet.node,
        incarnation: lease.incarnation,
        seq: ++seq,
        dialect: 'native',
        transport: 'tcp',
        peer: '127.0.0.1',
        device: undefined,
        cursor: undefined,
        rooms: undefined,
        ...more,
      }),
    async [Symbol.asyncDispose]() {
      await http.stop();
      metrics.stop();
      stop.abort();
      await running;
      await buckets[Symbol.asyncDispose]();
    },
  };
}

/** One request as it goes over the wire; the body is sent as these bytes. */
export async function call(
  base: string,
  method: string,
  path: string,
  body?: string | Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): Promise<{ readonly status: number; readonly headers: Headers; readonly text: string; readonly json: any_ }> {
  const init = body === undefined ? {} : { body: typeof body === 'string' ? body : Buffer.from(body) };
  const answer = await fetch(base + path, { method, headers, ...init });
  const text = await answer.text();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status: answer.status, headers: answer.headers, text, json: json as any_ };
}

/** JSON of an answer: tests look into it freely. */
// biome-ignore lint/suspicious/noExplicitAny: answers are looked into freely here
export type any_ = any;

/** The one message of a log, as bytes. */
export async function kept(setup: Setup, log: string): Promise<string[]> {
  const { items } = await setup.buckets.read(log as never, { epoch: 0, n: 0 }, { entries: 1_000, bytes: 1e7 });
  return items.flatMap((item) => (item.kind === 'entry' ? [Buffer.from(item.entry.payload).toString()] : []));
}

export const user = (text: string) => text as UserId;
export const room = (text: string) => text as RoomId;
