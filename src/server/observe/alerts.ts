/**
 * THE table of alerts: what is not as it should be, when it is said, when it is taken back, what to turn and what to do. `imgo
 * top`, `imgo status`, `/v1/stats`, the metric `imgo_alert{code}`, the rules for Prometheus and the docs are all made from it.
 * A condition is a figure of a subject (a node, a room, the queue) that is too high; it is taken back at a lower one, so that
 * an alert does not flicker.
 */
import type { AlertThresholds, Facts, Increase, Measure, Severity } from './facts.js';
import * as measure from './measures.js';

export interface AlertRow {
  readonly severity: Severity;
  /** When it is said, and taken back, for people. */
  readonly when: string;
  readonly until: string;
  /** The setting that decides how much it takes; it is where `[alerts]` says. */
  readonly threshold?: string;
  /** The setting to turn first; '' where none helps. */
  readonly knob: string;
  readonly advice: readonly string[];
  /** It has to hold for so long before it is said, ms. */
  readonly forMs?: number;
  /** From `raise` on it is said, below `clear` no more. */
  readonly raise: (thresholds: AlertThresholds) => number;
  readonly clear: (thresholds: AlertThresholds) => number;
  /** `increase`: how much a count has grown in the last minute. */
  readonly measure: (facts: Facts, increase: Increase) => Iterable<Measure>;
}

/** Something is there, or is not. */
const present = { raise: () => 1, clear: () => 1 };

/** What an increase was counts for a minute. */
const MINUTE = 'for a minute there was none';

