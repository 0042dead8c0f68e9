/**
 * Many receiver processes on a core wake each other for a connection or two, and each wake costs more than what it is for.
 * So each lets a while pass between two turns and reads what came meanwhile together. Latencies are longer by up to that;
 * where each has a core, none waits.
 */

/** Between the ends of two turns at least, where there are more processes than a few for each core. Ms. */
const TURN_MS = 100;
const FEW_PER_CORE = 4;

/** More processes than a few for each core. */
export function isCrowded(processes: number, cores: number): boolean {
  return processes > FEW_PER_CORE * cores;
}

/** What receivers wait between two turns, ms. */
export function turnMs(processes: number, cores: number): number {
  return isCrowded(processes, cores) ? TURN_MS : 0;
}

export class Turns {
  /** What was waited since it was last asked for, ms. */
  #waited = 0;
  readonly everyMs: number;
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));
  #since = 0;
  #ending = false;

  constructor(everyMs: number) {
    this.everyMs = everyMs;
  }

  /** Something was read in this turn. */
  took(): void {
    if (this.#ending || this.everyMs === 0) return;
    this.#ending = true;
    setImmediate(() => this.#end());
  }

  /** Ms waited since the last call: a loop that waits is not busy. */
  takeWaited(): number {
    const waited = this.#waited;
    this.#waited = 0;
    return waited;
  }

  #end(): void {
    const now = performance.now();
    const left = this.#since + this.everyMs - now;
    if (left > 0) Atomics.wait(this.#cell, 0, 0, left);
    this.#since = performance.now();
    this.#waited += this.#since - now;
    this.#ending = false;
  }
}
