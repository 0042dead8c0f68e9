// The server of the fan-out benchmark: the comet role alone, with a logic that grants everything and stores nothing. It does
// each piece of work in turns with a bare loop that writes the same bytes to the same sockets, and tells what both cost.

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
  /** How often, in turns with the bare loop. */
  readonly turns: number;
  /** `room`: how long at a time. */
  readonly seconds: number;
}

/** What one side did, and for how much. */
export interface FanOutFigures {
  readonly deliveries: number;
  readonly flushes: number;
  readonly cpuSeconds: number;
}

/** What came of it. */
export interface FanOutResult {
  readonly order: number;
  readonly comet: FanOutFigures;
  readonly bare: FanOutFigures;
  /** Given to all sockets by both. */
  readonly bytes: number;
}

/** imgo's published scenario: 40 messages a second, coalesced by its window of 1 s. */
const RATE = 40;
const WINDOW_MS = 1_000;
/** Sockets between two turns of the event loop, for both. */
const YIELD_EVERY = 512;
const USERS_A_BATCH = 500;
/** Longer than a sweep takes on an idle machine. */
const SWEEP_EVERY_MS = 150;
const POLL_MS = 20;

function payload(n: number): Uint8Array {
  return Buffer.from(`{"test":${n % 10}}`);
}

const [windowMs = '0'] = process.argv.slice(2);
const sockets: Socket[] = [];

async function startComet() {
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
    async report() {},
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
    options: {
      ...cometDefaults,
      fanout: { ...cometDefaults.fanout, windowMs: Number(windowMs), yieldEvery: YIELD_EVERY },
    },
    logic,
    registry: createMemoryRegistry({ clock: systemClock, leaseMs: 30_000 }),
    clock: systemClock,
    log: { warn: (details, message) => console.error(message, details) },
    node: 'bench' as NodeId,
    version: '0',
    renewMs: 5_000,
  });
  const next = (log: LogName): Notification => {
    const id = { epoch: 1, n: ++n };
    const prev = heads.get(log) ?? ZERO_ID;
    heads.set(log, id);
    return { log, id, prev, payload: payload(n), operation: undefined, acceptedAt: 0, ephemeral: false };
  };
  return {
    serve: (socket: Socket) => role.serve(socket),
    async sweep() {
      await role.service.notify([next(room)]);
      await pause(SWEEP_EVERY_MS);
    },
    async room(messages: number) {
      const from = performance.now();
      for (let sent = 0; sent < messages; sent++) {
        await role.service.notify([next(room)]);
        await pause(Math.max(1, from + ((sent + 1) * 1_000) / RATE - performance.now()));
      }
    },
    /** One for each user, made beforehand. */
    each: () => users.map(next),
    async users(each: readonly Notification[]) {
      for (let at = 0; at < each.length; at += USERS_A_BATCH) {
        await role.service.notify(each.slice(at, at + USERS_A_BATCH));
        await new Promise(setImmediate);
      }
      await pause(SWEEP_EVERY_MS);
    },
    async counts(): Promise<Counts> {
      const { counters } = await role.service.stats();
      const sum = (...names: readonly string[]) => names.reduce((all, name) => all + (counters[name] ?? 0), 0);
      const deliveries = sum('deliveries', 'topics_deliveries');
      return { deliveries, flushes: sum('flushes'), bytes: sum('bytes_out') };
    },
  };
}

interface Counts {
  deliveries: number;
  flushes: number;
  bytes: number;
}

const comet = await startComet();
const bareCounts: Counts = { deliveries: 0, flushes: 0, bytes: 0 };

/** The bare loop: the same memory to every socket, a turn of the event loop after as many sockets as the comet allows itself. */
async function bare(messages: number): Promise<void> {
  const frames = Array.from({ length: messages }, (_, n) =>
    Buffer.from(encodePush('plain-tcp', { id: ZERO_ID, payload: payload(n) })),
  );
  const bytes = Buffer.concat(frames);
  for (let at = 0; at < sockets.length; ) {
    const stop = Math.min(at + YIELD_EVERY, sockets.length);
    for (; at < stop; at++) (sockets[at] as Socket).write(bytes);
    await new Promise(setImmediate);
  }
  bareCounts.deliveries += sockets.length * messages;
  bareCounts.flushes += sockets.length;
  bareCounts.bytes += sockets.length * bytes.length;
}

const bareOnes = async () => {
  await bare(1);
  await pause(SWEEP_EVERY_MS);
};

type Side = 'comet' | 'bare';

/** Adds up what each side did and cost. */
class Account {
  readonly comet: FanOutFigures = { deliveries: 0, flushes: 0, cpuSeconds: 0 };
  readonly bare: FanOutFigures = { deliveries: 0, flushes: 0, cpuSeconds: 0 };

  async charge(side: Side, flushes: number, work: () => Promise<void>): Promise<void> {
    const counts = async () => (side === 'comet' ? comet.counts() : { ...bareCounts });
    const before = await counts();
    const cpu = process.cpuUsage();
    await work();
    // What is under way is not to be charged to the other side.
    while ((await counts()).flushes - before.flushes < flushes) await pause(POLL_MS);
    const { user, system } = process.cpuUsage(cpu);
    const after = await counts();
    const figures = this[side] as { -readonly [Name in keyof FanOutFigures]: number };
    figures.deliveries += after.deliveries - before.deliveries;
    figures.flushes += after.flushes - before.flushes;
    figures.cpuSeconds += (user + system) / 1e6;
  }
}

/** imgo's case: the pushes begin a second and a half before what is measured, and end after it. */
async function room(account: Account, seconds: number): Promise<void> {
  const pushing = comet.room((seconds + 2) * RATE);
  await pause(WINDOW_MS * 1.5);
  await account.charge('comet', 0, () => pause(seconds * 1_000));
  await pushing;
  await pause(WINDOW_MS * 1.5);
  await account.charge('bare', 0, async () => {
    for (let second = 0; second < seconds; second++) {
      const from = performance.now();
      await bare(RATE);
      await pause(Math.max(1, WINDOW_MS - (performance.now() - from)));
    }
  });
}

async function work(order: FanOutOrder): Promise<FanOutResult> {
  const account = new Account();
  const before = (await comet.counts()).bytes + bareCounts.bytes;
  for (let turn = 0; turn < order.turns; turn++) {
    if (order.do === 'room') {
      await room(account, order.seconds);
      continue;
    }
    const each = order.do === 'users' ? comet.each() : [];
    await account.charge('comet', sockets.length, () => (order.do === 'users' ? comet.users(each) : comet.sweep()));
    await account.charge('bare', sockets.length, bareOnes);
  }
  let bytes = 0;
  for (let seen = -1; seen !== bytes; await pause(SWEEP_EVERY_MS)) {
    seen = bytes;
    bytes = (await comet.counts()).bytes + bareCounts.bytes - before;
  }
  return { order: order.order, comet: account.comet, bare: account.bare, bytes };
}

const server = createServer((socket) => {
  sockets.push(socket);
  comet.serve(socket);
});
process.on('message', (order: FanOutOrder) => {
  if (order.do !== undefined) void work(order).then((result) => process.send?.(result));
});
process.on('disconnect', () => process.exit());
server.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 }, () => {
  process.send?.({ port: (server.address() as AddressInfo).port });
});