/** Every alert by its code, the worst first. */
export const ALERTS = {
  fd_limit: {
    severity: 'error',
    when: 'a process has 90 % of its descriptors open, or of what limits.reserve_fds leaves for clients',
    until: 'below 88 %',
    threshold: 'alerts.fd_limit',
    knob: 'limits.reserve_fds',
    advice: ['LimitNOFILE=1048576 in the unit, or ulimit -Hn', '--workers auto: more processes share the clients'],
    raise: ({ fdLimit }) => fdLimit,
    clear: ({ fdLimit }) => fdLimit - 0.02,
    measure: measure.descriptors,
  },
  max_conns: {
    severity: 'warning',
    when: 'a process has 90 % of the clients that limits.max_conns allows',
    until: 'below 88 %',
    threshold: 'alerts.max_conns',
    knob: 'limits.max_conns',
    advice: ['raise limits.max_conns, or "auto"', 'add a comet: its clients are those that others refuse'],
    raise: ({ maxConns }) => maxConns,
    clear: ({ maxConns }) => maxConns - 0.02,
    measure: measure.connections,
  },
  no_comet: {
    severity: 'error',
    when: 'no comet runs',
    until: 'one does',
    knob: 'role',
    advice: ['start one: nobody can connect'],
    ...present,
    measure: measure.missingRole('comet'),
  },
  no_logic: {
    severity: 'error',
    when: 'no logic runs',
    until: 'one does',
    knob: 'role',
    advice: ['start one: nothing is accepted'],
    ...present,
    measure: measure.missingRole('logic'),
  },
  no_job: {
    severity: 'error',
    when: 'no job runs',
    until: 'one does',
    knob: 'role',
    advice: ['start one: what is accepted waits'],
    ...present,
    measure: measure.missingRole('job'),
  },
  node_unreachable: {
    severity: 'error',
    when: 'a node with a lease does not answer this logic',
    until: 'it does',
    knob: 'cluster.advertise',
    advice: [
      'is its rpc port reachable from here, and its key of this cluster?',
      'look at its log; restart it if it hangs',
    ],
    ...present,
    measure: measure.unreachable,
  },
  not_ready: {
    severity: 'error',
    when: 'a node says that something keeps it from its work',
    until: 'it says no more',
    knob: '',
    advice: ['imgo explain CODE says what that is'],
    ...present,
    measure: measure.notReady,
  },
  redis_failover: {
    severity: 'warning',
    when: 'the store had lost writes, and the queue is applied again from before them',
    until: MINUTE,
    knob: '',
    advice: [
      'nothing to do: what is applied again changes nothing',
      'why did Redis fail over? min-replicas-to-write keeps more',
    ],
    ...present,
    measure: measure.replays,
  },
  queue_lag: {
    severity: 'error',
    when: 'what was accepted waits for 5 s to be applied',
    until: 'below half of it',
    threshold: 'alerts.queue_lag',
    knob: 'queue.kafka.partitions',
    advice: ['are jobs and the store well? imgo nodes', 'more jobs, up to one a partition'],
    raise: ({ queueLagMs }) => queueLagMs,
    clear: ({ queueLagMs }) => queueLagMs / 2,
    measure: measure.queueLag,
  },
  disk: {
    severity: 'error',
    when: 'less than 1 GiB of disk is free for the store',
    until: 'a quarter more is free',
    threshold: 'alerts.disk',
    knob: 'store.reserve',
    advice: ['free some: below store.reserve pushes are refused', 'delivery.keep and rooms.keep bound what is kept'],
    raise: ({ diskBytes }) => -diskBytes,
    clear: ({ diskBytes }) => -diskBytes * 1.25,
    measure: measure.disk,
  },
  memory: {
    severity: 'warning',
    when: '85 % of the memory is used, of the control group or the machine, or of what a store in memory may have; from 95 % an error',
    until: 'below 80 %',
    threshold: 'alerts.memory',
    knob: 'limits.max_conns',
    advice: ['more memory, or fewer clients here: limits.max_conns', 'imgo drain NODE moves clients off'],
    raise: ({ memory }) => memory,
    clear: ({ memory }) => memory - 0.05,
    measure: measure.memory,
  },
  loop_lag: {
    severity: 'warning',
    when: 'the event loop of a process is late by 100 ms (p99) for 10 s',
    until: 'below half of it',
    threshold: 'alerts.loop_lag',
    knob: 'fanout.yield_every',
    advice: ['lower fanout.yield_every, or a longer fanout.window', '--workers auto, or one more comet'],
    forMs: 10_000,
    raise: ({ loopLagMs }) => loopLagMs,
    clear: ({ loopLagMs }) => loopLagMs / 2,
    measure: measure.loopLag,
  },
  window: {
    severity: 'note',
    when: 'a room sweeps for more than 2 x its window; from 25 % of what its ring holds a warning, from 60 % an error',
    until: 'below 1.5 x',
    knob: 'fanout.window',
    advice: [
      'a longer fanout.window: more messages a write',
      'more comets: fewer members each',
      'near 100 % of the ring members get gaps',
    ],
    raise: () => 2,
    clear: () => 1.5,
    measure: measure.windows,
  },
  lagging: {
    severity: 'warning',
    when: '1 % of the sessions of a process (and more than one) have taken nothing for a second',
    until: 'below half of it',
    threshold: 'alerts.lagging',
    knob: 'limits.lag.max',
    advice: [
      'imgo top --view sessions: who, and for how long',
      'many at once: the network, or net.ipv4.tcp_mem (imgo doctor)',
    ],
    raise: ({ lagging }) => lagging,
    clear: ({ lagging }) => lagging / 2,
    measure: measure.lagging,
  },
  gaps: {
    severity: 'warning',
    when: 'sessions were told that messages are gone',
    until: MINUTE,
    knob: 'delivery.keep',
    advice: ['too slow: limits.lag.max', 'away for too long: delivery.keep and delivery.ttl, rooms.keep'],
    ...present,
    measure: measure.gaps,
  },
  drops: {
    severity: 'warning',
    when: 'something was dropped or refused, by reason',
    until: MINUTE,
    knob: 'limits',
    advice: ['the reason says which limit: docs/operations.md, metrics'],
    ...present,
    measure: measure.drops,
  },
  certificate: {
    severity: 'warning',
    when: 'the certificate of a node’s links ends within 14 d',
    until: 'it ends later',
    threshold: 'alerts.certificate',
    knob: 'cluster.tls.cert',
    advice: ['put a new one in its place and restart the node'],
    raise: ({ certificateMs }) => -certificateMs,
    clear: ({ certificateMs }) => -certificateMs,
    measure: measure.certificates,
  },
  clock_skew: {
    severity: 'warning',
    when: 'the clock of a node differs from this logic’s by 1 s',
    until: 'below half of it',
    threshold: 'alerts.clock_skew',
    knob: '',
    advice: ['run chrony or ntpd there: expiry and latencies are by wall clocks'],
    raise: ({ clockSkewMs }) => clockSkewMs,
    clear: ({ clockSkewMs }) => clockSkewMs / 2,
    measure: measure.clockSkew,
  },
  version_skew: {
    severity: 'warning',
    when: 'a node runs another version than this logic',
    until: 'all run one',
    knob: '',
    advice: ['finish the upgrade: versions that follow each other work side by side'],
    ...present,
    measure: measure.versionSkew,
  },
  drain: {
    severity: 'note',
    when: 'a node is being emptied',
    until: 'it is empty, or takes clients again',
    knob: 'drain.rate',
    advice: ['imgo drain NODE --cancel calls it off'],
    ...present,
    measure: measure.draining,
  },
} as const satisfies Readonly<Record<string, AlertRow>>;

export type AlertCode = keyof typeof ALERTS;

/** All codes, the worst first. */
export const ALERT_CODES = Object.keys(ALERTS) as readonly AlertCode[];

/** The row of a code. */
export function alertRow(code: AlertCode): AlertRow {
  return ALERTS[code];
}
