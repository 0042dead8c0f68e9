/** What a run is given. */
import type { Assertion } from './assertions.js';
import type { BenchSample } from './figures.js';
import type { Machine } from './machine.js';
import type { ServerAccess } from './options.js';
import type { BenchPlan } from './plan.js';
import type { ReferenceExtent } from './reference.js';

export interface RunParts {
  readonly plan: BenchPlan;
  readonly machine: Machine;
  /** The path of the imgo command. */
  readonly launcher: string;
  readonly version: string;
  /** What was typed. */
  readonly command: string;
  readonly assertions: readonly Assertion[];
  /** A running server; undefined: one of this run's own. */
  readonly access: ServerAccess | undefined;
  /** Cuts the run short: the account follows. */
  readonly signal: AbortSignal;
  /** Once a second. */
  readonly onSample: (sample: BenchSample) => void;
  /** How much bare sockets do of it. undefined: nothing. */
  readonly reference: ReferenceExtent | undefined;
}
