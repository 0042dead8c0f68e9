// A member of the group of jobs: kafkajs fetches and keeps the membership, claims (claim.ts) hand out. Reading of a partition
// starts after the lowest mark of its buckets, or after what was committed if that is lower. Offsets are counted here, so
// that a reset by the client, or records that Kafka deleted, is seen and never followed.

import type { Admin, EachBatchPayload, Consumer as KafkaConsumer } from 'kafkajs';
import type { MessageId } from '../../../protocol/ids.js';
import { type Clock, pause } from '../../clock.js';
import type { AssignedHandler, BatchHandler } from '../queue.js';
import { Claim } from './claim.js';
import { type KafkaClient, kafkaErrorType } from './client.js';
import { NewerRecord } from './format.js';
import type { KafkaQueueOptions, QueueAlarm } from './options.js';
import { bucketsOf } from './partitions.js';
import { type Ends, readCommitted, readEnds, startOf } from './positions.js';
import type { RecordReader } from './reader.js';

/** A member that says nothing for so long has died. */
const SESSION_MS = 6_000;
const HEARTBEAT_MS = 1_500;
/** A member that was not heard for so long has lost its place; its client may go on asking a broker that leads the group no more. */
const SILENT_MS = 3 * SESSION_MS;
/** Claims that a broker refused because it leads the group no more: the client does not see it, and another one must ask who does. */
const MISLED_TRIES = 5;
/** How long leaving may take: a client that hangs is left behind. */
const LEAVE_MS = 5_000;
/** The broker answers an empty fetch after this: what is resumed meanwhile waits for it. */
const FETCH_WAIT_MS = 100;
const FETCH_BYTES = 1024 * 1024;
/** A partition with so much fetched is paused until half of it was handed out. Bytes. */
const BUFFER_BYTES = 4 * 1024 * 1024;
/** Between two tries to join, or to claim: doubled each time, within these. Milliseconds. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;
/** Commits gather for so long: partitions are ready for one at any time, and a request costs as much for one as for all. Milliseconds. */
const COMMIT_SOON_MS = 250;
/** Looks at the ends of a topic that must agree before it counts as shortened: a new leader knows its end late. */
const SHORTENED_LOOKS = 5;
const TICK_MS = 250;
/** Metadata of a commit while a member has the partition; else: up to where ephemeral records were handed out. */
const HELD = 'held';

export interface ConsumerParts {
  readonly client: KafkaClient;
  readonly admin: Admin;
  readonly reader: RecordReader;
  readonly clock: Clock;
  readonly log: KafkaQueueOptions['log'];
  readonly topic: string;
  readonly group: string;
  readonly partitions: number;
  readonly epoch: number;
  readonly commitMs: number;
  readonly idleMs: number;
  readonly handler: BatchHandler;
  readonly assigned: AssignedHandler | undefined;
  readonly gap: KafkaQueueOptions['gap'];
  readonly alarm: (alarm: QueueAlarm) => void;
}

export class Consumer {
  readonly counters = { rebalances: 0, seeks: 0, holes: 0, commits: 0, restarts: 0 };
  readonly #parts: ConsumerParts;
  #kafka: KafkaConsumer | undefined;
  #claims = new Map<number, Claim>();
  /** Claims that ended and have something under way. */
  readonly #ending = new Map<number, Promise<void>>();
  /** By partition: what stopped it. */
  readonly #stopped = new Map<number, QueueAlarm['kind']>();
  readonly #shortened = new Map<number, number>();
  #generation = 0;
  /** Monotonic ms: the group knew of this member. */
  #aliveAt = 0;
  readonly #committed = new Map<number, number>();
  #committing: Promise<void> | undefined;
  readonly #halt = new AbortController();
  #died: (() => void) | undefined;
  /** It has joined: whether it still is heard is looked at. */
  #watched = false;

  constructor(parts: ConsumerParts) {
    this.#parts = parts;
  }

