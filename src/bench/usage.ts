/**
 * What groups of processes use, read from /proc in a way that costs microseconds a process: a hundred of them are looked at every
 * second of a run that needs the machine for itself.
 */
import { readFileSync } from 'node:fs';
import { processTree } from './machine.js';

export interface Usage {
  readonly processes: number;
  readonly cpuSeconds: number;
  /** Memory of their own, and what they share counted once. */
  readonly rssBytes: number;
}

const NOTHING: Usage = { processes: 0, cpuSeconds: 0, rssBytes: 0 };
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4_096;
/** A tree's processes are looked up again after so long. */
const TREE_MS = 5_000;

/** A group of processes: those given, or a process and all that it started. What ended keeps the CPU time that it had. */
export class ProcessGroup {
  readonly #pids: () => readonly number[];
  readonly #cpuSeconds = new Map<number, number>();

  constructor(pids: () => readonly number[]) {
    this.#pids = pids;
  }

  static tree(root: number): ProcessGroup {
    let known: readonly number[] = [];
    let at = Number.NEGATIVE_INFINITY;
    return new ProcessGroup(() => {
      if (performance.now() - at > TREE_MS) {
        known = processTree(root);
        at = performance.now();
      }
      return known;
    });
  }

  /** Those that are there. */
  get pids(): readonly number[] {
    return this.#pids().filter((pid) => usageOf(pid) !== undefined);
  }

  usage(): Usage {
    let processes = 0;
    let own = 0;
    let shared = 0;
    for (const pid of this.#pids()) {
      const one = usageOf(pid);
      if (one === undefined) continue;
      processes++;
      own += one.ownBytes;
      shared = Math.max(shared, one.sharedBytes);
      this.#cpuSeconds.set(pid, one.cpuSeconds);
    }
    let cpuSeconds = 0;
    for (const one of this.#cpuSeconds.values()) cpuSeconds += one;
    return this.#cpuSeconds.size === 0 ? NOTHING : { processes, cpuSeconds, rssBytes: own + shared };
  }

  /** CPU seconds of one of them, as `usage` saw it last. */
  cpuSecondsOf(pid: number): number {
    return this.#cpuSeconds.get(pid) ?? 0;
  }
}

function usageOf(pid: number): { cpuSeconds: number; ownBytes: number; sharedBytes: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may contain anything.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const [, resident = 0, shared = 0] = readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ').map(Number);
    return {
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
      ownBytes: (resident - shared) * PAGE_BYTES,
      sharedBytes: shared * PAGE_BYTES,
    };
  } catch {
    return undefined;
  }
}
