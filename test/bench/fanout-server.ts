// The servers of the fan-out benchmark, each in a process of its own. `comet`: the comet role alone, with a logic that grants
// everything and stores nothing. `bare`: the same writes of shared memory, to as many sockets, with nothing around them.

import { type AddressInfo, createServer, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { encodePush } from '../../src/protocol/dialect.js';
import {
  type LogName,
  type MessageId,
  type NodeId,
  type RoomId,
  roomLog,
  type SessionId,
  type UserId,
  userLog,
  ZERO_ID,
} from '../../src/protocol/ids.js';
import { systemClock } from '../../src/server/clock.js';
import { createComet } from '../../src/server/comet/comet.js';
import { cometDefaults } from '../../src/server/comet/options.js';
import { createMemoryRegistry } from '../../src/server/router/memory.js';
import type { LogicService, Notification, OpenReply } from '../../src/server/rpc/services.js';

/** What the benchmark asks for. */
export interface FanOutOrder {
  readonly order: number;
  /** `sweeps`: one message to all at a time. `room`: 40 a second, together once a second. `users`: one to each. */
  readonly do: 'sweeps' | 'room' | 'users';
  /** Sweeps, rounds of users, or seconds of the room. */
  readonly count: number;
}

/** What came of it. */
export interface FanOutResult {
  readonly order: number;
  readonly deliveries: number;
  readonly flushes: number;
  readonly bytes: number;
  readonly cpuSeconds: number;
  /** `room`: between two instants amid the pushes, when each window has its messages and its sweep. */
  readonly steady: { readonly deliveries: number; readonly cpuSeconds: number } | undefined;
}

/** imgo's published scenario: 40 messages a second, coalesced by its window of 1 s. */
const RATE = 40;
const WINDOW_MS = 1_000;
/** Sockets between two turns of the event loop, for both. */
const YIELD_EVERY = 512;
const USERS_A_BATCH = 500;
/** Longer than a sweep takes on an idle machine; on a busy one two messages may share a sweep, which the counts show. */
const SWEEP_EVERY_MS = 150;

interface Work {
  /** Gives one message to every socket. */
  sweep(): Promise<void>;
  /** Begins a second earlier and ends a second later than what is measured. */
  room(seconds: number): Promise<void>;
  users(): Promise<void>;
  counts(): Promise<{ readonly deliveries: number; readonly flushes: number; readonly bytes: number }>;
  readonly port: number;
}

function payload(n: number): Uint8Array {
  return Buffer.from(`{"test":${n % 10}}`);
}

async function comet(windowMs: number): Promise<Work> {
  let n = 0;
  let sessions = 0;
  const users: LogName[] = [];
  const heads = new Map<LogName, MessageId>();
  const room = roomLog('1' as RoomId);
  const logic: LogicService = {
    async open(request): Promise<OpenReply> {
      const token = request.credential.kind === 'token' ? request.credential.token : '';
      const user = token as UserId;
      users.push(userLog(user));
      const session = `s${++sessions}` as SessionId;
      const { comet: node, incarnation, seq, dialect, transport, peer } = request;
      const identity = { session, user, device: '' as const, token: undefined };
      return {
        handle: { ...identity, comet: node, incarnation, seq, dialect, transport, peer, since: 0 },
        ...identity,
        expiresAt: Number.POSITIVE_INFINITY,
        start: ZERO_ID,
        head: ZERO_ID,
        sentBefore: ZERO_ID,
        rooms: ['1' as RoomId],
        refusedRooms: [],
      };
    },
    async read(log, after) {
      return { items: [], head: heads.get(log) ?? ZERO_ID, readTo: after };
    },
    async progress() {},
    async close() {},
    async authorizeJoin() {},
    async openTopic(_comet, topic) {
      return heads.get(topic) ?? ZERO_ID;
    },
    async closeTopic() {},
    async presence() {
      return 0;
    },
    async revalidate() {
      return [];
    },
    async reregister() {},
  };
  const role = await createComet({
    options: { ...cometDefaults, fanout: { ...cometDefaults.fanout, windowMs, yieldEvery: YIELD_EVERY } },
    logic,
    registry: createMemoryRegistry({ clock: systemClock, leaseMs: 30_000 }),
    clock: systemClock,
    log: { warn: (details, message) => console.error(message, details) },
    node: 'bench' as NodeId,
    version: '0',
    renewMs: 5_000,
  });
  await role.listen();
  const next = (log: LogName): Notification => {
    const id = { epoch: 1, n: ++n };
    const prev = heads.get(log) ?? ZERO_ID;
    heads.set(log, id);
    return { log, id, prev, payload: payload(n), operation: undefined, acceptedAt: 0, ephemeral: false };
  };
  const work: Work = {
    port: Number(role.addresses().tcp?.split(':').at(-1)),
    async sweep() {
      await role.service.notify([next(room)]);
      await pause(SWEEP_EVERY_MS);
    },
    async room(seconds) {
      const from = performance.now();
      for (let sent = 0; sent < (seconds + 2) * RATE; sent++) {
        await role.service.notify([next(room)]);
        await pause(Math.max(1, from + ((sent + 1) * 1_000) / RATE - performance.now()));
      }
      await pause(WINDOW_MS * 1.5);
    },
    async users() {
      for (let at = 0; at < users.length; at += USERS_A_BATCH) {
        await role.service.notify(users.slice(at, at + USERS_A_BATCH).map(next));
        await new Promise(setImmediate);
      }
      await pause(SWEEP_EVERY_MS);
    },
    async counts() {
      const { counters } = await role.service.stats();
      const sum = (...names: readonly string[]) => names.reduce((all, name) => all + (counters[name] ?? 0), 0);
      return {
        deliveries: sum('deliveries', 'topics_deliveries'),
        flushes: sum('flushes'),
        bytes: sum('bytes_out'),
      };
    },
  };
  return work;
}

async function bare(): Promise<Work> {
  const sockets: Socket[] = [];
  const counted = { deliveries: 0, flushes: 0, bytes: 0 };
  const answer = Buffer.alloc(16, 1);
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('data', () => socket.write(answer));
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, resolve));
  const all = async (bytes: Buffer, messages: number) => {
    for (let at = 0; at < sockets.length; ) {
      const stop = Math.min(at + YIELD_EVERY, sockets.length);
      for (; at < stop; at++) (sockets[at] as Socket).write(bytes);
      await new Promise(setImmediate);
    }
    counted.deliveries += sockets.length * messages;
    counted.flushes += sockets.length;
    counted.bytes += sockets.length * bytes.length;
  };
  const one = (n: number) => Buffer.from(encodePush('plain-tcp', { id: ZERO_ID, payload: payload(n) }));
  return {
    port: (server.address() as AddressInfo).port,
    async sweep() {
      await all(one(1), 1);
      await pause(SWEEP_EVERY_MS);
    },
    async room(seconds) {
      for (let second = 0; second < seconds + 2; second++) {
        const from = performance.now();
        await all(Buffer.concat(Array.from({ length: RATE }, (_, n) => one(n))), RATE);
        await pause(Math.max(1, WINDOW_MS - (performance.now() - from)));
      }
    },
    async users() {
      await all(one(1), 1);
      await pause(SWEEP_EVERY_MS);
    },
    counts: async () => ({ ...counted }),
  };
}

