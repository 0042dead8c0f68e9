// What is used of kafkajs 2.2.4 beyond its public interface, all of it here, and checked: a kafkajs that changed is refused
// rather than half used. Loaded only with the Kafka engine.

import { createRequire } from 'node:module';
import { ImgoError } from '../../../protocol/errors.js';
import { systemClock } from '../../clock.js';
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

/**
 * With nothing pending kafkajs arms a timer of a negative time again and again, about 1,000 times a second for each
 * connection. This arms none then.
 * @throws ImgoError internal when kafkajs is another one
 */
export function fixRequestQueue(): void {
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
