// The commands as scripts use them: real processes through bin/imgo, no terminal, in a folder of their own with a server of
// their own. Nothing that any of them says on stderr may repeat a canary, which is what secrets and payloads are made of.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Ran, runProgram } from './command.js';
import { LAUNCHER, type RunningServer, startServer } from './server.js';

export const PORTS = ['--http', '0', '--ws', '0', '--tcp', '0'];
export const CANARY = 'c4n4ry';

export interface How {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** XDG_STATE_HOME; that of the server by default. */
  readonly state?: string;
  readonly cwd?: string;
}

export class CommandLine {
  readonly folder = mkdtempSync(join(tmpdir(), 'imgo-cli-'));
  readonly data = join(this.folder, 'data');
  #server: RunningServer | undefined;
  #said = '';

  get server(): RunningServer {
    if (this.#server === undefined) throw new Error('no server was started');
    return this.#server;
  }

  async start(): Promise<void> {
    this.#server = await startServer([...PORTS, '--data', this.data], { XDG_STATE_HOME: join(this.folder, 'state') });
  }

  /** Ends the server. @throws Error when a canary was repeated */
  async end(): Promise<void> {
    await this.#server?.end('SIGTERM');
    rmSync(this.folder, { recursive: true, force: true });
    this.heard(this.#server?.stderr() ?? '');
    const repeated = this.#said.split('\n').filter((line) => line.includes(CANARY));
    if (repeated.length > 0) throw new Error(`a secret or a payload was repeated:\n${repeated.join('\n')}`);
  }

  /** Takes note of what a program said that was not run from here. */
  heard(stderr: string): void {
    this.#said += `${stderr}\n`;
  }

  get said(): string {
    return this.#said;
  }

  readonly run = async (args: readonly string[], how: How = {}): Promise<Ran> => {
    const { input } = how;
    const ran = await runProgram(LAUNCHER, args, {
      env: this.#environment(how),
      cwd: how.cwd ?? this.folder,
      ...(input === undefined ? {} : { input }),
    });
    this.heard(ran.stderr);
    return ran;
  };

  /** A line of a shell, with `imgo` for the launcher. */
  readonly shell = (line: string): Promise<Ran> =>
    runProgram('/bin/sh', ['-c', line.replaceAll('imgo ', `'${LAUNCHER}' `)], {
      env: this.#environment({}),
      cwd: this.folder,
    });

  /** A command that goes on. */
  readonly begin = (args: readonly string[], how: Pick<How, 'state'> = {}): ChildProcessWithoutNullStreams =>
    spawn(LAUNCHER, args, { env: this.#environment(how), cwd: this.folder });

  #environment({ env = {}, state = join(this.folder, 'state') }: How): Record<string, string> {
    const { PATH = '', HOME = '' } = process.env;
    return { PATH, HOME, LANG: 'C.UTF-8', XDG_STATE_HOME: state, ...env };
  }
}

export function json(text: string): Record<string, unknown> {
  return JSON.parse(text) as Record<string, unknown>;
}

export function lines(text: string): Record<string, unknown>[] {
  return text.split('\n').filter(Boolean).map(json);
}
