// The second half of a job: tells each comet concerned, in one call what batches have for it within a turn of the event loop,
// and waits, bounded, until it has acknowledged. A comet that does not is marked in the registry to re-read its heads: it sees
// the mark with its next renewal, or has no lease any more. Either way it has the messages from the log, so a frame may be given
// up but never forgotten.

import type { Clock } from '../clock.js';
import type { EventHub } from '../observe/hub.js';
import type { NodeRecord, Registry } from '../router/registry.js';
import type { CometService, Notification } from '../rpc/services.js';
import type { JobCounters } from './counters.js';
import type { JobTraces } from './traces.js';

/** What a notification costs beside its payload and name. Bytes, rounded up. */
const NOTIFICATION_OVERHEAD = 256;
/** Batches share a call up to so much. Bytes. */
const MAX_SHARED_BYTES = 1024 * 1024;

export interface NotifierOptions {
  readonly registry: Registry;
  readonly cometFor: (node: NodeRecord) => CometService;
  readonly clock: Clock;
  readonly counters: JobCounters;
  readonly traces?: JobTraces | undefined;
  /** How long an acknowledgement is waited for. */
  readonly ackMs: number;
  /** Per comet: above it nothing more is sent until it acknowledges. */
  readonly maxUnackedBytes: number;
  /** Who is told of acknowledged frames, if anybody. */
  readonly hub?: EventHub | undefined;
}

/** What one comet is told in one batch: in the order of the records. */
export interface Frame {
  readonly comet: NodeRecord;
  readonly notifications: Notification[];
  /** Some of them are traced. */
  traced?: boolean;
}

/** A call that goes with the end of this turn. */
interface Gathered {
  readonly notifications: Notification[];
  bytes: number;
  readonly call: Promise<void>;
  readonly go: () => void;
}

/** What is under way to a comet, gathered included. Kept only while something is. */
interface Link {
  bytes: number;
  gathered: Gathered | undefined;
  /** Monotonic ms, oldest first: when the calls under way were made. */
  readonly sentAt: number[];
}

/** Frames by comet. */
export class Frames {
  readonly #frames = new Map<string, Frame>();

  /** Adds a notification for a comet. */
  add(comet: NodeRecord, notification: Notification): void {
    const key = keyOf(comet);
    let frame = this.#frames.get(key);
    if (frame === undefined) {
      frame = { comet, notifications: [notification] };
      this.#frames.set(key, frame);
    } else frame.notifications.push(notification);
    if (notification.trace !== undefined) frame.traced = true;
  }

  get list(): readonly Frame[] {
    return [...this.#frames.values()];
  }
}

export class Notifier {
  readonly #options: NotifierOptions;
  readonly #links = new Map<string, Link>();

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  /**
   * Sends with the end of this turn, in order. Resolves when every comet has acknowledged or is marked to re-read.
   * Rejects when the registry did not take a mark: then the batch must not be committed.
   */
  async tell(frames: readonly Frame[]): Promise<void> {
    const { clock, counters, ackMs } = this.#options;
    const owed = new Set<Frame>();
    const calls: Promise<void>[] = [];
    for (const frame of frames) {
      counters.frames++;
      counters.notifications += frame.notifications.length;
      owed.add(frame);
      const sent = this.#send(frame);
      if (sent === undefined) {
        counters.resyncDropped++;
        if (frame.traced === true) this.#options.traces?.notified(frame.notifications, frame.comet.node, 0, false);
        continue;
      }
      const call = sent.call.then(
        () => {
          if (owed.delete(frame)) counters.acknowledged++;
          this.#tellWho(frame);
        },
        () => undefined,
      );
      // Behind a frame that is overdue nothing is waited for: the comet is marked at once and the others go on.
      if (!sent.overdue) calls.push(call);
    }
    if (calls.length > 0) {
      let timer: ReturnType<Clock['after']> | undefined;
      const late = new Promise<void>((resolve) => {
        timer = clock.after(ackMs, resolve);
      });
      await Promise.race([Promise.all(calls), late]);
      clock.clear(timer);
    }
    for (const frame of [...owed]) {
      counters.resyncUnacknowledged++;
      await this.markResync(frame.comet);
    }
  }

  /** Ephemeral: nobody waits, nothing is repeated. */
  tellOnce(frames: readonly Frame[]): void {
    const { counters } = this.#options;
    for (const frame of frames) {
      const sent = this.#send(frame);
      if (sent === undefined) counters.ephemeralFailed += frame.notifications.length;
      else {
        sent.call.then(
          () => this.#tellWho(frame),
          () => {
            counters.ephemeralFailed += frame.notifications.length;
          },
        );
      }
    }
  }

  async markResync(comet: NodeRecord): Promise<void> {
    await this.#options.registry.markResync(comet.node, comet.incarnation);
  }

  #tellWho({ comet, notifications }: Frame): void {
    const { hub } = this.#options;
    if (hub === undefined || hub.wants === 0) return;
    for (const { log, id } of notifications) hub.notified(log, id, comet.node);
  }

  /** Undefined: the comet has too much under way. */
  #send(frame: Frame): { readonly call: Promise<void>; readonly overdue: boolean } | undefined {
    const { clock, ackMs, maxUnackedBytes } = this.#options;
    const key = keyOf(frame.comet);
    const link = this.#links.get(key) ?? { bytes: 0, gathered: undefined, sentAt: [] };
    let bytes = 0;
    for (const { log, payload } of frame.notifications) {
      bytes += payload.byteLength + 2 * log.length + NOTIFICATION_OVERHEAD;
    }
    if (link.bytes > 0 && link.bytes + bytes > maxUnackedBytes) return undefined;
    const now = clock.monotonic();
    const overdue = link.sentAt.length > 0 && (link.sentAt[0] ?? now) + ackMs <= now;
    this.#links.set(key, link);
    link.bytes += bytes;
    if (link.gathered !== undefined && link.gathered.bytes + bytes > MAX_SHARED_BYTES) link.gathered.go();
    const gathered = link.gathered ?? this.#gather(frame.comet, key, link);
    gathered.notifications.push(...frame.notifications);
    gathered.bytes += bytes;
    if (frame.traced === true) this.#trace(frame, now, gathered.call);
    return { call: gathered.call, overdue };
  }

  #gather(comet: NodeRecord, key: string, link: Link): Gathered {
    const { clock, cometFor } = this.#options;
    const notifications: Notification[] = [];
    const { promise: call, resolve } = Promise.withResolvers<void>();
    const go = (): void => {
      if (link.gathered !== gathered) return;
      link.gathered = undefined;
      const now = clock.monotonic();
      link.sentAt.push(now);
      const made = attempt(() => cometFor(comet).notify(notifications)).finally(() => {
        link.bytes -= gathered.bytes;
        link.sentAt.splice(link.sentAt.indexOf(now), 1);
        if (link.bytes === 0) this.#links.delete(key);
      });
      resolve(made);
    };
    const gathered: Gathered = { notifications, bytes: 0, call, go };
    link.gathered = gathered;
    clock.soon(go);
    return gathered;
  }

  #trace({ comet, notifications }: Frame, since: number, call: Promise<void>): void {
    const { clock, traces } = this.#options;
    const note = (ok: boolean) => traces?.notified(notifications, comet.node, clock.monotonic() - since, ok);
    call.then(
      () => note(true),
      () => note(false),
    );
  }
}

function keyOf(comet: NodeRecord): string {
  return `${comet.incarnation}/${comet.node}`;
}

/** A call that throws at once fails like one that rejects. */
async function attempt(call: () => Promise<void>): Promise<void> {
  await call();
}
