// One node of a local cluster: a process of its own that is started again, under its name and on its ports, when it ends
// without having been asked to. It ends with whoever started it: their channel breaks.

import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { type ErrorCode, ImgoError, isErrorCode } from '../../protocol/errors.js';

/** What a node says when it takes its work. */
export interface NodeReady {
  readonly pid: number;
  readonly node: string;
  readonly roles: readonly string[];
  readonly http?: string;
  readonly ws?: string;
  readonly tcp?: string;
  readonly rpc: string;
  readonly data: string;
  readonly mode: 'development' | 'production';
}

const AGAIN_MIN_MS = 200;
const AGAIN_MAX_MS = 5_000;
/** Who ran this long is started again at once. */
const LIVED_MS = 10_000;

export class NodeProcess {
  readonly #args: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;
  #ready: NodeReady | undefined;
  #stopping = false;

  /** `args`: of `serve`. */
  constructor(args: readonly string[], env: Readonly<Record<string, string>>) {
    this.#args = args;
    this.#env = env;
  }

  /** Of its first start. */
  get ready(): NodeReady | undefined {
    return this.#ready;
  }

  /** Resolves when it does its work. @throws ImgoError what it says when it ends before */
  async start(): Promise<NodeReady> {
    const { ready, ended } = this.#spawn(this.#args);
    this.#ready = await ready;
    void ended.then(() => this.#again(performance.now()));
    return this.#ready;
  }

  /** Asks it to end; after `ms` it is killed. Resolves when it has. */
  async stop(ms: number): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const late = setTimeout(() => child.kill('SIGKILL'), ms);
    await ended;
    clearTimeout(late);
  }

  async #again(startedAt: number): Promise<void> {
    let pause = performance.now() - startedAt > LIVED_MS ? 0 : AGAIN_MIN_MS;
    let since = startedAt;
    while (!this.#stopping) {
      process.stderr.write(`${this.#ready?.node ?? 'a node'} ended; it is started again\n`);
      await wait(pause);
      if (this.#stopping) return;
      since = performance.now();
      const { ready, ended } = this.#spawn(withPorts(this.#args, this.#ready));
      ready.catch((error: Error) => process.stderr.write(`${this.#ready?.node ?? 'a node'}: ${error.message}\n`));
      await ended;
      pause = performance.now() - since > LIVED_MS ? 0 : Math.min(AGAIN_MAX_MS, Math.max(pause, AGAIN_MIN_MS) * 2);
    }
  }

  #spawn(args: readonly string[]): { readonly ready: Promise<NodeReady>; readonly ended: Promise<void> } {
    const script = process.argv[1] ?? '';
    const child = spawn(process.execPath, [...process.execArgv, script, 'serve', '--json', ...args], {
      // A group of its own: Ctrl-C is for whoever started it, which stops all in their order.
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
      env: { ...process.env, ...this.#env },
    });
    this.#child = child;
    const { promise: ready, resolve, reject } = Promise.withResolvers<NodeReady>();
    let failure: ImgoError | undefined;
    if (child.stdout !== null) {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const said = parse(line);
        if (said?.event === 'ready') resolve(said as unknown as NodeReady);
        else failure ??= errorOf(said?.error);
      });
    }
    const ended = new Promise<void>((done) => {
      child.once('error', (error) => {
        reject(error);
        done();
      });
      child.once('close', () => {
        reject(failure ?? new ImgoError('internal', { detail: 'a node ended before it was ready' }));
        done();
      });
    });
    return { ready, ended };
  }
}

/** The same arguments, but on the ports where it was: others know it there. */
function withPorts(args: readonly string[], ready: NodeReady | undefined): readonly string[] {
  const port = (address: string | undefined) => /:(\d+)(?:\/|$)/.exec(address?.replace(/^\w+:\/\//, '') ?? '')?.[1];
  const found = {
    '--http': port(ready?.http),
    '--ws': port(ready?.ws),
    '--tcp': port(ready?.tcp),
    '--rpc': ready?.rpc,
  };
  const result = [...args];
  for (const [flag, value] of Object.entries(found)) {
    if (value === undefined) continue;
    const at = result.indexOf(flag);
    if (at < 0) result.push(flag, value);
    else result[at + 1] = value;
  }
  return result;
}

interface Said {
  readonly event?: unknown;
  readonly error?: { readonly code?: unknown; readonly details?: unknown; readonly message?: unknown };
}

function parse(line: string): Said | undefined {
  try {
    return JSON.parse(line) as Said;
  } catch {
    return undefined;
  }
}

function errorOf(error: Said['error']): ImgoError | undefined {
  if (typeof error?.code !== 'string' || !isErrorCode(error.code)) return undefined;
  return new SaidError(error.code, typeof error.message === 'string' ? error.message : error.code);
}

/** An error as another process put it. */
class SaidError extends ImgoError {
  constructor(code: ErrorCode, message: string) {
    super(code, {});
    this.message = message;
  }
}
