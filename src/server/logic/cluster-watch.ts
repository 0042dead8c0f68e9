/**
 * What one logic knows of all nodes: it asks each what it has to say, waits only so long, and keeps what each said last. A node
 * that did not answer is asked again, one question at a time, and not waited for until it answers. With every look alerts are
 * judged; where nobody looks, every few seconds.
 */
import type { NodeId } from '../../protocol/ids.js';
import { pause, type Timer } from '../clock.js';
import { Alarm, type Alert } from '../observe/alarm.js';
import type { Facts, NodeFacts } from '../observe/facts.js';
import type { NodeRecord } from '../router/registry.js';
import type { CometStats, NodeReport, StatsRequest } from '../rpc/services.js';
import { sumOf, waitingOver } from './cluster-sums.js';
import type { LogicParts, PushParts } from './options.js';

export interface WatchParts extends Pick<LogicParts, 'registry' | 'clock' | 'options' | 'cometFor' | 'buckets'> {
  readonly queue: PushParts['queue'];
  readonly version: string;
  readonly reports: (nodes: readonly NodeRecord[]) => Promise<readonly (NodeReport | undefined)[]>;
  /** This process, where it is no node of its own: the parent of workers. */
  readonly self?: (() => NodeReport) | undefined;
}

interface Known {
  record: NodeRecord;
  report: NodeReport | undefined;
  comet: CometStats | undefined;
  /** Monotonic ms of its last answer. */
  answeredAt: number;
  /** The question that is under way. */
  asking: Promise<void> | undefined;
  silent: boolean;
  skewMs: number | undefined;
  /** For rates: what was counted a second ago or more, and what there was a second since. */
  before: { readonly at: number; readonly counts: Readonly<Record<string, number>> } | undefined;
  perSecond: Readonly<Record<string, number>>;
}

const JUDGE_MS = 5_000;
/** Of a comet's topics and sessions, what alerts need: its busiest topic, which it tells anyway. */
const FOR_ALERTS: StatsRequest = { topics: 0, topicOrder: 'sweep', sessions: 0 };
/** Two samples of a count this far apart make a rate. */
const RATE_MS = 900;

export class ClusterWatch {
  readonly #parts: WatchParts;
  readonly #alarm: Alarm;
  readonly #since: number;
  readonly #known = new Map<NodeId, Known>();
  /** Counted by nodes that are gone, and by earlier incarnations. */
  #ended: Record<string, number> = {};
  #records: readonly NodeRecord[] = [];
  #timer: Timer | undefined;
  #judging = false;

  constructor(parts: WatchParts) {
    this.#parts = parts;
    this.#since = parts.clock.now();
    this.#alarm = new Alarm(() => parts.options.alerts);
  }

  start(): void {
    this.#timer ??= this.#parts.clock.every(JUDGE_MS, () => void this.#judge());
  }

  stop(): void {
    this.#parts.clock.clear(this.#timer);
    this.#timer = undefined;
  }

  /** What held at the last look. */
  get alerts(): readonly Alert[] {
    return this.#alarm.alerts;
  }

  /** The same by code, 0 included: for a metric. */
  get alertCounts(): ReturnType<Alarm['counts']> {
    return this.#alarm.counts();
  }

