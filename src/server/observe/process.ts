/**
 * What this process uses of what it may: descriptors and memory. Read at most once a second, whoever asks; where descriptors
 * must be listed to be counted, they are listed so rarely that it costs a thousandth of the time.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { totalmem } from 'node:os';
import type { Clock } from '../clock.js';

/** What a process says of itself. */
export interface ProcessUse {
  /** `used` 0: it cannot be told. `limit`: the hard one; 0: there is none. */
  readonly descriptors: { readonly used: number; readonly limit: number };
  readonly memory: {
    readonly rssBytes: number;
    /** Of the control group where it has one, else of the machine. */
    readonly limitBytes: number;
    /** Of the machine, with what caches would give back. Of a control group: what its processes have not taken. */
    readonly availableBytes: number;
    readonly constrained: boolean;
  };
}

const FRESH_MS = 1_000;
/** Listing descriptors may take this share of the time. */
const LISTING_SHARE = 1 / 1_000;

/** The hard limit of descriptors of this process; Infinity where there is none to read. */
export function descriptorLimit(): number {
  try {
    const match = /^Max open files\s+\d+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return match === null ? Number.POSITIVE_INFINITY : Number(match[1]);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/** Descriptors open in this process now; 0 where that cannot be read. */
export function descriptorsInUse(): number {
  try {
    // Linux 6.2 and later say how many without listing them, which takes 20 ms for 10,000.
    return statSync('/proc/self/fd').size || readdirSync('/proc/self/fd').length;
  } catch {
    return 0;
  }
}

/** CPU time that this process has used, in its own code and in the kernel for it. */
export function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** The figures of this process. */
export class ProcessWatch {
  readonly #clock: Clock;
  readonly #limit = Number.isFinite(descriptorLimit()) ? descriptorLimit() : 0;
  #figures: ProcessUse | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #descriptors = 0;
  #countAgainAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** As they were within the last second. */
  figures(): ProcessUse {
    const now = this.#clock.monotonic();
    if (this.#figures !== undefined && now - this.#readAt < FRESH_MS) return this.#figures;
    this.#readAt = now;
    const machineBytes = totalmem();
    const constrainedBytes = process.constrainedMemory();
    const constrained = constrainedBytes > 0 && constrainedBytes < machineBytes;
    this.#figures = {
      descriptors: { used: this.#count(now), limit: this.#limit },
      memory: {
        rssBytes: process.memoryUsage.rss(),
        limitBytes: constrained ? constrainedBytes : machineBytes,
        availableBytes: process.availableMemory(),
        constrained,
      },
    };
    return this.#figures;
  }

  #count(now: number): number {
    if (now < this.#countAgainAt) return this.#descriptors;
    this.#descriptors = descriptorsInUse();
    const tookMs = this.#clock.monotonic() - now;
    this.#countAgainAt = now + tookMs / LISTING_SHARE;
    return this.#descriptors;
  }
}
