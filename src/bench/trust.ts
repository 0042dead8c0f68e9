/**
 * Whether a run measured the server, or its own clients and the machine. Every rule that is broken is a reason, told with its
 * figures; one is enough. A mark itself is still well.
 */
import type { BenchSample, Calibration, Percentiles, Saturation } from './figures.js';
import type { Machine } from './machine.js';
import { count, percent, short, size, time } from './numbers.js';

export interface TrustParts {
  readonly samples: readonly BenchSample[];
  /** Messages offered over 5 ms late, 0 to 1. */
  readonly sentLate: number;
  readonly calibration: Calibration | null;
  readonly latencyMs: Percentiles;
  /** All receivers together. */
  readonly observedFramesPerSecond: number;
  readonly machine: Machine;
}

/** An event loop that is in use for more than this says more about itself. */
export const BUSY_LOOP = 0.85;
/** Of the latency that is reported (p99). */
const LOOP_SHARE = 0.1;
const SENT_LATE = 0.01;
/** A machine that is idle for less, while the clients use more than this share of it, is what was measured. */
export const IDLE = 0.05;
export const CLIENT_SHARE = 0.3;
const CALIBRATION = 1.5;
/** Of the CPU, taken by others on the host. */
export const STEAL = 0.02;
/** A sample that opens a phase tells of the one before. */
const WHOLE_SECONDS = 0.5;

export function saturationOf(parts: TrustParts): Saturation {
  const measured = measuredOf(parts.samples);
  const reasons = [...clientReasons(parts, measured), ...machineReasons(parts, measured)];
  return { is: reasons.length > 0, reasons };
}

/** The seconds that figures are of: where no message was pushed, those of connecting. */
function measuredOf(samples: readonly BenchSample[]): readonly BenchSample[] {
  const whole = samples.filter(({ phaseSeconds }) => phaseSeconds >= WHOLE_SECONDS);
  const measured = whole.filter(({ phase }) => phase === 'measure');
  return measured.length > 0 ? measured : whole.filter(({ phase }) => phase === 'connect');
}

function clientReasons(parts: TrustParts, measured: readonly BenchSample[]): readonly string[] {
  const { calibration, latencyMs, observedFramesPerSecond: observed, sentLate, machine } = parts;
  const reasons: string[] = [];
  const busy = mean(measured.map(({ client, coordinator }) => Math.max(client.loop, coordinator.loop)));
  if (busy > BUSY_LOOP) {
    reasons.push(
      `the clients' busiest event loop was in use ${percent(busy)} of the time (over ${percent(BUSY_LOOP)})`,
    );
  }
  // When half of the seconds are worse than this, so are 0.5 % of all turns: it is near the p99 of the whole time.
  const late = median(measured.map(({ client }) => client.loopP99Ms));
  if (latencyMs.p99 > 0 && late > LOOP_SHARE * latencyMs.p99) {
    const share = `over ${percent(LOOP_SHARE)} of the ${time(latencyMs.p99)} reported`;
    reasons.push(`the clients' event loops were ${time(late)} late themselves at p99 (${share})`);
  }
  if (sentLate > SENT_LATE) {
    reasons.push(`${percent(sentLate)} of the messages were sent over 5 ms late (over ${percent(SENT_LATE)})`);
  }
  if (calibration !== null && observed > 0) {
    const processes = measured.reduce((most, { client }) => Math.max(most, client.processes), 1);
    const alone = calibration.framesPerCpuSecond * Math.min(processes, machine.cores);
    if (alone < CALIBRATION * observed) {
      reasons.push(
        `the clients alone count ${short(alone)} frames/s: under ${CALIBRATION} times the ${short(observed)}/s that came`,
      );
    }
  }
  return reasons;
}

function machineReasons({ samples, machine }: TrustParts, measured: readonly BenchSample[]): readonly string[] {
  const reasons: string[] = [];
  const idle = mean(measured.map((sample) => sample.machine.idle));
  const share = clientShare(measured, machine.cores);
  if (measured.length > 0 && idle < IDLE && share > CLIENT_SHARE) {
    const clients = `the clients used ${percent(share)} of its CPU (over ${percent(CLIENT_SHARE)})`;
    reasons.push(`the machine was ${percent(idle)} idle (under ${percent(IDLE)}) and ${clients}`);
  }
  const steal = mean(measured.map((sample) => sample.machine.steal));
  if (steal > STEAL) {
    reasons.push(`${percent(steal)} of the CPU was taken by other machines on this host (over ${percent(STEAL)})`);
  }
  const most = (of: (moment: BenchSample['machine']) => number) =>
    samples.reduce((max, sample) => Math.max(max, of(sample.machine)), 0);
  const swapped = most(({ swappedBytes }) => swappedBytes);
  if (swapped > 0) reasons.push(`the machine swapped ${size(swapped)}`);
  const tcp = most(({ tcpMemBytes }) => tcpMemBytes);
  if (tcp > machine.tcpPressureBytes) {
    const mark = size(machine.tcpPressureBytes);
    reasons.push(`TCP's buffers took ${size(tcp)}, above the ${mark} where the kernel begins to press on them`);
  }
  const drops = most(({ listenDrops }) => listenDrops);
  if (drops > 0) {
    reasons.push(`listeners dropped ${counted(drops, 'connection')}: more came at a time than were accepted`);
  }
  const again = most(({ retransmits }) => retransmits);
  if (again > 0) reasons.push(`TCP sent ${counted(again, 'segment')} again: the kernel could not keep up`);
  return reasons;
}

/** Of all cores, by receivers and the process that offers messages. */
function clientShare(measured: readonly BenchSample[], cores: number): number {
  const [first, last] = [measured[0], measured.at(-1)];
  if (first === undefined || last === undefined || last.seconds <= first.seconds) return 0;
  const used = ({ client, coordinator }: BenchSample) => client.cpuSeconds + coordinator.cpuSeconds;
  return (used(last) - used(first)) / ((last.seconds - first.seconds) * cores);
}

function counted(value: number, name: string): string {
  return `${count(value)} ${value === 1 ? name : `${name}s`}`;
}

/** To nine digits: what is always at a mark is at it on average, too. */
function mean(values: readonly number[]): number {
  const sum = values.reduce((all, value) => all + value, 0);
  return values.length === 0 ? 0 : Math.round((sum / values.length) * 1e9) / 1e9;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