  /** Asks all nodes. Never rejects: what does not answer is as it was. */
  async look(request: StatsRequest = FOR_ALERTS): Promise<Facts> {
    const { clock, options, registry } = this.#parts;
    const late = new AbortController();
    const deadline = pause(clock, options.confirmMs, late.signal);
    const records = await Promise.race([registry.nodes().catch(() => undefined), deadline]);
    if (records !== undefined) this.#learn(records);
    const live = [...this.#known.values()].filter(({ record }) => record.state !== 'gone');
    // Others may look at the same time, with other requests: what is shown is what this one was answered.
    const heard = new Map<NodeId, CometStats>();
    const unheard = new Set(live);
    const questions = live.map((known) => this.#ask(known, request, heard).then(() => unheard.delete(known)));
    // Who was silent before is heard when it speaks.
    const waitedFor = questions.filter((_question, at) => live[at]?.silent === false);
    await Promise.race([Promise.all(waitedFor), deadline]);
    late.abort();
    for (const known of unheard) known.silent = true;
    const facts = this.#facts(heard);
    this.#alarm.judge(facts);
    return facts;
  }

  /** What was counted by all nodes that there ever were, since this logic looks. */
  totals(): Readonly<Record<string, number>> {
    return sumOf([this.#ended, ...[...this.#known.values()].map((known) => countsOf(known.comet))]);
  }

  /** How much a node counts a second; empty until it was asked twice. */
  perSecond(node: string): Readonly<Record<string, number>> {
    return this.#known.get(node as NodeId)?.perSecond ?? {};
  }

  async #judge(): Promise<void> {
    if (this.#judging) return;
    this.#judging = true;
    await this.look().finally(() => {
      this.#judging = false;
    });
  }

  #learn(records: readonly NodeRecord[]): void {
    const own = this.#own(records);
    this.#records = own === undefined ? records : [own, ...records];
    const listed = new Set(this.#records.map(({ node }) => node));
    for (const [node, known] of this.#known) {
      if (listed.has(node)) continue;
      this.#end(known);
      this.#known.delete(node);
    }
    for (const record of this.#records) {
      const known = this.#known.get(record.node);
      if (known === undefined) this.#known.set(record.node, fresh(record, this.#parts.clock.monotonic()));
      else {
        if (known.record.incarnation !== record.incarnation) {
          this.#end(known);
          Object.assign(known, fresh(record, this.#parts.clock.monotonic()));
        }
        known.record = record;
      }
    }
  }

  /** Workers have leases; the process that they work for has none. */
  #own(records: readonly NodeRecord[]): NodeRecord | undefined {
    const node = this.#parts.self?.().node;
    if (node === undefined || records.some((record) => record.node === node)) return undefined;
    const { version } = this.#parts;
    return { node, incarnation: 0, roles: ['logic', 'job'], address: '', version, since: this.#since, state: 'ok' };
  }

  #end(known: Known): void {
    this.#ended = sumOf([this.#ended, countsOf(known.comet)]);
    known.comet = undefined;
  }

  #ask(known: Known, request: StatsRequest, heard: Map<NodeId, CometStats>): Promise<void> {
    if (known.silent && known.asking !== undefined) return known.asking;
    const question = this.#question(known, request, heard).finally(() => {
      if (known.asking === question) known.asking = undefined;
    });
    known.asking = question;
    return question;
  }

  async #question(known: Known, request: StatsRequest, heard: Map<NodeId, CometStats>): Promise<void> {
    const { clock, reports, cometFor, self } = this.#parts;
    const { record } = known;
    const askedAt = clock.now();
    const own = self?.();
    const reported =
      own?.node === record.node ? [own] : await Promise.all([reports([record]), undefined]).then(([answer]) => answer);
    const comet = record.roles.includes('comet') ? cometFor(record.node) : undefined;
    const stats = await comet?.stats(request).catch(() => undefined);
    const [report] = reported;
    // Of another incarnation by now, or nothing came: as it was.
    if (known.record.incarnation !== record.incarnation) return;
    if (report !== undefined) known.report = report;
    if (stats !== undefined) {
      this.#take(known, stats);
      heard.set(record.node, stats);
    }
    const answers = comet === undefined ? record.address === '' || report !== undefined : stats !== undefined;
    if (!answers) {
      known.silent = true;
      return;
    }
    known.silent = false;
    known.answeredAt = clock.monotonic();
    const at = stats?.at ?? report?.at;
    // As if it had been said half way.
    known.skewMs = at === undefined ? undefined : at - (askedAt + clock.now()) / 2;
  }

  #take(known: Known, stats: CometStats): void {
    const at = this.#parts.clock.monotonic();
    const counts = countsOf(stats);
    known.comet = stats;
    if (known.before !== undefined && at - known.before.at < RATE_MS) return;
    if (known.before !== undefined) {
      const seconds = (at - known.before.at) / 1_000;
      const { counts: before } = known.before;
      known.perSecond = Object.fromEntries(
        Object.entries(counts).map(([name, value]) => [name, Math.max(0, value - (before[name] ?? 0)) / seconds]),
      );
    }
    known.before = { at, counts };
  }

  #facts(heard: ReadonlyMap<NodeId, CometStats>): Facts {
    const { clock, version, queue, buckets } = this.#parts;
    const now = clock.monotonic();
    const nodes = this.#records.map((record): NodeFacts => {
      const known = this.#known.get(record.node);
      const { report, skewMs } = known ?? {};
      const comet = heard.get(record.node) ?? known?.comet;
      const silentMs = known?.silent === true && record.state !== 'gone' ? Math.max(1, now - known.answeredAt) : 0;
      return { ...record, report, comet, skewMs: silentMs > 0 ? undefined : skewMs, silentMs };
    });
    const said = nodes.flatMap(({ report }) => report ?? []);
    return { now, at: clock.now(), version, nodes, queue: waitingOver(queue, said), store: buckets.health() };
  }
}

function fresh(record: NodeRecord, now: number): Known {
  const none = { report: undefined, comet: undefined, asking: undefined, skewMs: undefined, before: undefined };
  return { record, ...none, answeredAt: now, silent: false, perSecond: {} };
}

/** What a comet counts, under one name for each thing. */
function countsOf(comet: CometStats | undefined): Readonly<Record<string, number>> {
  if (comet === undefined) return {};
  const { counters, cpuSeconds } = comet;
  return { ...counters, cpu_seconds: cpuSeconds };
}
