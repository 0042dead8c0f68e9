// What is used of kafkajs 2.2.4 beyond its public interface, all of it here, and checked: a kafkajs that changed is refused
// rather than half used. Loaded only with the Kafka engine.

import { createRequire } from 'node:module';
import { ImgoError } from '../../../protocol/errors.js';
import { pause, systemClock } from '../../clock.js';
import {
  decodeFetch,
  encodeFetch,
  FETCH,
  FETCH_VERSION,
  type FetchedPartition,
  type FetchRequest,
} from './fetch-wire.js';
import {
  type DescribedTopic,
  decodeMetadata,
  decodeProduce,
  encodeMetadata,
  encodeProduce,
  METADATA,
  METADATA_VERSION,
  PRODUCE,
  PRODUCE_VERSION,
  type ProduceAnswer,
} from './wire.js';

const require = createRequire(import.meta.url);

/** kafkajs' broker: a node that is connected. */
export interface Node {
  readonly connectionPool: {
    send(protocol: {
      readonly request: {
        readonly apiKey: number;
        readonly apiVersion: number;
        readonly apiName: string;
        readonly encode: () => Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>;
      };
      readonly response: {
        readonly decode: (payload: Buffer) => Promise<unknown>;
        readonly parse: (decoded: unknown) => Promise<unknown>;
      };
      readonly requestTimeout?: number;
    }): Promise<unknown>;
  };
  readonly versions: Readonly<Record<number, { readonly maxVersion: number }>> | null;
  initProducerId(options: { readonly transactionTimeout: number }): Promise<{
    readonly producerId: string | number | bigint | { toString(): string };
    readonly producerEpoch: number;
  }>;
}

/** kafkajs' cluster: metadata, and connections to all nodes. */
export interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  isConnected(): boolean;
  addTargetTopic(topic: string): Promise<void>;
  refreshMetadata(): Promise<void>;
  refreshMetadataIfNecessary(): Promise<void>;
  findTopicPartitionMetadata(
    topic: string,
  ): readonly { readonly partitionId: number; readonly leader: number | null }[];
  findBroker(which: { readonly nodeId: number }): Promise<Node>;
  findControllerBroker(): Promise<Node>;
  removeBroker(which: { readonly host: string; readonly port: number }): void;
}

interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
}

const CHECK_MS = 10;

let fixed = false;

/**
 * kafkajs as it is needed here, for all clients of this process.
 * @throws ImgoError internal when kafkajs is another one
 */
export function fixKafkajs(): void {
  if (fixed) return;
  fixRequestQueue();
  fixConnect();
  fixFetch();
  fixLeaders();
  fixed = true;
}

/**
 * With nothing pending kafkajs arms a timer of a negative time again and again, about 1,000 times a second for each
 * connection. This arms none then.
 * @throws ImgoError internal when kafkajs is another one
 */
function fixRequestQueue(): void {
  const { prototype } = require('kafkajs/src/network/requestQueue') as { readonly prototype: RequestQueue };
  if (typeof prototype?.scheduleCheckPendingRequests !== 'function') throw changed('RequestQueue');
  prototype.scheduleCheckPendingRequests = function (this: RequestQueue) {
    if (this.pending.length === 0 || this.throttleCheckTimeoutId !== null) return;
    const throttledMs = this.throttledUntil - systemClock.now();
    const { timer } = systemClock.after(throttledMs > 0 ? throttledMs : CHECK_MS, () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    });
    this.throttleCheckTimeoutId = timer as NodeJS.Timeout;
  };
}

interface ConnectingBroker {
  readonly brokerAddress: string;
  connect(): Promise<void>;
  disconnect(): Promise<void>;
}

/**
 * A broker that takes a connection and does not answer its first request in time (it only starts, it hangs) leaves kafkajs
 * with a socket that it takes for connected, never asks again and never leaves for another broker: every later request of
 * that client fails with "Broker not connected", and so does every new client, which begins with the same one. Here such a
 * connection is closed, and counts as one that failed: another broker is tried.
 * @throws ImgoError internal when kafkajs is another one
 */
