// What a topic tells of itself: what came and what went, how fast, and how long it took to the sockets. Nothing of it is done
// for each member: a message counts when it comes, a step of a sweep (hundreds of members) when it ends.

import type { LogName } from '../../protocol/ids.js';
import type { TopicStats } from '../rpc/services.js';
import type { TopicContext } from './fan-out.js';
import type { Lane } from './lane.js';

/** How much of a second's rate counts in the shown one: it is that of the last five seconds or so. */
const SMOOTHING = 0.3;

/** What is shown of a topic beside its figures. */
interface Shown {
  readonly log: LogName;
  readonly members: readonly unknown[];
  readonly lagging: number;
  readonly sweepMs: number;
}

export class TopicGauge {
  /** Monotonic. */
  messages = 0;
  deliveries = 0;
  gaps = 0;
  /** Messages a second. */
  perSecond = 0;
  readonly #context: TopicContext;
  /** When what is due was accepted, wall ms: the first of it, the first of what came since the sweep began, the last. */
  #from: number | undefined;
  #next: number | undefined;
  #to = 0;
  #sweeping = false;
  #lookedAt = 0;
  #looked = 0;

  constructor(context: TopicContext) {
    this.#context = context;
  }

  /** A message came. */
  came(acceptedAt: number | undefined): void {
    this.messages++;
    if (acceptedAt === undefined) return;
    this.#to = acceptedAt;
    if (this.#sweeping) this.#next ??= acceptedAt;
    else this.#from ??= acceptedAt;
  }

  /** A step of a sweep has written to sockets; `before`: the comet's deliveries at its start. */
  stepped(before: number, ended: boolean): void {
    const { counters, latency, clock } = this.#context;
    const given = counters.deliveries - before;
    this.deliveries += given;
    if (given > 0 && this.#from !== undefined && latency?.due(given) === true) {
      // Any of what was due, as if it had come evenly.
      const acceptedAt = this.#from + clock.random() * (this.#to - this.#from);
      latency.took(clock.now() - acceptedAt);
    }
    this.#sweeping = !ended;
    if (!ended) return;
    this.#from = this.#next;
    this.#next = undefined;
  }

  /** Called every second or so. */
  look(now: number): void {
    const seconds = (now - this.#lookedAt) / 1_000;
    const perSecond = (this.messages - this.#looked) / seconds;
    const first = this.#lookedAt === 0;
    this.#lookedAt = now;
    this.#looked = this.messages;
    if (!first && seconds > 0) this.perSecond += (perSecond - this.perSecond) * SMOOTHING;
  }

  stats(topic: Shown, lanes: Iterable<Lane>): TopicStats {
    const { options, clock } = this.#context;
    const now = clock.monotonic();
    let ringBytes = 0;
    let ringMs = Number.POSITIVE_INFINITY;
    for (const lane of lanes) {
      ringBytes += lane.bytes;
      ringMs = Math.min(ringMs, holdsMs(lane, now));
    }
    const { log, members, lagging, sweepMs } = topic;
    const { messages, deliveries, gaps, perSecond } = this;
    const { windowMs } = options;
    const stats = { log, members: members.length, lagging, windowMs, sweepMs, ringBytes };
    const rates = { messages, deliveries, gaps, perSecond };
    return ringMs === Number.POSITIVE_INFINITY ? { ...stats, ...rates } : { ...stats, ...rates, ringMs };
  }
}

/** For how long a ring holds what comes at the rate of what is in it. With one segment it is far from its bound. */
function holdsMs({ segments, head, tail, bytes, maxBytes }: Lane, now: number): number {
  const [oldest] = segments;
  if (oldest === undefined || segments.length < 2) return Number.POSITIVE_INFINITY;
  const cameBytes = head - oldest.end;
  const inMs = now - oldest.lastAppendAt;
  // Of its bound a part is index and what is free yet.
  return ((maxBytes * (head - tail)) / bytes) * (inMs / cameBytes);
}
