/**
 * What the report draws, worked out from a result: lines over the seconds of a run, the curve of its latencies, and a heat map
 * of its processes. The page itself only draws. Of a run to compare with, the main lines are laid over, aligned at the first
 * message.
 */
import type { BenchResult, BenchSample } from '../figures.js';
import { curveOf } from './curve.js';
import type { Band, Chart, Drawing, HeatMap, Unit } from './drawing.js';
import { linesOf, type Pick, rounded, type Series } from './lines.js';
import { hasMessages } from './verdict.js';

/** All that there is to draw of a run. Charts without a value are left out. */
export function drawingOf(result: BenchResult, compared?: BenchResult): Drawing {
  const { samples, plan } = result;
  const charts: (Chart | HeatMap | undefined)[] = [
    ...(hasMessages(plan) ? messageCharts(result, compared) : []),
    connectChart(result, compared),
    failureChart(result),
    cpuChart(result, compared),
    loopChart(result),
    heat(result, 'cpu'),
    heat(result, 'loop'),
    ...(hasMessages(plan) ? sweepCharts(result, compared) : []),
    memoryChart(result, compared),
    connectionMemoryChart(result, compared),
    dropChart(result),
  ];
  return { bands: bandsOf(samples), charts: charts.filter((chart) => chart !== undefined) };
}

function bandsOf(samples: readonly BenchSample[]): readonly Band[] {
  const bands: { from: number; to: number; phase: string }[] = [];
  for (const { phase, seconds } of samples) {
    const last = bands.at(-1);
    if (last?.phase === phase) last.to = rounded(seconds);
    else bands.push({ from: last?.to ?? 0, to: rounded(seconds), phase });
  }
  return bands;
}

function messageCharts(result: BenchResult, compared: BenchResult | undefined): readonly (Chart | undefined)[] {
  const each = result.accepted === 0 ? 0 : result.expected / result.accepted;
  const when = (sample: BenchSample) => sample.phase !== 'connect';
  const latency = (
    name: 'p50' | 'p90' | 'p99' | 'p999' | 'max',
    label: string,
    colour: number,
    overlaid?: true,
  ): Series => {
    return { label, colour, of: ({ latencyMs }) => latencyMs?.[name] ?? null, ...(overlaid && { overlaid }) };
  };
  const percentiles = [
    latency('p50', 'p50', 1, true),
    latency('p90', 'p90', 3),
    latency('p99', 'p99', 2, true),
    latency('p999', 'p99.9', 4),
    latency('max', 'max', 5),
  ];
  return [
    linesOf(result, compared, {
      id: 'rates',
      title: 'Offered, accepted, delivered',
      note: 'Deliveries a second: what was due by what was offered, by what the server accepted, and what arrived.',
      unit: 'perSecond',
      when,
      series: [
        { label: 'offered', colour: 6, of: ({ offered }) => offered * each, rate: true },
        { label: 'accepted', colour: 2, of: ({ accepted }) => accepted * each, rate: true },
        { label: 'delivered', colour: 1, of: ({ delivered }) => delivered, rate: true, fill: true, overlaid: true },
      ],
    }),
    linesOf(result, compared, {
      id: 'latency',
      title: 'Latency over time',
      note: 'Of what arrived in each second, from when it was due, not from when it was sent.',
      unit: 'ms',
      logWhenWide: true,
      when,
      series: percentiles,
    }),
    curveOf(result, compared),
  ];
}

function connectChart(result: BenchResult, compared: BenchResult | undefined): Chart | undefined {
  const broke = (result.breaks?.connections ?? 0) > 0;
  const moving = result.plan.churn > 0 || result.plan.mode === 'connect' || broke;
  return linesOf(result, compared, {
    id: 'connect',
    title: 'Connections',
    note: 'Open and authenticated, and how many more each second; those that broke and are not back.',
    unit: 'count',
    rightUnit: 'perSecond',
    fromStart: true,
    when: ({ phase }) => phase === 'connect' || moving,
    series: [
      { label: 'open', colour: 1, of: ({ open }) => open, fill: true, overlaid: true },
      { label: 'more a second', colour: 2, of: ({ open }) => open, rate: true, right: true },
      ...(broke ? [{ label: 'away', colour: 5, of: ({ away }: BenchSample) => away }] : []),
    ],
  });
}

