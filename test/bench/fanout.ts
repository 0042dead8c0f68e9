// Fan-out: flushes and deliveries for a CPU second of the comet, beside a bare loop that writes the same bytes to the same
// sockets. They take turns within one process, so that both see the same machine; the receivers are a process of their own.

import { setTimeout as pause } from 'node:timers/promises';
import type { FanOutOrder, FanOutResult } from './fanout-server.js';
import { type Child, forkScript, median } from './measured.js';
import type { Bench, BenchRow } from './row.js';
import type { SwarmOrder } from './swarm.js';

/** imgo's published case in small; below the 14,000 that one address takes, and the descriptors of a process. */
const SOCKETS = 10_000;
const ROUNDS = 5;
/** Turns of a round; of each some 60 ms are work on an idle machine. */
const TURNS = 6;
const ROOM_SECONDS = 6;
const SETTLE_MS = 200;
/** What has been written must have been read by then. */
const ARRIVAL_MS = 20_000;

/** A comet with its receivers. */
class Bed {
  readonly #server: Child;
  readonly #swarm: Child;
  #orders = 0;

  constructor(windowMs: number) {
    this.#server = forkScript('fanout-server.ts', [String(windowMs)], { probed: true });
    this.#swarm = forkScript('swarm.ts');
  }

  async start(): Promise<void> {
    const ready = this.#swarm.answer((message: { ready?: true }) => message.ready);
    const port = await this.#server.answer((message: { port?: number }) => message.port);
    await ready;
    await this.#tell(
      'connect',
      port,
      Array.from({ length: SOCKETS }, (_, at) => `u${at}`),
    );
  }

  /** One round; every byte that was written must have been read at its end. */
  async work(what: FanOutOrder['do'], turns: number): Promise<FanOutResult> {
    const before = await this.#tell('count');
    const order: FanOutOrder = { order: ++this.#orders, do: what, turns, seconds: ROOM_SECONDS };
    const done = this.#server.answer((message: FanOutResult) => (message.order === order.order ? message : undefined));
    this.#server.process.send(order);
    const result = await done;
    const until = performance.now() + ARRIVAL_MS;
    for (;;) {
      const lost = result.bytes - ((await this.#tell('count')) - before);
      if (lost === 0) return result;
      if (performance.now() > until) throw new Error(`${what}: ${lost} bytes of ${result.bytes} did not arrive`);
      await pause(SETTLE_MS);
    }
  }

  async end(): Promise<void> {
    await this.#swarm.end();
    await this.#server.end();
  }

  /** Returns how many bytes the receivers have read since their greetings were answered. */
  async #tell(what: SwarmOrder['do'], port = 0, tokens: readonly string[] = []): Promise<number> {
    const order: SwarmOrder = { order: ++this.#orders, do: what, port, tokens, transport: 'tcp', dialect: 'imgo' };
    const answered = this.#swarm.answer((message: { order?: number; failed?: string; received?: number }) =>
      message.order === order.order ? message : undefined,
    );
    this.#swarm.process.send(order);
    const { failed, received = 0 } = await answered;
    if (failed !== undefined) throw new Error(`the receivers: ${failed}`);
    return received;
  }
}

/** Rounds of one kind of work; the first one warms up. */
async function measure(bed: Bed, what: FanOutOrder['do'], turns: number, per: 'flushes' | 'deliveries') {
  const rounds: FanOutResult[] = [];
  await bed.work(what, 1);
  for (let round = 0; round < ROUNDS; round++) rounds.push(await bed.work(what, turns));
  const rate = (side: 'comet' | 'bare') => rounds.map((round) => round[side][per] / round[side].cpuSeconds);
  const [figures, references] = [rate('comet'), rate('bare')];
  const ratios = figures.map((figure, at) => figure / (references[at] as number));
  const note = `rounds ${ratios.map((ratio) => `x${ratio.toFixed(2)}`).join(' ')}`;
  return { figure: median(figures), reference: median(references), note };
}

async function run(): Promise<readonly BenchRow[]> {
  const rows: BenchRow[] = [];
  const atOnce = new Bed(0);
  try {
    await atOnce.start();
    const unit = 'flushes/CPU s';
    const sweeps = await measure(atOnce, 'sweeps', TURNS, 'flushes');
    const users = await measure(atOnce, 'users', TURNS, 'flushes');
    const least = (of: { reference: number }) => ({ least: 0.8 * of.reference });
    rows.push({ name: `one push to a room of ${SOCKETS}`, ...sweeps, unit, bound: least(sweeps) });
    rows.push({ name: `one push to each of ${SOCKETS} users`, ...users, unit, bound: least(users) });
  } finally {
    await atOnce.end();
  }
  const coalescing = new Bed(1_000);
  try {
    await coalescing.start();
    const room = await measure(coalescing, 'room', 1, 'deliveries');
    rows.push({
      name: `40 pushes/s to a room of ${SOCKETS}, 1 s window`,
      ...room,
      unit: 'del./CPU s',
      bound: { least: 5_000_000 },
    });
  } finally {
    await coalescing.end();
  }
  return rows;
}

/** The benchmark. */
export const fanout: Bench = { name: 'fanout', run };
