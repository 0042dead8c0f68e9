// A run that measured itself says so: every rule alone, at its mark, below and above.
import { expect, it, test } from 'vitest';
import type { BenchSample, MachineMoment } from '../../../src/bench/figures.js';
import { saturationOf, type TrustParts } from '../../../src/bench/trust.js';
import { madeUpMachine } from '../../harness/bench-machine.js';

const MIB = 2 ** 20;
const machine = madeUpMachine({ cores: 2, tcpPressureBytes: 1_500 * MIB });

interface Second {
  readonly loop?: number;
  readonly coordinatorLoop?: number;
  readonly loopP99Ms?: number;
  readonly moment?: Partial<MachineMoment>;
  /** Cores that the clients use. */
  readonly cores?: number;
  readonly phase?: BenchSample['phase'];
}

/** Ten seconds that are all alike. */
function seconds(second: Second = {}): readonly BenchSample[] {
  return Array.from({ length: 10 }, (_, at) => sample(at, second));
}

function sample(at: number, second: Second): BenchSample {
  const { loop = 0.1, coordinatorLoop = 0.1, loopP99Ms = 1, cores = 0.2, phase = 'measure' } = second;
  const group = { processes: 2, cpuSeconds: 0, rssBytes: 0, loop: 0, loopP99Ms: 0 };
  return {
    seconds: at + 1,
    phase,
    phaseSeconds: at + 1,
    open: 0,
    failed: {},
    away: 0,
    broke: 0,
    offered: 0,
    accepted: 0,
    refused: 0,
    unknown: 0,
    delivered: 0,
    bytes: 0,
    latencyMs: null,
    server: group,
    client: { ...group, loop, loopP99Ms, cpuSeconds: at * cores },
    coordinator: { ...group, processes: 1, loop: coordinatorLoop },
    fanOut: { flushes: 0, deliveries: 0, windowMs: 0, sweepMs: 0, ringBytes: 0, lagging: 0, gaps: 0, reasons: {} },
    machine: {
      idle: 0.5,
      steal: 0,
      availableBytes: 0,
      swappedBytes: 0,
      tcpMemBytes: 0,
      listenDrops: 0,
      retransmits: 0,
      ...second.moment,
    },
  };
}

const well: TrustParts = {
  samples: seconds(),
  sentLate: 0,
  calibration: { framesPerCpuSecond: 50e6, pacedWithinMs: 0.2 },
  latencyMs: { p50: 50, p90: 80, p99: 100, p999: 110, max: 120 },
  observedFramesPerSecond: 1e6,
  machine,
};
const during = (second: Second): Partial<TrustParts> => ({ samples: seconds(second) });
const moment = (of: Partial<MachineMoment>, cores = 0.2) => during({ moment: of, cores });

it('a run with room everywhere is trusted', () => {
  expect(saturationOf(well)).toEqual({ is: false, reasons: [] });
});

