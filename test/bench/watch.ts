// What a stream of events costs the server that tells it: CPU of all its processes for a delivery, with the stream beside the same
// without, in many short turns over one running server. Nothing else reads the stream, so that the server alone is in it.

import { rmSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { startServer } from '../harness/server.js';
import { familyOf } from './kernel.js';
import { cpuOfDelivery, startLoad } from './load.js';
import { newFolder } from './measured.js';
import { type Paired, paired, shown } from './paired.js';
import type { Bench, BenchRow } from './row.js';

const WORKERS = 6;
/** 50,000 deliveries a second, with the window of 100 ms in some 20,000 writes. */
const LOAD = ['--mode=room', '--conns=2000', '--rooms=2', '--rate=50'];
/** Many windows: each turn has its share of sweeps. */
const TURN_MS = 1_000;
/** For a stream to begin, or to have ended. */
const SETTLE_MS = 200;
const PAIRS = 40;

interface Watched {
  readonly name: string;
  /** Of GET /v1/events. */
  readonly query: string;
}

const STREAMS: readonly Watched[] = [
  { name: 'a stream of opens and closes', query: 'event=open,close' },
  { name: 'a stream of 1 % of the sessions', query: 'sample=0.01' },
];

/** What a stream brought. */
interface Seen {
  events: number;
  dropped: number;
}

/** Opens a stream; what comes is counted and forgotten. Resolves with how to end it. */
async function watching(http: string, query: string, seen: Seen): Promise<() => void> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(`${http}/v1/events?${query}`, resolve).once('error', reject);
  });
  if (response.statusCode !== 200) throw new Error(`/v1/events answers ${response.statusCode}`);
  response.setEncoding('latin1').on('data', (text: string) => {
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) seen.events++;
    for (const [, count] of text.matchAll(/"event":"dropped","at":\d+,"count":(\d+)/g)) seen.dropped += Number(count);
  });
  response.once('error', () => {});
  return () => void response.destroy();
}

function rowOf({ name }: Watched, figures: Paired, { events, dropped }: Seen): BenchRow {
  const seconds = (figures.pairs * (TURN_MS + SETTLE_MS)) / 1_000;
  const each = `${Math.round(events / seconds)} events/s, ${Math.round(dropped / seconds)} dropped/s`;
  const us = { figure: 1e6 * figures.with, reference: 1e6 * figures.without, unit: 'CPU us/delivery' };
  return { name, ...us, ratio: figures.ratio, bound: { ratio: 1.05 }, note: `${shown(figures)}; ${each}` };
}

async function run(): Promise<readonly BenchRow[]> {
  const folder = newFolder();
  const server = await startServer(['--memory', '--http', '0', '--ws', 'off', '--tcp', '0', '--workers', `${WORKERS}`]);
  const { http, pid } = server.ready;
  const load = startLoad(server.ready, folder, LOAD, 3_600_000);
  try {
    await load.measures;
    await pause(3_000);
    const family = familyOf(pid);
    const pairs = new Map(STREAMS.map((stream) => [stream, [] as [number, number][]]));
    const seen = new Map(STREAMS.map((stream) => [stream, { events: 0, dropped: 0 } as Seen]));
    const without = async () => {
      await pause(SETTLE_MS);
      return cpuOfDelivery(http, family, TURN_MS);
    };
    for (let at = 0; at < PAIRS; at++) {
      for (const stream of STREAMS) {
        // Each way comes first as often as the other.
        const before = at % 2 === 0 ? await without() : undefined;
        const end = await watching(http, stream.query, seen.get(stream) as Seen);
        await pause(SETTLE_MS);
        const beside = await cpuOfDelivery(http, family, TURN_MS);
        end();
        pairs.get(stream)?.push([beside, before ?? (await without())]);
      }
    }
    return STREAMS.map((stream) => rowOf(stream, paired(pairs.get(stream) ?? []), seen.get(stream) as Seen));
  } finally {
    load.end();
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The benchmark. */
export const watch: Bench = { name: 'watch', run };
