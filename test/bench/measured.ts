// Processes that a benchmark starts and measures: bare servers and `imgo serve`, both with the probe in them, and a swarm of
// clients in a process of its own.

import { type ChildProcess, fork, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { ProbeQuestion, Usage } from './probe.js';

const HERE = import.meta.dirname;
const PROBE = join(HERE, 'probe.ts');
const HOOKS = join(HERE, '../../scripts/typescript.mjs');
const LAUNCHER = join(HERE, '../../bin/imgo');

/** As in bin/imgo: bare servers are given the same. */
const YOUNG = '--max-semi-space-size=16';

/** A child that answers questions, each with a number of its own. */
export class Child {
  readonly process: ChildProcess;
  readonly ended: Promise<void>;
  #number = 0;

  constructor(process: ChildProcess) {
    this.process = process;
    this.ended = new Promise((resolve) => {
      process.once('exit', () => resolve());
    });
  }

  /** Resolves with the first message for which `pick` returns something. Rejects when the child ends before. */
  answer<T>(pick: (message: never) => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const onMessage = (message: unknown) => {
        const picked = pick(message as never);
        if (picked === undefined) return;
        this.process.off('message', onMessage);
        this.process.off('exit', onExit);
        resolve(picked);
      };
      const onExit = (code: number | null, signal: string | null) => {
        this.process.off('message', onMessage);
        reject(new Error(`a measured process ended: ${code ?? signal}`));
      };
      this.process.on('message', onMessage);
      this.process.once('exit', onExit);
    });
  }

  /** Has a script of clients do something; resolves with its answer, rejects with what it failed of. */
  async tell<T>(order: object): Promise<T> {
    const number = ++this.#number;
    const answered = this.answer((message: { order?: number; failed?: string }) =>
      message.order === number ? message : undefined,
    );
    this.process.send({ ...order, order: number });
    const answer = await answered;
    if (answer.failed !== undefined) throw new Error(`the clients: ${answer.failed}`);
    return answer as T;
  }

  /** What the process used so far. */
  usage(collect = false): Promise<Usage> {
    const question: ProbeQuestion = { probe: ++this.#number, collect };
    const answered = this.answer((message: { probe?: number; usage?: Usage }) =>
      message.probe === question.probe ? message.usage : undefined,
    );
    this.process.send(question);
    return answered;
  }

  /** Ends it and waits until it has ended. */
  async end(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    this.process.kill(signal);
    await this.ended;
  }
}

/** How a script of this folder is run. */
interface Forked {
  /** It is measured: with the probe, and given what `bin/imgo` gives a server. */
  readonly probed?: boolean;
  /** Its threads run when nobody else wants a core (SCHED_IDLE): at the lowest priority they would still take turns. */
  readonly last?: boolean;
}

/** Runs a script of this folder. */
export function forkScript(
  script: string,
  args: readonly string[] = [],
  { probed = false, last = false }: Forked = {},
): Child {
  const options = ['--import', HOOKS, ...(probed ? ['--expose-gc', YOUNG, '--import', PROBE] : [])];
  const env = probed ? { ...process.env, NODE_OPTIONS } : process.env;
  const path = join(HERE, script);
  if (!last) return new Child(fork(path, args, { execArgv: options, env }));
  return new Child(
    fork(path, args, { execPath: 'chrt', execArgv: ['--idle', '0', process.execPath, ...options], env }),
  );
}

/** A server that takes connections. */
export interface MeasuredServer {
  readonly child: Child;
  readonly tcp: number;
  readonly ws: number;
  /** `http://127.0.0.1:…`; empty for bare ones. */
  readonly http: string;
  /** `keep`: ends gracefully and leaves the data folder. */
  readonly stop: (how?: { readonly keep: boolean }) => Promise<void>;
}

/** A bare server: `tcp` answers each read with 16 bytes, `ws` each message. */
export async function bareServer(kind: 'tcp' | 'ws'): Promise<MeasuredServer> {
  const child = forkScript('bare-server.ts', [kind], { probed: true });
  const port = await child.answer((message: { port?: number }) => message.port);
  return { child, tcp: port, ws: port, http: '', stop: () => child.end() };
}

/** More options for Node in measured servers: `BENCH_NODE_OPTIONS=--cpu-prof` shows where their time goes. */
const NODE_OPTIONS = process.env['BENCH_NODE_OPTIONS'] ?? '';

/** Where the servers of a run keep what they accept: `BENCH_STORE=memory` leaves the disk out. */
const STORE = process.env['BENCH_STORE'] ?? 'lmdb';

/** The arguments of `imgo serve` on free ports with this data folder. */
export function serveArguments(data: string): readonly string[] {
  const store = STORE === 'memory' ? ['--memory'] : ['--data', data];
  return ['serve', '--json', ...store, '--http', '0', '--ws', '0', '--tcp', '0'];
}

/** An empty folder for a server. */
export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), 'imgo-bench-'));
}

/** `imgo serve` on free ports and this folder, as `bin/imgo` starts it. */
export async function imgoServer(folder: string, args: readonly string[] = []): Promise<MeasuredServer> {
  const started = spawn(LAUNCHER, [...serveArguments(join(folder, 'data')), ...args], {
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    cwd: folder,
    env: { ...process.env, NODE_OPTIONS: `--expose-gc --import ${PROBE} ${NODE_OPTIONS}`, XDG_RUNTIME_DIR: folder },
  });
  const child = new Child(started);
  const stop = async (how = { keep: false }) => {
    await child.end(how.keep ? 'SIGTERM' : 'SIGKILL');
    if (!how.keep) rmSync(folder, { recursive: true, force: true });
  };
  try {
    const ready = await new Promise<{ http: string; tcp: string; ws: string }>((resolve, reject) => {
      if (started.stdout === null) throw new Error('no stdout');
      createInterface({ input: started.stdout }).on('line', (line) => {
        const event = JSON.parse(line) as { event?: string; http: string; tcp: string; ws: string };
        if (event.event === 'ready') resolve(event);
      });
      void child.ended.then(() => reject(new Error('imgo serve ended before it was ready')));
    });
    return { child, tcp: portOf(ready.tcp), ws: portOf(ready.ws), http: ready.http, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function portOf(address: string): number {
  return Number(/:(\d+)(?:\/|$)/.exec(address)?.[1]);
}

/** Tokens of users `u1`, `u2` and so on, with these rooms: `at` counts from 0. */
export async function makeTokens(
  http: string,
  count: number,
  rooms: (at: number) => readonly string[] = () => [],
): Promise<readonly string[]> {
  const tokens: string[] = [];
  while (tokens.length < count) {
    const users = Array.from({ length: Math.min(500, count - tokens.length) }, (_, at) => `u${tokens.length + at + 1}`);
    const response = await fetch(`${http}/v1/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(users.map((user, at) => ({ user, rooms: rooms(tokens.length + at) }))),
    });
    if (!response.ok) throw new Error(`tokens: ${response.status} ${await response.text()}`);
    for (const { token } of (await response.json()) as { token: string }[]) tokens.push(token);
  }
  return tokens;
}

/** The middle of an odd number of figures. */
export function median(figures: readonly number[]): number {
  return [...figures].sort((a, b) => a - b)[figures.length >> 1] ?? Number.NaN;
}
