// What a server needs of this machine beside its kernel: Node, the data folder and its disk, ports, a clock that is right.

import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, stat, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Config, isLoopback, listeners } from '../../server/config.js';
import { whyUnreadable } from '../secrets.js';
import { portHolder } from '../serve/port-holder.js';
import { addressText, isFree } from '../serve/ports.js';
import { bytes, type Finding, type State } from './finding.js';

const NODE_MAJOR = 24;
/** With less than that free a burst fills the disk. */
const FREE_BYTES = 2 ** 30;
/** Between this clock and another: retention and what is ephemeral go by it. */
export const SKEW_WARNING_MS = 1_000;
export const SKEW_ERROR_MS = 5_000;
const CLOCK_MS = 3_000;

/** File systems by the number that statfs tells: a store in shared memory of a file of one of these is none. */
const UNFIT: ReadonlyMap<number, string> = new Map([
  [0x6969, 'nfs'],
  [0x517b, 'smb'],
  [0xff534d42, 'cifs'],
  [0x01021994, 'tmpfs'],
]);

export function node(version: string): Finding {
  const major = Number(/^v(\d+)/.exec(version)?.[1] ?? 0);
  if (major >= NODE_MAJOR) return { name: 'node', state: 'ok', found: version };
  return { name: 'node', state: 'error', found: version, needed: `Node ${NODE_MAJOR}`, advice: ['npm ci'] };
}

/** The folder as the configuration names it. */
export async function data(config: Config): Promise<readonly Finding[]> {
  if (config.data.kind === 'memory') {
    return [{ name: 'data', state: 'ok', found: 'memory: nothing is kept' }];
  }
  if (config.redis !== undefined) return [{ name: 'data', state: 'ok', found: 'none: the store is Redis' }];
  const { folder, shown } = config.data;
  const there = await stat(folder).catch((error: NodeJS.ErrnoException) => error);
  const missing = there instanceof Error && there.code === 'ENOENT';
  if (there instanceof Error && !missing) return [unusable(shown, whyUnreadable(there))];
  if (!(there instanceof Error) && !there.isDirectory()) return [unusable(shown, 'it is not a folder')];
  const existing = missing ? await nearest(folder) : folder;
  const refused = await access(existing, constants.R_OK | constants.W_OK | constants.X_OK).catch(whyUnwritable);
  if (refused !== undefined) return [unusable(shown, missing ? `it cannot be made: ${refused}` : refused)];
  const rights: Finding =
    !(there instanceof Error) && (there.mode & 0o007) !== 0
      ? {
          name: 'data',
          state: 'warning',
          found: `${shown} can be read by everybody on this machine`,
          needed: 'messages are for their owner',
          advice: [`chmod 700 ${shown}`],
        }
      : { name: 'data', state: 'ok', found: missing ? `${shown} will be made` : `${shown} can be written` };
  return [rights, disk(await statfs(existing), config.store.reserveBytes)];
}

/** Free space of the file system of the data, and what it is. */
export function disk(
  found: { readonly bavail: number; readonly bsize: number; readonly type: number },
  reserveBytes: number,
): Finding {
  const free = found.bavail * found.bsize;
  const unfit = UNFIT.get(found.type);
  const text = `${bytes(free)} free${unfit === undefined ? '' : ` on ${unfit}`}`;
  const least = Math.max(FREE_BYTES, 2 * reserveBytes);
  if (free < reserveBytes) {
    const needed = `${bytes(reserveBytes)}: below store.reserve pushes are refused`;
    return { name: 'disk', state: 'error', found: text, needed, advice: ['free some, or data on another disk'] };
  }
  if (unfit !== undefined) {
    const lost = unfit === 'tmpfs' ? 'what is accepted is lost with the machine' : 'locks and syncs do not hold there';
    return { name: 'disk', state: 'warning', found: text, needed: `a disk of this machine: ${lost}` };
  }
  if (free >= least) return { name: 'disk', state: 'ok', found: text };
  return { name: 'disk', state: 'warning', found: text, needed: `${bytes(least)}, for what waits for who is away` };
}

/** Each listener that is on. A running imgo that has it is as it should be. */
export async function ports(config: Config): Promise<readonly Finding[]> {
  const named = listeners(config).filter(([, { port }]) => port !== 0);
  return Promise.all(
    named.map(async ([listener, { host, port, named: fixed }]): Promise<Finding> => {
      const name = `port ${listener}`;
      const address = addressText(host, port);
      const free = await isFree(listener, host, port).catch((error: Error) => error);
      if (free === true) return { name, state: 'ok', found: `${address} is free` };
      if (free instanceof Error) return { name, state: 'error', found: free.message };
      const holder = portHolder(port);
      if (holder.startsWith('imgo (')) return { name, state: 'ok', found: `${address}: ${holder} listens` };
      // In development the server moves to the next one.
      const state: State = fixed || !isLoopback(host) ? 'error' : 'warning';
      const advice = [`--${listener} PORT`, 'or stop what has it'];
      return { name, state, found: `${address} is taken by ${holder}`, needed: 'a port of its own', advice };
    }),
  );
}

/** Against another clock, ms; undefined: none that says, so that the system is asked whether it keeps time. */
export async function clock(skew: { readonly ms: number; readonly of: string } | undefined): Promise<Finding> {
  const name = 'clock';
  const advice = ['chrony or systemd-timesyncd on every machine'];
  if (skew !== undefined) {
    const off = Math.abs(skew.ms);
    const found = `${(off / 1_000).toFixed(2)} s ${skew.ms < 0 ? 'behind' : 'ahead of'} ${skew.of}`;
    if (off < SKEW_WARNING_MS) return { name, state: 'ok', found };
    const state: State = off < SKEW_ERROR_MS ? 'warning' : 'error';
    return { name, state, found, needed: `less than ${SKEW_WARNING_MS / 1_000} s: expiry goes by it`, advice };
  }
  const synchronised = await timedatectl();
  if (synchronised === undefined) return { name, state: 'ok', found: 'nothing here tells whether it is right' };
  if (synchronised) return { name, state: 'ok', found: 'synchronised' };
  return { name, state: 'warning', found: 'not synchronised', needed: 'a time service: expiry goes by it', advice };
}

async function nearest(folder: string): Promise<string> {
  let at = dirname(folder);
  while (at !== dirname(at) && (await stat(at).catch(() => undefined)) === undefined) at = dirname(at);
  return at;
}

function unusable(shown: string, why: string): Finding {
  const advice = ['another folder: --data DIR', 'or its owner: chown'];
  return { name: 'data', state: 'error', found: `${shown}: ${why}`, needed: 'a folder that it may write', advice };
}

function whyUnwritable({ code }: NodeJS.ErrnoException): string {
  if (code === 'EACCES' || code === 'EPERM') return 'there is no permission';
  return code === 'EROFS' ? 'the file system may only be read' : (code ?? 'it cannot be used');
}

/** Whether the system's clock is kept right; undefined: nobody here says. */
function timedatectl(): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    const child = spawn('timedatectl', ['show', '--property=NTPSynchronized', '--value'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: CLOCK_MS,
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    child.once('error', () => resolve(undefined));
    child.once('close', () => resolve(/^(yes|no)\n/.test(text) ? text.startsWith('yes') : undefined));
  });
}
