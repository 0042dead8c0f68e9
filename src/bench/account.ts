/** The account of a run: from what was counted, audited and used to the object that `--json` prints. */
import { judge } from './assertions.js';
import type { BenchResult, BreakFigures, Calibration } from './figures.js';
import type { FleetFigures } from './fleet.js';
import type { HttpDrive } from './http.js';
import { percentilesOf } from './latencies.js';
import type { ReceiverAudit } from './messages.js';
import type { Meter } from './meter.js';
import type { NodesFigures } from './nodes.js';
import type { Offer, Schedule } from './offer.js';
import type { RunParts } from './parts.js';
import { saturationOf } from './trust.js';
import type { Usage } from './usage.js';

/** What was used and counted up to a moment. */
export interface Mark {
  readonly at: number;
  readonly server: Usage;
  readonly client: Usage;
  readonly clients: FleetFigures;
  readonly nodes: NodesFigures | undefined;
  /** Which processes the server has. */
  readonly members: string;
}

/** Everything that a run found. */
export interface Found {
  readonly marks: {
    /** Before the first connection; before and after they were dialled; when measured messages began; when nothing was on its way. */
    readonly idle: Mark;
    readonly dialled: Mark;
    readonly connected: Mark;
    readonly began: Mark;
    readonly ended: Mark;
  };
  /** When the last message was offered, or the time was over. */
  readonly measuredAt: number;
  readonly schedule: Schedule;
  readonly audits: readonly ReceiverAudit[];
  readonly offer: Offer;
  readonly meter: Meter;
  readonly http: HttpDrive | undefined;
  readonly tellsPlace: boolean;
  readonly cutShort: string | null;
  readonly calibration: Calibration | null;
}

/**
 * Resident at the server for each connection: after they came, or at the end when their making's garbage is collected by then.
 * null: a process that began or ended meanwhile, or a server that shrank, says nothing of what a connection takes.
 */
export function memoryOfEach(idle: Mark, connected: Mark, ended: Mark): number | null {
  const marks = [connected, ended];
  if (marks.some(({ members }) => members !== idle.members)) return null;
  const held = marks.filter(({ server, clients }) => server.rssBytes > 0 && clients.open > 0);
  const each = held.map(({ server, clients }) => (server.rssBytes - idle.server.rssBytes) / clients.open);
  const least = Math.min(...each);
  return each.length > 0 && least > 0 ? least : null;
}

