/** What the server says of itself: asked now and then, never waited for. A server that is busy answers late. */
import { isJsonObject, type JsonObject } from '../protocol/text.js';
import type { FanOutFigures } from './figures.js';
import type { HttpCaller } from './http-caller.js';

/** One comet. */
export interface CometFigures {
  readonly name: string;
  readonly connections: number;
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly loopP99Ms: number;
}

/** One node of roles apart, and what it does: `logic`, `job`, `comet`, or several with `+` between them. */
export interface RoleFigures {
  /** Its name, and when it began. */
  readonly process: string;
  readonly role: string;
  readonly cpuSeconds: number;
  readonly rssBytes: number;
}

export interface NodesFigures {
  readonly fanOut: FanOutFigures;
  readonly comets: readonly CometFigures[];
  /** Those that are there; empty for a server that is one. */
  readonly apart: readonly RoleFigures[];
  /** CPU seconds of all that ever were, by role. */
  readonly cpuByRole: Readonly<Record<string, number>>;
}

/** Before the first answer, and of servers that have no such API. */
export const NO_FAN_OUT: FanOutFigures = {
  flushes: 0,
  deliveries: 0,
  windowMs: 0,
  sweepMs: 0,
  ringBytes: 0,
  lagging: 0,
  gaps: 0,
  reasons: {},
};

const EVERY_MS = 2_000;
const DEADLINE_MS = 10_000;

interface Topic {
  readonly windowMs: number;
  readonly sweepMs: number;
  readonly ringBytes: number;
  readonly lagging: number;
}

interface Comet extends CometFigures {
  readonly node: string;
  readonly topics: readonly Topic[];
  readonly counters: Readonly<Record<string, number>>;
  readonly reasons: Readonly<Record<string, number>>;
}

export class NodesWatch {
  readonly #http: HttpCaller;
  /** What each comet said last: one that is too busy to answer keeps its figures. */
  readonly #known = new Map<string, { readonly since: unknown; readonly comet: Comet }>();
  /** Earlier processes: what they counted stays counted. */
  readonly #ended: Comet[] = [];
  /** Nodes of roles apart, by name and beginning: one that loses its lease is still the same process. */
  readonly #apart = new Map<string, RoleFigures>();
  #latest: NodesFigures | undefined;
  #asking: Promise<NodesFigures | undefined> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(http: HttpCaller) {
    this.#http = http;
  }

  /** What it said last; undefined: nothing yet. */
  get latest(): NodesFigures | undefined {
    return this.#latest;
  }

  start(): void {
    this.#timer = setInterval(() => void this.ask(), EVERY_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** undefined: no answer in time. One call is under way at a time. */
  ask(): Promise<NodesFigures | undefined> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /** What the server lists, as `/v1/nodes` has it. */
  take(items: readonly unknown[]): NodesFigures {
    const here = this.#takeApart(items.filter(isJsonObject));
    for (const item of items) {
      if (!isJsonObject(item) || !isJsonObject(item['comet'])) continue;
      const { node, since } = item;
      const before = this.#known.get(String(node));
      if (before !== undefined && before.since !== since) this.#ended.push(before.comet);
      this.#known.set(String(node), { since, comet: item['comet'] as unknown as Comet });
    }
    const comets = [...this.#known.values()].map(({ comet }) => comet);
    const cpuByRole: Record<string, number> = {};
    for (const { role, cpuSeconds } of this.#apart.values()) cpuByRole[role] = (cpuByRole[role] ?? 0) + cpuSeconds;
    const apart = here.flatMap((name) => this.#apart.get(name) ?? []);
    this.#latest = { ...addUp(comets, [...comets, ...this.#ended]), apart, cpuByRole };
    return this.#latest;
  }

  /** Where there are several nodes with an address, each says what it uses. Returns those that are there, by name. */
  #takeApart(items: readonly JsonObject[]): readonly string[] {
    const nodes = items.filter(
      ({ address, state }) => typeof address === 'string' && address !== '' && state !== 'gone',
    );
    if (nodes.length < 2 && this.#apart.size === 0) return [];
    return nodes.map(({ node, since, roles, report }) => {
      const process = `${String(node)} ${String(since)}`;
      if (isJsonObject(report)) {
        const role = Array.isArray(roles) ? roles.join('+') : 'other';
        const { cpuSeconds, rssBytes } = report;
        this.#apart.set(process, { process, role, cpuSeconds: Number(cpuSeconds), rssBytes: Number(rssBytes) });
      }
      return process;
    });
  }

  async #ask(): Promise<NodesFigures | undefined> {
    try {
      const { status, json } = await this.#http.call('GET', '/v1/nodes', '', DEADLINE_MS);
      if (status !== 200 || !Array.isArray(json['items'])) return undefined;
      return this.take(json['items']);
    } catch {
      return undefined;
    }
  }
}

/** Figures of those that are there; counts of all that ever were. */
function addUp(comets: readonly Comet[], ever: readonly Comet[]): Pick<NodesFigures, 'fanOut' | 'comets'> {
  const topics = comets.flatMap((comet) => comet.topics);
  const count = (name: string) => ever.reduce((sum, { counters }) => sum + (counters[name] ?? 0), 0);
  const most = (of: (topic: Topic) => number) => topics.reduce((max, topic) => Math.max(max, of(topic)), 0);
  const reasons: Record<string, number> = {};
  for (const comet of ever)
    for (const [reason, times] of Object.entries(comet.reasons)) reasons[reason] = (reasons[reason] ?? 0) + times;
  return {
    fanOut: {
      flushes: count('flushes'),
      deliveries: count('deliveries') + count('topics_deliveries'),
      windowMs: most(({ windowMs }) => windowMs),
      sweepMs: most(({ sweepMs }) => sweepMs),
      ringBytes: topics.reduce((sum, { ringBytes }) => sum + ringBytes, 0),
      lagging: topics.reduce((sum, { lagging }) => sum + lagging, 0),
      gaps: count('gaps') + count('topics_gaps_log'),
      reasons,
    },
    comets: comets.map(({ node, connections, cpuSeconds, rssBytes, loopP99Ms }) => {
      return { name: node, connections, cpuSeconds, rssBytes, loopP99Ms };
    }),
  };
}
