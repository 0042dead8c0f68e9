/**
 * A run, step by step: server, tokens, connections, messages when they are due, waiting for what is on its way, the audit.
 * Whatever happens, what it started is ended; a run that is cut short gives the account of what there was until then.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { compareIds, type MessageId } from '../protocol/ids.js';
import type { AssertionResult, BenchPhase, BenchResult, BenchSample, GroupUsage } from './figures.js';
import { Fleet } from './fleet.js';
import { percentilesOf } from './latencies.js';
import type { Machine } from './machine.js';
import type { ServerAccess } from './options.js';
import type { BenchPlan } from './plan.js';
import { Target } from './target.js';

export interface RunParts {
  readonly plan: BenchPlan;
  readonly machine: Machine;
  /** The path of the imgo command. */
  readonly launcher: string;
  readonly version: string;
  /** Cut short: the account follows. */
  readonly signal: AbortSignal;
  /** What was typed. */
  readonly command: string;
  /** A running server; undefined: one of this run's own. */
  readonly access: ServerAccess | undefined;
  /** Once a second. */
  readonly onSample: (sample: BenchSample) => void;
}

const TICK_MS = 1_000;
const SETTLE_LOOK_MS = 100;
/** Nothing new for this long: nothing is on its way any more. */
const QUIET_MS = 3_000;
/** How long what is on its way may take once the run was cut short. */
const CUT_SHORT_MS = 5_000;
/** Where a client's event loop begins to tell more about itself than about the server. */
const BUSY_LOOP = 0.85;

const now = () => Number(process.hrtime.bigint()) / 1e6;

