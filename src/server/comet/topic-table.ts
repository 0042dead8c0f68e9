// Which topics this comet serves: opened with logic once (registered, then the head is read), kept for a while after the
// last member left, then given back. Who waits for a topic holds a reservation, so that it cannot end under them.

import { compareIds, type LogName, type MessageId, maxId, ZERO_ID } from '../../protocol/ids.js';
import type { CometIdentity, LogicService, Notification } from '../rpc/services.js';
import type { Counters } from './counters.js';
import type { TopicContext } from './fan-out.js';
import type { JoinedTopic, Outlet } from './outlet.js';
import { Topic } from './topic.js';

/** How long a topic stays after its last member left, ms. */
const LINGER_MS = 5_000;

interface Slot {
  readonly log: LogName;
  topic: Topic | undefined;
  opening: Promise<Topic> | undefined;
  /** Notified while it was being opened. */
  notified: MessageId;
  /** Callers between `acquire` and `release`. */
  reserved: number;
  /** Monotonic ms at which it may end; Infinity while it is used. */
  endsAt: number;
}

/** The topics of one comet. */
export class TopicTable {
  readonly #slots = new Map<LogName, Slot>();
  readonly #context: TopicContext;
  readonly #logic: Pick<LogicService, 'openTopic' | 'closeTopic'>;
  readonly #counters: Counters;
  /** A new registration number under the current incarnation. */
  readonly #identity: () => CometIdentity;

  constructor(
    context: TopicContext,
    logic: Pick<LogicService, 'openTopic' | 'closeTopic'>,
    counters: Counters,
    identity: () => CometIdentity,
  ) {
    this.#context = context;
    this.#logic = logic;
    this.#counters = counters;
    this.#identity = identity;
  }

  /** The topic if it is open. */
  get(log: LogName): Topic | undefined {
    return this.#slots.get(log)?.topic;
  }

  /** All open topics. */
  *[Symbol.iterator](): IterableIterator<Topic> {
    for (const slot of this.#slots.values()) if (slot.topic !== undefined) yield slot.topic;
  }

  /**
   * The open topic, at once when it is open already. Each call is paid back by one `release`, also after a failure.
   * @throws what logic.openTopic throws
   */
  acquire(log: LogName): Topic | Promise<Topic> {
    let slot = this.#slots.get(log);
    if (slot === undefined) {
      slot = { log, topic: undefined, opening: undefined, notified: ZERO_ID, reserved: 0, endsAt: 0 };
      this.#slots.set(log, slot);
    }
    slot.reserved++;
    slot.endsAt = Number.POSITIVE_INFINITY;
    if (slot.topic !== undefined) return slot.topic;
    slot.opening ??= this.#open(slot);
    return slot.opening;
  }

  /** Pays back an `acquire`. */
  release(log: LogName): void {
    const slot = this.#slots.get(log);
    if (slot === undefined) return;
    slot.reserved--;
    this.#maybeIdle(slot);
  }

  /** A member leaves. */
  leave(topic: JoinedTopic, outlet: Outlet): void {
    topic.leave(outlet);
    const slot = this.#slots.get(topic.log);
    if (slot !== undefined) this.#maybeIdle(slot);
  }

  /** A member leaves all its topics at once. */
  leaveAll(outlet: Outlet): void {
    for (let topic = outlet.topics.at(-1); topic !== undefined; topic = outlet.topics.at(-1)) this.leave(topic, outlet);
  }

  /** A notification for a room or `all`; of a topic that is not served here it is nothing. */
  append(notification: Notification): void {
    const slot = this.#slots.get(notification.log);
    if (slot === undefined) return;
    if (slot.topic !== undefined) slot.topic.append(notification);
    else slot.notified = maxId(slot.notified, notification.id);
  }

  /** Ends what nobody used for a while. Called every second or so. */
  endIdle(now: number): void {
    for (const slot of [...this.#slots.values()]) {
      if (slot.endsAt <= now) this.#end(slot);
    }
  }

  /**
   * Registers every topic under the present incarnation, also those that were being opened under an earlier one.
   * @throws what logic.openTopic throws: then not all are
   */
  async reregister(): Promise<void> {
    for (const slot of [...this.#slots.values()]) {
      await slot.opening?.catch(() => undefined);
      if (slot.topic === undefined) continue;
      try {
        await this.#logic.openTopic(this.#identity(), slot.log);
      } catch (error) {
        this.#counters.count('failed_open_topic');
        throw error;
      }
    }
  }

  /** Ends all; members must have left. */
  close(): void {
    for (const slot of this.#slots.values()) slot.topic?.close();
    this.#slots.clear();
  }

  async #open(slot: Slot): Promise<Topic> {
    try {
      const head = await this.#logic.openTopic(this.#identity(), slot.log);
      const topic = new Topic(slot.log, head, this.#context);
      slot.topic = topic;
      if (compareIds(slot.notified, head) > 0) void topic.resync().catch(() => this.#counters.count('failed_resync'));
      return topic;
    } catch (error) {
      this.#counters.count('failed_open_topic');
      throw error;
    } finally {
      slot.opening = undefined;
    }
  }

  #maybeIdle(slot: Slot): void {
    if (slot.reserved > 0 || (slot.topic !== undefined && slot.topic.members.length > 0)) return;
    slot.endsAt = this.#context.clock.monotonic() + LINGER_MS;
  }

  #end(slot: Slot): void {
    this.#slots.delete(slot.log);
    // Also after a failure to open: the registration may have been made.
    slot.topic?.close();
    this.#logic.closeTopic(this.#identity(), slot.log).catch(() => this.#counters.count('failed_close_topic'));
  }
}