function fixConnect(): void {
  const { prototype } = require('kafkajs/src/broker') as { readonly prototype: ConnectingBroker };
  const { KafkaJSConnectionError } = require('kafkajs/src/errors') as Pick<
    typeof import('kafkajs'),
    'KafkaJSConnectionError'
  >;
  const { connect } = prototype ?? {};
  if (typeof connect !== 'function' || typeof prototype.disconnect !== 'function') throw changed('Broker');
  prototype.connect = async function (this: ConnectingBroker) {
    try {
      await connect.call(this);
    } catch (error) {
      await this.disconnect();
      if ((error as Error).name !== 'KafkaJSRequestTimeoutError') throw error;
      throw new KafkaJSConnectionError((error as Error).message, { broker: this.brokerAddress });
    }
  };
}

/** Between an answer with records and the next fetch from the same broker: what comes meanwhile comes together. Milliseconds. */
const FETCH_PAUSE_MS = 2;
/** An answer with so much is one of many: the next is fetched at once. Bytes. */
const FETCHED_MUCH = 64 * 1024;

interface FetchingBroker extends Node {
  readonly disconnect: () => Promise<void>;
  fetch(request: FetchOptions): Promise<{ readonly responses: readonly object[] }>;
}

interface FetchOptions extends Omit<FetchRequest, 'topic' | 'partitions'> {
  readonly topics: readonly Pick<FetchRequest, 'topic' | 'partitions'>[];
}

/** Throws what an error code of a partition says, or hands back what it was given. */
const parseFetched = (
  require('kafkajs/src/protocol/requests/fetch/v11/response') as {
    readonly parse: <T>(data: T) => Promise<T>;
  }
).parse;
const decodeForeign = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages') as (
  decoder: object,
) => Promise<readonly object[]>;
const Decoder = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => object;

/**
 * kafkajs spends most of a fetch on partitions that have nothing, and fetches again as soon as it has one message: as many
 * fetches as messages, and everything behind them as often. This reads what is there, and lets some come together, where few
 * come; the first after a while is not kept waiting.
 * @throws ImgoError internal when kafkajs is another one
 */
function fixFetch(): void {
  const { prototype } = require('kafkajs/src/broker') as { readonly prototype: FetchingBroker };
  if (typeof prototype?.fetch !== 'function' || typeof parseFetched !== 'function') throw changed('Broker');
  /** By broker: monotonic ms, when the next fetch may go; and how many went. */
  const paces = new WeakMap<FetchingBroker, { next: number; count: number }>();
  prototype.fetch = async function (this: FetchingBroker, { topics, ...rest }) {
    const [first] = topics;
    if (first === undefined || topics.length > 1) throw changed('a fetch of several topics');
    const pace = paces.get(this) ?? { next: 0, count: 0 };
    paces.set(this, pace);
    const wait = pace.next - systemClock.monotonic();
    if (wait > 0) await pause(systemClock, wait);
    // The broker fills its answer in this order: each is the first in turn.
    const from = pace.count++ % first.partitions.length;
    const partitions = [...first.partitions.slice(from), ...first.partitions.slice(0, from)];
    const body = encodeFetch({ ...rest, topic: first.topic, partitions });
    try {
      const answer = await this.connectionPool.send({
        request: { apiKey: FETCH, apiVersion: FETCH_VERSION, apiName: 'Fetch', encode: encoded(body) },
        response: { decode: decodeAnswer, parse: parseFetched },
      });
      const { responses, bytes } = answer as Awaited<ReturnType<typeof decodeAnswer>>;
      const soon = responses.length > 0 && bytes < FETCHED_MUCH;
      pace.next = soon ? systemClock.monotonic() + FETCH_PAUSE_MS : 0;
      return { responses };
    } catch (error) {
      if ((error as Error).name === 'KafkaJSConnectionClosedError') await this.disconnect();
      throw error;
    }
  };
}

interface ConsumerGroup {
  readonly cluster: Pick<Cluster, 'findTopicPartitionMetadata'>;
  findReadReplicaForPartitions(topic: string, partitions: readonly number[]): object;
}

/**
 * kafkajs works out which broker has which partition for every fetch, with a new object and a new list for each partition.
 * Brokers tell that with the metadata, and no replica other than the leader is read here: once for each metadata is enough.
 * @throws ImgoError internal when kafkajs is another one
 */
function fixLeaders(): void {
  const { prototype } = require('kafkajs/src/consumer/consumerGroup') as { readonly prototype: ConsumerGroup };
  const find = prototype?.findReadReplicaForPartitions;
  if (typeof find !== 'function') throw changed('ConsumerGroup');
  const found = new WeakMap<object, { readonly partitions: readonly number[]; readonly result: object }>();
  prototype.findReadReplicaForPartitions = function (this: ConsumerGroup, topic, partitions) {
    const metadata = this.cluster.findTopicPartitionMetadata(topic);
    const before = found.get(metadata);
    // An assignment is a list of its own, which is never changed.
    if (before?.partitions === partitions) return before.result;
    const result = find.call(this, topic, partitions);
    found.set(metadata, { partitions, result });
    return result;
  };
}

