// Sends what waits to the leaders of its partitions. A partition has one batch on its way at most, under a sequence number
// that is given once and kept through every repetition: the broker knows a batch that it has, and answers with the offset
// that it got then. So whatever is cut, killed or moved, a batch is appended once, and only an answer that names its offset
// counts. A batch whose fate stays in doubt is given up under a new producer id, never under a number that another may get.
// (kafkajs' own producer rolls numbers back when an answer is lost, and sends again to whoever leads then.)

import { ImgoError } from '../../../protocol/errors.js';
import { type Clock, pause } from '../../clock.js';
import { bucketOf } from '../../store/bucket.js';
import type { PushRecord } from '../../store/buckets.js';
import type { EphemeralRecord } from '../queue.js';
import type { KafkaClient } from './client.js';
import { type Cluster, crc32c, type Node, produce } from './internals.js';
import { Outbox, type OutgoingParcel, type Waiter } from './outbox.js';
import { partitionOf } from './partitions.js';
import { encodeBatch, type ProduceAnswer } from './wire.js';

/** One request, of several partitions; bytes. */
const REQUEST_BYTES = 4 * 1024 * 1024;
/** How long a broker may take to answer one request; then it is asked again. Milliseconds. */
const REQUEST_MS = 5_000;
/** Between two tries: doubled each time, within these. Milliseconds. */
const RETRY_MIN_MS = 50;
const RETRY_MAX_MS = 1_000;
/** What fails for so long is told to callers at once. Milliseconds. */
const TROUBLE_MS = 2_000;
/**
 * From one round of requests to the next, at least: what comes alone goes at once, what comes fast goes together. A request
 * costs broker, logic and job a tenth of a millisecond each, whether it carries one push or five.
 */
const ROUND_MS = 2;
/** Between two looks at what is overdue, ms. */
const LOOK_MS = 250;
/** Of transactions, which there are none of. */
const TRANSACTION_MS = 60_000;

export interface ProducerParts {
  readonly client: KafkaClient;
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly topic: string;
  readonly partitions: number;
  readonly maxBatchBytes: number;
  readonly deliveryMs: number;
  /** The topic answered as only another one can; nothing more may be sent. */
  readonly onStrange: () => void;
  /** Rejects unless the topic is still the one that this queue was opened on. */
  readonly verify: () => Promise<void>;
}

/** Under which sequence numbers count. */
interface Identity {
  readonly producerId: bigint;
  readonly producerEpoch: number;
  /** By partition: the next. */
  readonly sequences: Map<number, number>;
}

interface Batch {
  readonly identity: Identity;
  readonly bytes: Buffer;
  readonly values: readonly Buffer[];
  readonly parcels: readonly OutgoingParcel[];
  /** Monotonic ms, of its oldest push. */
  readonly since: number;
  /** Some try of it may have been appended. */
  doubtful: boolean;
  /** Certainly not appended, and its numbers are of no use any more. */
  renumber: boolean;
}

interface Lane {
  readonly partition: number;
  readonly outbox: Outbox;
  /** On its way, or to be sent again. */
  batch: Batch | undefined;
  sending: boolean;
  /** Of the last record that was appended here. */
  lastOffset: number;
}

/** What Kafka's error codes say of a batch. https://kafka.apache.org/protocol.html#protocol_error_codes */
const CODES = {
  /** Not appended; another try may be: unknown topic or partition, no leader, not the leader, too few replicas, … */
  notAppended: new Set([3, 5, 6, 8, 9, 19, 74, 75, 76, 89]),
  /** Never will be: too large, not allowed, not valid. */
  refused: new Set([10, 18, 17, 29, 31, 32, 87]),
  /** The broker does not go on from our numbers: it forgot them, or has others. */
  identity: new Set([45, 47, 59, 90]),
  /** Appended once, too long ago for its offset to be known. */
  duplicate: 46,
} as const;

export class Producer {
  readonly #parts: ProducerParts;
  readonly #lanes: readonly Lane[];
  /** With something to send. */
  readonly #ready = new Set<Lane>();
  /** Those that failed and wait for their next try. */
  readonly #held = new Set<Lane>();
  /** Leaders that a request is on its way to. */
  readonly #busy = new Set<number>();
  readonly #timer: ReturnType<Clock['every']>;
  #identity: Identity | undefined;
  #identifying = false;
  #recovering = false;
  #retryMs = RETRY_MIN_MS;
  #pumping = false;
  /** Monotonic ms of the last round of requests. */
  #sentAt = Number.NEGATIVE_INFINITY;
  #stopped = false;
  /** Why the last try failed, and since when nothing worked. */
  #trouble: { readonly cause: unknown; readonly since: number } | undefined;
  readonly counters = { requests: 0, batches: 0, retries: 0, identities: 0 };