/** A run's end. */
export function resultOf(parts: RunParts, found: Found): BenchResult {
  const { plan, assertions } = parts;
  const { marks, measuredAt, meter, offer, http } = found;
  const { idle, dialled, connected, began, ended } = marks;
  const audit = addUp(found.audits);
  const counts = http?.counts ?? offer.counts;
  const serverCpu = ended.server.cpuSeconds - began.server.cpuSeconds;
  const delivered = ended.clients.received;
  const measured = delivered - began.clients.received;
  const flushes = (ended.nodes?.fanOut.flushes ?? 0) - (began.nodes?.fanOut.flushes ?? 0);
  const warm = found.schedule.firstMeasured - 1;
  const seconds = (from: number, to: number) => Math.max(0, to - from) / 1_000;
  const connectSeconds = seconds(dialled.at, connected.at);
  const last = Math.max(ended.clients.lastAt, began.at + 1);
  const result: BenchResult = {
    format: 1,
    command: parts.command,
    at: new Date(Date.now() - meter.seconds * 1_000).toISOString(),
    plan,
    cutShort: found.cutShort,
    connections: {
      target: plan.mode === 'http' ? 0 : plan.connections,
      open: ended.clients.open,
      failed: failedOf(ended.clients),
      seconds: connectSeconds,
      perSecond: ratio(connected.clients.settled, connectSeconds),
      perCpuSecond: ratio(connected.clients.settled, connected.server.cpuSeconds - dialled.server.cpuSeconds),
      connectMs: percentilesOf(meter.connectMs),
    },
    ...counts,
    delivered,
    expected: audit.expected,
    completeness: audit.expected === 0 ? 1 : (audit.expected - missingOf(audit)) / audit.expected,
    lost: audit.lost,
    duplicates: audit.duplicates,
    outOfOrder: audit.outOfOrder,
    gaps:
      plan.dialect === 'native' ? ended.clients.gaps : (ended.nodes?.fanOut.gaps ?? 0) - (idle.nodes?.fanOut.gaps ?? 0),
    redelivered: ended.clients.redelivered,
    warmup: {
      offered: Math.min(warm, counts.offered),
      accepted: http === undefined ? counts.accepted - offer.acceptedFrom(warm + 1) : 0,
      delivered: began.clients.received,
    },
    excused: audit.excused,
    breaks: plan.reconnect ? breaksOf(found, audit) : null,
    audit: {
      byBoundaries: audit.connections,
      byNumber: audit.byNumber,
      byPayload: audit.byPayload,
      foreign: ended.clients.foreign,
    },
    notes: notesOf(parts, found, audit),
    latencyMs: percentilesOf(meter.latencies),
    latencies: meter.latencies,
    deliveredPerSecond: ratio(measured, seconds(began.at, last)),
    seconds: {
      connect: connectSeconds,
      measure: seconds(began.at, measuredAt),
      settle: seconds(measuredAt, ended.at),
      all: meter.seconds,
    },
    server: {
      cpuSeconds: serverCpu,
      // A server that has died holds nothing any more; what it held is in the samples.
      rssBytes: ended.server.rssBytes || most(meter, (sample) => sample.server.rssBytes),
      bytesPerConnection: memoryOfEach(idle, connected, ended),
      deliveriesPerCpuSecond: ratio(measured, serverCpu),
      flushesPerCpuSecond: ratio(flushes, serverCpu),
      flushes,
      loopP99Ms: most(meter, (sample) => sample.server.loopP99Ms),
      cpuByRole: roleCpu(began, ended),
    },
    client: {
      cpuSeconds: ended.client.cpuSeconds - began.client.cpuSeconds,
      rssBytes: ended.client.rssBytes,
      loopP99Ms: most(meter, (sample) => sample.client.loopP99Ms),
      sentLate: ratio(offer.lateness.late, offer.counts.offered),
      saturated: { is: false, reasons: [] },
    },
    calibration: found.calibration,
    reference: null,
    http: http?.figures(serverCpu) ?? null,
    assertions: [],
    samples: meter.samples,
    processes: meter.processes,
    versions: { imgo: parts.version, node: process.version },
    machine: parts.machine,
  };
  const saturated = saturationOf({
    samples: result.samples,
    sentLate: result.client.sentLate,
    calibration: result.calibration,
    latencyMs: result.latencyMs,
    observedFramesPerSecond: result.deliveredPerSecond,
    machine: parts.machine,
  });
  const trusted = { ...result, client: { ...result.client, saturated } };
  return { ...trusted, assertions: judge(assertions, trusted) };
}

function roleCpu(began: Mark, ended: Mark): Readonly<Record<string, number>> {
  const before = began.nodes?.cpuByRole ?? {};
  const entries = Object.entries(ended.nodes?.cpuByRole ?? {});
  return Object.fromEntries(entries.map(([role, cpuSeconds]) => [role, cpuSeconds - (before[role] ?? 0)]));
}

function missingOf({ lost, excused, broken }: ReceiverAudit): number {
  return lost + excused.missed + broken.gapped + broken.missed;
}

/** Who is still away has failed, too. */
function failedOf({ failed, away }: FleetFigures): BenchResult['connections']['failed'] {
  return away === 0 ? failed : { ...failed, 'still away': away };
}

function breaksOf({ marks, meter }: Found, { broken }: ReceiverAudit): BreakFigures {
  const { broke: causes, returned, away, retries, resumed } = marks.ended.clients;
  return { ...broken, causes, returned, away, retries, awayMs: percentilesOf(meter.awayMs), resumed };
}

/** 0 where nothing can be said. */
function ratio(of: number, to: number): number {
  return to > 0 ? of / to : 0;
}

