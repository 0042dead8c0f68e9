// One broker's process: started, killed, paused and started again on the port and the data that it had. It ends with the
// process that started it, whatever way that ends.
import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

export const LOOPBACK = '127.0.0.1';
/** What hangs, not what is slow: three JVMs that share two cores with other tests need a tenth of this. */
const START_MAX_MS = 150_000;
/** How folders of data begin: the pid of whose they are follows. */
const FOLDER = 'imgo-brokers-';
const LOG_MAX_CHARACTERS = 200_000;

export interface BrokerProcessOptions {
  /** What complaints call it. */
  readonly name: string;
  readonly program: string;
  readonly args: readonly string[];
  /** It is ready once this port of loopback takes connections. */
  readonly port: number;
  /** Another address of this machine than 127.0.0.1. */
  readonly host?: string | undefined;
}

export class BrokerProcess {
  readonly name: string;
  readonly port: number;
  readonly #options: BrokerProcessOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<string> = Promise.resolve('not started');
  #log = '';

  constructor(options: BrokerProcessOptions) {
    this.name = options.name;
    this.port = options.port;
    this.#options = options;
  }

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Undefined: it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** What it wrote since its first start, the last 200,000 characters. */
  log(): string {
    return this.#log;
  }

  /** Resolves once its port takes connections. Rejects with its log when it ends before, or is not ready in time. */
  async start(): Promise<void> {
    if (this.#child !== undefined) throw new Error(`${this.name} runs already`);
    const { program, args, host = LOOPBACK } = this.#options;
    // setpriv becomes the program: the pid is the broker's. The signal comes when the starting *thread* ends.
    const child = spawn('setpriv', ['--pdeathsig', 'KILL', program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (chunk: string) => {
        this.#log = (this.#log + chunk).slice(-LOG_MAX_CHARACTERS);
      });
    }
    this.#ended = new Promise((resolve) => {
      const ended = (how: string): void => {
        if (this.#child === child) this.#child = undefined;
        resolve(how);
      };
      child.once('error', (error) => ended(error.message));
      child.once('close', (code, signal) => ended(`ended with ${signal ?? code}`));
    });
    const deadline = Date.now() + START_MAX_MS;
    while (!(await takesConnections(this.port, host))) {
      if (this.#child !== child)
        throw new Error(`${this.name} ${await this.#ended} before it was ready:\n${this.#log}`);
      if (Date.now() > deadline) {
        await this.end('SIGKILL');
        throw new Error(`${this.name} was not ready within ${START_MAX_MS / 1000} s:\n${this.#log}`);
      }
      await wait(50);
    }
  }

  /** Resolves once the process is gone; at once if it does not run. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#child?.kill(signal);
    await this.#ended;
  }

  /** SIGKILL, then {@link start} on the same data. */
  async restart(): Promise<void> {
    await this.end('SIGKILL');
    await this.start();
  }

  /** SIGSTOP: it holds its connections and answers nothing, until {@link resume}. */
  pause(): void {
    this.#signal('SIGSTOP');
  }

  resume(): void {
    this.#signal('SIGCONT');
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#child === undefined) throw new Error(`${this.name} does not run`);
    this.#child.kill(signal);
  }
}

/** Removes the data of processes that were killed before they could. */
export async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const [pid, rest] = name.startsWith(FOLDER) ? name.slice(FOLDER.length).split('-') : [];
    if (rest === undefined || isAlive(Number(pid))) continue;
    await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Whether something listens there. */
function takesConnections(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Several brokers that belong together, with the folder that holds their data. */
export class BrokerGroup implements AsyncDisposable {
  readonly folder: string;
  readonly #processes: BrokerProcess[] = [];
  readonly #atExit = (): void => rmSync(this.folder, { recursive: true, force: true });

  private constructor(folder: string) {
    this.folder = folder;
    process.once('exit', this.#atExit);
  }

  static async create(): Promise<BrokerGroup> {
    return new BrokerGroup(await mkdtemp(join(tmpdir(), `${FOLDER}${process.pid}-`)));
  }

  /** Registers a process, not started yet: it ends with the group. */
  add(options: BrokerProcessOptions): BrokerProcess {
    const added = new BrokerProcess(options);
    this.#processes.push(added);
    return added;
  }

  /** Kills every process, paused or not, and removes the data. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((each) => each.end('SIGKILL')));
    process.removeListener('exit', this.#atExit);
    await rm(this.folder, { recursive: true, force: true });
  }
}
