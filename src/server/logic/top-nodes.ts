// Nodes as `imgo top` shows them: a row for each, its workers in it; or, of one node, a row for each of its processes.

import type { Facts, NodeFacts } from '../observe/facts.js';
import { isDrop } from '../observe/measures.js';
import { isoTime } from './schemas.js';
import type { NodeOrder } from './top-orders.js';

/** How much a process counts a second. */
export type Rates = (node: string) => Readonly<Record<string, number>>;

export interface NodeRow {
  readonly node: string;
  readonly roles: readonly string[];
  /** `silent`: it has a lease and does not answer; its figures are as old as `silentMs`. */
  readonly state: 'ok' | 'draining' | 'silent' | 'gone';
  readonly silentMs: number;
  readonly version: string;
  readonly since: string;
  readonly address: string;
  readonly processes: number;
  readonly connections: number;
  /** null: nothing bounds them. */
  readonly capacity: number | null;
  readonly sessions: number;
  readonly lagging: number;
  /** Of the process that is the nearest to its limit; 0: it cannot be told. */
  readonly fdUsed: number;
  readonly fdLimit: number;
  /** Of the process that is the latest. */
  readonly loopP99Ms: number;
  readonly rssBytes: number;
  /** Counts. */
  readonly cpuSeconds: number;
  readonly accepted: number;
  readonly deliveries: number;
  readonly flushes: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly gaps: number;
  readonly drops: number;
  readonly problems: readonly string[];
  /** Of each process that holds connections: share of its descriptors, loop delay in ms. At most 32. */
  readonly workers: readonly (readonly [number, number])[];
}

const MOST_WORKERS = 32;
const WORST: readonly NodeRow['state'][] = ['silent', 'draining', 'ok', 'gone'];

/** What did not reach a client, or was refused: of reasons and of counts. */
export function dropsOf(reasons: Readonly<Record<string, number>>, counts: Readonly<Record<string, number>>): number {
  let drops = counts['topics_ephemeral_dropped'] ?? 0;
  for (const [reason, times] of Object.entries(reasons)) if (isDrop(reason)) drops += times;
  return drops;
}

/** All nodes, or the processes of one, in an order; gone ones last. */
export function nodeRows(
  facts: Facts,
  perSecond: Rates,
  by: NodeOrder,
  only: { readonly search?: string | undefined; readonly node?: string | undefined },
): readonly NodeRow[] {
  const groups = new Map<string, NodeFacts[]>();
  for (const one of facts.nodes) {
    const parent = one.node.replace(/\/\d+$/, '');
    if (only.node !== undefined && one.node !== only.node && parent !== only.node) continue;
    const name = only.node === undefined ? parent : one.node;
    if (only.search !== undefined && !name.includes(only.search)) continue;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [one]);
    else group.push(one);
  }
  const figure = FIGURES[by];
  const rows = [...groups].map(([name, group]) => {
    const row = nodeRow(name, group);
    const rate = (counter: string) => group.reduce((sum, { node }) => sum + (perSecond(node)[counter] ?? 0), 0);
    return { row, figure: figure(row, rate), gone: row.state === 'gone' ? 1 : 0 };
  });
  return rows
    .sort((a, b) => a.gone - b.gone || b.figure - a.figure || naturally(a.row.node, b.row.node))
    .map(({ row }) => row);
}

function naturally(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true });
}

type Figure = (row: NodeRow, rate: (counter: string) => number) => number;

const FIGURES: Readonly<Record<NodeOrder, Figure>> = {
  conns: ({ connections }) => connections,
  fd: ({ fdUsed, fdLimit }) => (fdLimit === 0 ? 0 : fdUsed / fdLimit),
  out: (_row, rate) => rate('deliveries') + rate('topics_deliveries'),
  flush: (_row, rate) => rate('flushes'),
  loop: ({ loopP99Ms }) => loopP99Ms,
  lagging: ({ lagging }) => lagging,
  drops: ({ drops }) => drops,
  cpu: (_row, rate) => rate('cpu_seconds'),
  rss: ({ rssBytes }) => rssBytes,
  node: () => 0,
};

