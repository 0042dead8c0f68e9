/** The texts around a run: its plan, before the first socket, and the summary when it is over. */
import { exitStatus } from '../assertions.js';
import type { AssertionResult, BenchResult, Percentiles } from '../figures.js';
import type { Machine } from '../machine.js';
import { count, counted, percent, short, size, time } from '../numbers.js';
import type { BenchPlan } from '../plan.js';
import { auditOf, byReason, limitOf, pushRates, titleOf } from './verdict.js';

/** Columns of a summary. */
const WIDTH = 110;

/** What a run will use. */
export function planLines(plan: BenchPlan, machine: Machine): readonly string[] {
  const { workers, receivers, sources, store, seed, server, needsBytes, needsFiles } = plan;
  const processes = receivers.length + (server === undefined ? workers : 0);
  const ownServer =
    workers === 1 ? '1 process' : `${counted(workers, 'worker', 'workers')} ≤ ${count(plan.perProcess)} sockets`;
  const lines = [
    `PLAN  ${titleOf(plan)}${server === undefined ? ` · ${store} store` : ''} · seed ${seed}`,
    row('server', `${server ?? ownServer}     client  ${receivers.length === 0 ? 'this process' : shares(receivers)}`),
    ...(sources.length === 0 ? [] : [row('ports', portWords(plan))]),
    row(
      'needs',
      [
        `${size(needsBytes)} of ${size(machine.availableBytes)} free`,
        `${count(needsFiles)} of ${Number.isFinite(machine.files) ? count(machine.files) : 'unlimited'} files`,
        `${counted(processes, 'process', 'processes')} besides this one`,
      ].join(' · '),
    ),
  ];
  return plan.expectation === undefined ? lines : [...lines, row('expect', plan.expectation.line)];
}

function portWords({ sources, connections }: BenchPlan): string {
  const ports = Math.ceil(connections / sources.length);
  const addresses = counted(sources.length, 'loopback address', 'loopback addresses');
  return `${addresses} × ${counted(ports, 'source port', 'source ports')}`;
}

/** `8 × 17,858 + 48 × 17,857`: the connections of each process, none rounded away. */
function shares(receivers: readonly number[]): string {
  const counts = new Map<number, number>();
  for (const connections of receivers) counts.set(connections, (counts.get(connections) ?? 0) + 1);
  return [...counts].map(([connections, times]) => `${count(times)} × ${count(connections)}`).join(' + ');
}

/** The summary. Its first line says when the harness was the bottleneck, or that the run was cut short. `exit`: the status that the command ends with. */
export function resultLines(result: BenchResult, exit: number = exitStatus(result)): readonly string[] {
  const { connections, client, cutShort, http, reference } = result;
  const failed = byReason(connections.failed).map(([reason, times]) => `${reason} ${count(times)}`);
  const head = [
    ...(connections.target > 0
      ? [`connected ${count(connections.open)} of ${count(connections.target)} in ${time(connections.seconds * 1_000)}`]
      : []),
    ...failed,
    ...(result.offered > 0 ? [`accepted ${count(result.accepted)} of ${count(result.offered)}`] : []),
    ...(result.seconds.settle > 0 ? [`settled in ${time(result.seconds.settle * 1_000)}`] : []),
  ];
  return [
    ...(client.saturated.is ? [`▲ The harness was the bottleneck: ${client.saturated.reasons.join('; ')}.`] : []),
    ...(cutShort === null ? [] : [`▲ Cut short: ${cutShort}. The figures are of what there was until then.`]),
    `RESULT   ${head.join(' · ')}`,
    ...(result.offered > 0 ? messageLines(result) : breakLines(result)),
    ...(http === null
      ? []
      : [
          row(
            'http',
            `${short(http.requestsPerSecond)} calls/s · ${short(http.requestsPerCpuSecond)} calls/cpu·s · not 2xx ${count(http.non2xx)} · errors ${count(http.errors)}`,
          ),
          row('latency', percentiles(http.latencyMs)),
        ]),
    ...(connections.open > 0 ? [row('connect', connectWords(result))] : []),
    row('server', serverWords(result)),
    ...roleLines(result),
    row('client', clientWords(result)),
    ...(reference === null ? [] : [row('reference', referenceWords(result))]),
    row('LIMIT', limitOf(result)),
    ...result.notes.map((note) => row('note', note)),
    ...assertionLines(result.assertions, exit),
  ];
}

