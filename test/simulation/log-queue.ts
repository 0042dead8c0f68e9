// A queue like Kafka: a partition is a log of records whose offsets are their ids; a record is visible some time after it was
// appended; a consumer group gives each partition to one member, and a member that lost it goes on for a while without
// knowing. Nothing that was appended is ever lost here; what a producer or a consumer hears of it may be.

import { ImgoError } from '../../src/protocol/errors.js';
import type { MessageId } from '../../src/protocol/ids.js';
import { pause } from '../../src/server/clock.js';
import type {
  AssignedHandler,
  BatchHandler,
  EphemeralRecord,
  Queue,
  QueueBatch,
} from '../../src/server/queue/queue.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import type { IdentifiedRecord, PushRecord } from '../../src/server/store/buckets.js';
import type { Network } from './network.js';
import type { SimProcess } from './scheduler.js';

interface Appended {
  readonly record: IdentifiedRecord;
  /** Virtual ms. */
  readonly visibleAt: number;
}

interface Partition {
  readonly index: number;
  readonly buckets: readonly number[];
  readonly log: Appended[];
  /** Offset up to which the group has committed. */
  committed: number;
  owner: SimProcess | undefined;
  /** Grows with every change of the owner; commits of an older one are refused. */
  generation: number;
}

export interface BrokerOptions {
  readonly epoch: number;
  readonly partitions: number;
  /** The buckets in use: those of a partition are what its owner moves marks of. */
  readonly buckets: readonly number[];
  /** The broken rule starts where was committed rather than at the lowest mark. */
  readonly startAt: 'marks' | 'committed';
}

const IDLE_MS = 20;
const RETRY_MS = 50;

export class ModelBroker {
  readonly process: SimProcess;
  readonly partitions: readonly Partition[];
  readonly epoch: number;
  seeks = 0;
  readonly #startAt: 'marks' | 'committed';

  constructor(process: SimProcess, options: BrokerOptions) {
    this.process = process;
    this.epoch = options.epoch;
    this.#startAt = options.startAt;
    this.partitions = Array.from({ length: options.partitions }, (_, index) => ({
      index,
      buckets: options.buckets.filter((bucket) => bucket % options.partitions === index),
      log: [],
      committed: 0,
      owner: undefined,
      generation: 0,
    }));
  }

  /** Gives every partition to one of these; a partition whose owner stays may move all the same. */
  rebalance(members: readonly SimProcess[]): void {
    const { scheduler } = this.process;
    for (const partition of this.partitions) {
      if (members.length === 0) continue;
      partition.owner = scheduler.pick(members);
      partition.generation++;
    }
  }

  /** Everything that was appended is visible, applied and committed. */
  get drained(): boolean {
    return this.partitions.every(({ log, committed }) => committed >= log.length);
  }

  append(record: PushRecord): MessageId {
    const partition = this.partitions[bucketOf(record.log) % this.partitions.length];
    if (partition === undefined) throw new Error('no partition');
    const { scheduler } = this.process;
    const id = { epoch: this.epoch, n: partition.log.length + 1 };
    const before = partition.log.at(-1)?.visibleAt ?? 0;
    const visibleAt = Math.max(before, scheduler.now + scheduler.between(0, scheduler.chance(0.1) ? 400 : 10));
    partition.log.push({ record: { ...record, id }, visibleAt });
    return id;
  }

  fetch(index: number, after: number, limit: number): readonly IdentifiedRecord[] {
    const { now } = this.process.scheduler;
    const log = this.partitions[index]?.log.slice(after, after + limit) ?? [];
    return log.filter(({ visibleAt }) => visibleAt <= now).map(({ record }) => record);
  }

  commit(index: number, generation: number, offset: number): void {
    const partition = this.partitions[index];
    if (partition === undefined || partition.generation !== generation) throw new Error('fenced by a rebalance');
    partition.committed = Math.max(partition.committed, offset);
  }

  queueFor(process: SimProcess, network: Network): Queue {
    return new ModelQueue(this, process, network);
  }

  startOf(partition: Partition, lowestMark: MessageId): number {
    return this.#startAt === 'marks' ? Math.min(lowestMark.n, partition.committed) : partition.committed;
  }
}

/** A partition as a consumer that was given it sees it. */
interface Claim {
  readonly partition: Partition;
  readonly generation: number;
}

class ModelQueue implements Queue {
  readonly #broker: ModelBroker;
  readonly #process: SimProcess;
  readonly #network: Network;

  constructor(broker: ModelBroker, process: SimProcess, network: Network) {
    this.#broker = broker;
    this.#process = process;
    this.#network = network;
  }

