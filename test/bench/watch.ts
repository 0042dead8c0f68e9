// What watching costs: CPU of a comet that makes 50,000 deliveries a second to a room, with a stream of events beside the same
// without, in turns of a second or so within one process. The clients are another process.

import type { EventFilter } from '../../src/server/observe/events.js';
import type { WatchOrder, WatchResult } from './fanout-server.js';
import { type Child, forkScript } from './measured.js';
import type { Bench, BenchRow } from './row.js';
import type { SwarmOrder } from './swarm.js';

/** Five sweeps a second (fanout-server.ts), a write to each member: the most that there is to be told. */
const SOCKETS = 10_000;
const SWEEPS = 5;
const TURNS = 21;

/** What is watched; the last one asks for more than a stream is given. */
const WATCHES: readonly (readonly [name: string, filter: EventFilter])[] = [
  [
    'a stream without frames',
    { events: ['open', 'close', 'held', 'released', 'lag', 'gap', 'join', 'leave', 'flush'] },
  ],
  ['a stream with frames of 1 % of the sessions', { sample: 0.01 }],
  ['a stream with frames of 10 % of the sessions', { sample: 0.1 }],
];

async function tell(swarm: Child, port: number): Promise<void> {
  const tokens = Array.from({ length: SOCKETS }, (_, at) => `u${at}`);
  const order: SwarmOrder = { order: 1, do: 'connect', port, tokens, transport: 'tcp', dialect: 'imgo' };
  const answered = swarm.answer((message: { order?: number; failed?: string }) =>
    message.order === order.order ? message : undefined,
  );
  swarm.process.send(order);
  const { failed } = await answered;
  if (failed !== undefined) throw new Error(`the receivers: ${failed}`);
}

async function measure(server: Child, order: WatchOrder): Promise<WatchResult> {
  const done = server.answer((message: WatchResult) => (message.order === order.order ? message : undefined));
  server.process.send(order);
  return done;
}

/** What else a machine does only ever adds to the CPU time of a sweep: its cheapest third says what it costs. */
function cheapest(figures: readonly number[]): number {
  const third = [...figures].sort((a, b) => a - b).slice(0, Math.ceil(figures.length / 3));
  return third.reduce((sum, one) => sum + one, 0) / third.length;
}

type Three = [figure: number, reference: number, control: number];

function rowOf(name: string, { alone, watched, again, events, dropped }: WatchResult): BenchRow {
  const [figure, reference, control] = [watched, alone, again].map((one) => cheapest(one) * 1_000) as Three;
  const seconds = watched.length / 5;
  const each = `${Math.round(events / seconds)} events/s, ${Math.round(dropped / seconds)} dropped/s`;
  const same = `the same without a stream again: x${(control / reference).toFixed(2)}`;
  // Where the same twice differs by more, no more can be said.
  const bound = { most: 1.05 * Math.max(reference, control) };
  return { name, figure, reference, unit: 'CPU ms/sweep', bound, note: `${each}; ${same}` };
}

async function run(): Promise<readonly BenchRow[]> {
  const swarm = forkScript('swarm.ts');
  const server = forkScript('fanout-server.ts', ['0'], { probed: true });
  try {
    const ready = swarm.answer((message: { ready?: true }) => message.ready);
    const port = await server.answer((message: { port?: number }) => message.port);
    await ready;
    await tell(swarm, port);
    const order = { do: 'watched', sweeps: SWEEPS } as const;
    await measure(server, { ...order, order: 1, filter: { sample: 0.1 }, turns: 2 });
    const rows: BenchRow[] = [];
    for (const [name, filter] of WATCHES) {
      const result = await measure(server, { ...order, order: rows.length + 2, filter, turns: TURNS });
      rows.push(rowOf(name, result));
    }
    return rows;
  } finally {
    await swarm.end();
    await server.end();
  }
}

/** The benchmark. */
export const watch: Bench = { name: 'watch', run };