function row(label: string, words: string): string {
  return `  ${label.padEnd(10)} ${words}`;
}

/** Offered, accepted and delivered side by side; what became of them; how long it took. */
function messageLines(result: BenchResult): readonly string[] {
  const { excused, latencies, refused, unknown } = result;
  const rates = pushRates(result);
  const load = [
    `offered ${short(rates.offered)}/s`,
    `accepted ${short(rates.accepted)}/s`,
    `delivered ${short(result.deliveredPerSecond)}/s`,
    ...(refused > 0 ? [`refused ${count(refused)}`] : []),
    ...(unknown > 0 ? [`outcome unknown ${count(unknown)}`] : []),
  ];
  const integrity = [
    `${count(result.delivered)} of ${count(result.expected)}`,
    `lost ${count(result.lost)}`,
    `duplicate ${count(result.duplicates)}`,
    `disorder ${count(result.outOfOrder)}`,
    `gaps told ${count(result.gaps)}`,
  ];
  const excuses = [
    [excused.churned, 'came and went'],
    [excused.slow, 'did not read'],
    [excused.missed, 'missed for that'],
    [excused.repeated, 'repeated for that'],
  ] as const;
  const excuse = excuses.filter(([times]) => times > 0).map(([times, why]) => `${count(times)} ${why}`);
  return [
    row('load', load.join('   ')),
    row('integrity', integrity.join(' · ')),
    row('', `audited: ${auditOf(result)}`),
    ...breakLines(result),
    ...(excuse.length === 0 ? [] : [row('', `as wanted: ${excuse.join(', ')}`)]),
    ...(latencies.length === 0
      ? []
      : [row('latency', `${percentiles(result.latencyMs)}  from when due, not when sent`)]),
  ];
}

/** Connections that broke; nothing when none did. */
function breakLines({ breaks, plan }: BenchResult): readonly string[] {
  if (breaks === null || breaks.connections === 0) return [];
  const { connections, causes, returned, away, retries, awayMs, resumed, gapped, missed, lost } = breaks;
  const reasons = (counts: typeof causes) => byReason(counts).map(([reason, times]) => `${reason} ${count(times)}`);
  const broke = [
    `${counted(connections, 'connection', 'connections')} broke (${reasons(causes).join(', ')})`,
    `${count(returned)} returns`,
    ...(away > 0 ? [`${count(away)} still away`] : []),
    `away p50 ${time(awayMs.p50)}  p99 ${time(awayMs.p99)}  max ${time(awayMs.max)}`,
  ];
  const became = [
    `${count(resumed)} delivered after a return`,
    plan.dialect === 'native' ? `told as gap ${count(gapped)}` : `missed while away ${count(missed)}`,
    `lost ${count(lost)}`,
    ...(Object.keys(retries).length === 0 ? [] : [`dials for nothing: ${reasons(retries).join(', ')}`]),
  ];
  return [row('breaks', broke.join(' · ')), row('', became.join(' · '))];
}

function percentiles({ p50, p90, p99, p999, max }: Percentiles): string {
  return `p50 ${time(p50)}  p90 ${time(p90)}  p99 ${time(p99)}  p99.9 ${time(p999)}  max ${time(max)}`;
}

function connectWords({ connections }: BenchResult): string {
  const { connectMs, perSecond, perCpuSecond } = connections;
  const each = perCpuSecond > 0 ? ` · ${short(perCpuSecond)}/cpu·s of the server` : '';
  return `${short(perSecond)}/s${each} · p50 ${time(connectMs.p50)}  p99 ${time(connectMs.p99)}  max ${time(connectMs.max)}`;
}

