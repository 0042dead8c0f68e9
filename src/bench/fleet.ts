// The receiver processes of a run: started, told what to do, added up.

import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ImgoError } from '../protocol/errors.js';
import { addUp } from './latencies.js';
import type { ReceiverAudit, ReceiverFigures, ReceiverOrder, ReceiverWord } from './messages.js';
import type { BenchPlan } from './plan.js';

const SCRIPT = fileURLToPath(new URL('./receivers.js', import.meta.url));
/** Connections that are being opened at a time, over all processes. */
const AT_ONCE = 400;
/** Connections whose payloads are read, over all processes. */
const SAMPLE = 1_000;

/** All receivers together. */
export interface FleetFigures extends ReceiverFigures {
  /** The busiest event loop. */
  readonly loop: number;
}

/** All audits together; latencies in order. */
export type FleetAudit = ReceiverAudit;

export class Fleet {
  readonly #children: readonly ChildProcess[];
  readonly #latest = new Map<ChildProcess, ReceiverFigures>();
  readonly #died = Promise.withResolvers<never>();
  #ending = false;

  constructor(plan: BenchPlan) {
    this.#died.promise.catch(() => undefined);
    this.#children = plan.receivers.map(() => {
      const child = fork(SCRIPT, [], { execArgv: process.execArgv });
      child.on('message', (word: ReceiverWord) => {
        if ('figures' in word) this.#latest.set(child, word.figures);
      });
      child.on('exit', (code, signal) => {
        if (this.#ending) return;
        this.#died.reject(new ImgoError('internal', { detail: `a receiver process ended (${signal ?? code})` }));
      });
      return child;
    });
  }

  /** Opens all connections, paced by how many may be under way. */
  async connect(plan: BenchPlan, tcp: { host: string; port: number }, tokens: readonly string[]): Promise<void> {
    const sampleEvery = Math.max(1, Math.floor(plan.connections / SAMPLE));
    const atOnce = Math.max(1, Math.floor(AT_ONCE / plan.receivers.length));
    let from = 0;
    await Promise.all(
      this.#children.map((child, at) => {
        const mine = tokens.slice(from, from + (plan.receivers[at] as number));
        from += mine.length;
        // Each process begins at another address, so that all are used alike.
        const sources = [
          ...plan.sources.slice(at % plan.sources.length),
          ...plan.sources.slice(0, at % plan.sources.length),
        ];
        return this.#ask(child, { do: 'connect', ...tcp, tokens: mine, sources, atOnce, sampleEvery }, 'connected');
      }),
    );
  }

  measure(startedAt: number, everyMs: number): void {
    for (const child of this.#children) child.send({ do: 'measure', startedAt, everyMs } satisfies ReceiverOrder);
  }

  /** `order`: the numbers that were accepted, in the order of the log. */
  async audit(order: readonly number[]): Promise<FleetAudit> {
    const words = await Promise.all(this.#children.map((child) => this.#ask(child, { do: 'audit', order }, 'audit')));
    const audits = words.flatMap((word) => (word.say === 'audit' ? [word.audit] : []));
    const sum = (of: (audit: ReceiverAudit) => number) => audits.reduce((all, audit) => all + of(audit), 0);
    return {
      connections: sum(({ connections }) => connections),
      complete: sum(({ complete }) => complete),
      lost: sum(({ lost }) => lost),
      duplicates: sum(({ duplicates }) => duplicates),
      sampled: sum(({ sampled }) => sampled),
      outOfOrder: sum(({ outOfOrder }) => outOfOrder),
      latencies: addUp(audits.map(({ latencies }) => latencies)),
    };
  }

  /** What the processes said last: at most a second old. */
  figures(): FleetFigures {
    const failed: Record<string, number> = {};
    const all = [...this.#latest.values()];
    for (const one of all)
      for (const [reason, count] of Object.entries(one.failed)) failed[reason] = (failed[reason] ?? 0) + count;
    const sum = (of: (figures: ReceiverFigures) => number) => all.reduce((total, one) => total + of(one), 0);
    return {
      open: sum(({ open }) => open),
      failed,
      received: sum(({ received }) => received),
      cpuSeconds: sum(({ cpuSeconds }) => cpuSeconds),
      rssBytes: sum(({ rssBytes }) => rssBytes),
      loop: Math.max(0, ...all.map(({ loop }) => loop)),
    };
  }

  /** Rejects when a process ends that should not. */
  get died(): Promise<never> {
    return this.#died.promise;
  }

  end(): void {
    this.#ending = true;
    for (const child of this.#children) if (child.connected) child.send({ do: 'end' } satisfies ReceiverOrder);
  }

  #ask(child: ChildProcess, order: ReceiverOrder, answer: ReceiverWord['say']): Promise<ReceiverWord> {
    const answered = new Promise<ReceiverWord>((resolve) => {
      const onMessage = (word: ReceiverWord) => {
        if (word.say !== answer) return;
        child.off('message', onMessage);
        resolve(word);
      };
      child.on('message', onMessage);
    });
    child.send(order);
    return Promise.race([answered, this.#died.promise]);
  }
}
