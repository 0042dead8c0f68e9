// What `imgo top` and `imgo tail` promise at size: 100,000 sessions, 50,000 deliveries a second, a view on a terminal of its own.
// How long a key takes to the screen, how much memory the view has, and what it costs the server: its CPU and the latency of its
// deliveries with the view beside the same without, in turns of one run.

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { type OnTerminal, onTerminal } from '../harness/pty.js';
import { LAUNCHER, startServer } from '../harness/server.js';
import { newFolder } from './measured.js';
import type { Bench, BenchRow } from './row.js';

/** Of 20,000 descriptors a process. */
const WORKERS = 6;
/** Sessions that only are there, and those in rooms. */
const IDLE = 80_000;
const MEMBERS = 20_000;
const ROOMS = 20;
/** A message goes to one room of 1,000: 50,000 deliveries a second. With a window of 1 s they are 20,000 writes. */
const RATE = 50;
const WINDOW = '1s';
const TURN_MS = 11_000;
/** Pairs of turns, without and with each view. */
const PAIRS = 2;
const KEYS_A_TURN = 15;
/** Between two keys, so that they meet the view at any moment of what it does by itself. */
const KEY_EVERY_MS = 450;
const COLUMNS = 110;
const ROWS = 34;

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
  readonly view: View | undefined;
  readonly from: number;
  readonly to: number;
  readonly cpuSeconds: number;
}

/** What a view did in its turns. */
interface Seen {
  readonly keysMs: number[];
  slowest: string;
  peakBytes: number;
  cpuSeconds: number;
}

/** A second of the load, as `imgo bench --out` has it. */
interface Second {
  readonly at: number;
  readonly delivered: number;
  readonly p99Ms: number;
  readonly idle: number;
}

// What the kernel knows of processes.

function statOf(pid: number): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /, '')
      .split(' ');
  } catch {
    return [];
  }
}

/** Hundredths of a second, user and system. */
function cpuSecondsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    const fields = statOf(pid);
    return sum + (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100;
  }, 0);
}

/** A process and those that it has started. */
function familyOf(pid: number): readonly number[] {
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return [pid, ...all.map(Number).filter((one) => Number(statOf(one)[1]) === pid)];
}

function peakBytesOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1_024;
}

// The load.

interface Addresses {
  readonly http: string;
  readonly tcp: string;
}

interface Load {
  /** Resolves when it measures. */
  readonly measures: Promise<void>;
  readonly seconds: Promise<readonly Second[]>;
  readonly end: () => void;
}

/** Sessions of `imgo bench` for so long. */
function startLoad({ http, tcp }: Addresses, folder: string, load: readonly string[], durationMs: number): Load {
  const out = join(folder, `${load.join('')}.json`);
  const ofClients = ['--dialect', 'native', '--clients', `tcp://${tcp}`, '--duration', `${durationMs}ms`];
  const args = ['bench', '--server', http, ...ofClients, ...load, '--no-reference', '--out', out];
  const child = spawn(LAUNCHER, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  const measures = new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      said = line;
      if (line.startsWith('MEASURE')) resolve();
    });
    child.once('exit', () => reject(new Error(`the load ended: ${said}`)));
  });
  const seconds = new Promise<readonly Second[]>((resolve, reject) => {
    child.once('exit', (status) => {
      try {
        resolve(secondsOf(readFileSync(out, 'utf8')));
      } catch (error) {
        reject(new Error(`the load ended with ${status}: ${said}`, { cause: error }));
      }
    });
  });
  seconds.catch(() => {});
  return { measures, seconds, end: () => void child.kill('SIGKILL') };
}

