// What `imgo top` and `imgo tail` promise at size: 100,000 sessions, 50,000 deliveries a second, a view on a terminal of its own.
// How long a key takes to the screen, how much memory the view has, and what it costs the server: its CPU and the latency of its
// deliveries with the view beside the same without, in many pairs of short turns of one run.

import { rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type OnTerminal, onTerminal } from '../harness/pty.js';
import { LAUNCHER, startServer } from '../harness/server.js';
import { cpuSecondsOf, familyOf, peakBytesOf } from './kernel.js';
import { cpuOfDelivery, type Load, type Second, startLoad } from './load.js';
import { newFolder } from './measured.js';
import { paired, shown } from './paired.js';
import type { Bench, BenchRow } from './row.js';

/** Of 20,000 descriptors a process. */
const WORKERS = 6;
/** Sessions that only are there, and those in rooms. */
const IDLE = 98_000;
const MEMBERS = 2_000;
const ROOMS = 2;
/** A message goes to one room of 1,000: 50,000 deliveries a second, with the window of 100 ms some 20,000 writes. */
const RATE = 50;
/** A view is looked at once for so long, then in pairs of turns, with and without it. */
const LONG_MS = 8_000;
const TURN_MS = 2_200;
const SETTLE_MS = 800;
const PAIRS = 10;
/** Between two keys, so that they meet the view at any moment of what it does by itself. */
const KEY_EVERY_MS = 450;
const COLUMNS = 110;
const ROWS = 34;

const BARE_KEYS = 30;

/** A key, and what is on the screen once it was heard and was not before. */
type Press = readonly [key: string, seen: string];

interface View {
  readonly name: string;
  readonly args: readonly string[];
  /** What it shows when it is there. */
  readonly there: string;
  /** In turn, again and again. */
  readonly keys: readonly Press[];
}

const TAIL_KEYS: readonly Press[] = [
  ['?', 'Any key goes back'],
  ['x', 'following'],
  [' ', 'paused, '],
  ['g', 'following'],
  ['f', 'filter: '],
  ['\u001b', 'decode'],
];

const VIEWS: readonly View[] = [
  {
    name: 'top',
    args: ['top'],
    there: 'NODES',
    keys: [
      ['?', 'Any key goes back'],
      ['x', 'NODES'],
      ['2', 'ROOMS'],
      ['4', 'SLOWEST SESSIONS'],
      ['7', 'ALERTS'],
      ['1', 'NODES'],
      ['/', 'Enter filters'],
      ['\u001b', 'views'],
    ],
  },
  { name: 'tail of 1 % of the sessions', args: ['tail', '--sample', '1%'], there: 'following', keys: TAIL_KEYS },
  { name: 'tail of all sessions', args: ['tail', '--sample', '100%'], there: 'following', keys: TAIL_KEYS },
];

/** A turn, and what the server used in it. */
interface Turn {
  readonly from: number;
  readonly to: number;
  readonly cpuOfDelivery: number;
}

/** What a view did in its turns. */
interface Seen {
  readonly keysMs: number[];
  slowest: string;
  peakBytes: number;
  cpuSeconds: number;
  /** For how long it was looked at. */
  seconds: number;
  /** With it, and without it. */
  readonly pairs: [beside: Turn, without: Turn][];
}

// A view.

/** From the byte that is written to the terminal to what it makes on the screen; too long for any view: a minute. */
async function press(terminal: OnTerminal, [key, seen]: Press): Promise<number> {
  const before = terminal.written().length;
  const from = performance.now();
  terminal.type(key);
  await terminal.writes(seen, before);
  return performance.now() - from;
}

async function lookThrough<T>(view: View, http: string, seen: Seen, turn: () => Promise<T>): Promise<T> {
  const env = { ...(process.env as Record<string, string>), TERM: 'xterm-256color', LANG: 'C.UTF-8' };
  const terminal = await onTerminal([LAUNCHER, ...view.args, '--server', http], env, COLUMNS, ROWS);
  try {
    await terminal.writes(view.there);
    await pause(SETTLE_MS);
    const from = performance.now();
    const cpuBefore = cpuSecondsOf([terminal.pid]);
    let over = false;
    const keys = (async () => {
      for (let at = 0; !over; at++) {
        const key = view.keys[at % view.keys.length] as Press;
        const ms = await press(terminal, key);
        if (ms > Math.max(0, ...seen.keysMs)) seen.slowest = JSON.stringify(key[0]);
        seen.keysMs.push(ms);
        await pause(KEY_EVERY_MS * (0.5 + Math.random()));
      }
    })();
    const turned = await turn();
    seen.cpuSeconds += cpuSecondsOf([terminal.pid]) - cpuBefore;
    seen.seconds += (performance.now() - from) / 1_000;
    over = true;
    await keys;
    seen.peakBytes = Math.max(seen.peakBytes, peakBytesOf(terminal.pid));
    return turned;
  } finally {
    terminal.type('\u0003');
    await terminal.ended;
  }
}

