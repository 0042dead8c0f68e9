// What the kernel knows of processes that a benchmark has not made itself.

import { readdirSync, readFileSync } from 'node:fs';

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** Of all threads of these processes, to the nanosecond: what /proc/PID/stat has comes in hundredths of a second. */
export function cpuSecondsOf(pids: readonly number[]): number {
  let ns = 0;
  for (const pid of pids) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      ns += Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(' ')[0]);
    }
  }
  return ns / 1e9;
}

/** A process and those that it has started. */
export function familyOf(pid: number): readonly number[] {
  const parentOf = (one: number) =>
    Number(
      read(`/proc/${one}/stat`)
        .replace(/^.*\) /, '')
        .split(' ')[1],
    );
  const all = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return [pid, ...all.map(Number).filter((one) => parentOf(one) === pid)];
}

/** Resident, the most that there ever was. */
export function peakBytesOf(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1_024;
}
