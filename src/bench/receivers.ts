// A process of receivers: told over its channel what to be, it connects, counts and answers for what it counted.

import { setPriority } from 'node:os';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { audit } from './audit.js';
import { Clients } from './clients.js';
import type { ReceiverFigures, ReceiverOrder, ReceiverWord } from './messages.js';
import { now } from './now.js';
import { brokenOf } from './pardons.js';
import { Samples } from './samples.js';

/** Behind the process that offers messages when they are due, and beside the server's own workers. */
const NICE = 15;
/** Often enough to see a loop that hangs, seldom enough for a hundred processes on a core. */
const LOOK_MS = 50;

// Who asked may be gone by now; 'disconnect' follows.
const say = (word: ReceiverWord) => process.send?.(word, undefined, undefined, () => undefined);

try {
  setPriority(NICE);
} catch {
  // A machine that forbids it gives all processes the same.
}
const delay = monitorEventLoopDelay({ resolution: LOOK_MS });
delay.enable();
let before = performance.eventLoopUtilization();

function figures(clients: Clients, samples: Samples): ReceiverFigures {
  // A loop that waits for the next turn is not busy, nor is it late.
  const { active, idle } = performance.eventLoopUtilization(before);
  const loop = Math.max(0, active - clients.turns.takeWaited()) / (active + idle);
  before = performance.eventLoopUtilization();
  // The delay counts from its own period.
  const loopP99Ms = Math.max(0, delay.percentile(99) / 1e6 - LOOK_MS - clients.turns.everyMs);
  delay.reset();
  return {
    open: clients.open,
    settled: clients.settled,
    failed: clients.failed,
    received: clients.walker.pushes,
    bytes: clients.bytes,
    redelivered: clients.acknowledger?.redelivered ?? 0,
    gaps: clients.gaps,
    foreign: samples.foreign,
    churned: clients.churned,
    away: clients.breaks?.away ?? 0,
    broke: clients.breaks?.causes ?? {},
    returned: clients.breaks?.returned ?? 0,
    retries: clients.breaks?.retries ?? {},
    resumed: clients.resumed,
    lastAt: samples.lastAt,
    latencies: samples.latencies.take(),
    connectMs: clients.connectMs.take(),
    awayMs: clients.breaks?.awayMs.take() ?? [],
    loop,
    loopP99Ms: Number.isFinite(loopP99Ms) ? loopP99Ms : 0,
  };
}

/** What a process is comes first; everything else is an order to it. */
process.once('message', ({ setup }: ReceiverOrder & { do: 'setup' }) => {
  const samples = new Samples(setup.sizeBytes, now);
  const clients = new Clients(setup, samples, now);
  const report = () => say({ say: 'figures', figures: figures(clients, samples) });
  setInterval(report, setup.reportMs).unref();
  process.on('message', (order: ReceiverOrder) => {
    switch (order.do) {
      case 'setup':
        return;
      case 'tokens':
        clients.take(order.tokens);
        return;
      case 'dial':
        clients.dial(report);
        return;
      case 'schedule':
        samples.schedule(order.startedAt, order.everyMs, order.firstMeasured);
        return;
      case 'disturb':
        clients.disturb();
        return;
      case 'calm':
        clients.calm();
        return;
      case 'report':
        report();
        return;
      case 'audit': {
        const { counts, marks } = clients.walker;
        const broken = brokenOf(clients.breaks?.times() ?? [], samples);
        const received = { counts, marks, fates: clients.fates, sequences: samples.sequences, broken };
        report();
        say({ say: 'audit', audit: audit(setup, order, received) });
        return;
      }
      case 'end':
        clients.end();
        process.exit(0);
    }
  });
});
process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => undefined);
