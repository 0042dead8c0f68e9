/** One sample a second of everything that a run is: its connections and messages, its processes, its server, its machine. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type {
  BenchPhase,
  BenchSample,
  GroupUsage,
  Latencies,
  MachineMoment,
  Percentiles,
  ProcessFigures,
} from './figures.js';
import type { Fleet } from './fleet.js';
import { addUp, percentilesOf } from './latencies.js';
import { type CometFigures, NO_FAN_OUT, type NodesWatch } from './nodes.js';
import type { Counts } from './offer.js';
import { ProcessGroup, type Usage } from './usage.js';

const TICK_MS = 1_000;
const LOOK_MS = 10;

export interface MeterParts {
  readonly fleet: Fleet;
  /** undefined: its processes cannot be seen. */
  readonly server: ProcessGroup | undefined;
  /** undefined: it has no such API. */
  readonly nodes: NodesWatch | undefined;
  readonly messages: () => Counts;
  readonly machine: () => MachineMoment;
  readonly onSample: (sample: BenchSample) => void;
  readonly now: () => number;
}

/** What one process did, as it goes. */
interface Track {
  readonly side: ProcessFigures['side'];
  readonly name: string;
  connections: number;
  cpuSeconds: number;
  cores: number;
  /** When its CPU time was seen to grow: a server tells less often than every second. */
  at: number;
  readonly cpu: number[];
  readonly loop: number[];
}