  constructor(parts: ProducerParts) {
    this.#parts = parts;
    this.#lanes = Array.from({ length: parts.partitions }, (_, partition) => ({
      partition,
      outbox: new Outbox(),
      batch: undefined,
      sending: false,
      lastOffset: -1,
    }));
    this.#timer = parts.clock.every(LOOK_MS, () => this.#expire());
  }

  /** Why nothing can be sent, once that has lasted for a while. */
  get trouble(): ImgoError | undefined {
    const trouble = this.#trouble;
    if (trouble === undefined || this.#parts.clock.monotonic() - trouble.since < TROUBLE_MS) return undefined;
    return this.#parts.client.error(trouble.cause);
  }

  get idle(): boolean {
    return this.#ready.size === 0;
  }

  send(record: PushRecord | EphemeralRecord, waiter: Waiter): void {
    const lane = this.#lanes[partitionOf(bucketOf(record.log), this.#parts.partitions)] as Lane;
    lane.outbox.add(record, waiter);
    this.#ready.add(lane);
    this.#pumpSoon();
  }

  /** Resolves when nothing waits any more, or after `deliveryMs`. */
  async flush(): Promise<void> {
    const until = this.#parts.clock.monotonic() + this.#parts.deliveryMs + 2 * LOOK_MS;
    while (!this.idle && this.#parts.clock.monotonic() < until) await pause(this.#parts.clock, 5);
  }

  /** Nothing more is sent; who still waits is told. */
  stop(): void {
    this.#stopped = true;
    this.#parts.clock.clear(this.#timer);
    for (const lane of this.#ready) {
      this.#giveUp(lane, new ImgoError(lane.batch?.doubtful === true ? 'outcome_unknown' : 'shutting_down'));
      for (const { failed } of lane.outbox.overdue(Number.POSITIVE_INFINITY)) failed(new ImgoError('shutting_down'));
    }
    this.#ready.clear();
  }

  /** What arrives meanwhile shares the requests. */
  #pumpSoon(): void {
    if (this.#pumping || this.#ready.size === 0) return;
    this.#pumping = true;
    const { clock } = this.#parts;
    const pump = (): void => {
      this.#pumping = false;
      this.#pump();
    };
    const left = this.#sentAt + ROUND_MS - clock.monotonic();
    if (left > 0) clock.after(left, pump);
    else clock.soon(pump);
  }

  /** One request for each leader that none is on its way to. */
  #pump(): void {
    if (this.#stopped || this.#ready.size === 0) return;
    const identity = this.#identity;
    if (identity === undefined) {
      this.#identify();
      return;
    }
    const requests = new Map<number, Lane[]>();
    const sizes = new Map<number, number>();
    const leaders = this.#leaders();
    const leaderless: Lane[] = [];
    for (const lane of this.#ready) {
      if (lane.sending || this.#held.has(lane)) continue;
      const leader = leaders.get(lane.partition);
      if (leader === undefined) {
        leaderless.push(lane);
        continue;
      }
      const size = sizes.get(leader) ?? 0;
      if (this.#busy.has(leader) || size > REQUEST_BYTES) continue;
      lane.batch = this.#next(lane, identity);
      if (lane.batch === undefined) {
        this.#ready.delete(lane);
        continue;
      }
      const lanes = requests.get(leader);
      if (lanes === undefined) requests.set(leader, [lane]);
      else lanes.push(lane);
      sizes.set(leader, size + lane.batch.bytes.length);
    }
    if (requests.size > 0) this.#sentAt = this.#parts.clock.monotonic();
    for (const [leader, lanes] of requests) void this.#request(leader, lanes);
    if (leaderless.length > 0) this.#recover(leaderless, new Error('a partition has no leader'));
  }

  /** What the lane sends next: what it has on its way, under its numbers, before anything new. */
  #next(lane: Lane, identity: Identity): Batch | undefined {
    const { batch } = lane;
    if (batch !== undefined) return batch.renumber ? this.#numbered(lane, identity, batch) : batch;
    const taken = lane.outbox.take(this.#parts.maxBatchBytes);
    if (taken === undefined) return undefined;
    const since = taken.parcels[0]?.waiters[0]?.since ?? this.#parts.clock.monotonic();
    return this.#numbered(lane, identity, { ...taken, since });
  }

  /** Gives the records their sequence numbers. */
  #numbered(lane: Lane, identity: Identity, taken: Pick<Batch, 'values' | 'parcels' | 'since'>): Batch {
    const firstSequence = identity.sequences.get(lane.partition) ?? 0;
    // After the highest comes 0.
    identity.sequences.set(lane.partition, (firstSequence + taken.values.length) % 2 ** 31);
    const { producerId, producerEpoch } = identity;
    const header = { producerId, producerEpoch, firstSequence, timestamp: this.#parts.clock.now() };
    this.counters.batches++;
    return { ...taken, identity, bytes: encodeBatch(header, taken.values, crc32c), doubtful: false, renumber: false };
  }

  #leaders(): ReadonlyMap<number, number> {
    const leaders = new Map<number, number>();
    try {
      for (const { partitionId, leader } of this.#parts.cluster.findTopicPartitionMetadata(this.#parts.topic)) {
        if (leader !== null && leader >= 0) leaders.set(partitionId, leader);
      }
    } catch {
      // No metadata yet.
    }
    return leaders;
  }

  async #request(leader: number, lanes: readonly Lane[]): Promise<void> {
    const { cluster, topic } = this.#parts;
    this.#busy.add(leader);
    for (const lane of lanes) lane.sending = true;
    this.counters.requests++;
    let node: Node | undefined;
    try {
      node = await cluster.findBroker({ nodeId: leader });
      // In doubt from here on, until an answer says otherwise.
      const before = new Map(lanes.map((lane) => [lane, lane.batch?.doubtful ?? false]));
      for (const { batch } of lanes) if (batch !== undefined) batch.doubtful = true;
      const parts = lanes.flatMap(({ partition, batch }) =>
        batch === undefined ? [] : [{ partition, batch: batch.bytes }],
      );
      const answers = await produce(node, topic, parts, REQUEST_MS);
      this.#answered(lanes, answers, before);
    } catch (error) {
      const { host, port } = error as { readonly host?: string; readonly port?: number };
      if (host !== undefined && port !== undefined) cluster.removeBroker({ host, port });
      this.#recover(lanes, error);
    } finally {
      this.#busy.delete(leader);
      for (const lane of lanes) {
        lane.sending = false;
        if (lane.batch === undefined && lane.outbox.empty) this.#ready.delete(lane);
      }
      this.#pumpSoon();
    }
  }

  #answered(lanes: readonly Lane[], answers: readonly ProduceAnswer[], before: ReadonlyMap<Lane, boolean>): void {
    const failed: Lane[] = [];
    let code: number | undefined;
    for (const lane of lanes) {
      const answer = answers.find(({ partition }) => partition === lane.partition);
      // No batch: given up while it was on its way.
      if (lane.batch === undefined || (answer !== undefined && this.#judge(lane, lane.batch, answer, before))) continue;
      failed.push(lane);
      code = answer?.errorCode;
    }
    if (failed.length > 0) {
      this.#recover(failed, new Error(`Kafka's error ${code ?? 'without an answer'}`));
      return;
    }
    this.#retryMs = RETRY_MIN_MS;
    this.#trouble = undefined;
  }

  /** True when there is a verdict, or the batch is to be sent again at once; false: after a while. */
  #judge(lane: Lane, batch: Batch, answer: ProduceAnswer, before: ReadonlyMap<Lane, boolean>): boolean {
    const { errorCode, baseOffset } = answer;
    const doubtful = before.get(lane) ?? true;
    if (errorCode === 0) this.#appended(lane, batch, baseOffset);
    else if (CODES.refused.has(errorCode)) {
      this.#giveUp(lane, doubtful ? new ImgoError('outcome_unknown') : refusal(errorCode, this.#parts));
      this.#forget(batch.identity);
    } else if (CODES.identity.has(errorCode)) {
      this.#forget(batch.identity);
      if (doubtful) this.#giveUp(lane, new ImgoError('outcome_unknown'));
      else batch.renumber = true;
    } else if (errorCode === CODES.duplicate) this.#giveUp(lane, new ImgoError('outcome_unknown'));
    else {
      if (CODES.notAppended.has(errorCode)) batch.doubtful = doubtful;
      return false;
    }
    return true;
  }

  #appended(lane: Lane, batch: Batch, baseOffset: number): void {
    if (baseOffset <= lane.lastOffset) {
      // Ids only ever increase: this is another topic, or one that lost its end.
      this.#giveUp(lane, new ImgoError('outcome_unknown'));
      this.#parts.onStrange();
      return;
    }
    lane.batch = undefined;
    lane.lastOffset = baseOffset + batch.parcels.length - 1;
    for (const [index, { waiters }] of batch.parcels.entries()) {
      for (const { appended } of waiters) appended(baseOffset + index);
    }
  }

  /** Tells the callers of the batch at hand, and forgets it. */
  #giveUp(lane: Lane, error: ImgoError): void {
    const { batch } = lane;
    lane.batch = undefined;
    for (const { waiters } of batch?.parcels ?? []) for (const { failed } of waiters) failed(error);
  }

  /** Nobody goes on from its numbers. */
  #forget(identity: Identity): void {
    if (this.#identity === identity) this.#identity = undefined;
  }

  /** Who waited too long: refused if nothing of it can have been appended. */
  #expire(): void {
    const before = this.#parts.clock.monotonic() - this.#parts.deliveryMs;
    const late = () => this.#parts.client.error(this.#trouble?.cause ?? new Error('no answer in time'));
    for (const lane of this.#ready) {
      const overdue = lane.outbox.overdue(before);
      if (overdue.length > 0) {
        const error = late();
        for (const { failed } of overdue) failed(error);
      }
      const { batch } = lane;
      if (batch !== undefined && batch.since < before) {
        this.#giveUp(lane, batch.doubtful ? new ImgoError('outcome_unknown') : late());
        this.#forget(batch.identity);
      }
      if (lane.batch === undefined && lane.outbox.empty && !lane.sending) this.#ready.delete(lane);
    }
  }

  /** A new producer id, then on with what waits. */
  #identify(): void {
    if (this.#identifying) return;
    this.#identifying = true;
    this.#newIdentity()
      .then(
        (identity) => {
          this.#identity = identity;
        },
        (error: unknown) => this.#recover([], error),
      )
      .finally(() => {
        this.#identifying = false;
        if (this.#identity !== undefined) this.#pumpSoon();
      });
  }

  async #newIdentity(): Promise<Identity> {
    const { cluster } = this.#parts;
    await cluster.refreshMetadataIfNecessary();
    const node = await cluster.findControllerBroker();
    const { producerId, producerEpoch } = await node.initProducerId({ transactionTimeout: TRANSACTION_MS });
    this.counters.identities++;
    return { producerId: BigInt(producerId.toString()), producerEpoch, sequences: new Map() };
  }

  /** These failed: after a while, with fresh metadata and once it is certain that the topic is the same, they try again. */
  #recover(lanes: readonly Lane[], cause: unknown): void {
    this.#trouble = { cause, since: this.#trouble?.since ?? this.#parts.clock.monotonic() };
    for (const lane of lanes) this.#held.add(lane);
    if (this.#recovering || this.#stopped) return;
    this.#recovering = true;
    const { cluster, clock, verify } = this.#parts;
    this.counters.retries++;
    const wait = this.#retryMs;
    this.#retryMs = Math.min(wait * 2, RETRY_MAX_MS);
    pause(clock, wait)
      .then(async () => {
        const released = [...this.#held];
        await cluster.connect();
        await cluster.refreshMetadata();
        await verify();
        for (const lane of released) this.#held.delete(lane);
        if (this.#held.size === 0) this.#trouble = undefined;
      })
      .catch((error: unknown) => {
        if (this.#trouble !== undefined) this.#trouble = { ...this.#trouble, cause: error };
      })
      .finally(() => {
        this.#recovering = false;
        // What another leader took meanwhile ended the trouble, and not what was held since this began.
        if (this.#trouble !== undefined || this.#held.size > 0) this.#recover([], this.#trouble?.cause ?? cause);
        this.#pumpSoon();
      });
  }
}

function refusal(code: number, { client, topic, maxBatchBytes }: ProducerParts): ImgoError {
  if (code === 10 || code === 18 || code === 87) {
    return new ImgoError('payload_too_large', { size: 'more', limit: maxBatchBytes });
  }
  return client.error(new Error(`TOPIC_AUTHORIZATION_FAILED: topic ${topic}`));
}
