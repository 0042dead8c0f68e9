// Storms: 10,000 clients connect as fast as they can, and later are gone in one instant, five times with calm between, beside a
// room of 2,000 that gets 40 messages a second with a window of 100 ms. What the room feels of it, beside the same room of bare
// sockets on the same machine, in turn.
//
// In the field the clients of a storm are other machines; here they would take the cores from the server and from the room's
// receivers. So they run when nobody else wants a core, for both sides: they get what these two leave, and what the room feels is
// what the server does to it, and the kernel. It also sets how fast they come. Code that runs for weeks is compiled, and so is this:
// a storm before the others does not count.

import { setTimeout as pause } from 'node:timers/promises';
import { now } from '../../src/bench/now.js';
import { type Child, forkScript, imgoServer, makeTokens, median, newFolder } from './measured.js';
import type { Bench, BenchRow } from './row.js';
import type { Latencies, MembersOrder } from './storm-members.js';
import type { SwarmOrder } from './swarm.js';

const MEMBERS = 2_000;
/** Together below the 20,000 descriptors of a process. */
const CLIENTS = Number(process.env['BENCH_CLIENTS'] ?? 10_000);
const STORMS = Number(process.env['BENCH_STORMS'] ?? 5);
/** Of them on their way at a time. */
const AT_ONCE = 2_000;
const PUSH_EVERY_MS = 25;
const WINDOW_MS = 100;
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 1);
const CALM_MS = 3_000;
/** For all to be quiet again before it is looked at: what was held up has been delivered by then. */
const SETTLE_MS = 1_000;
const AFTER_MS = 2_000;
/** A storm must not change a tail by more: that of bare sockets, where it is theirs that changes. */
const BOUND = 1.1;

/** What the room felt of one storm, or of all of a round. */
interface Felt {
  readonly calm: Latencies;
  readonly storm: Latencies;
  readonly gone: Latencies;
}

interface Round extends Felt {
  readonly each: readonly Felt[];
  /** Until all were connected, of all storms. */
  readonly stormSeconds: number;
  /** Of the server's CPU, meanwhile. */
  readonly cpuSeconds: number;
}

/** A server with a room whose messages carry when they were due. */
interface Side {
  readonly child: Child;
  readonly port: number;
  readonly members: readonly string[];
  readonly clients: readonly string[];
  readonly stop: () => Promise<void>;
}

async function bareSide(): Promise<Side> {
  const server = forkScript('storm-server.ts', [String(PUSH_EVERY_MS), String(WINDOW_MS)], { probed: true });
  const port = await server.answer((message: { port?: number }) => message.port);
  const names = Array.from({ length: Math.max(MEMBERS, CLIENTS) }, (_, at) => 'x'.repeat(40) + at);
  return {
    child: server,
    port,
    members: names.slice(0, MEMBERS),
    clients: names.slice(0, CLIENTS),
    stop: () => server.end(),
  };
}

async function imgoSide(): Promise<Side> {
  // On a machine that is full the last ones are read later than clients are usually given.
  const set = [`fanout.window=${WINDOW_MS}ms`, 'limits.handshake=30s'].flatMap((one) => ['--set', one]);
  const server = await imgoServer(newFolder(), set);
  const tokens = await makeTokens(server.http, MEMBERS + CLIENTS, (at) => (at < MEMBERS ? ['r'] : []));
  const pushing = new AbortController();
  const done = push(server.http, pushing.signal);
  const stop = async () => {
    pushing.abort();
    await done;
    await server.stop();
  };
  const { child, tcp: port } = server;
  return { child, port, members: tokens.slice(0, MEMBERS), clients: tokens.slice(MEMBERS), stop };
}

/** Messages as they come to be due, whether those before were answered or not. */
async function push(http: string, signal: AbortSignal): Promise<void> {
  const under: Promise<unknown>[] = [];
  for (let due = now(); !signal.aborted; due += PUSH_EVERY_MS) {
    await pause(Math.max(0, due - now()));
    const body = JSON.stringify({ to: { room: 'r' }, message: { due } });
    under.push(
      fetch(`${http}/v1/push`, { method: 'POST', headers: { 'content-type': 'application/json' }, body }).then(
        (response) => response.arrayBuffer(),
      ),
    );
  }
  await Promise.all(under);
}

const ready = (child: Child) => child.answer((message: { ready?: true }) => message.ready);

/** The members, once they are connected. */
class Room {
  readonly #child = forkScript('storm-members.ts');

