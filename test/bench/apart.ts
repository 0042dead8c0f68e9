// A push to one user through Kafka and Redis: a logic, a job and a comet as processes of their own beside real brokers, pushes
// at two rates, and the CPU time that each role takes for a message that was delivered. All share this machine's cores, as do
// the clients, so the latencies are those of a machine that is busy.
//
// The reference is what Node alone takes to read a chunk from a loopback socket and to write one, each time woken for it:
// what a role does for a message that comes alone, as often as it must at least. A role that costs less than that has taken
// several messages at once.
//
// BENCH_RATES=1000: that rate only, which is what a profile (BENCH_NODE_OPTIONS=--cpu-prof) should be of.

import { readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import type { BenchResult } from '../../src/bench/figures.js';
import { startKafka } from '../brokers/kafka.js';
import { provision } from '../brokers/provision.js';
import { startRedis } from '../brokers/redis.js';
import { runBenchCommand } from '../harness/bench-command.js';
import { startServer } from '../harness/server.js';
import { bareServer, newFolder } from './measured.js';
import type { Bench, BenchRow } from './row.js';

const CLIENTS = 1_000;
/** V8 takes as long to know the way of a message through three processes. Then the rates, messages a second. */
const WARM_UP = { rate: 3_000, seconds: 25 };
const RATES = (process.env['BENCH_RATES'] ?? '4000,1000').split(',').map(Number);
const SECONDS = 20;
const LOOK_MS = 100;
/** Wakes with something to read and to write that a role cannot do without. */
const TURNS = {
  /** A request and its answer; a record and the broker's. */
  logic: 2,
  /** A fetch, a script, a call of the comet: something to write when the other side has answered. */
  job: 3,
  /** The call and the client's acknowledgement. */
  comet: 2,
} as const;
type Role = keyof typeof TURNS;
const ROLES = Object.keys(TURNS) as Role[];

interface Node {
  readonly pid: number;
  readonly roles: readonly string[];
  readonly http?: string;
  readonly tcp?: string;
}

/** User and system time of a process, in seconds. */
function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** What processes had used, look by look. */
class CpuWatch {
  readonly #pids: ReadonlyMap<string, number>;
  readonly #looks: { readonly at: number; readonly used: ReadonlyMap<string, number> }[] = [];
  readonly #timer = setInterval(() => this.#look(), LOOK_MS);

  constructor(pids: ReadonlyMap<string, number>) {
    this.#pids = pids;
  }

  #look(): void {
    this.#looks.push({ at: Date.now(), used: new Map([...this.#pids].map(([name, pid]) => [name, cpuOf(pid)])) });
  }

  /** CPU seconds of one between two moments, wall ms. */
  between(name: string, from: number, to: number): number {
    const at = (moment: number) => this.#looks.findLast((look) => look.at <= moment)?.used.get(name) ?? Number.NaN;
    return at(to) - at(from);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

interface Measured {
  readonly result: BenchResult;
  /** Microseconds of CPU for a message that was delivered. */
  readonly us: (name: string) => number;
}

/** Waits until a rate has been offered for `seconds`, and reads off what it took. */
async function offer(logic: Node, comet: Node, watch: CpuWatch, rate: number, warmUp: number, seconds: number) {
  const args = ['--json', '--no-reference', '--server', logic.http ?? '', '--clients', `tcp://${comet.tcp}`];
  const load = ['-m', 'user', '-c', `${CLIENTS}`, '-R', `${rate}`, '--dialect', 'native'];
  const times = ['-d', `${seconds}s`, '--warmup', `${warmUp}s`, '--settle', '20s'];
  const { status, stdout, stderr } = await runBenchCommand([...args, ...load, ...times]);
  // Its own limits are judged here by what it says; exit status 98 and 99 come with a result.
  if (!stdout.startsWith('{')) throw new Error(`imgo bench ended (${status}):\n${stderr}`);
  const result = JSON.parse(stdout) as BenchResult;
  const began = Date.parse(result.at);
  const samples = result.samples.filter(({ phase }) => phase === 'measure');
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined) throw new Error('nothing was measured');
  const delivered = last.delivered - first.delivered;
  const us = (name: string): number =>
    (watch.between(name, began + first.seconds * 1_000, began + last.seconds * 1_000) * 1e6) / delivered;
  return { result, us } satisfies Measured;
}

/** Microseconds of CPU that a bare server takes for a chunk that it reads and one that it writes. */
async function bareTurn(): Promise<number> {
  const server = await bareServer('tcp');
  const socket = connect(server.tcp, '127.0.0.1');
  socket.setNoDelay(true);
  const pingPong = async (count: number) => {
    for (let left = count; left > 0; left--) {
      await new Promise<void>((resolve) => {
        socket.once('data', () => resolve());
        socket.write('ping');
      });
    }
  };
  await pingPong(20_000);
  const before = await server.child.usage();
  const count = 40_000;
  await pingPong(count);
  const { cpuSeconds } = await server.child.usage();
  socket.destroy();
  await server.stop();
  return ((cpuSeconds - before.cpuSeconds) * 1e6) / count;
}

function rowsOf(rate: number, { result, us }: Measured, turn: number): readonly BenchRow[] {
  const { latencyMs, lost, gaps, client } = result;
  const all = ROLES.reduce((sum, role) => sum + us(role), 0);
  const turns = ROLES.reduce((sum, role) => sum + TURNS[role], 0);
  const at = `${rate.toLocaleString('en')}/s`;
  const wrong = lost + gaps > 0 ? `; ${lost} lost, ${gaps} gaps` : '';
  const late = client.sentLate > 0.01 ? `; ${(client.sentLate * 100).toFixed(0)} % sent late` : '';
  const slow = (name: string, ms: number, most?: number): BenchRow => ({
    name: `${at}, ${name}, push to socket`,
    figure: ms,
    unit: 'ms',
    ...(most === undefined ? {} : { bound: { most } }),
  });
  const goal = rate === 1_000;
  return [
    {
      name: `${at}, logic, job and comet`,
      figure: all,
      reference: turn * turns,
      unit: 'us a message',
      bound: { most: 110 },
      note: `beside them Kafka ${us('kafka').toFixed(0)}, Redis ${us('redis').toFixed(0)}${wrong}${late}`,
    },
    ...ROLES.map((role) => ({
      name: `${at}, ${role}`,
      figure: us(role),
      reference: turn * TURNS[role],
      unit: 'us a message',
    })),
    slow('p50', latencyMs.p50, goal ? 15 : undefined),
    slow('p99', latencyMs.p99, goal ? 60 : undefined),
  ];
}

async function measure(): Promise<readonly BenchRow[]> {
  await using stack = new AsyncDisposableStack();
  const kafka = stack.use(await startKafka());
  const redis = stack.use(await startRedis());
  const folder = newFolder();
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const server = await startServer(['--nodes', '1', '--kafka', kafka.bootstrap.join(','), '--redis', redis.url], {
    ...{ XDG_STATE_HOME: folder, IMGO_LISTEN__HTTP: '0', IMGO_LISTEN__WS: '0', IMGO_LISTEN__TCP: '0' },
    NODE_OPTIONS: process.env['BENCH_NODE_OPTIONS'] ?? '',
  });
  stack.defer(async () => {
    await server.end('SIGTERM');
  });
  const { nodes } = server.ready as unknown as { readonly nodes: readonly Node[] };
  const pids = new Map<string, number>();
  const of = (role: Role): Node => {
    const node = nodes.find(({ roles }) => roles.includes(role));
    if (node === undefined) throw new Error(`there is no ${role}`);
    return node;
  };
  for (const role of ROLES) pids.set(role, of(role).pid);
  pids.set('kafka', kafka.nodes[0]?.pid ?? 0).set('redis', redis.process.pid ?? 0);
  using watch = new CpuWatch(pids);
  const [logic, comet] = [of('logic'), of('comet')];
  await offer(logic, comet, watch, WARM_UP.rate, 1, WARM_UP.seconds);
  const turn = await bareTurn();
  const rows: BenchRow[] = [];
  for (const rate of RATES) rows.push(...rowsOf(rate, await offer(logic, comet, watch, rate, 4, SECONDS), turn));
  return rows;
}

async function start(): Promise<readonly BenchRow[]> {
  const missing = await provision();
  if (missing.length === 0) return measure();
  console.log(`  Kafka and Redis cannot be started here:\n${missing.map((each) => `  - ${each}\n`).join('')}`);
  return [];
}

export const apart: Bench = { name: 'apart', run: start };