function most(meter: Meter, of: (sample: BenchResult['samples'][number]) => number): number {
  const measured = meter.samples.filter(({ phase }) => phase === 'measure');
  return measured.reduce((max, sample) => Math.max(max, of(sample)), 0);
}

function addUp(audits: readonly ReceiverAudit[]): ReceiverAudit {
  const sum = (of: (audit: ReceiverAudit) => number) => audits.reduce((all, audit) => all + of(audit), 0);
  return {
    connections: sum(({ connections }) => connections),
    expected: sum(({ expected }) => expected),
    lost: sum(({ lost }) => lost),
    duplicates: sum(({ duplicates }) => duplicates),
    outOfOrder: sum(({ outOfOrder }) => outOfOrder),
    lostInGaps: sum(({ lostInGaps }) => lostInGaps),
    excused: {
      churned: sum(({ excused }) => excused.churned),
      slow: sum(({ excused }) => excused.slow),
      missed: sum(({ excused }) => excused.missed),
      repeated: sum(({ excused }) => excused.repeated),
    },
    broken: {
      connections: sum(({ broken }) => broken.connections),
      gapped: sum(({ broken }) => broken.gapped),
      missed: sum(({ broken }) => broken.missed),
      lost: sum(({ broken }) => broken.lost),
    },
    byNumber: sum(({ byNumber }) => byNumber),
    byPayload: sum(({ byPayload }) => byPayload),
  };
}

/** What the figures do not say by themselves. */
function notesOf({ plan }: RunParts, found: Found, audit: ReceiverAudit): readonly string[] {
  const { marks, offer, schedule, tellsPlace, audits } = found;
  const notes: string[] = [];
  const pushed = [...offer.reasons].map(([reason, count]) => `${reason} ${count}`);
  if (schedule.firstMeasured > 1) {
    notes.push(`${schedule.firstMeasured - 1} messages were offered to warm up: audited, in no latency, rate or cost`);
  }
  if (pushed.length > 0) notes.push(`pushes that were not accepted: ${pushed.join(', ')}`);
  if (offer.counts.unknown > 0) {
    notes.push(
      'what became of some pushes is not known: their connections are audited by count alone, either way is right',
    );
  }
  if (offer.counts.offered > 0 && !tellsPlace) {
    notes.push(
      'the push API tells no place in the log: connections of the sample have to agree on the order of a room, and of all',
    );
  }
  if (plan.mode === 'mix')
    notes.push('a connection has several logs: order is checked in the sample, the set of messages on all');
  if (audit.lostInGaps > 0) notes.push(`${audit.lostInGaps} of the lost are on connections that were told of a gap`);
  const { churned, slow } = audit.excused;
  if (churned > 0) {
    const told = plan.dialect === 'native' ? '' : '; clients of this dialect are not told what they missed';
    notes.push(`${churned} connections ended and came back: what they missed meanwhile is counted apart${told}`);
  }
  if (slow > 0) notes.push(`${slow} connections stopped reading: in no latency, and what they missed is counted apart`);
  if (audit.broken.connections > 0) notes.push(breakNote(plan.dialect, marks.ended.clients.away));
  if (marks.ended.server.processes === 0)
    notes.push("the server's processes cannot be seen from here: no CPU, no memory");
  if (plan.mode !== 'http' && audits.length < plan.receivers.length) {
    notes.push(
      `${plan.receivers.length - audits.length} receiver processes did not answer the audit: their connections are in no count of it`,
    );
  }
  return notes;
}

function breakNote(dialect: RunParts['plan']['dialect'], away: number): string {
  const resume =
    dialect === 'native'
      ? 'resumed where they were: what was due before a return is in no latency'
      : 'came back as clients of this dialect do, without a place to resume from: what was sent while they were away, or up to 2 s before, may be missed, and is not lost';
  return `connections that broke ${resume}${away === 0 ? '' : `; what waits for the ${away} that are still away counts as ${dialect === 'native' ? 'lost' : 'missed'}`}`;
}