  async connect(side: Side): Promise<void> {
    await ready(this.#child);
    await this.#tell({ do: 'connect', port: side.port, tokens: side.members });
  }

  /** What came since it was taken the last time; it counts under this name. */
  take(name?: keyof Felt): Promise<Latencies> {
    return this.#tell({ do: 'take', port: 0, tokens: [], ...(name === undefined ? {} : { name }) });
  }

  all(name: keyof Felt): Promise<Latencies> {
    return this.#tell({ do: 'all', port: 0, tokens: [], name });
  }

  end(): Promise<void> {
    return this.#child.end();
  }

  async #tell(order: Omit<MembersOrder, 'order'>): Promise<Latencies> {
    return (await this.#child.tell<{ latencies: Latencies }>(order)).latencies;
  }
}

async function oneStorm(side: Side, room: Room, counts: boolean) {
  const take = (name: keyof Felt) => room.take(counts ? name : undefined);
  const clients = forkScript('swarm.ts', [], { last: true });
  try {
    await ready(clients);
    await pause(SETTLE_MS);
    await room.take();
    await pause(CALM_MS);
    const calm = await take('calm');
    const [at, before] = [now(), await side.child.usage()];
    const order = { do: 'connect', port: side.port, transport: 'tcp', dialect: 'native', atOnce: AT_ONCE } as const;
    await clients.tell({ ...order, tokens: side.clients } satisfies Omit<SwarmOrder, 'order'>);
    const stormSeconds = (now() - at) / 1_000;
    const storm = await take('storm');
    const cpuSeconds = (await side.child.usage()).cpuSeconds - before.cpuSeconds;
    await pause(SETTLE_MS);
    await room.take();
    await clients.end('SIGKILL');
    await pause(AFTER_MS);
    return { calm, storm, gone: await take('gone'), stormSeconds, cpuSeconds };
  } finally {
    await clients.end();
  }
}

async function round(side: Side): Promise<Round> {
  const room = new Room();
  try {
    await room.connect(side);
    await oneStorm(side, room, false);
    const each: Awaited<ReturnType<typeof oneStorm>>[] = [];
    for (let turn = 0; turn < STORMS; turn++) each.push(await oneStorm(side, room, true));
    const sum = (of: 'stormSeconds' | 'cpuSeconds') => each.reduce((total, one) => total + one[of], 0);
    const all = { calm: await room.all('calm'), storm: await room.all('storm'), gone: await room.all('gone') };
    return { ...all, each, stormSeconds: sum('stormSeconds'), cpuSeconds: sum('cpuSeconds') };
  } finally {
    await room.end();
  }
}

async function rounds(): Promise<{ readonly imgo: readonly Round[]; readonly bare: readonly Round[] }> {
  const felt = { imgo: [] as Round[], bare: [] as Round[] };
  const sides = [['bare', bareSide] as const, ['imgo', imgoSide] as const];
  for (let turn = 0; turn < ROUNDS; turn++) {
    for (const [name, start] of sides) {
      if (process.env['BENCH_SIDE'] !== undefined && process.env['BENCH_SIDE'] !== name) continue;
      const side = await start();
      try {
        felt[name].push(await round(side));
      } finally {
        await side.stop();
      }
    }
  }
  return felt;
}

async function run(): Promise<readonly BenchRow[]> {
  const { imgo, bare } = await rounds();
  const row = (name: string, of: (felt: Round) => number, more: Partial<BenchRow> = {}): BenchRow => ({
    name,
    figure: median(imgo.map(of)),
    reference: median(bare.map(of)),
    unit: 'ms',
    ...more,
  });
  /** Of all storms, and in the note of each. */
  const felt = (name: string, of: (felt: Felt) => number, more: Partial<BenchRow> = {}): BenchRow => {
    const each = (side: readonly Round[]) =>
      side.flatMap((one) => one.each.map((storm) => of(storm).toFixed(of(storm) < 10 ? 2 : 0))).join(' ');
    return row(name, of, { note: `storms ${each(imgo)}; bare ${each(bare)}`, ...more });
  };
  const bounded = (name: string, of: (felt: Felt) => number): BenchRow => {
    const unbound = felt(name, of, { unit: 'of calm' });
    return { ...unbound, bound: { most: BOUND * Math.max(1, unbound.reference ?? 1) } };
  };
  const connected = STORMS * CLIENTS;
  return [
    felt(`room of ${MEMBERS}, window ${WINDOW_MS} ms: p99, calm`, ({ calm }) => calm.p99),
    felt(`p99 while ${CLIENTS} connect`, ({ storm }) => storm.p99),
    bounded('  by so much longer than calm', ({ calm, storm }) => storm.p99 / calm.p99),
    row('p50 calm', ({ calm }) => calm.p50),
    row('p50 while they connect', ({ storm }) => storm.p50),
    row('that connect', ({ stormSeconds }) => connected / stormSeconds, { unit: '/s' }),
    row('server CPU meanwhile', ({ cpuSeconds, stormSeconds }) => cpuSeconds / stormSeconds, { unit: 'cores' }),
    felt(`the slowest after ${CLIENTS} went at once`, ({ gone }) => gone.max),
    felt('p99 of these two seconds', ({ gone }) => gone.p99),
  ];
}

/** The benchmark. */
export const storm: Bench = { name: 'storm', run };