const [kind = 'comet', windowMs = '0'] = process.argv.slice(2);
const work = kind === 'bare' ? await bare() : await comet(Number(windowMs));

/** Counts and CPU time from `afterMs` on, for `ms`. */
async function between(afterMs: number, ms: number): Promise<FanOutResult['steady']> {
  await pause(afterMs);
  const before = await work.counts();
  const cpu = process.cpuUsage();
  await pause(ms);
  const { user, system } = process.cpuUsage(cpu);
  return { deliveries: (await work.counts()).deliveries - before.deliveries, cpuSeconds: (user + system) / 1e6 };
}

process.on('message', (order: Partial<FanOutOrder>) => {
  if (order.do === undefined) return;
  void (async () => {
    const before = await work.counts();
    const cpu = process.cpuUsage();
    const count = order.count ?? 1;
    const steady = order.do === 'room' ? between(WINDOW_MS * 1.5, count * 1_000) : undefined;
    for (let turn = 0; turn < (order.do === 'room' ? 1 : count); turn++) {
      if (order.do === 'sweeps') await work.sweep();
      else if (order.do === 'users') await work.users();
      else await work.room(count);
    }
    let after = await work.counts();
    for (let seen = before.flushes; seen !== after.flushes; after = await work.counts()) {
      seen = after.flushes;
      await pause(SWEEP_EVERY_MS);
    }
    const { user, system } = process.cpuUsage(cpu);
    const result: FanOutResult = {
      order: order.order ?? 0,
      deliveries: after.deliveries - before.deliveries,
      flushes: after.flushes - before.flushes,
      bytes: after.bytes - before.bytes,
      cpuSeconds: (user + system) / 1e6,
      steady: await steady,
    };
    process.send?.(result);
  })();
});
process.on('disconnect', () => process.exit());
process.send?.({ port: work.port });
