// The data folder: one server at a time, a format that this version knows, and a store that is what was written.

import { linkSync, mkdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ImgoError } from '../../../protocol/errors.js';
import type { Clock } from '../../clock.js';
import { checkStore } from './check.js';
import type { Tables } from './tables.js';

/** The layout of layout.ts and log-record.ts; a higher one is not touched. */
export const FORMAT = 1;

export interface Folder {
  /** @throws ImgoError data_newer, data_damaged */
  check(): Promise<void>;
  /**
   * The lock file is for people; who really holds the store is known to the kernel, which lets go of lmdb's reader
   * locks when a process dies. @throws ImgoError data_locked
   */
  arbitrate(tables: Tables): void;
  announce(url: string): void;
  release(): void;
}

interface Lock {
  readonly pid: number;
  /** Clock ticks after boot, from the kernel: tells a process from a later one with the same pid. */
  readonly started: string;
  readonly version: string;
  /** ISO time. */
  readonly since: string;
  readonly url: string;
}

/** Locks the folder, making it when needed. @throws ImgoError data_locked, data_unusable */
export async function openFolder(path: string, version: string, clock: Clock): Promise<Folder> {
  const since = new Date(clock.now()).toISOString();
  const lock: Lock = { pid: process.pid, started: startOf(process.pid) ?? '', version, since, url: '' };
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    takeLock(path, lock);
  } catch (error) {
    if (error instanceof ImgoError) throw error;
    throw new ImgoError('data_unusable', { data: path, detail: reasonOf(error) }, { cause: error });
  }
  return new LockedFolder(path, lock);
}

class LockedFolder implements Folder {
  readonly #path: string;
  #lock: Lock;

  constructor(path: string, lock: Lock) {
    this.#path = path;
    this.#lock = lock;
  }

  async check(): Promise<void> {
    const data = this.#path;
    const found = readFormat(data);
    if (found !== undefined && found > FORMAT) throw new ImgoError('data_newer', { data, found, known: FORMAT });
    const detail = await checkStore(join(data, 'store.mdb'));
    if (detail !== undefined) throw new ImgoError('data_damaged', { data, detail });
    if (found === undefined) writeWhole(join(data, 'format'), `${FORMAT}\n`);
  }

  arbitrate(tables: Tables): void {
    tables.meta.get(Buffer.from([0]));
    tables.root.readerCheck();
    for (const [, pid] of tables.root.readerList().matchAll(/^\s*(\d+)\s/gm)) {
      if (Number(pid) !== process.pid) throw locked(this.#path, { ...this.#lock, pid: Number(pid) });
    }
  }

  announce(url: string): void {
    this.#lock = { ...this.#lock, url };
    writeWhole(join(this.#path, 'lock'), JSON.stringify(this.#lock));
  }

  release(): void {
    const file = join(this.#path, 'lock');
    const held = readLock(file);
    if (held?.pid === this.#lock.pid && held.started === this.#lock.started) unlinkSync(file);
  }
}

function takeLock(path: string, lock: Lock): void {
  const file = join(path, 'lock');
  for (let tries = 0; ; tries++) {
    if (placeWhole(file, JSON.stringify(lock))) return;
    const holder = readLock(file);
    if (holder !== undefined && (isAlive(holder) || tries > 5)) throw locked(path, holder);
    // Its process is dead. Should two take over at once, arbitrate lets one of them go on.
    try {
      unlinkSync(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

function locked(path: string, holder: Lock): ImgoError {
  return new ImgoError('data_locked', {
    data: path,
    version: holder.version,
    pid: holder.pid,
    since: holder.since,
    other: `${path}2`,
    url: holder.url === '' ? undefined : holder.url,
  });
}

function readLock(file: string): Lock | undefined {
  try {
    const lock: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof lock === 'object' && lock !== null && 'pid' in lock ? (lock as Lock) : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(holder: Lock): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const started = startOf(holder.pid);
  return started === undefined || holder.started === '' || started === holder.started;
}

/** When a process started, in ticks after boot (proc(5), stat, field 22); undefined where there is no /proc. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function readFormat(path: string): number | undefined {
  try {
    return Number(readFileSync(join(path, 'format'), 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new ImgoError('data_unusable', { data: path, detail: reasonOf(error) }, { cause: error });
  }
}

/** Makes the file with its text in it, or not at all: false when there is one already. */
function placeWhole(file: string, text: string): boolean {
  const mine = `${file}.${process.pid}`;
  writeFileSync(mine, text, { mode: 0o600 });
  try {
    linkSync(mine, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    unlinkSync(mine);
  }
}

/** Readers see the old text or the new one. */
function writeWhole(file: string, text: string): void {
  writeFileSync(`${file}.new`, text, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
