// What a process says of itself whatever its roles are: its use of CPU, memory and descriptors, how late its event loop runs, when
// the certificate of its links ends.

import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Clock, Timer } from '../clock.js';
import { Lateness } from '../observe/lateness.js';
import { cpuSeconds, ProcessWatch } from '../observe/process.js';
import type { NodeReport } from '../rpc/services.js';

const TICK_MS = 250;
/** The file of a certificate is looked at again after this. */
const CERTIFICATE_MS = 3_600_000;

export class SelfWatch {
  readonly #clock: Clock;
  readonly #process: ProcessWatch;
  readonly #lateness = new Lateness();
  readonly #timer: Timer;
  readonly #certificate: string | undefined;
  #endsAt: number | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;

  /** `certificate`: its file; undefined: there is none. */
  constructor(clock: Clock, certificate: string | undefined) {
    this.#clock = clock;
    this.#certificate = certificate;
    this.#process = new ProcessWatch(clock);
    this.#timer = clock.every(TICK_MS, () => this.#lateness.tick(clock.monotonic(), TICK_MS));
  }

  figures(): Omit<NodeReport, 'node' | 'problems'> {
    const figures = this.#process.figures();
    const certificateEndsAt = this.#certificateEndsAt();
    return {
      at: this.#clock.now(),
      rssBytes: figures.memory.rssBytes,
      cpuSeconds: cpuSeconds(),
      process: figures,
      loopP99Ms: this.#lateness.p99(),
      ...(certificateEndsAt === undefined ? {} : { certificateEndsAt }),
    };
  }

  stop(): void {
    this.#clock.clear(this.#timer);
  }

  #certificateEndsAt(): number | undefined {
    if (this.#certificate === undefined) return undefined;
    const now = this.#clock.monotonic();
    if (now - this.#lookedAt < CERTIFICATE_MS) return this.#endsAt;
    this.#lookedAt = now;
    try {
      this.#endsAt = Date.parse(new X509Certificate(readFileSync(this.#certificate)).validTo);
    } catch {
      // Links say what is wrong with it.
      this.#endsAt = undefined;
    }
    return this.#endsAt;
  }
}
