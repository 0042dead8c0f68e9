// Kafka's Fetch as this project writes and reads it, beside what kafkajs makes of the same.
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { decodeFetch, encodeFetch, type FetchRequest } from '../../../../src/server/queue/kafka/fetch-wire.js';
import { crc32c } from '../../../../src/server/queue/kafka/internals.js';
import { encodeBatch } from '../../../../src/server/queue/kafka/wire.js';
import { fc } from '../../../harness/property.js';

const require = createRequire(import.meta.url);
const theirRequest = require('kafkajs/src/protocol/requests/fetch/v11/request') as (given: object) => {
  encode: () => Promise<{ readonly buffer: Buffer }>;
};
const theirResponse = require('kafkajs/src/protocol/requests/fetch/v11/response') as {
  decode: (bytes: Buffer) => Promise<{ responses: Their[]; clientSideThrottleTime: number }>;
};

interface Their {
  readonly topicName: string;
  readonly partitions: readonly {
    readonly partition: number;
    readonly errorCode: number;
    readonly highWatermark: string;
    readonly abortedTransactions: object[];
    readonly preferredReadReplica: number;
    readonly messages: readonly { readonly offset: string; readonly value: Buffer | null }[];
  }[];
}

const offset = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER - 10_000 });

test('a request has the bytes of kafkajs', async () => {
  const partition = fc.record({
    partition: fc.nat(1_023),
    fetchOffset: offset.map(String),
    maxBytes: fc.nat(0x7fff_ffff),
  });
  const request = fc.record({
    topic: fc.stringMatching(/^[\w.-]{1,40}$/),
    partitions: fc.array(partition, { minLength: 1 }),
    maxWaitTime: fc.nat(10_000),
    minBytes: fc.nat(1_000),
    maxBytes: fc.nat(0x7fff_ffff),
    isolationLevel: fc.constantFrom(0, 1),
  });
  await fc.assert(
    fc.asyncProperty(request, async (given: FetchRequest) => {
      const { topic, partitions, ...rest } = given;
      const theirs = await theirRequest({ ...rest, replicaId: -1, topics: [{ topic, partitions }] }).encode();
      expect(encodeFetch(given).equals(theirs.buffer)).toBe(true);
    }),
  );
});

interface Answered {
  readonly partition: number;
  readonly errorCode: number;
  readonly first: number;
  readonly batches: readonly (readonly Uint8Array[])[];
  readonly aborted: number;
  readonly cut: number;
}

/** As a broker writes it. */
function answerOf(topic: string, throttleMs: number, partitions: readonly Answered[]): Buffer {
  const name = Buffer.from(topic);
  const head = Buffer.alloc(20 + name.length);
  head.writeInt32BE(throttleMs, 0);
  head.writeInt32BE(1, 10);
  head.writeInt16BE(name.length, 14);
  name.copy(head, 16);
  head.writeInt32BE(partitions.length, 16 + name.length);
  const parts = partitions.map(({ partition, errorCode, first, batches, aborted, cut }) => {
    let next = first;
    const records = batches.map((values) => {
      const header = { producerId: 1n, producerEpoch: 0, firstSequence: 0, timestamp: 1_700_000_000_000 };
      const batch = Buffer.from(encodeBatch(header, values, crc32c));
      batch.writeBigInt64BE(BigInt(next), 0);
      next += values.length;
      return batch;
    });
    const all = Buffer.concat(records);
    // Less than a batch's header kafkajs stumbles over.
    const set = all.length - cut < 61 ? all : all.subarray(0, all.length - cut);
    const header = Buffer.alloc(42 + 16 * aborted);
    header.writeInt32BE(partition, 0);
    header.writeInt16BE(errorCode, 4);
    header.writeBigInt64BE(BigInt(next), 6);
    header.writeInt32BE(aborted === 0 ? -1 : aborted, 30);
    header.writeInt32BE(-1, 34 + 16 * aborted);
    header.writeInt32BE(set.length, 38 + 16 * aborted);
    return Buffer.concat([header, set]);
  });
  return Buffer.concat([head, ...parts]);
}

test('an answer is read as kafkajs reads it, without partitions that have nothing; a batch that was cut is left', async () => {
  const partition = fc.record({
    partition: fc.nat(1_023),
    errorCode: fc.constantFrom(0, 0, 0, 1, 6),
    first: offset,
    batches: fc.array(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 5 }), { maxLength: 4 }),
    aborted: fc.constantFrom(0, 0, 0, 2),
    cut: fc.constantFrom(0, 0, 1, 30, 100),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(partition), fc.nat(5_000), async (partitions, throttleMs) => {
      const bytes = answerOf('imgo', throttleMs, partitions);
      const theirs = await theirResponse.decode(bytes);
      const ours = decodeFetch(bytes);
      expect(ours.throttleMs).toBe(theirs.clientSideThrottleTime);
      const read = (ours.topics[0]?.partitions ?? []).map(({ records: _, ...one }) => one);
      const expected = (theirs.responses[0]?.partitions ?? []).map(({ partition, errorCode, ...one }) => ({
        partition,
        errorCode,
        highWatermark: one.highWatermark,
        abortedTransactions: one.abortedTransactions,
        preferredReadReplica: one.preferredReadReplica,
        messages: one.messages.map((message) => ({ offset: message.offset, value: message.value })),
      }));
      expect(read.filter(({ messages, errorCode }) => errorCode !== 0 || messages?.length !== 0)).toEqual(
        expected.filter(({ messages, errorCode }) => errorCode !== 0 || messages.length > 0),
      );
    }),
  );
});

test('what the project does not write is left to kafkajs', () => {
  const bytes = answerOf('imgo', 0, [
    { partition: 1, errorCode: 0, first: 5, batches: [[Buffer.from('x')]], aborted: 0, cut: 0 },
  ]);
  const at = bytes.indexOf(Buffer.from('imgo')) + 4 + 4 + 42;
  expect(decodeFetch(bytes).topics[0]?.partitions[0]?.messages).toHaveLength(1);
  for (const foreign of [1, 0x10, 0x20]) {
    bytes.writeInt16BE(foreign, at + 21);
    expect(decodeFetch(bytes).topics[0]?.partitions[0]?.messages).toBeUndefined();
  }
});