/** @throws ImgoError internal: the server or a receiver did not start, or ended */
export async function runBench(parts: RunParts): Promise<BenchResult> {
  const { plan, signal } = parts;
  const fleet = new Fleet(plan);
  let target: Target | undefined;
  try {
    target = await Target.start(parts.launcher, plan.workers);
    const idle = target.usage();
    const tokens = await target.tokens(plan.connections);
    const run = new Run(parts, fleet, target);
    const before = now();
    const connecting = run.ticking('connect', fleet.connect(plan, target.tcp, tokens));
    await Promise.race([connecting, aborted(signal)]);
    const connectSeconds = (now() - before) / 1_000;
    const connected = target.usage();
    const measured = await run.measure();
    return await run.account({ ...measured, connectSeconds, perConnection: connected.rssBytes - idle.rssBytes });
  } finally {
    fleet.end();
    await target?.stop();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

interface Measured {
  readonly measureSeconds: number;
  readonly settleSeconds: number;
  readonly server: { readonly cpuSeconds: number; readonly rssBytes: number };
  readonly flushes: number;
  readonly clientCpuSeconds: number;
  readonly busiestLoop: number;
  readonly late: number;
}

class Run {
  readonly #parts: RunParts;
  readonly #fleet: Fleet;
  readonly #target: Target;
  #offered = 0;
  /** Numbers with their places in the log. */
  readonly #accepted: { readonly n: number; readonly id: MessageId }[] = [];
  #unknown = 0;
  #busiest = 0;
  readonly #startedAt = now();
  readonly #samples: BenchSample[] = [];

  constructor(parts: RunParts, fleet: Fleet, target: Target) {
    this.#parts = parts;
    this.#fleet = fleet;
    this.#target = target;
  }

  /** Gives a sample once a second while `work` goes on. A process that dies ends it. */
  async ticking<T>(phase: BenchPhase, work: Promise<T>): Promise<T> {
    const from = now();
    const tell = () => this.#tell(phase, from);
    tell();
    const ticker = setInterval(tell, TICK_MS);
    try {
      return await Promise.race([work, this.#fleet.died]);
    } finally {
      clearInterval(ticker);
    }
  }

  #tell(phase: BenchPhase, from: number): void {
    const { plan } = this.#parts;
    const clients = this.#fleet.figures();
    const server = this.#target.usage();
    if (phase === 'measure') this.#busiest = Math.max(this.#busiest, clients.loop);
    const group = (processes: number, usage: { cpuSeconds: number; rssBytes: number }, loop = 0): GroupUsage => {
      return { processes, cpuSeconds: usage.cpuSeconds, rssBytes: usage.rssBytes, loop, loopP99Ms: 0 };
    };
    const { user, system } = process.cpuUsage();
    const sample: BenchSample = {
      seconds: (now() - this.#startedAt) / 1_000,
      phase,
      phaseSeconds: (now() - from) / 1_000,
      open: clients.open,
      failed: clients.failed,
      offered: this.#offered,
      accepted: this.#accepted.length,
      refused: 0,
      unknown: this.#unknown,
      delivered: clients.received,
      bytes: 0,
      latencyMs: null,
      server: group(plan.workers, server),
      client: group(plan.receivers.length, clients, clients.loop),
      coordinator: group(1, { cpuSeconds: (user + system) / 1e6, rssBytes: process.memoryUsage.rss() }),
      fanOut: {
        flushes: 0,
        deliveries: 0,
        windowMs: 0,
        sweepMs: 0,
        ringBytes: 0,
        lagging: 0,
        gaps: 0,
        reasons: {},
      },
      machine: {
        idle: 0,
        steal: 0,
        availableBytes: 0,
        swappedBytes: 0,
        tcpMemBytes: 0,
        listenDrops: 0,
        retransmits: 0,
      },
    };
    this.#samples.push(sample);
    this.#parts.onSample(sample);
  }

  async measure(): Promise<Measured> {
    const { plan } = this.#parts;
    await pause(TICK_MS);
    const [server, flushes, clients] = [this.#target.usage(), await this.#target.flushes(), this.#fleet.figures()];
    const from = now() + 100;
    const everyMs = 1_000 / plan.rate;
    this.#fleet.measure(from, everyMs);
    const late = await this.ticking('measure', this.#offer(from, everyMs));
    const measured = now();
    await this.ticking('settle', this.#settle());
    const after = this.#target.usage();
    return {
      measureSeconds: (measured - from) / 1_000,
      settleSeconds: (now() - measured) / 1_000,
      server: { cpuSeconds: after.cpuSeconds - server.cpuSeconds, rssBytes: after.rssBytes },
      flushes: (await this.#target.flushes()) - flushes,
      clientCpuSeconds: this.#fleet.figures().cpuSeconds - clients.cpuSeconds,
      busiestLoop: this.#busiest,
      late,
    };
  }

  /** Each message when it is due, whatever became of those before it. Returns how many were sent over 5 ms late. */
  async #offer(from: number, everyMs: number): Promise<number> {
    const { plan, signal } = this.#parts;
    const all = Math.round((plan.durationMs / 1_000) * plan.rate);
    const pushes: Promise<void>[] = [];
    let late = 0;
    for (let n = 1; n <= all && !signal.aborted; n++) {
      const due = from + (n - 1) * everyMs;
      const wait = due - now();
      if (wait > 1) await pause(wait - 0.5);
      if (now() - due > 5) late++;
      this.#offered++;
      pushes.push(
        this.#target.push(n).then(
          (id) => void this.#accepted.push({ n, id }),
          () => void this.#unknown++,
        ),
      );
    }
    await Promise.all(pushes);
    return late;
  }

  /** Until every connection has every message, nothing comes any more, or the patience is over. */
  async #settle(): Promise<void> {
    const { plan, signal } = this.#parts;
    const from = now();
    // Also a run that was cut short has an account; what is on its way is not lost.
    const patience = () => (signal.aborted ? Math.min(plan.settleMs, CUT_SHORT_MS) : plan.settleMs);
    let seen = -1;
    let since = now();
    while (now() - from < patience()) {
      const { received, open } = this.#fleet.figures();
      if (received >= open * this.#accepted.length && this.#unknown === 0) return;
      if (received !== seen) since = now();
      else if (now() - since > QUIET_MS) return;
      seen = received;
      await pause(SETTLE_LOOK_MS);
    }
  }

  async account(measured: Measured & { connectSeconds: number; perConnection: number }): Promise<BenchResult> {
    const { plan, machine, version } = this.#parts;
    const inLog = [...this.#accepted].sort((a, b) => compareIds(a.id, b.id)).map(({ n }) => n);
    const audit = await this.#fleet.audit(inLog);
    const clients = this.#fleet.figures();
    const delivered = clients.received;
    const expected = inLog.length * plan.connections;
    const { server, flushes } = measured;
    const reasons: string[] = [];
    if (measured.busiestLoop > BUSY_LOOP) reasons.push(`client loop ${measured.busiestLoop.toFixed(2)}`);
    if (measured.late > this.#offered / 100) reasons.push(`${measured.late} messages sent over 5 ms late`);
    const holds = (text: string, value: number, good: boolean): AssertionResult => {
      return { text, metric: text.split('=')[0] ?? text, holds: good, value, shown: String(value), byDefault: true };
    };
    return {
      format: 1,
      command: this.#parts.command,
      at: new Date(Date.now() - (now() - this.#startedAt)).toISOString(),
      plan,
      cutShort: this.#parts.signal.aborted ? 'it was interrupted' : null,
      connections: {
        target: plan.connections,
        open: clients.open,
        failed: clients.failed,
        seconds: measured.connectSeconds,
        perSecond: clients.open / measured.connectSeconds,
        perCpuSecond: 0,
        connectMs: percentilesOf([]),
      },
      offered: this.#offered,
      accepted: inLog.length,
      refused: 0,
      unknown: this.#unknown,
      delivered,
      expected,
      completeness: expected === 0 ? 1 : delivered / expected,
      lost: audit.lost,
      duplicates: audit.duplicates,
      outOfOrder: audit.outOfOrder,
      gaps: 0,
      redelivered: 0,
      warmup: { offered: 0, accepted: 0, delivered: 0 },
      excused: { churned: 0, slow: 0, missed: 0, repeated: 0 },
      audit: { byBoundaries: audit.connections, byNumber: audit.sampled, byPayload: audit.sampled, foreign: 0 },
      notes: [],
      latencyMs: percentilesOf(audit.latencies),
      latencies: audit.latencies,
      deliveredPerSecond: delivered / (measured.measureSeconds + measured.settleSeconds),
      seconds: {
        connect: measured.connectSeconds,
        measure: measured.measureSeconds,
        settle: measured.settleSeconds,
        all: (now() - this.#startedAt) / 1_000,
      },
      server: {
        ...server,
        bytesPerConnection: measured.perConnection / Math.max(1, clients.open),
        deliveriesPerCpuSecond: delivered / server.cpuSeconds,
        flushesPerCpuSecond: flushes / server.cpuSeconds,
        flushes,
        loopP99Ms: 0,
      },
      client: {
        cpuSeconds: measured.clientCpuSeconds,
        rssBytes: clients.rssBytes,
        loopP99Ms: 0,
        sentLate: measured.late / Math.max(1, this.#offered),
        saturated: { is: reasons.length > 0, reasons },
      },
      calibration: null,
      reference: null,
      http: null,
      assertions: [
        holds('lost==0', audit.lost, audit.lost === 0),
        holds('duplicates==0', audit.duplicates, audit.duplicates === 0),
        holds('outOfOrder==0', audit.outOfOrder, audit.outOfOrder === 0),
        holds('connected==100%', clients.open, clients.open === plan.connections),
        holds('unknown==0', this.#unknown, this.#unknown === 0),
      ],
      samples: this.#samples,
      processes: [],
      versions: { imgo: version, node: process.version },
      machine,
    };
  }
}
