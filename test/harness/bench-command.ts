// `imgo bench` as it is typed, in a pipe, to its end or to that of this process.
import { type Ran, runProgram } from './command.js';
import { LAUNCHER } from './server.js';

export function runBenchCommand(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return runProgram(LAUNCHER, ['bench', ...args], { env: { ...process.env, ...env }, channel: true });
}