  /** Records that were fetched and not handed out, bytes. */
  get bufferedBytes(): number {
    let bytes = 0;
    for (const claim of this.#claims.values()) bytes += claim.bufferedBytes;
    return bytes;
  }

  /** Hands out until `signal` aborts; then finishes what is under way, commits it and leaves the group. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, client, log } = this.#parts;
    const ticking = clock.every(TICK_MS, () => {
      for (const claim of this.#claims.values()) claim.tick();
      this.#watch();
    });
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    for (let wait = RETRY_MIN_MS; !signal.aborted; wait = Math.min(wait * 2, RETRY_MAX_MS)) {
      const died = new Promise<void>((resolve) => {
        this.#died = resolve;
      });
      try {
        await this.#join();
        wait = RETRY_MIN_MS;
        this.#watched = true;
        await Promise.race([stopped, died]);
      } catch (error) {
        log.warn({ cause: client.error(error).message }, 'the group of jobs cannot be joined; it is tried again');
      }
      this.#watched = false;
      if (!signal.aborted) {
        this.counters.restarts++;
        await this.#leave();
        await pause(clock, wait, signal);
      }
    }
    await this.#finish();
    clock.clear(ticking);
  }

  /** Nothing is handed out any more, and nothing committed. */
  halt(): void {
    this.#halt.abort();
    this.#revokeAll();
  }

  /** Nothing was heard of the group for long, and the client has not given up by itself: another one joins. */
  #watch(): void {
    const { clock, log } = this.#parts;
    const silentMs = clock.monotonic() - this.#aliveAt;
    if (!this.#watched || silentMs < SILENT_MS) return;
    this.#watched = false;
    log.warn({ silentMs: Math.round(silentMs) }, 'the group of jobs does not answer this member: it joins anew');
    this.#died?.();
  }

  async #join(): Promise<void> {
    const { client, topic, group } = this.#parts;
    const consumer = client.kafka.consumer({
      groupId: group,
      sessionTimeout: SESSION_MS,
      rebalanceTimeout: SESSION_MS,
      heartbeatInterval: HEARTBEAT_MS,
      maxWaitTimeInMs: FETCH_WAIT_MS,
      maxBytesPerPartition: FETCH_BYTES,
      allowAutoTopicCreation: false,
      // A longer patience of the client is a longer gap when a broker dies.
      retry: { retries: 2, maxRetryTime: 300, initialRetryTime: 100 },
    });
    this.#kafka = consumer;
    // One that was left behind may still come back to life.
    const current = (): boolean => this.#kafka === consumer;
    const alive = (): void => {
      if (current()) this.#aliveAt = this.#parts.clock.monotonic();
    };
    const revoke = (): void => {
      if (current()) this.#revokeAll();
    };
    const { HEARTBEAT, GROUP_JOIN, REBALANCING, CRASH, STOP } = consumer.events;
    consumer.on(HEARTBEAT, alive);
    // The listener runs before the client fetches, so nothing is fetched that is not claimed.
    consumer.on(GROUP_JOIN, ({ payload: { memberAssignment } }) => {
      if (!current()) {
        // It must not keep partitions that nobody claims.
        void consumer.disconnect().catch(() => undefined);
        return;
      }
      alive();
      this.#joined(consumer, memberAssignment[topic] ?? []);
    });
    consumer.on(REBALANCING, revoke);
    consumer.on(STOP, revoke);
    consumer.on(CRASH, ({ payload: { restart, error } }) => {
      if (!current()) return;
      this.#revokeAll();
      this.#parts.log.warn({ cause: client.error(error).message, restart }, 'this member of the group of jobs failed');
      if (!restart) this.#died?.();
    });
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      eachBatch: async (payload) => this.#fetched(consumer, payload),
    });
  }

  #joined(consumer: KafkaConsumer, partitions: readonly number[]): void {
    this.#revokeAll();
    this.counters.rebalances++;
    this.#generation++;
    this.#committed.clear();
    this.#stopped.clear();
    this.#shortened.clear();
    if (partitions.length === 0 || this.#halt.signal.aborted) return;
    consumer.pause([{ topic: this.#parts.topic, partitions: [...partitions] }]);
    void this.#claimAll(consumer, partitions, this.#generation);
  }

  #revokeAll(): void {
    for (const [partition, claim] of this.#claims) {
      const before = this.#ending.get(partition) ?? Promise.resolve();
      this.#ending.set(
        partition,
        Promise.all([before, claim.revoke()]).then(() => undefined),
      );
    }
    this.#claims = new Map();
  }

  /** Tries until all are claimed, or the group has changed again. */
  async #claimAll(consumer: KafkaConsumer, partitions: readonly number[], generation: number): Promise<void> {
    const { clock, client, log } = this.#parts;
    let left = partitions;
    let misled = 0;
    for (let wait = RETRY_MIN_MS; left.length > 0; wait = Math.min(wait * 2, RETRY_MAX_MS)) {
      try {
        left = await this.#claim(consumer, left, generation);
      } catch (error) {
        log.warn({ cause: client.error(error).message }, 'partitions cannot be claimed yet; it is tried again');
        if (kafkaErrorType(error) === 'NOT_COORDINATOR_FOR_GROUP') misled++;
      }
      if (misled >= MISLED_TRIES && this.#generation === generation) return this.#died?.();
      if (this.#generation !== generation || this.#halt.signal.aborted) return;
      if (left.length > 0) await pause(clock, wait, this.#halt.signal);
      if (this.#generation !== generation || this.#halt.signal.aborted) return;
    }
  }

  /** Resolves with those that must wait. */
  async #claim(consumer: KafkaConsumer, partitions: readonly number[], generation: number): Promise<readonly number[]> {
    const { admin, topic, group, epoch, assigned, handler, clock, commitMs, idleMs } = this.#parts;
    // Two batches of one partition are never applied at once, whoever handed them out.
    await Promise.all(partitions.map((partition) => this.#ending.get(partition)));
    const [committed, ends] = await Promise.all([readCommitted(admin, group, topic), readEnds(admin, topic)]);
    const marks = await Promise.all(partitions.map((one) => assigned?.(one, bucketsOf(one, this.#parts.partitions))));
    if (this.#generation !== generation) return [];
    const claims: Claim[] = [];
    const left: number[] = [];
    const commits: { topic: string; partition: number; offset: string; metadata: string }[] = [];
    for (const [index, partition] of partitions.entries()) {
      const end = ends.get(partition);
      const { offset, metadata } = committed.get(partition) ?? { offset: undefined, metadata: undefined };
      const mark = marks[index];
      if (end === undefined) {
        left.push(partition);
        continue;
      }
      const next = mark === undefined ? (offset ?? end.low) : mark.epoch === epoch ? mark.n + 1 : 0;
      const start = startOf({ next, committed: offset, ...end });
      if (typeof start !== 'number') {
        await this.#strange(partition, next, start, end);
        left.push(partition);
        continue;
      }
      this.#stopped.delete(partition);
      this.#shortened.delete(partition);
      // What another member handed out is not known: of what nobody keeps, only what comes from now on.
      this.#parts.reader.ephemeralFrom(partition, ephemeralStart(metadata, offset, end));
      const claim: Claim = new Claim({
        partition,
        buckets: bucketsOf(partition, this.#parts.partitions),
        epoch,
        start,
        handler,
        clock,
        commitMs,
        idleMs,
        phase: index / partitions.length,
        alive: () => clock.monotonic() - this.#aliveAt < SESSION_MS,
        seek: (to) => {
          this.counters.seeks++;
          consumer.seek({ topic, partition, offset: String(to) });
        },
        changed: () => this.#changed(consumer, claim),
      });
      claims.push(claim);
      commits.push({ topic, partition, offset: String(Math.max(offset ?? end.low, end.low)), metadata: HELD });
    }
    if (claims.length === 0) return left;
    await consumer.commitOffsets(commits);
    if (this.#generation !== generation) {
      for (const claim of claims) void claim.revoke();
      return [];
    }
    for (const claim of claims) {
      this.#claims.set(claim.partition, claim);
      consumer.seek({ topic, partition: claim.partition, offset: String(claim.expected) });
    }
    consumer.resume([{ topic, partitions: claims.map(({ partition }) => partition) }]);
    return left;
  }

  /** The start lies outside of what the topic has. Once the readers of what was lost are told, a next try finds it inside. */
  async #strange(partition: number, next: number, why: 'lost' | 'truncated', end: Ends): Promise<void> {
    const { epoch, gap, alarm } = this.#parts;
    const buckets = bucketsOf(partition, this.#parts.partitions);
    const id = (n: number): MessageId => ({ epoch, n });
    if (why === 'truncated') {
      const looks = (this.#shortened.get(partition) ?? 0) + 1;
      this.#shortened.set(partition, looks);
      if (looks < SHORTENED_LOOKS) return;
    }
    const found: QueueAlarm =
      why === 'lost'
        ? { kind: 'lost', partition, buckets, after: id(next - 1), upTo: id(end.low - 1) }
        : { kind: 'truncated', partition, buckets, position: id(next - 1), end: id(end.high - 1) };
    if (this.#stopped.get(partition) !== why) {
      this.#stopped.set(partition, why);
      alarm(found);
    }
    if (found.kind === 'lost') await gap?.(found);
  }

  async #fetched(
    consumer: KafkaConsumer,
    { batch, resolveOffset, isStale, heartbeat }: EachBatchPayload,
  ): Promise<void> {
    const { topic, partition, messages } = batch;
    const claim = this.#claims.get(partition);
    // Not resolved: it is fetched again by whoever has it.
    if (claim === undefined || claim.revoked || isStale() || this.#kafka !== consumer) return;
    const first = Number(messages[0]?.offset ?? -1);
    const last = Number(messages.at(-1)?.offset ?? -1);
    if (last < claim.expected) {
      consumer.seek({ topic, partition, offset: String(claim.expected) });
      return;
    }
    if (first > claim.expected && !(await this.#hole(consumer, claim, first))) return;
    try {
      const read = await this.#parts.reader.read(partition, messages, claim.expected);
      // Reading may have waited for a dead letter: the group may have changed meanwhile.
      if (claim.revoked || isStale()) return;
      claim.feed(read);
    } catch (error) {
      if (!(error instanceof NewerRecord)) throw error;
      this.#newer(consumer, claim, error);
      return;
    }
    resolveOffset(String(last));
    if (claim.bufferedBytes > BUFFER_BYTES) consumer.pause([{ topic, partitions: [partition] }]);
    await heartbeat();
  }

  /** Offsets are missing. True: they never held a message, and reading goes on behind them. */
  async #hole(consumer: KafkaConsumer, claim: Claim, first: number): Promise<boolean> {
    const { admin, topic } = this.#parts;
    const { partition } = claim;
    const end = (await readEnds(admin, topic)).get(partition);
    if (claim.revoked) return false;
    if (end !== undefined && end.low <= claim.expected && first < end.high) {
      this.counters.holes++;
      claim.skipTo(first);
      return true;
    }
    // Deleted before it was read: claimed anew, which finds and tells it.
    consumer.pause([{ topic, partitions: [partition] }]);
    this.#claims.delete(partition);
    this.#ending.set(partition, claim.revoke());
    void this.#claimAll(consumer, [partition], this.#generation);
    return false;
  }

  #newer(consumer: KafkaConsumer, claim: Claim, error: NewerRecord): void {
    const { topic, log, alarm, epoch, clock } = this.#parts;
    const { partition } = claim;
    if (this.#stopped.get(partition) !== 'newer_record') {
      this.#stopped.set(partition, 'newer_record');
      log.error(
        { partition, cause: error.message },
        'a record was written by a newer version: the partition waits for one',
      );
      alarm({ kind: 'newer_record', partition, id: { epoch, n: claim.expected } });
    }
    consumer.pause([{ topic, partitions: [partition] }]);
    clock.after(RETRY_MAX_MS, () => {
      if (!claim.revoked) consumer.resume([{ topic, partitions: [partition] }]);
    });
  }

  #changed(consumer: KafkaConsumer, claim: Claim): void {
    const { topic, clock } = this.#parts;
    const { partition } = claim;
    const waits = consumer.paused().some(({ partitions }) => partitions.includes(partition));
    if (waits && !this.#stopped.has(partition) && claim.bufferedBytes < BUFFER_BYTES / 2 && !claim.revoked) {
      consumer.resume([{ topic, partitions: [partition] }]);
    }
    if (claim.committable === undefined || this.#committing !== undefined) return;
    if (claim.committable <= (this.#committed.get(partition) ?? -1)) return;
    this.#committing = pause(clock, COMMIT_SOON_MS)
      .then(() => this.#commit(consumer))
      .finally(() => {
        this.#committing = undefined;
      });
  }

  /** Commits of all partitions in one request, and never of a claim that ended. */
  async #commit(consumer: KafkaConsumer, release = false): Promise<void> {
    const { topic, log } = this.#parts;
    const generation = this.#generation;
    const offsets: { topic: string; partition: number; offset: string; metadata: string }[] = [];
    for (const [partition, { committable, position, revoked }] of this.#claims) {
      const committed = this.#committed.get(partition) ?? -1;
      if (revoked || committable === undefined || (committable <= committed && !release)) continue;
      offsets.push({ topic, partition, offset: String(committable), metadata: release ? String(position) : HELD });
    }
    if (offsets.length === 0) return;
    try {
      await consumer.commitOffsets(offsets);
      this.counters.commits++;
      if (this.#generation !== generation) return;
      for (const { partition, offset } of offsets) this.#committed.set(partition, Number(offset));
    } catch (error) {
      // The group gave it to another, who reads again from the last commit; or the next commit is tried.
      log.debug({ cause: String(error) }, 'a commit failed');
    }
  }

  /** An orderly end. */
  async #finish(): Promise<void> {
    const consumer = this.#kafka;
    if (consumer === undefined) return;
    const assigned = [...this.#claims.keys()];
    if (assigned.length > 0) consumer.pause([{ topic: this.#parts.topic, partitions: assigned }]);
    await Promise.all([...this.#claims.values()].map((claim) => claim.close()));
    await this.#committing;
    await this.#commit(consumer, true);
    this.#generation++;
    await this.#leave();
    await Promise.all(this.#ending.values());
  }

  async #leave(): Promise<void> {
    this.#revokeAll();
    const consumer = this.#kafka;
    this.#kafka = undefined;
    if (consumer === undefined) return;
    // Its claims are never made.
    this.#generation++;
    const { clock, log } = this.#parts;
    const left = consumer.disconnect().catch((error: unknown) => {
      log.debug({ cause: String(error) }, 'leaving the group failed');
    });
    const late = new AbortController();
    await Promise.race([left, pause(clock, LEAVE_MS, late.signal)]);
    late.abort();
  }
}

/** From where on ephemeral records are handed out. */
function ephemeralStart(metadata: string | undefined, committed: number | undefined, { high }: Ends): number {
  if (metadata === HELD) return high;
  return /^\d+$/.test(metadata ?? '') ? Number(metadata) : (committed ?? 0);
}