function failureChart(result: BenchResult): Chart | undefined {
  return byReason(result, {
    id: 'failures',
    title: 'Connections that ended or never came',
    note: 'By reason, so far.',
    of: ({ failed }) => failed,
  });
}

function cpuChart(result: BenchResult, compared: BenchResult | undefined): Chart | undefined {
  return linesOf(result, compared, {
    id: 'cpu',
    title: 'CPU by group',
    note: `Cores in use, of ${result.machine.cores}. The machine is all that ran on it.`,
    unit: 'cores',
    when: () => true,
    series: [
      { label: 'machine', colour: 6, of: ({ machine }) => result.machine.cores * (1 - machine.idle), fill: true },
      { label: 'server', colour: 1, of: ({ server }) => server.cpuSeconds, rate: true, overlaid: true },
      { label: 'clients', colour: 2, of: ({ client }) => client.cpuSeconds, rate: true },
      { label: 'coordinator', colour: 4, of: ({ coordinator }) => coordinator.cpuSeconds, rate: true },
    ],
  });
}

function loopChart(result: BenchResult): Chart | undefined {
  return linesOf(result, undefined, {
    id: 'loop',
    title: 'Event loops',
    note: 'The busiest process of each group: the delay of its loop (p99), and how much of the time the busiest client works.',
    unit: 'ms',
    rightUnit: 'share',
    when: () => true,
    series: [
      { label: 'server, delay', colour: 1, of: ({ server }) => server.loopP99Ms },
      { label: 'clients, delay', colour: 2, of: ({ client }) => client.loopP99Ms },
      { label: 'clients, busy', colour: 4, of: ({ client }) => client.loop, right: true },
    ],
  });
}

function sweepCharts(result: BenchResult, compared: BenchResult | undefined): readonly (Chart | undefined)[] {
  const when = (sample: BenchSample) => sample.phase !== 'connect';
  return [
    linesOf(result, compared, {
      id: 'sweep',
      title: 'Window and sweep',
      note: 'Between the starts of two sweeps over the members, and the longest sweep of each second.',
      unit: 'ms',
      when,
      series: [
        { label: 'window', colour: 6, of: ({ fanOut }) => fanOut.windowMs },
        { label: 'sweep', colour: 1, of: ({ fanOut }) => fanOut.sweepMs, overlaid: true },
      ],
    }),
    linesOf(result, undefined, {
      id: 'ring',
      title: 'Ring and lagging sessions',
      note: 'Bytes that are kept for members that have not had them, and how many members lag.',
      unit: 'bytes',
      rightUnit: 'count',
      when,
      series: [
        { label: 'ring', colour: 1, of: ({ fanOut }) => fanOut.ringBytes, fill: true },
        { label: 'lagging', colour: 5, of: ({ fanOut }) => fanOut.lagging, right: true },
      ],
    }),
  ];
}

function memoryChart(result: BenchResult, compared: BenchResult | undefined): Chart | undefined {
  return linesOf(result, compared, {
    id: 'memory',
    title: 'Memory by group',
    note: 'Resident, what processes share counted once; the kernel’s TCP buffers; what the machine still has.',
    unit: 'bytes',
    when: () => true,
    series: [
      { label: 'server', colour: 1, of: seen('server'), fill: true, overlaid: true },
      { label: 'clients', colour: 2, of: seen('client') },
      { label: 'coordinator', colour: 4, of: seen('coordinator') },
      { label: 'TCP buffers', colour: 3, of: ({ machine }) => machine.tcpMemBytes },
      { label: 'available', colour: 6, of: ({ machine }) => machine.availableBytes },
    ],
  });
}

