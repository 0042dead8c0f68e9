// Virtual time. One queue of events, run in the order of their times; between two events all promises settle, so a run is a
// function of its seed. Events belong to processes: those of a paused one wait until it goes on, those of a dead one never
// happen. A process is also the Clock that real code under src/server is given.

import { nextTick } from 'node:process';
import type { Clock, Timer } from '../../src/server/clock.js';

/** Wall ms at virtual time 0. */
const WALL_START = 1_800_000_000_000;

interface Event {
  readonly at: number;
  readonly order: number;
  readonly process: SimProcess | undefined;
  readonly run: () => void;
  cancelled: boolean;
}

export class Scheduler {
  /** Virtual monotonic ms. */
  now = 0;
  events = 0;
  readonly random: () => number;
  #order = 0;
  readonly #heap: Event[] = [];

  constructor(random: () => number) {
    this.random = random;
  }

  /** Uniform in [min, max). */
  between(min: number, max: number): number {
    return min + this.random() * (max - min);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.random() < probability;
  }

  pick<T>(list: readonly T[]): T {
    const found = list[Math.floor(this.random() * list.length)];
    if (found === undefined) throw new Error('nothing to pick from');
    return found;
  }

  schedule(process: SimProcess | undefined, delay: number, run: () => void): Event {
    const event: Event = { at: this.now + Math.max(0, delay), order: this.#order++, process, run, cancelled: false };
    this.#push(event);
    return event;
  }

  /** Runs until virtual time `until`; `budget` events at most. */
  async run(until: number, budget: number): Promise<void> {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.at > until) break;
      if (this.events++ > budget) throw new Error(`no end in sight after ${budget} events`);
      this.#pop();
      if (next.cancelled) continue;
      this.now = Math.max(this.now, next.at);
      const process = next.process;
      if (process?.state === 'dead') continue;
      if (process?.state === 'paused') {
        process.postponed.push(next);
        continue;
      }
      next.run();
      // The tick comes when no promise has anything left to do: all that this event settled has happened.
      await new Promise<void>(nextTick);
    }
    this.now = until;
  }

  /** Events of a process that goes on. */
  resume(events: readonly Event[]): void {
    for (const event of events) {
      if (!event.cancelled) this.#push({ ...event, at: this.now, order: this.#order++ });
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    heap.push(event);
    for (let at = heap.length - 1; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent] as Event)) break;
      heap[at] = heap[parent] as Event;
      heap[parent] = event;
      at = parent;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    heap[0] = last;
    for (let at = 0; ; ) {
      let least = 2 * at + 1;
      if (least >= heap.length) break;
      if (least + 1 < heap.length && before(heap[least + 1] as Event, heap[least] as Event)) least++;
      if (!before(heap[least] as Event, last)) break;
      heap[at] = heap[least] as Event;
      heap[least] = last;
      at = least;
    }
  }
}

function before(a: Event, b: Event): boolean {
  return a.at !== b.at ? a.at < b.at : a.order < b.order;
}

export class SimProcess implements Clock {
  readonly name: string;
  readonly scheduler: Scheduler;
  state: 'running' | 'paused' | 'dead' = 'running';
  postponed: Event[] = [];
  /** Told when this process dies: connections to it break. */
  readonly onDeath = new Set<() => void>();

  constructor(scheduler: Scheduler, name: string) {
    this.scheduler = scheduler;
    this.name = name;
  }

  pause(): void {
    if (this.state === 'running') this.state = 'paused';
  }

  resume(): void {
    if (this.state !== 'paused') return;
    this.state = 'running';
    const postponed = this.postponed;
    this.postponed = [];
    this.scheduler.resume(postponed);
  }

  kill(): void {
    if (this.state === 'dead') return;
    this.state = 'dead';
    this.postponed = [];
    for (const told of [...this.onDeath]) told();
    this.onDeath.clear();
  }

  // The Clock.

  now(): number {
    return WALL_START + Math.floor(this.scheduler.now);
  }

  monotonic(): number {
    return this.scheduler.now;
  }

  after(ms: number, run: () => void): Timer {
    return { timer: this.scheduler.schedule(this, ms, run) };
  }

  every(ms: number, run: () => void): Timer {
    const timer = { timer: this.scheduler.schedule(this, ms, tick) };
    const { scheduler } = this;
    const repeat = (): void => {
      timer.timer = scheduler.schedule(this, ms, tick);
    };
    function tick(): void {
      repeat();
      run();
    }
    return timer;
  }

  clear(timer: Timer | undefined): void {
    if (timer !== undefined) (timer.timer as Event).cancelled = true;
  }

  soon(run: () => void): void {
    this.scheduler.schedule(this, 0.01, run);
  }

  random(): number {
    return this.scheduler.random();
  }

  randomBytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => Math.floor(this.scheduler.random() * 256));
  }
}
