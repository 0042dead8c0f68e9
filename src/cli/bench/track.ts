// What a run looks like at a moment, worked out from its samples: rates of the last second, what is left of the phase, how
// figures went. The view and the plain lines both print this and nothing else.

import type { BenchPhase, BenchSample, GroupUsage, MachineMoment, Percentiles } from '../../bench/figures.js';
import type { BenchPlan } from '../../bench/plan.js';
import { marksOf } from './marks.js';

/** A group of processes, with the cores that it used in the last second. */
export interface GroupMoment extends GroupUsage {
  readonly cores: number;
}

/** A moment of a run. Rates are of the last second, those of flushes of the last five. */
export interface Moment {
  readonly phase: BenchPhase;
  readonly phaseSeconds: number;
  /** Since the run began. */
  readonly seconds: number;
  /** Phases that are over, in order, and how long each took. */
  readonly done: readonly { readonly phase: BenchPhase; readonly seconds: number }[];
  /** How much of the phase is done, 0 to 1; undefined where nobody can know. */
  readonly share: number | undefined;
  /** Until the phase ends, or at most; undefined where nobody can know. */
  readonly leftMs: number | undefined;
  readonly open: number;
  readonly connectsPerSecond: number;
  readonly offeredPerSecond: number;
  readonly acceptedPerSecond: number;
  readonly deliveredPerSecond: number;
  readonly flushesPerSecond: number;
  /** Messages of a flush; undefined: there was none. */
  readonly perFlush: number | undefined;
  readonly latencyMs: Percentiles | null;
  readonly fanOut: BenchSample['fanOut'];
  readonly server: GroupMoment;
  readonly client: GroupMoment;
  readonly coordinator: GroupMoment;
  readonly machine: MachineMoment;
  /** Of the machine. */
  readonly cores: number;
  /** What went wrong so far, by reason, most first. */
  readonly errors: readonly (readonly [reason: string, count: number])[];
  /** Why what is measured is not only the server. */
  readonly marks: readonly string[];
  /** Delivered a second and latency p99, one a second, the last one now. */
  readonly delivered: readonly number[];
  readonly p99: readonly number[];
}

/** Samples closer than this tell no rate. */
const APART_SECONDS = 0.5;
/** What the server says of itself comes in steps: its rates are of so many seconds. */
const SERVER_SECONDS = 5;
/** Seconds that are drawn. */
const KEPT = 120;

/** Follows a run, sample by sample. */
export class Track {
  readonly #plan: BenchPlan;
  readonly #cores: number;
  readonly #done: { phase: BenchPhase; seconds: number }[] = [];
  readonly #delivered: number[] = [];
  readonly #p99: number[] = [];
  /** The last samples that rates are counted between, oldest first. */
  readonly #between: BenchSample[] = [];
  #last: BenchSample | undefined;

  constructor(plan: BenchPlan, cores: number) {
    this.#plan = plan;
    this.#cores = cores;
  }

  add(sample: BenchSample): Moment {
    const last = this.#last;
    if (last !== undefined && last.phase !== sample.phase) {
      const seconds = last.phaseSeconds + Math.max(0, sample.seconds - sample.phaseSeconds - last.seconds);
      this.#done.push({ phase: last.phase, seconds });
    }
    this.#last = sample;
    const to = this.#between.at(-1);
    if (to === undefined || sample.seconds - to.seconds >= APART_SECONDS) {
      this.#between.push(sample);
      if (this.#between.length > SERVER_SECONDS + 1) this.#between.shift();
      if (sample.phase === 'warmup' || sample.phase === 'measure' || sample.phase === 'settle') {
        keep(this.#delivered, this.#rate('delivered'));
        if (sample.latencyMs !== null) keep(this.#p99, sample.latencyMs.p99);
      }
    }
    return this.#moment(sample);
  }

  #moment(sample: BenchSample): Moment {
    const { phase, phaseSeconds, seconds, open, latencyMs, fanOut, machine } = sample;
    const connectsPerSecond = this.#rate('open');
    const flushesPerSecond = this.#per((one) => one.fanOut.flushes, SERVER_SECONDS);
    const messages = this.#per((one) => one.delivered, SERVER_SECONDS);
    const [server, client, coordinator] = (['server', 'client', 'coordinator'] as const).map((group) => ({
      ...sample[group],
      cores: this.#per((one) => one[group].cpuSeconds),
    })) as [GroupMoment, GroupMoment, GroupMoment];
    return {
      phase,
      phaseSeconds,
      seconds,
      done: [...this.#done],
      ...this.#progress(sample, connectsPerSecond),
      open,
      connectsPerSecond,
      offeredPerSecond: this.#rate('offered'),
      acceptedPerSecond: this.#rate('accepted'),
      deliveredPerSecond: this.#rate('delivered'),
      flushesPerSecond,
      perFlush: flushesPerSecond > 0 ? messages / flushesPerSecond : undefined,
      latencyMs,
      fanOut,
      server,
      client,
      coordinator,
      machine,
      cores: this.#cores,
      errors: errorsOf(sample),
      marks: marksOf({ machine, client, coordinator }, this.#cores),
      delivered: [...this.#delivered],
      p99: [...this.#p99],
    };
  }

  #progress({ phase, phaseSeconds, open }: BenchSample, connectsPerSecond: number): Pick<Moment, 'share' | 'leftMs'> {
    const { connections, warmupMs, durationMs, settleMs } = this.#plan;
    if (phase === 'connect') {
      const leftMs = connectsPerSecond > 0 ? ((connections - open) / connectsPerSecond) * 1_000 : undefined;
      return { share: Math.min(1, open / connections), leftMs };
    }
    const all = { warmup: warmupMs, measure: durationMs, settle: settleMs }[phase as 'warmup' | 'measure' | 'settle'];
    if (all === undefined) return { share: undefined, leftMs: undefined };
    const ms = phaseSeconds * 1_000;
    return { share: all === 0 ? 1 : Math.min(1, ms / all), leftMs: Math.max(0, all - ms) };
  }

  #rate(figure: 'open' | 'offered' | 'accepted' | 'delivered'): number {
    return this.#per((sample) => sample[figure]);
  }

  /** How much a count grew in a second, of the last `seconds`; what went down (a process ended) did not grow. */
  #per(figure: (sample: BenchSample) => number, seconds = 1): number {
    const to = this.#between.at(-1);
    const from = this.#between.at(-1 - seconds) ?? this.#between[0];
    if (from === undefined || to === undefined || from === to) return 0;
    return Math.max(0, figure(to) - figure(from)) / (to.seconds - from.seconds);
  }
}

function keep(series: number[], value: number): void {
  series.push(value);
  if (series.length > KEPT) series.shift();
}

function errorsOf({
  failed,
  away,
  broke,
  refused,
  unknown,
  fanOut,
}: BenchSample): readonly (readonly [string, number])[] {
  const all: [string, number][] = [
    ...Object.entries(failed),
    ['broke', broke],
    ['away', away],
    ['push refused', refused],
    ['push unknown', unknown],
    ...Object.entries(fanOut.reasons).map(([reason, n]): [string, number] => [`server: ${reason}`, n]),
  ];
  return all.filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);
}
