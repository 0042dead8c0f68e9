// Fan-out: flushes and deliveries for a CPU second of the comet, beside bare writes of shared memory to as many sockets by a
// process of the same shape. Rounds alternate, so that both see the same machine; the receivers are processes of their own.

import { setTimeout as pause } from 'node:timers/promises';
import type { FanOutOrder, FanOutResult } from './fanout-server.js';
import { type Child, forkScript, median } from './measured.js';
import type { Bench, BenchRow } from './row.js';
import type { SwarmDialect, SwarmOrder } from './swarm.js';

/** imgo's published case in small; below the 14,000 that one address takes, and the descriptors of a process. */
const SOCKETS = 10_000;
const WARM_UPS = 1;
const ROUNDS = 5;
const SETTLE_MS = 300;
/** What has been written must have been read by then. */
const ARRIVAL_MS = 20_000;

/** A server with its receivers. */
class Side {
  readonly #server: Child;
  readonly #swarm: Child;
  readonly #dialect: SwarmDialect;
  #orders = 0;

  private constructor(server: Child, swarm: Child, dialect: SwarmDialect) {
    this.#server = server;
    this.#swarm = swarm;
    this.#dialect = dialect;
  }

  static async start(kind: 'comet' | 'bare', windowMs: number): Promise<Side> {
    const server = forkScript('fanout-server.ts', [kind, String(windowMs)], true);
    const swarm = forkScript('swarm.ts', [], false);
    const side = new Side(server, swarm, kind === 'bare' ? 'bare' : 'imgo');
    const ready = swarm.answer((message: { ready?: true }) => message.ready);
    const port = await server.answer((message: { port?: number }) => message.port);
    await ready;
    await side.#give({ do: 'connect', port, tokens: Array.from({ length: SOCKETS }, (_, at) => `u${at}`) });
    return side;
  }

  /** One round of work. */
  async work(what: FanOutOrder['do'], count: number): Promise<FanOutResult> {
    const order: FanOutOrder = { order: ++this.#orders, do: what, count };
    const done = this.#server.answer((message: FanOutResult) => (message.order === order.order ? message : undefined));
    this.#server.process.send(order);
    return done;
  }

  /** What has been read so far, over all sockets, without the answers to their greetings. */
  async received(): Promise<number> {
    const { received } = await this.#give({ do: 'count', port: 0, tokens: [] });
    return received ?? 0;
  }

  async end(): Promise<void> {
    await this.#swarm.end();
    await this.#server.end();
  }

  async #give(what: Pick<SwarmOrder, 'do' | 'port' | 'tokens'>): Promise<{ readonly received?: number }> {
    const order: SwarmOrder = { ...what, order: ++this.#orders, transport: 'tcp', dialect: this.#dialect };
    const answered = this.#swarm.answer((message: { order?: number; failed?: string; received?: number }) =>
      message.order === order.order ? message : undefined,
    );
    this.#swarm.process.send(order);
    const answer = await answered;
    if (answer.failed !== undefined) throw new Error(`the receivers: ${answer.failed}`);
    return answer;
  }
}

/** Rounds of the same work on both, in turns. */
async function compare(comet: Side, bare: Side, what: FanOutOrder['do'], count: number) {
  const figures: number[] = [];
  const references: number[] = [];
  for (let round = 0; round < WARM_UPS + ROUNDS; round++) {
    for (const [side, rates] of [
      [comet, figures],
      [bare, references],
    ] as const) {
      const before = await side.received();
      const result = await side.work(what, round < WARM_UPS ? Math.min(count, 2) : count);
      const until = performance.now() + ARRIVAL_MS;
      let lost = result.bytes - ((await side.received()) - before);
      for (; lost !== 0 && performance.now() < until; lost = result.bytes - ((await side.received()) - before)) {
        await pause(SETTLE_MS);
      }
      if (lost !== 0) throw new Error(`${what}: ${lost} bytes of ${result.bytes} did not arrive`);
      const { steady } = result;
      const rate = steady === undefined ? result.flushes / result.cpuSeconds : steady.deliveries / steady.cpuSeconds;
      if (round >= WARM_UPS) rates.push(rate);
    }
  }
  const ratios = figures.map((figure, at) => figure / (references[at] as number));
  return { figure: median(figures), reference: median(references), ratios };
}

async function run(): Promise<readonly BenchRow[]> {
  const bare = await Side.start('bare', 0);
  const rows: BenchRow[] = [];
  const add = (name: string, unit: string, result: Awaited<ReturnType<typeof compare>>, least: number) => {
    const { figure, reference, ratios } = result;
    const note = `rounds ${ratios.map((ratio) => `x${ratio.toFixed(2)}`).join(' ')}`;
    rows.push({ name, figure, reference, unit, bound: { least }, note });
  };
  try {
    const quick = await Side.start('comet', 0);
    try {
      const sweeps = await compare(quick, bare, 'sweeps', 8);
      add(`topic sweep, ${SOCKETS} members, 26 bytes`, 'flushes/CPU s', sweeps, 0.8 * sweeps.reference);
      const users = await compare(quick, bare, 'users', 8);
      add(`one push each, ${SOCKETS} users`, 'flushes/CPU s', users, 0.8 * users.reference);
    } finally {
      await quick.end();
    }
    const room = await Side.start('comet', 1_000);
    try {
      const deliveries = await compare(room, bare, 'room', 4);
      add(`room, 40/s to ${SOCKETS}, 1 s window`, 'del./CPU s', deliveries, 5_000_000);
    } finally {
      await room.end();
    }
  } finally {
    await bare.end();
  }
  return rows;
}

/** The benchmark. */
export const fanout: Bench = { name: 'fanout', run };