export class Meter {
  readonly samples: BenchSample[] = [];
  readonly #parts: MeterParts;
  readonly #receivers: ProcessGroup;
  readonly #delay = monitorEventLoopDelay({ resolution: LOOK_MS });
  readonly #tracks = new Map<string, Track>();
  readonly #startedAt: number;
  #phase: BenchPhase = 'preflight';
  #phaseAt: number;
  #loop = performance.eventLoopUtilization();
  #latencies: Latencies = [];
  #connectMs: Latencies = [];
  #awayMs: Latencies = [];
  #busiestComet = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: MeterParts) {
    this.#parts = parts;
    this.#receivers = new ProcessGroup(() => parts.fleet.pids);
    this.#startedAt = this.#phaseAt = parts.now();
  }

  start(): void {
    this.#delay.enable();
    this.#parts.nodes?.start();
    this.#timer = setInterval(() => this.tick(), TICK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#delay.disable();
    this.#parts.nodes?.stop();
  }

  /** The next step begins; a sample marks it. */
  enter(phase: BenchPhase): void {
    this.#phase = phase;
    this.#phaseAt = this.#parts.now();
    this.tick();
  }

  /** Seconds since the run began. */
  get seconds(): number {
    return (this.#parts.now() - this.#startedAt) / 1_000;
  }

  /** Roles apart say themselves what they use, wherever they are. */
  server(): Usage {
    const { comets = [], apart = [], cpuByRole = {} } = this.#parts.nodes?.latest ?? {};
    const rssOf = (nodes: readonly { readonly rssBytes: number }[]) =>
      nodes.reduce((sum, one) => sum + one.rssBytes, 0);
    if (apart.length > 0) return { processes: apart.length, cpuSeconds: sumOf(cpuByRole), rssBytes: rssOf(apart) };
    const seen = this.#parts.server?.usage();
    if (seen !== undefined) return seen;
    const cpuSeconds = comets.reduce((sum, one) => sum + one.cpuSeconds, 0);
    return { processes: comets.length, cpuSeconds, rssBytes: rssOf(comets) };
  }

  /** Which processes the server has now, as far as they can be seen. */
  get members(): string {
    const { apart = [] } = this.#parts.nodes?.latest ?? {};
    const all = apart.length > 0 ? apart.map(({ process }) => process) : (this.#parts.server?.pids ?? []);
    return all.toSorted().join(' ');
  }

  client(): Usage {
    return this.#receivers.usage();
  }

  /** Of all that were measured, so far. */
  get latencies(): Latencies {
    return this.#latencies;
  }

  get connectMs(): Latencies {
    return this.#connectMs;
  }

  /** From breaks to returns. */
  get awayMs(): Latencies {
    return this.#awayMs;
  }

  get processes(): readonly ProcessFigures[] {
    return [...this.#tracks.values()].map(({ side, name, connections, cpu, loop }) => {
      return { side, name, connections, cpu, loop };
    });
  }

  /** Takes a sample now. */
  tick(): void {
    const { fleet, messages, machine, nodes, now, onSample } = this.#parts;
    const at = now();
    const clients = fleet.figures();
    const server = this.server();
    const client = this.client();
    const comets = nodes?.latest?.comets ?? [];
    this.#follow(comets);
    const sample: BenchSample = {
      seconds: (at - this.#startedAt) / 1_000,
      phase: this.#phase,
      phaseSeconds: (at - this.#phaseAt) / 1_000,
      open: clients.open,
      failed: clients.failed,
      away: clients.away,
      broke: sumOf(clients.broke),
      ...messages(),
      delivered: clients.received,
      bytes: clients.bytes,
      latencyMs: this.#takeLatencies(),
      server: {
        ...server,
        loop: this.#busiestComet,
        loopP99Ms: comets.reduce((most, { loopP99Ms }) => Math.max(most, loopP99Ms), 0),
      },
      client: { ...client, loop: clients.loop, loopP99Ms: clients.loopP99Ms },
      coordinator: this.#coordinator(),
      fanOut: nodes?.latest?.fanOut ?? NO_FAN_OUT,
      machine: machine(),
    };
    this.samples.push(sample);
    onSample(sample);
  }

  /** What came since the last sample. */
  #takeLatencies(): Percentiles | null {
    const { fleet } = this.#parts;
    this.#connectMs = addUp([this.#connectMs, fleet.takeConnectMs()]);
    this.#awayMs = addUp([this.#awayMs, fleet.takeAwayMs()]);
    const latencies = fleet.takeLatencies();
    if (latencies.length === 0) return null;
    this.#latencies = addUp([this.#latencies, latencies]);
    return percentilesOf(latencies);
  }

  /** Each process, second by second of the measured time. */
  #follow(comets: readonly CometFigures[]): void {
    for (const [at, { pid, open, loop }] of this.#parts.fleet.each().entries()) {
      this.#track(`receiver ${at + 1}`, 'client', open, this.#receivers.cpuSecondsOf(pid), loop);
    }
    let busiest = 0;
    for (const { name, connections, cpuSeconds, loopP99Ms } of comets) {
      busiest = Math.max(busiest, this.#track(name, 'server', connections, cpuSeconds, loopP99Ms));
    }
    if (busiest > 0) this.#busiestComet = Math.min(1, busiest);
  }

  /** Returns the cores that it used. */
  #track(name: string, side: Track['side'], connections: number, cpuSeconds: number, loop: number): number {
    const at = this.#parts.now();
    let track = this.#tracks.get(name);
    if (track === undefined) {
      track = { side, name, connections, cpuSeconds, cores: 0, at, cpu: [], loop: [] };
      this.#tracks.set(name, track);
    }
    track.connections = Math.max(track.connections, connections);
    if (cpuSeconds > track.cpuSeconds || side === 'client') {
      track.cores = at === track.at ? 0 : Math.max(0, cpuSeconds - track.cpuSeconds) / ((at - track.at) / 1_000);
      track.cpuSeconds = cpuSeconds;
      track.at = at;
    }
    if (this.#phase === 'measure') {
      track.cpu.push(Number(track.cores.toFixed(3)));
      track.loop.push(Number(loop.toFixed(3)));
    }
    return track.cores;
  }

  #coordinator(): GroupUsage {
    const { user, system } = process.cpuUsage();
    const loop = performance.eventLoopUtilization(this.#loop).utilization;
    this.#loop = performance.eventLoopUtilization();
    const loopP99Ms = Math.max(0, this.#delay.percentile(99) / 1e6 - LOOK_MS);
    this.#delay.reset();
    const used = { cpuSeconds: (user + system) / 1e6, rssBytes: process.memoryUsage.rss() };
    return { processes: 1, ...used, loop, loopP99Ms };
  }
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
