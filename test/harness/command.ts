// A program to its end: what it printed, and how it ended.
import { type ChildProcessWithoutNullStreams, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface How {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** What stands in its stdin; empty by default. */
  readonly input?: string;
  /** It keeps a channel to this process: commands that run for long end with who started them. */
  readonly channel?: boolean;
}

export async function runProgram(program: string, args: readonly string[], how: How): Promise<Ran> {
  const stdio: StdioOptions = ['pipe', 'pipe', 'pipe', ...(how.channel === true ? (['ipc'] as const) : [])];
  const child = spawn(program, args, { env: how.env, cwd: how.cwd, stdio }) as ChildProcessWithoutNullStreams;
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  child.stdin.on('error', () => {
    // It ended without reading.
  });
  child.stdin.end(how.input ?? '');
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, stdout, stderr };
}
