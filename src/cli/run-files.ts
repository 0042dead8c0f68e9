// Run files: what each running server of this user says of itself, so that commands find it from any folder:
// $XDG_STATE_HOME/imgo/servers/<pid>.json, mode 0600. Files of processes that are gone are removed by whoever sees them.

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { isJsonObject } from '../protocol/text.js';

/** What a run file says. */
export interface RunFile {
  readonly pid: number;
  /** When the process began, in the system's own ticks: another process under the same pid differs. */
  readonly started: string;
  readonly http: string;
  readonly ws?: string;
  readonly tcp?: string;
  readonly goim?: string;
  readonly legacyHttp?: string;
  /** Absolute, or `memory`. */
  readonly data: string;
  readonly mode: 'development' | 'production';
  readonly version: string;
  /** Wall ms. */
  readonly since: number;
  /** Path of the file with the API key, never the key. */
  readonly keyFile?: string;
}

/** The folder of run files. */
export function runFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  const state = env['XDG_STATE_HOME'];
  return join(state?.startsWith('/') === true ? state : join(homedir(), '.local', 'state'), 'imgo', 'servers');
}

/** Writes this process's run file. Returns what removes it. Never throws: a server runs without one, too. */
export function writeRunFile(content: Omit<RunFile, 'pid' | 'started'>): (() => void) | undefined {
  const { pid } = process;
  const folder = runFolder();
  const file = join(folder, `${pid}.json`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const whole: RunFile = { pid, started: startOf(pid) ?? '', ...content };
    // Written beside and renamed, so that nobody ever reads half of one.
    writeFileSync(`${file}.new`, `${JSON.stringify(whole)}\n`, { mode: 0o600 });
    renameSync(`${file}.new`, file);
    return () => rmSync(file, { force: true });
  } catch {
    return undefined;
  }
}

/** The servers of this user that are alive, oldest first. */
export function readRunFiles(): readonly RunFile[] {
  const folder = runFolder();
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  const alive: RunFile[] = [];
  for (const name of names) {
    const file = join(folder, name);
    const content = /^\d+\.json$/.test(name) ? readOne(file) : undefined;
    if (content === undefined) continue;
    if (isAlive(content)) alive.push(content);
    else remove(file);
  }
  return alive.sort((a, b) => a.since - b.since);
}

function readOne(file: string): RunFile | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (!isJsonObject(value)) return undefined;
    const { pid, http, data, since } = value;
    const whole =
      Number.isInteger(pid) && typeof http === 'string' && typeof data === 'string' && typeof since === 'number';
    return whole ? (value as unknown as RunFile) : undefined;
  } catch {
    return undefined;
  }
}

function remove(file: string): void {
  try {
    rmSync(file, { force: true });
  } catch {
    // Somebody else's to remove, then.
  }
}

function isAlive({ pid, started }: RunFile): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const now = startOf(pid);
  return now === undefined || started === '' || now === started;
}

/** Field 22 of /proc/PID/stat; undefined where there is no /proc. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may contain anything.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
