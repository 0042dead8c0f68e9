// What watching costs: CPU of a whole server that makes 50,000 deliveries a second to a room, with a stream of events beside
// the same without, in turns within one run. The clients and the reader are other processes.

import { setTimeout as pause } from 'node:timers/promises';
import { EventReader } from '../harness/events.js';
import { type Child, forkScript, imgoServer, type MeasuredServer, makeTokens, median, newFolder } from './measured.js';
import type { Bench, BenchRow } from './row.js';
import type { SwarmOrder } from './swarm.js';

const SESSIONS = 5_000;
/** A push a window: each is a sweep, each member a write. The most that there is to be told. */
const PUSHES_PER_SECOND = 10;
const SECONDS = 2;
const ROUNDS = 18;
/** After a watched turn: what is under way ends, and the watch with it. */
const SETTLE_MS = 200;

/** What is watched; the last one comes near to all that a stream may be given. */
const WATCHES: readonly (readonly [name: string, query: string])[] = [
  ['all but frames', '?event=open,close,held,released,lag,gap,join,leave,flush,accepted,applied,notified'],
  ['and frames of 1 % of the sessions', '?sample=1%25'],
  ['and frames of 20 % of the sessions', '?sample=20%25'],
];

async function connect(swarm: Child, port: number, tokens: readonly string[]): Promise<void> {
  const order: SwarmOrder = { order: 1, do: 'connect', port, tokens, transport: 'tcp', dialect: 'imgo' };
  const answered = swarm.answer((message: { order?: number; failed?: string }) =>
    message.order === order.order ? message : undefined,
  );
  swarm.process.send(order);
  const { failed } = await answered;
  if (failed !== undefined) throw new Error(`the clients: ${failed}`);
}

async function push(http: string): Promise<void> {
  const body = JSON.stringify({ to: { room: '1' }, message: { test: 1 } });
  const answer = await fetch(`${http}/v1/push`, { method: 'POST', body });
  if (!answer.ok) throw new Error(`a push: ${answer.status} ${await answer.text()}`);
  await answer.arrayBuffer();
}

/** CPU seconds of the server for as many pushes as the time has, at their rate. */
async function turn({ child, http }: MeasuredServer, seconds: number): Promise<number> {
  const before = (await child.usage()).cpuSeconds;
  const from = performance.now();
  for (let sent = 1; sent <= seconds * PUSHES_PER_SECOND; sent++) {
    await push(http);
    await pause(Math.max(1, from + (sent * 1_000) / PUSHES_PER_SECOND - performance.now()));
  }
  return (await child.usage()).cpuSeconds - before;
}

/** One watched turn, with how many events a second came of it and were counted as dropped. */
async function watched(server: MeasuredServer, query: string) {
  const reader = await EventReader.begin(server.http, query);
  const cpuSeconds = await turn(server, SECONDS);
  reader.close();
  const dropped = reader.events.reduce((sum, one) => sum + (one.event === 'dropped' ? one.count : 0), 0);
  await pause(SETTLE_MS);
  return { cpuSeconds, events: reader.events.length / SECONDS, dropped: dropped / SECONDS };
}

/**
 * Turns with and without, one after the other. What else the machine does only ever adds to the CPU time of a turn, so the
 * cheapest third of the turns of each kind says what they cost.
 */
async function measure(server: MeasuredServer, name: string, query: string): Promise<BenchRow> {
  const alone: number[] = [];
  const beside: number[] = [];
  let events = 0;
  let dropped = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const seen = await watched(server, query);
    alone.push((await turn(server, SECONDS)) / SECONDS);
    beside.push(seen.cpuSeconds / SECONDS);
    events += seen.events / ROUNDS;
    dropped += seen.dropped / ROUNDS;
  }
  const [figure, reference] = [cheapest(beside), cheapest(alone)];
  const medians = `medians x${(median(beside) / median(alone)).toFixed(2)}`;
  const note = `${Math.round(events)} events/s, ${Math.round(dropped)} dropped/s; ${medians}`;
  return { name: `a stream of ${name}`, figure, reference, unit: 'CPU s/s', bound: { most: 1.05 * reference }, note };
}

function cheapest(figures: readonly number[]): number {
  const third = [...figures].sort((a, b) => a - b).slice(0, Math.ceil(figures.length / 3));
  return third.reduce((sum, one) => sum + one, 0) / third.length;
}

async function run(): Promise<readonly BenchRow[]> {
  const server = await imgoServer(newFolder());
  const swarm = forkScript('swarm.ts', [], false);
  try {
    await swarm.answer((message: { ready?: true }) => message.ready);
    await connect(swarm, server.tcp, await makeTokens(server.http, SESSIONS));
    for (let round = 0; round < 3; round++) await turn(server, SECONDS);
    const rows: BenchRow[] = [];
    for (const [name, query] of WATCHES) rows.push(await measure(server, name, query));
    return rows;
  } finally {
    await swarm.end();
    await server.stop();
  }
}

/** The benchmark. */
export const watch: Bench = { name: 'watch', run };
