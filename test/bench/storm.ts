// A storm: 15,000 clients connect as fast as they can, and later are gone in one instant, beside a room of 2,000 that gets 40
// messages a second with a window of 100 ms. What the room feels of it, beside the same room of bare sockets on the same machine:
// server and all clients share its cores, so that the bare sockets feel it too. They take turns, and the middle round counts.

import { setTimeout as pause } from 'node:timers/promises';
import { now } from '../../src/bench/now.js';
import { forkScript, imgoServer, makeTokens, median, newFolder } from './measured.js';
import type { Bench, BenchRow } from './row.js';
import type { Latencies, MembersOrder } from './storm-members.js';
import type { SwarmOrder } from './swarm.js';

const MEMBERS = 2_000;
/** Together below the 20,000 descriptors of a process. */
const CLIENTS = 15_000;
/** Of them on their way at a time. */
const AT_ONCE = 2_000;
const PUSH_EVERY_MS = 25;
const WINDOW_MS = 100;
const ROUNDS = Number(process.env['BENCH_ROUNDS'] ?? 3);
const WARM_UP_MS = 1_500;
const BEFORE_MS = 5_000;
/** Before they go all is to be quiet again; what their going held up has been delivered by then. */
const SETTLE_MS = 1_000;
const AFTER_MS = 2_000;
/** A storm must not change a tail by more: that of bare sockets, where it is theirs that changes. */
const BOUND = 1.1;

/** What one side felt in a round. */
interface Felt {
  readonly before: Latencies;
  readonly storm: Latencies;
  readonly gone: Latencies;
  readonly stormSeconds: number;
}

/** A server with a room whose messages carry when they were due. */
interface Side {
  readonly port: number;
  readonly members: readonly string[];
  readonly clients: readonly string[];
  readonly stop: () => Promise<void>;
}

async function bareSide(): Promise<Side> {
  const server = forkScript('storm-server.ts', [String(PUSH_EVERY_MS), String(WINDOW_MS)], true);
  const port = await server.answer((message: { port?: number }) => message.port);
  const names = Array.from({ length: CLIENTS }, (_, at) => 'x'.repeat(40) + at);
  return { port, members: names.slice(0, MEMBERS), clients: names, stop: () => server.end() };
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
  return { port: server.tcp, members: tokens.slice(0, MEMBERS), clients: tokens.slice(MEMBERS), stop };
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

async function round(side: Side): Promise<Felt> {
  const { port } = side;
  const [members, clients] = [forkScript('storm-members.ts', [], false), forkScript('swarm.ts', [], false)];
  const told = (order: Omit<MembersOrder, 'order' | 'port'>) =>
    members.tell<{ latencies: Latencies }>({ ...order, port } satisfies Omit<MembersOrder, 'order'>);
  const take = async () => (await told({ do: 'take', tokens: [] })).latencies;
  try {
    await Promise.all([members, clients].map((child) => child.answer((message: { ready?: true }) => message.ready)));
    await told({ do: 'connect', tokens: side.members });
    await pause(WARM_UP_MS);
    await take();
    await pause(BEFORE_MS);
    const before = await take();
    const at = now();
    const order = { do: 'connect', port, transport: 'tcp', dialect: 'native', atOnce: AT_ONCE } as const;
    await clients.tell({ ...order, tokens: side.clients } satisfies Omit<SwarmOrder, 'order'>);
    const stormSeconds = (now() - at) / 1_000;
    const storm = await take();
    await pause(SETTLE_MS);
    await take();
    await clients.end('SIGKILL');
    await pause(AFTER_MS);
    return { before, storm, gone: await take(), stormSeconds };
  } finally {
    await clients.end();
    await members.end();
  }
}

async function rounds(): Promise<{ readonly imgo: readonly Felt[]; readonly bare: readonly Felt[] }> {
  const felt = { imgo: [] as Felt[], bare: [] as Felt[] };
  for (let turn = 0; turn < ROUNDS; turn++) {
    for (const [name, start] of [['bare', bareSide] as const, ['imgo', imgoSide] as const]) {
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
  const row = (name: string, of: (felt: Felt) => number, more: Partial<BenchRow> = {}): BenchRow => {
    const each = (side: readonly Felt[]) => side.map((felt) => of(felt).toFixed(of(felt) < 10 ? 2 : 0)).join(' ');
    const note = `rounds ${each(imgo)}; bare ${each(bare)}`;
    return { name, figure: median(imgo.map(of)), reference: median(bare.map(of)), unit: 'ms', note, ...more };
  };
  const bounded = (name: string, of: (felt: Felt) => number): BenchRow => {
    const unbound = row(name, of, { unit: 'of before' });
    return { ...unbound, bound: { most: BOUND * Math.max(1, unbound.reference ?? 1) } };
  };
  return [
    row(`room of ${MEMBERS}, window ${WINDOW_MS} ms: p99 before`, ({ before }) => before.p99),
    row(`p99 while ${CLIENTS} connect`, ({ storm }) => storm.p99),
    bounded('  by so much longer than before', ({ before, storm }) => storm.p99 / before.p99),
    row('until they are connected', ({ stormSeconds }) => stormSeconds, { unit: 's' }),
    row(`the slowest after ${CLIENTS} went at once`, ({ gone }) => gone.max),
    row('p99 of these two seconds', ({ gone }) => gone.p99),
  ];
}

/** The benchmark. */
export const storm: Bench = { name: 'storm', run };