test.each<[string, Partial<TrustParts>, Partial<TrustParts>, Partial<TrustParts>, RegExp]>([
  [
    'client loop utilisation',
    during({ loop: 0.84 }),
    during({ loop: 0.85 }),
    during({ loop: 0.97 }),
    /^the clients' busiest event loop was in use 97 % of the time \(over 85 %\)$/,
  ],
  [
    'the loop of who offers messages',
    during({ coordinatorLoop: 0.84 }),
    during({ coordinatorLoop: 0.85 }),
    during({ coordinatorLoop: 0.9 }),
    /in use 90 % of the time/,
  ],
  [
    'client loop p99 against the p99 reported',
    during({ loopP99Ms: 9 }),
    during({ loopP99Ms: 10 }),
    during({ loopP99Ms: 11 }),
    /^the clients' event loops were 11 ms late themselves at p99 \(over 10 % of the 100 ms reported\)$/,
  ],
  [
    'messages sent late',
    { sentLate: 0.009 },
    { sentLate: 0.01 },
    { sentLate: 0.015 },
    /^1\.5 % of the messages were sent over 5 ms late \(over 1 %\)$/,
  ],
  [
    'no idle time left, with clients that use much of it',
    moment({ idle: 0.06 }, 0.97),
    moment({ idle: 0.05 }, 0.97),
    moment({ idle: 0.02 }, 0.97),
    /^the machine was 2 % idle \(under 5 %\) and the clients used 48\.5 % of its CPU \(over 30 %\)$/,
  ],
  [
    'clients that use much, with no idle time left',
    moment({ idle: 0.02 }, 0.5),
    moment({ idle: 0.02 }, 0.6),
    moment({ idle: 0.02 }, 0.7),
    /the clients used 35 % of its CPU/,
  ],
  [
    'calibration',
    { observedFramesPerSecond: 60e6 },
    { observedFramesPerSecond: 100e6 / 1.5 },
    { observedFramesPerSecond: 70e6 },
    /^the clients alone count 100 M frames\/s: under 1\.5 times the 70 M\/s that came$/,
  ],
  ['steal', moment({ steal: 0.019 }), moment({ steal: 0.02 }), moment({ steal: 0.03 }), /^3 % of the CPU was taken/],
  [
    'swapping',
    moment({ swappedBytes: 0 }),
    moment({ swappedBytes: 0 }),
    moment({ swappedBytes: 4_096 }),
    /^the machine swapped 4 KiB$/,
  ],
  [
    'TCP memory',
    moment({ tcpMemBytes: 1_499 * MIB }),
    moment({ tcpMemBytes: 1_500 * MIB }),
    moment({ tcpMemBytes: 1_800 * MIB }),
    /^TCP's buffers took 1\.8 GiB, above the 1\.5 GiB/,
  ],
  [
    'listen overflows',
    moment({ listenDrops: 0 }),
    moment({ listenDrops: 0 }),
    moment({ listenDrops: 1 }),
    /^listeners dropped 1 connection:/,
  ],
  [
    'retransmits',
    moment({ retransmits: 0 }),
    moment({ retransmits: 0 }),
    moment({ retransmits: 1_234 }),
    /^TCP sent 1,234 segments again/,
  ],
])('%s', (_name, below, at, above, reason) => {
  expect(saturationOf({ ...well, ...below })).toEqual({ is: false, reasons: [] });
  expect(saturationOf({ ...well, ...at })).toEqual({ is: false, reasons: [] });
  const { is, reasons } = saturationOf({ ...well, ...above });
  expect([is, reasons.length]).toEqual([true, 1]);
  expect(reasons[0]).toMatch(reason);
});

it('one bad second among many is none of the rules of averages', () => {
  const samples = [...seconds().slice(0, 9), sample(9, { loop: 1, loopP99Ms: 90, moment: { idle: 0, steal: 0.1 } })];
  expect(saturationOf({ ...well, samples }).is).toBe(false);
});

it('a few dropped connections count whenever they were dropped', () => {
  const samples = [
    sample(0, { phase: 'connect', moment: { listenDrops: 3 } }),
    ...seconds({ moment: { listenDrops: 3 } }),
  ];
  expect(saturationOf({ ...well, samples }).reasons).toEqual([expect.stringContaining('3 connections')]);
});

it('where nothing was pushed the seconds of connecting are looked at; seconds of other phases are not', () => {
  const connecting = seconds({ phase: 'connect', loop: 0.95 });
  expect(saturationOf({ ...well, samples: connecting }).is).toBe(true);
  expect(saturationOf({ ...well, samples: [...connecting, ...seconds()] }).is).toBe(false);
});

it('without a calibration, a message or a sample there is nothing to say', () => {
  const nothing = { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
  const parts = { ...well, calibration: null, latencyMs: nothing, observedFramesPerSecond: 0, samples: [] };
  expect(saturationOf(parts)).toEqual({ is: false, reasons: [] });
  expect(saturationOf({ ...parts, samples: seconds({ loopP99Ms: 5 }) }).is).toBe(false);
});