  async accept(record: PushRecord) {
    const { process } = this.#broker;
    const id = await this.#network.call(this.#process, process, () => {
      if (process.scheduler.chance(0.02)) throw new ImgoError('overloaded', { reason: 'the broker' });
      return this.#broker.append(record);
    });
    return { id, duplicate: false };
  }

  async acceptEphemeral(_record: EphemeralRecord): Promise<void> {}

  async consume(handler: BatchHandler, signal: AbortSignal, assigned?: AssignedHandler): Promise<void> {
    const loops = this.#broker.partitions.map((partition) => this.#member(partition, handler, signal, assigned));
    await Promise.all(loops);
  }

  stats() {
    return { waiting: 0, waitingBytes: 0, oldestMs: 0, accepted: 0, refused: {}, dropped: {} };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Waits until this process owns the partition, works on it, learns late that it does not any more. */
  async #member(
    partition: Partition,
    handler: BatchHandler,
    signal: AbortSignal,
    assigned: AssignedHandler | undefined,
  ): Promise<void> {
    while (!signal.aborted) {
      const owned = await this.#network
        .call(this.#process, this.#broker.process, () =>
          partition.owner === this.#process ? partition.generation : undefined,
        )
        .catch(() => undefined);
      if (owned === undefined) {
        await pause(this.#process, IDLE_MS * 5, signal);
        continue;
      }
      try {
        const lowest = (await assigned?.(partition.index, partition.buckets)) ?? { epoch: 0, n: 0 };
        await this.#work({ partition, generation: owned }, this.#broker.startOf(partition, lowest), handler, signal);
      } catch {
        await pause(this.#process, RETRY_MS, signal);
      }
    }
  }

  /** Hands out batch after batch from `start` on. Ends when a rebalance is noticed; rejects when it must start anew. */
  async #work(claim: Claim, start: number, handler: BatchHandler, signal: AbortSignal): Promise<void> {
    const { scheduler } = this.#process;
    const { index, buckets } = claim.partition;
    let position = start;
    let idle = 0;
    let committing: Promise<void> = Promise.resolve();
    let failed: Error | undefined;
    const noticeAt = (): boolean => claim.partition.generation !== claim.generation && scheduler.chance(0.1);
    while (!signal.aborted && !noticeAt()) {
      if (failed !== undefined) throw failed;
      const from = position;
      const records = await this.#network.call(this.#process, this.#broker.process, () =>
        this.#broker.fetch(index, from, 1 + Math.floor(scheduler.random() * 6)),
      );
      const last = records.at(-1);
      idle = last === undefined ? Math.min(idle + 1, 10) : 0;
      if (last === undefined) {
        await pause(this.#process, IDLE_MS * idle, signal);
        // Nothing new: the position is committed again now and then, which touches every bucket.
        if (!scheduler.chance(0.2) || position === 0) continue;
      }
      const upTo = last?.id ?? { epoch: this.#broker.epoch, n: position };
      for (let attempt = 1; ; attempt++) {
        const handed = this.#hand(handler, { index, buckets, records, upTo, attempt });
        const outcome = await handed.settled;
        if (outcome.kind === 'failed') {
          if (scheduler.chance(0.2) || signal.aborted) throw outcome.error;
          await pause(this.#process, RETRY_MS, signal);
          continue;
        }
        if (outcome.kind === 'seek') {
          this.#broker.seeks++;
          position = outcome.to.n;
          break;
        }
        position = Math.max(position, upTo.n);
        const offset = position;
        // In order, while the next batch is applied.
        const before = committing;
        committing = handed.done.then(async (error) => {
          await before;
          if (error !== undefined) failed ??= error;
          if (failed !== undefined) return;
          await this.#network
            .call(this.#process, this.#broker.process, () => this.#broker.commit(index, claim.generation, offset))
            .catch(() => undefined);
        });
        break;
      }
    }
    await committing;
  }

  #hand(
    handler: BatchHandler,
    given: {
      readonly index: number;
      readonly buckets: readonly number[];
      readonly records: readonly IdentifiedRecord[];
      readonly upTo: MessageId;
      readonly attempt: number;
    },
  ) {
    type Settled = { kind: 'applied' } | { kind: 'seek'; to: MessageId } | { kind: 'failed'; error: Error };
    const settled = Promise.withResolvers<Settled>();
    const batch: QueueBatch = {
      partition: given.index,
      records: given.records,
      ephemeral: [],
      attempt: given.attempt,
      commit: { upTo: given.upTo, buckets: given.buckets },
      applied: () => settled.resolve({ kind: 'applied' }),
    };
    const done = handler(batch).then(
      (seek) => {
        settled.resolve(seek ?? { kind: 'applied' });
        return undefined;
      },
      (error: unknown) => {
        const failure = error instanceof Error ? error : new Error(String(error));
        settled.resolve({ kind: 'failed', error: failure });
        return failure;
      },
    );
    return { settled: settled.promise, done };
  }
}