function seen(group: 'server' | 'client' | 'coordinator'): Pick {
  return (sample) => (sample[group].processes > 0 ? sample[group].rssBytes : null);
}

/** What each side has grown by since its processes started, for a connection; only once that says something. */
function connectionMemoryChart(result: BenchResult, compared: BenchResult | undefined): Chart | undefined {
  const enough = result.connections.target / 20;
  const grown = (of: 'server' | 'client'): Pick => {
    return (sample, samples) => {
      const first = samples[0];
      if (first === undefined || sample.open < Math.max(1, enough) || sample[of].processes === 0) return null;
      return (sample[of].rssBytes - first[of].rssBytes) / Math.max(1, sample.open - first.open);
    };
  };
  return linesOf(result, compared, {
    id: 'per-connection',
    title: 'Memory a connection',
    note: 'What each side has grown by since the first second, divided by the open connections.',
    unit: 'bytes',
    when: () => true,
    series: [
      { label: 'server', colour: 1, of: grown('server'), overlaid: true },
      { label: 'clients', colour: 2, of: grown('client') },
    ],
  });
}

function dropChart(result: BenchResult): Chart | undefined {
  const first = result.samples[0];
  const since = (of: (sample: BenchSample) => number) => (sample: BenchSample) => of(sample) - (first ? of(first) : 0);
  return byReason(result, {
    id: 'drops',
    title: 'Dropped, refused and closed',
    note: 'By reason, so far: by the server, and by the kernel of this machine.',
    of: (sample) => ({
      ...sample.fanOut.reasons,
      gaps: sample.fanOut.gaps,
      'listen queue overflows': since(({ machine }) => machine.listenDrops)(sample),
      retransmits: since(({ machine }) => machine.retransmits)(sample),
    }),
  });
}

/** The five largest reasons as lines; nothing when there were none. */
function byReason(
  result: BenchResult,
  chart: { id: string; title: string; note: string; of: (sample: BenchSample) => Readonly<Record<string, number>> },
): Chart | undefined {
  const last = result.samples.at(-1);
  const reasons = Object.entries(last === undefined ? {} : chart.of(last))
    .filter(([, times]) => times > 0)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 5);
  const series = reasons.map(([reason], at): Series => {
    const of = (sample: BenchSample) => {
      const counts = chart.of(sample);
      return Object.hasOwn(counts, reason) ? (counts[reason] ?? 0) : 0;
    };
    return { label: reason, colour: 5 - at, of };
  });
  return linesOf(result, undefined, { ...chart, unit: 'count', when: () => true, series });
}

function heat({ processes }: BenchResult, of: 'cpu' | 'loop'): HeatMap | undefined {
  const sides = (['server', 'client'] as const).filter((side) => {
    return processes.some((one) => one.side === side && one[of].length > 1);
  });
  if (sides.length === 0) return undefined;
  const largest = (side: 'server' | 'client') => {
    let max = 0;
    for (const one of processes) if (one.side === side) for (const value of one[of]) max = Math.max(max, value);
    return max;
  };
  const unit = (side: 'server' | 'client'): Unit => (of === 'cpu' ? 'cores' : side === 'server' ? 'ms' : 'share');
  const alike = Math.max(...sides.map(largest));
  const label = {
    cpu: { server: 'server, cores', client: 'clients, cores' },
    loop: { server: 'server, loop delay p99', client: 'clients, loop busy' },
  };
  return {
    kind: 'heat',
    id: `heat-${of}`,
    title: of === 'cpu' ? 'CPU of each process' : 'Event loop of each process',
    note: 'A row a process, a column a second of the measured time: one that stands out is one that the others wait for.',
    blocks: sides.map((side) => ({
      side,
      of,
      label: label[of][side],
      unit: unit(side),
      max: of === 'cpu' ? alike : largest(side),
    })),
  };
}
