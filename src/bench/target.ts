/** What is measured: a server of this run's own, started through the command line as a user would, or one that runs already. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { errorFromProblem, ImgoError } from '../protocol/errors.js';
import { HttpCaller } from './http-caller.js';
import type { ServerAccess } from './options.js';
import type { BenchPlan } from './plan.js';
import { ProcessGroup } from './usage.js';

/** Where receivers connect. */
export interface ClientAddress {
  readonly host: string;
  readonly port: number;
  /** Of the upgrade. */
  readonly path: string;
}

export interface Target {
  readonly http: HttpCaller;
  readonly httpUrl: string;
  readonly key: string | undefined;
  /** Connection n goes to the one at n % length. */
  readonly clients: readonly [ClientAddress, ...ClientAddress[]];
  /** It has imgo's own API. */
  readonly native: boolean;
  /** Its processes; undefined: they cannot be seen from here. */
  readonly group: ProcessGroup | undefined;
  /** The first user's number less one: a server that goes on has users of its own, and messages kept for those of earlier runs. */
  readonly userBase: number;
  /** Resolves with why, when it is gone; a running one is not watched. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

/** What `imgo serve` says when it is ready. */
interface Ready {
  readonly event: 'ready';
  readonly http: string;
  readonly tcp?: string;
  readonly ws?: string;
}

const STOP_MS = 20_000;
const MOST_SAID = 2_000;

/** One that runs. Nothing of it is stopped. */
export function runningTarget(access: ServerAccess): Target {
  const [first, ...others] = access.clients.map(addressOf);
  if (first === undefined) throw new ImgoError('internal', { detail: 'no address for clients' });
  const http = new HttpCaller(access.http, access.key);
  return {
    http,
    httpUrl: access.http,
    key: access.key,
    clients: [first, ...others],
    native: access.native,
    group: access.pid === undefined ? undefined : ProcessGroup.tree(access.pid),
    userBase: Date.now() * 1_000,
    ended: new Promise(() => undefined),
    stop: async () => http.end(),
  };
}

function addressOf(url: string): ClientAddress {
  const { hostname, port, pathname } = new URL(url.replace(/^(tcp|wss?):/, 'http:'));
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port === '' ? 80 : port), path: pathname };
}

/** `launcher`: the path of the imgo command. Resolves when it takes connections. @throws ImgoError internal: it did not start */
export async function ownTarget(plan: BenchPlan, launcher: string): Promise<Target> {
  // Nothing of whoever runs it: no imgo.toml, no IMGO_* settings, no run file that other commands find.
  const folder = mkdtempSync(join(tmpdir(), 'imgo-bench-'));
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('IMGO_')));
  // A session of its own: Ctrl-C ends the run first, the run ends its server. Where the run is killed, the server ends by itself,
  // because the channel to it breaks.
  const child = spawn(process.execPath, [...process.execArgv, launcher, ...argumentsOf(plan, folder)], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
    cwd: folder,
    env: { ...env, XDG_STATE_HOME: folder },
  });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-MOST_SAID);
  });
  // A second Ctrl-C waits for nothing; the server is of a session of its own and would stay.
  const leave = () => {
    child.kill('SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', leave);
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => {
      process.off('exit', leave);
      rmSync(folder, { recursive: true, force: true });
      resolve(`the server ended (${signal ?? code}) ${said.trim()}`.trim());
    });
  });
  const ready = await readyOf(child, ended);
  const http = new HttpCaller(ready.http, undefined);
  const clients = new URL(plan.transport === 'tcp' ? `tcp://${ready.tcp}` : (ready.ws as string));
  return {
    http,
    httpUrl: ready.http,
    key: undefined,
    clients: [{ host: clients.hostname, port: Number(clients.port), path: '/sub' }],
    native: true,
    group: ProcessGroup.tree(child.pid as number),
    userBase: 0,
    ended,
    stop: async () => {
      http.end();
      child.kill('SIGTERM');
      const patience = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      await ended;
      clearTimeout(patience);
    },
  };
}

function argumentsOf(plan: BenchPlan, folder: string): readonly string[] {
  const { transport, store, windowMs, workers, settings } = plan;
  const kept = store === 'memory' ? ['--memory'] : ['--data', join(folder, 'data')];
  const ports = ['--http', '0', '--tcp', transport === 'tcp' ? '0' : 'off', '--ws', transport === 'ws' ? '0' : 'off'];
  const sets = [...(windowMs === undefined ? [] : [`fanout.window=${windowMs}ms`]), ...settings];
  const given = sets.flatMap((setting) => ['--set', setting]);
  return ['serve', '--json', '--log-level', 'error', ...kept, ...ports, '--workers', String(workers), ...given];
}

function readyOf(child: ChildProcess, ended: Promise<string>): Promise<Ready> {
  return new Promise((resolve, reject) => {
    let error: ImgoError | undefined;
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      const word = JSON.parse(line) as { event?: string; error?: object } & Ready;
      if (word.event === 'ready') resolve(word);
      if (word.error !== undefined)
        error = errorFromProblem({ title: JSON.stringify(word.error), status: 500, ...word.error });
    });
    void ended.then((why) => reject(error ?? new ImgoError('internal', { detail: why })));
  });
}
