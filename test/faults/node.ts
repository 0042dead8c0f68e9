// One process of the cluster, `imgo serve` with its settings in a file: started, killed, paused, and started again at the same
// addresses, as a service manager would do it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { LAUNCHER, type RunningServer, startServer } from '../harness/server.js';

export type Role = 'comet' | 'logic' | 'job';

export interface NodeOptions {
  readonly name: string;
  readonly role: Role;
  /** Lines of imgo.toml. */
  readonly settings: readonly string[];
  readonly folder: string;
  /** Where it is reached; '' where it does not listen. */
  readonly http: string;
  readonly tcp: string;
  readonly ws: string;
}

/** A service manager waits so long before it starts a process again that ended by itself. */
const RESTART_MS = 500;
/** Longer than `shutdown_timeout`, whatever else the machine does. */
const HEED_MS = 30_000;
/** The node ends with who started it, whatever way that ends. */
const WITH_US = ['setpriv', '--pdeathsig', 'KILL'];

export class ClusterNode {
  readonly options: NodeOptions;
  readonly #file: string;
  #server: RunningServer | undefined;
  #starting: Promise<void> | undefined;
  #wanted = false;
  /** Starts that ended before it was ready. */
  failedStarts = 0;
  paused = false;
  /** What its next start runs. */
  launcher = LAUNCHER;
  /** What its processes wrote to stderr, and how they ended. */
  #log = '';

  constructor(options: NodeOptions) {
    this.options = options;
    this.#file = join(options.folder, `${options.name}.toml`);
    writeFileSync(this.#file, `${options.settings.join('\n')}\n`);
  }

  get name(): string {
    return this.options.name;
  }

  /** It was ready, and nobody has ended it since. */
  get up(): boolean {
    return this.#server !== undefined;
  }

  /** Its stderr, the last 400,000 characters. */
  log(): string {
    return this.#log;
  }

  /** Resolves when it is ready; a start that fails is tried again until it is ended. `more`: flags of this start. */
  start(...more: readonly string[]): Promise<void> {
    this.#wanted = true;
    this.#starting ??= this.#start(more).finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  /** One start that is to fail: resolves with why it did, or with nothing when it did not and runs now. */
  async failToStart(): Promise<string> {
    try {
      await this.#startOnce([]);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  }

  /**
   * Resolves with how it ended; null when it was not up. One that does not heed a SIGTERM gets a SIGKILL. One that is just
   * starting is left to it, and ends with us.
   */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | NodeJS.Signals | null> {
    this.#wanted = false;
    const server = this.#server;
    this.#server = undefined;
    this.paused = false;
    if (server === undefined) return null;
    const late = setTimeout(() => server.child.kill('SIGKILL'), HEED_MS);
    const how = await server.end(signal);
    clearTimeout(late);
    this.#keep(`-- ${signal}: ended with ${how}\n`);
    return how;
  }

  /** SIGSTOP: it holds its sockets and does nothing, until {@link resume}. */
  pause(): void {
    this.paused = this.#server?.child.kill('SIGSTOP') === true;
  }

  resume(): void {
    this.#server?.child.kill('SIGCONT');
    this.paused = false;
  }

  async #start(more: readonly string[]): Promise<void> {
    while (this.#wanted && this.#server === undefined) {
      try {
        await this.#startOnce(more);
      } catch (error) {
        this.failedStarts++;
        this.#keep(`-- ${(error as Error).message}\n`);
        await wait(RESTART_MS);
      }
    }
  }

  async #startOnce(more: readonly string[]): Promise<void> {
    const env = { XDG_STATE_HOME: join(this.options.folder, 'state') };
    const server = await startServer(
      ['--config', this.#file, ...more],
      env,
      WITH_US,
      (text) => this.#keep(text),
      this.launcher,
    );
    this.#server = server;
    server.child.once('exit', () => this.#ended(server));
  }

  /** By itself, unless somebody ended it. */
  #ended(server: RunningServer): void {
    if (this.#server !== server) return;
    this.#server = undefined;
    this.#keep('-- ended by itself\n');
    if (this.#wanted) void this.start();
  }

  #keep(text: string): void {
    this.#log = (this.#log + text).slice(-400_000);
  }
}