async function decodeAnswer(payload: Buffer) {
  const { throttleMs, topics } = decodeFetch(payload);
  const responses: { readonly topicName: string; readonly partitions: readonly object[] }[] = [];
  for (const { topic, partitions } of topics) {
    const read = partitions.map(async (one) => ({ ...one, messages: one.messages ?? (await foreignMessages(one)) }));
    responses.push({ topicName: topic, partitions: await Promise.all(read) });
  }
  return { responses, bytes: payload.length, clientSideThrottleTime: throttleMs };
}

/** Compressed, or by a producer with transactions: kafkajs knows them. */
function foreignMessages({ records }: FetchedPartition): Promise<readonly object[]> {
  const sized = Buffer.allocUnsafe(4 + records.length);
  sized.writeInt32BE(records.length, 0);
  records.copy(sized, 4);
  return decodeForeign(new Decoder(sized));
}

/**
 * The cluster of a client, made as kafkajs makes it for its producers.
 * @throws ImgoError internal when kafkajs is another one
 */
export function clusterOf(client: object): Cluster {
  const key = Object.getOwnPropertySymbols(client).find(
    ({ description }) => description === 'private:Kafka:createCluster',
  );
  const create = key === undefined ? undefined : (client as Readonly<Record<symbol, unknown>>)[key];
  if (typeof create !== 'function') throw changed('Kafka');
  const cluster = create({ metadataMaxAge: 300_000, allowAutoTopicCreation: false }) as Cluster;
  if (typeof cluster.findBroker !== 'function' || typeof cluster.refreshMetadata !== 'function') {
    throw changed('Cluster');
  }
  return cluster;
}

/** CRC-32C of bytes, unsigned. */
export const crc32c = require('kafkajs/src/protocol/recordBatch/crc32C') as (bytes: Buffer) => number;

/** One Produce request. Every partition has its own verdict: kafkajs' own parser throws the first error and hides the rest. */
export async function produce(
  node: Node,
  topic: string,
  parts: readonly { readonly partition: number; readonly batch: Buffer }[],
  timeoutMs: number,
): Promise<readonly ProduceAnswer[]> {
  const body = encodeProduce(topic, parts, timeoutMs);
  const answer = await node.connectionPool.send({
    request: { apiKey: PRODUCE, apiVersion: PRODUCE_VERSION, apiName: 'Produce', encode: encoded(body) },
    response: {
      decode: async (payload) => {
        const { answers, throttleMs } = decodeProduce(payload);
        // kafkajs keeps the connection quiet for so long.
        return { answers, clientSideThrottleTime: throttleMs };
      },
      parse: async (decoded) => (decoded as { readonly answers: unknown }).answers,
    },
    requestTimeout: timeoutMs,
  });
  return answer as readonly ProduceAnswer[];
}

/**
 * What kafkajs' own Metadata request is too old to ask for: the topic's id. Undefined: there is no such topic.
 * @throws ImgoError kafka_unusable for brokers before 3.1
 */
export async function describeTopic(node: Node, topic: string): Promise<DescribedTopic | undefined> {
  if ((node.versions?.[METADATA]?.maxVersion ?? 0) < METADATA_VERSION) {
    throw new ImgoError('kafka_unusable', { detail: 'its brokers are older than 3.1 and do not tell topics apart' });
  }
  const body = encodeMetadata(topic);
  const described = await node.connectionPool.send({
    request: { apiKey: METADATA, apiVersion: METADATA_VERSION, apiName: 'Metadata', encode: encoded(body) },
    response: {
      // Wrapped: kafkajs looks into what was decoded.
      decode: async (payload) => ({ described: decodeMetadata(payload) }),
      parse: async (decoded) => (decoded as { readonly described: unknown }).described,
    },
  });
  return described as DescribedTopic | undefined;
}

/** As much of kafkajs' encoder as its framing looks at. */
function encoded(body: Buffer): () => Promise<{ readonly buf: Buffer; readonly buffer: Buffer }> {
  return async () => ({ buf: body, buffer: body });
}

function changed(what: string): ImgoError {
  return new ImgoError('internal', { detail: `kafkajs is not the version that this works with (${what})` });
}