function secondsOf(text: string): readonly Second[] {
  const result = JSON.parse(text) as {
    readonly at: string;
    readonly lost: number;
    readonly samples: readonly {
      readonly seconds: number;
      readonly phase: string;
      readonly delivered: number;
      readonly latencyMs: { readonly p99: number } | null;
      readonly machine: { readonly idle: number };
    }[];
  };
  if (result.lost > 0) throw new Error(`${result.lost} messages were lost`);
  const began = Date.parse(result.at);
  return result.samples.flatMap(({ seconds, phase, delivered, latencyMs, machine }, index) => {
    if (phase !== 'measure' || latencyMs === null) return [];
    const rate = delivered - (result.samples[index - 1]?.delivered ?? 0);
    return [{ at: began + seconds * 1_000, delivered: rate, p99Ms: latencyMs.p99, idle: machine.idle }];
  });
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

async function lookThrough(view: View, http: string, seen: Seen, turn: () => Promise<void>): Promise<void> {
  const env = { ...(process.env as Record<string, string>), TERM: 'xterm-256color', LANG: 'C.UTF-8' };
  const terminal = await onTerminal([LAUNCHER, ...view.args, '--server', http], env, COLUMNS, ROWS);
  try {
    await terminal.writes(view.there);
    await pause(1_000);
    const cpuBefore = cpuSecondsOf([terminal.pid]);
    let over = false;
    const keys = (async () => {
      for (let at = 0; at < KEYS_A_TURN && !over; at++) {
        const key = view.keys[at % view.keys.length] as Press;
        const ms = await press(terminal, key);
        if (ms > Math.max(0, ...seen.keysMs)) seen.slowest = JSON.stringify(key[0]);
        seen.keysMs.push(ms);
        await pause(KEY_EVERY_MS * (0.5 + Math.random()));
      }
    })();
    await turn();
    over = true;
    await keys;
    seen.cpuSeconds += cpuSecondsOf([terminal.pid]) - cpuBefore;
    seen.peakBytes = Math.max(seen.peakBytes, peakBytesOf(terminal.pid));
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
  for (let at = 0; at < 2 * KEYS_A_TURN; at++) {
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

function rowsOf(view: View, seen: Seen, bareMs: number, turns: readonly Turn[], load: readonly Second[]): BenchRow[] {
  const within = ({ from, to }: Turn) => load.filter(({ at }) => at > from && at <= to);
  const p99 = (some: readonly Turn[]) => middle(some.flatMap(within).map(({ p99Ms }) => p99Ms));
  const cpu = (some: readonly Turn[]) =>
    middle(some.map(({ from, to, cpuSeconds }) => (1e6 * cpuSeconds) / (to - from)));
  const withIt = turns.filter((turn) => turn.view === view);
  // Those before and after each: what else goes on is the same for them.
  const before = withIt.flatMap((turn) => turns[turns.indexOf(turn) - 1] ?? []);
  const after = withIt.flatMap((turn) => turns[turns.indexOf(turn) + 1] ?? []);
  const without = [...new Set([...before, ...after])];
  const control = (of: (some: readonly Turn[]) => number) => {
    const ratio = of(after) / of(before);
    return `after it as before it: x${ratio.toFixed(2)}`;
  };
  // Where the same twice differs by more, no more can be said.
  const most = (of: (some: readonly Turn[]) => number) => 1.05 * Math.max(of(before), of(after), of(without));
  const seconds = withIt.flatMap(within);
  const mean = (of: (one: Second) => number) => seconds.reduce((sum, one) => sum + of(one), 0) / seconds.length;
  const rate = `${Math.round(mean(({ delivered }) => delivered)).toLocaleString('en')} deliveries/s`;
  const idle = `machine ${Math.round(100 * mean((one) => one.idle))} % idle`;
  const { keysMs } = seen;
  const ms = { unit: 'ms', bound: { most: 100 } };
  const own = (1_000 * seen.cpuSeconds) / ((withIt.length * TURN_MS) / 1_000);
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
      figure: p99(withIt),
      reference: p99(without),
      unit: 'ms',
      bound: { most: most(p99) },
      note: `${control(p99)}; ${rate}, ${idle}`,
    },
    {
      name: `${view.name}: CPU of the server`,
      figure: cpu(withIt),
      reference: cpu(without),
      unit: 'CPU ms/s',
      bound: { most: most(cpu) },
      note: control(cpu),
    },
  ];
}

async function run(): Promise<readonly BenchRow[]> {
  const bareMs = await bareKeys();
  const folder = newFolder();
  const ofServer = ['--memory', '--http', '0', '--ws', 'off', '--tcp', '0', '--workers', `${WORKERS}`];
  const server = await startServer([...ofServer, '--set', `fanout.window=${WINDOW}`]);
  const { http, pid } = server.ready;
  const order = [undefined, ...Array.from({ length: PAIRS }, () => VIEWS.flatMap((view) => [view, undefined])).flat()];
  // What a view needs to begin and to end is in no turn.
  const measuredMs = order.length * (TURN_MS + 1_500) + 5_000;
  const idle = startLoad(server.ready, folder, ['--mode=idle', `--conns=${IDLE}`], measuredMs + 60_000);
  let load: Load | undefined;
  try {
    await idle.measures;
    const inRooms = ['--mode=room', `--conns=${MEMBERS}`, `--rooms=${ROOMS}`, `--rate=${RATE}`];
    load = startLoad(server.ready, folder, inRooms, measuredMs);
    await load.measures;
    const family = familyOf(pid);
    const turns: Turn[] = [];
    const seen = new Map(VIEWS.map((view) => [view, { keysMs: [], slowest: '', peakBytes: 0, cpuSeconds: 0 } as Seen]));
    await pause(2_000);
    for (const view of order) {
      const turn = async () => {
        const from = Date.now();
        const cpu = cpuSecondsOf(family);
        await pause(TURN_MS);
        turns.push({ view, from, to: Date.now(), cpuSeconds: cpuSecondsOf(family) - cpu });
      };
      if (view === undefined) await turn();
      else await lookThrough(view, http, seen.get(view) as Seen, turn);
    }
    const seconds = await load.seconds;
    return VIEWS.flatMap((view) => rowsOf(view, seen.get(view) as Seen, bareMs, turns, seconds));
  } finally {
    load?.end();
    idle.end();
    await server.end('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The benchmark. */
export const views: Bench = { name: 'views', run };