function nodeRow(name: string, group: readonly NodeFacts[]): NodeRow {
  const live = group.filter(({ state }) => state !== 'gone');
  const shown = live.length > 0 ? live : group;
  const first = shown.find(({ node }) => node === name) ?? (shown[0] as NodeFacts);
  const comets = shown.flatMap(({ comet }) => comet ?? []);
  const processes = shown.map(processOf);
  const sum = (of: (comet: (typeof comets)[number]) => number) => comets.reduce((all, comet) => all + of(comet), 0);
  const add = <T>(items: readonly T[], of: (item: T) => number) => items.reduce((all, item) => all + of(item), 0);
  const count = (counter: string) => sum(({ counters }) => counters[counter] ?? 0);
  const worst = processes.reduce((most, one) => (one.share > most.share ? one : most), processes[0] as Process);
  const states = shown.map(stateOf);
  return {
    node: name,
    roles: [...new Set(shown.flatMap(({ roles }) => roles))],
    state: WORST.find((state) => states.includes(state)) ?? 'ok',
    silentMs: Math.round(Math.max(...shown.map(({ silentMs }) => silentMs))),
    version: first.version,
    since: isoTime(first.since),
    address: first.address,
    processes: shown.length,
    connections: sum(({ connections }) => connections),
    capacity: comets.some(({ capacity }) => capacity === undefined) ? null : sum(({ capacity }) => capacity?.most ?? 0),
    sessions: sum(({ sessions }) => sessions),
    lagging: sum(({ lagging }) => lagging ?? 0),
    fdUsed: worst.fdUsed,
    fdLimit: worst.fdLimit,
    loopP99Ms: Math.round(Math.max(...processes.map(({ loopP99Ms }) => loopP99Ms)) * 10) / 10,
    rssBytes: add(processes, ({ rssBytes }) => rssBytes),
    cpuSeconds: Math.round(add(processes, ({ cpuSeconds }) => cpuSeconds) * 1_000) / 1_000,
    accepted: add(shown, ({ report }) => add(Object.values(report?.push?.accepted ?? {}), (many) => many)),
    deliveries: count('deliveries') + count('topics_deliveries'),
    flushes: count('flushes'),
    bytesIn: count('bytes_in'),
    bytesOut: count('bytes_out'),
    gaps: count('gaps') + count('topics_gaps_log'),
    drops: sum(({ reasons, counters }) => dropsOf(reasons, counters)),
    problems: [...new Set(shown.flatMap(({ report }) => report?.problems ?? []))].filter((one) => one !== 'draining'),
    workers:
      comets.length < 2
        ? []
        : processes
            .filter(({ comet }) => comet)
            .slice(0, MOST_WORKERS)
            .map(({ share, loopP99Ms }) => [Math.round(share * 100) / 100, Math.round(loopP99Ms)]),
  };
}

interface Process {
  readonly comet: boolean;
  readonly share: number;
  readonly fdUsed: number;
  readonly fdLimit: number;
  readonly loopP99Ms: number;
  readonly rssBytes: number;
  readonly cpuSeconds: number;
}

/** A process with both says the same of itself twice. */
function processOf({ comet, report }: NodeFacts): Process {
  const { used, limit } = comet?.process?.descriptors ?? report?.process?.descriptors ?? { used: 0, limit: 0 };
  return {
    comet: comet !== undefined,
    share: limit === 0 ? 0 : used / limit,
    fdUsed: used,
    fdLimit: limit,
    loopP99Ms: comet?.loopP99Ms ?? report?.loopP99Ms ?? 0,
    rssBytes: comet?.rssBytes ?? report?.rssBytes ?? 0,
    cpuSeconds: comet?.cpuSeconds ?? report?.cpuSeconds ?? 0,
  };
}

function stateOf({ state, silentMs, comet }: NodeFacts): NodeRow['state'] {
  if (state === 'gone') return 'gone';
  if (silentMs > 0) return 'silent';
  return state === 'draining' || comet?.draining === true ? 'draining' : 'ok';
}