/** How long the way through the terminal itself takes: a program that says each key again. */
async function bareKeys(): Promise<number> {
  const echo =
    "process.stdin.setRawMode(true).on('data', (key) => process.stdout.write('<' + key + '>')); console.log('there')";
  const terminal = await onTerminal([process.execPath, '-e', echo], process.env as Record<string, string>);
  await terminal.writes('there');
  const took: number[] = [];
  for (let at = 0; at < BARE_KEYS; at++) {
    const key = String.fromCharCode(97 + (at % 26));
    took.push(await press(terminal, [key, `<${key}>`]));
    await pause(20);
  }
  terminal.kill('SIGKILL');
  await terminal.ended;
  return middle(took);
}

// What came of it.

function middle(figures: readonly number[]): number {
  const sorted = [...figures].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[half] as number) : ((sorted[half - 1] ?? 0) + (sorted[half] ?? 0)) / 2;
}

function meanOf(figures: readonly number[]): number {
  return figures.reduce((sum, one) => sum + one, 0) / figures.length;
}

function rowsOf(view: View, seen: Seen, bareMs: number, load: readonly Second[]): BenchRow[] {
  const within = ({ from, to }: Turn) => load.filter(({ at }) => at - 1_000 >= from && at <= to);
  const p99 = (turn: Turn) => meanOf(within(turn).map(({ p99Ms }) => p99Ms));
  const pairsOf = (of: (turn: Turn) => number) =>
    paired(
      seen.pairs
        .map(([beside, without]) => [of(beside), of(without)] as const)
        .filter((pair) => !pair.some(Number.isNaN)),
    );
  const cpu = pairsOf(({ cpuOfDelivery: seconds }) => 1e6 * seconds);
  const latency = pairsOf(p99);
  const seconds = seen.pairs.flatMap(([beside]) => within(beside));
  const rate = `${Math.round(meanOf(seconds.map(({ delivered }) => delivered))).toLocaleString('en')} deliveries/s`;
  const idle = `machine ${Math.round(100 * meanOf(seconds.map((one) => one.idle)))} % idle`;
  const { keysMs } = seen;
  const ms = { unit: 'ms', bound: { most: 100 } };
  const own = (1_000 * seen.cpuSeconds) / seen.seconds;
  return [
    { name: `${view.name}: a key to the screen, p50`, figure: middle(keysMs), reference: bareMs, ...ms },
    {
      name: `${view.name}: the slowest of ${keysMs.length} keys`,
      figure: Math.max(...keysMs),
      ...ms,
      note: seen.slowest,
    },
    {
      name: `${view.name}: resident memory, peak`,
      figure: seen.peakBytes / 1e6,
      unit: 'MB',
      bound: { most: 150 },
      note: `${own.toFixed(0)} ms of CPU a second of its own`,
    },
    {
      name: `${view.name}: p99 of deliveries`,
      figure: latency.with,
      reference: latency.without,
      ratio: latency.ratio,
      unit: 'ms',
      bound: { ratio: 1.05 },
      note: `${shown(latency)}; ${rate}, ${idle}`,
    },
    {
      name: `${view.name}: CPU of the server`,
      figure: cpu.with,
      reference: cpu.without,
      ratio: cpu.ratio,
      unit: 'us/delivery',
      bound: { ratio: 1.05 },
      note: shown(cpu),
    },
  ];
}

async function run(): Promise<readonly BenchRow[]> {
  const bareMs = await bareKeys();
  const folder = newFolder();
  const ofServer = ['--memory', '--http', '0', '--ws', 'off', '--tcp', '0', '--workers', `${WORKERS}`];
  const server = await startServer(ofServer);
  const { http, pid } = server.ready;
  // What a view needs to begin and to end is in no turn.
  const measuredMs = VIEWS.length * (LONG_MS + PAIRS * (2 * TURN_MS + SETTLE_MS + 1_500) + 3_000) + 10_000;
  const idle = startLoad(server.ready, folder, ['--mode=idle', `--conns=${IDLE}`], measuredMs + 60_000);
  let load: Load | undefined;
  try {
    await idle.measures;
    const inRooms = ['--mode=room', `--conns=${MEMBERS}`, `--rooms=${ROOMS}`, `--rate=${RATE}`];
    load = startLoad(server.ready, folder, inRooms, measuredMs);
    await load.measures;
    const family = familyOf(pid);
    await pause(2_000);
    const turn = async (): Promise<Turn> => {
      const from = Date.now();
      const seconds = await cpuOfDelivery(http, family, TURN_MS);
      return { from, to: Date.now(), cpuOfDelivery: seconds };
    };
    const settled = async () => {
      await pause(SETTLE_MS);
      return turn();
    };
    const all = new Map<View, Seen>();
    for (const view of VIEWS) {
      const seen: Seen = { keysMs: [], slowest: '', peakBytes: 0, cpuSeconds: 0, seconds: 0, pairs: [] };
      all.set(view, seen);
      await lookThrough(view, http, seen, () => pause(LONG_MS));
      for (let at = 0; at < PAIRS; at++) {
        // Each way comes first as often as the other.
        const before = at % 2 === 0 ? await settled() : undefined;
        const beside = await lookThrough(view, http, seen, turn);
        seen.pairs.push([beside, before ?? (await settled())]);
      }
    }
    const seconds = await load.seconds;
    return VIEWS.flatMap((view) => rowsOf(view, all.get(view) as Seen, bareMs, seconds));
  } finally {
    load?.end();
    idle.end();
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The benchmark. */
export const views: Bench = { name: 'views', run };
