// Starts and ends real servers through bin/imgo, as a user would.
import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

export const LAUNCHER = fileURLToPath(new URL('../../bin/imgo', import.meta.url));

/** Run files of servers under test: not where the commands of whoever works here look for a server. */
const UNSEEN = join(tmpdir(), 'imgo-servers-under-test');

export interface Ready {
  readonly pid: number;
  readonly http: string;
  readonly tcp: string;
  readonly ws: string;
  readonly legacyHttp?: string;
  readonly goim?: string;
}

type ServerProcess = ChildProcess & { readonly stdout: Readable; readonly stderr: Readable };

export interface RunningServer {
  readonly ready: Ready;
  readonly child: ChildProcess;
  /** What it wrote to stderr so far. */
  stderr(): string;
  /** Sends a signal to this server's own process and waits for its end; answers the exit status or the signal. */
  end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null>;
}

/**
 * Starts `imgo serve --json …`; resolves when it takes connections. Rejects with its stderr when it ends before.
 * `through`: a program that becomes the server, and its arguments. `says`: is given what it writes to stderr. `launcher`: of
 * another version.
 */
export async function startServer(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  through: readonly string[] = [],
  says: (text: string) => void = () => undefined,
  launcher = LAUNCHER,
): Promise<RunningServer> {
  const [program = launcher, ...rest] = [...through, launcher, 'serve', '--json', ...args];
  const child = spawn(program, rest, {
    // It ends with this process, whatever way that ends: their channel breaks.
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, XDG_STATE_HOME: UNSEEN, ...env },
  }) as ServerProcess;
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => {
    says(chunk.toString());
    stderr = (stderr + chunk.toString()).slice(-200_000);
  });
  // A campaign that breaks off leaves no server behind.
  const endWithUs = (): void => void child.kill('SIGKILL');
  process.once('exit', endWithUs);
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.once('exit', (code, signal) => {
      process.removeListener('exit', endWithUs);
      resolve(signal ?? code);
    });
  });
  const ready = await new Promise<Ready>((resolve, reject) => {
    let stdout = '';
    createInterface({ input: child.stdout }).on('line', (line) => {
      stdout += `${line}\n`;
      if (!line.startsWith('{')) return;
      const event = JSON.parse(line) as { event?: string } & Ready;
      if (event.event === 'ready') resolve(event);
    });
    child.once('error', reject);
    void ended.then((how) => reject(new Error(`imgo serve ended (${how}) before it was ready:\n${stdout}${stderr}`)));
  });
  return {
    ready,
    child,
    stderr: () => stderr,
    end: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
}