function serverWords({ server, offered, connections }: BenchResult): string {
  if (server.rssBytes === 0) return 'its processes cannot be seen from here: no CPU, no memory';
  return [
    `${short(server.cpuSeconds)} cpu·s`,
    ...(offered > 0
      ? [
          `${short(server.deliveriesPerCpuSecond)} deliveries/cpu·s`,
          `${short(server.flushesPerCpuSecond)} flushes/cpu·s`,
        ]
      : []),
    ...(connections.open > 0 ? [memoryWords(server.bytesPerConnection)] : []),
    `${size(server.rssBytes)} in all`,
    `loop p99 ${time(server.loopP99Ms)}`,
  ].join(' · ');
}

function memoryWords(bytesPerConnection: number | null): string {
  return bytesPerConnection === null ? 'memory a session cannot be told' : `${size(bytesPerConnection)} a session`;
}

/** What each role used, where they are apart. */
function roleLines({ server, delivered, warmup }: BenchResult): readonly string[] {
  const measured = delivered - warmup.delivered;
  const parts = Object.entries(server.cpuByRole).map(([role, cpuSeconds]) => {
    const each = measured > 0 ? ` (${short((cpuSeconds / measured) * 1e6)} for 1 M deliveries)` : '';
    return `${role} ${short(cpuSeconds)} cpu·s${each}`;
  });
  return parts.length === 0 ? [] : [row('', parts.join(' · '))];
}

function clientWords({ client, offered }: BenchResult): string {
  return [
    `${short(client.cpuSeconds)} cpu·s`,
    `${size(client.rssBytes)} in all`,
    `loop p99 ${time(client.loopP99Ms)}`,
    ...(offered > 0 ? [`sent late (>5 ms) ${percent(client.sentLate)}`] : []),
    `saturated: ${client.saturated.is ? 'yes' : 'no'}`,
  ].join(' · ');
}

/** Ours to bare sockets, where both were measured. */
function referenceWords({ reference, server, connections, latencyMs, seconds }: BenchResult): string {
  if (reference === null) return '';
  const { ratios } = reference;
  const parts = [
    ['flushes', ratios.flushes, server.flushesPerCpuSecond, reference.flushesPerCpuSecond],
    ['deliveries', ratios.deliveries, server.deliveriesPerCpuSecond, reference.deliveriesPerCpuSecond],
    ['connects', ratios.connects, connections.perCpuSecond, reference.connectsPerCpuSecond],
  ] as const;
  const shown = parts.flatMap(([what, ratio, ours, bare]) => {
    return ratio === null ? [] : [`${what} ${ratio.toFixed(2)} × (${short(ours)} of ${short(bare)}/cpu·s)`];
  });
  for (const what of ['p50', 'p99'] as const) {
    const ratio = ratios[what];
    const bare = reference.latencyMs?.[what];
    if (ratio === null || bare === undefined) continue;
    shown.push(`${what} ${ratio.toFixed(2)} × (${time(latencyMs[what])} of ${time(bare)})`);
  }
  if (ratios.settle !== null && reference.settleSeconds !== null) {
    const [ours, bare] = [seconds.settle, reference.settleSeconds].map((each) => time(each * 1_000));
    shown.push(`last message ${ratios.settle.toFixed(2)} × (${ours} of ${bare} behind)`);
  }
  return shown.length === 0 ? 'nothing to compare with' : `of bare sockets: ${shown.join(' · ')}`;
}

/** What had to hold, as many to a line as fit; the exit status at the end. */
function assertionLines(assertions: readonly AssertionResult[], exit: number): readonly string[] {
  const words = assertions.map(({ text, holds, shown }) => (holds ? `✓ ${text}` : `✗ ${text} (${shown})`));
  const lines: string[] = [];
  for (const word of [...words, `exit ${exit}`]) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length + 4 > WIDTH) lines.push(`  ${word}`);
    else lines[lines.length - 1] = `${last}   ${word}`;
  }
  return lines;
}
