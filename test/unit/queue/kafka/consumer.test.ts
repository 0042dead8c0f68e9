// When a member of the group of jobs is given up and another one joins, by a clock that the test moves. On real brokers the same is
// in test/brokers; here the client says, and leaves out, what it was seen to when the broker that led the group had died.

import type { Admin, Consumer as KafkaConsumer } from 'kafkajs';
import { afterEach, expect, test, vi } from 'vitest';
import { KafkaClient } from '../../../../src/server/queue/kafka/client.js';
import { Consumer } from '../../../../src/server/queue/kafka/consumer.js';
import { RecordReader } from '../../../../src/server/queue/kafka/reader.js';
import { HandClock } from '../../comet/stage.js';

const TOPIC = 'imgo';
const HEARTBEAT_MS = 1_500;

/** kafkajs' side of one member, as far as it is used. */
class Member {
  readonly events = {
    HEARTBEAT: 'heartbeat',
    GROUP_JOIN: 'join',
    REBALANCING: 'rebalancing',
    CRASH: 'crash',
    STOP: 'stop',
  };
  readonly #listeners = new Map<string, (event: object) => void>();
  readonly #joined = Promise.withResolvers<void>();
  /** Partitions that it has claimed, claim by claim. */
  readonly claimed: number[][] = [];
  /** Why claims are refused. */
  refusal: Error | undefined;
  /** How often it was told to leave; it never has left while it hangs. */
  told = 0;
  hangs = false;

  on(event: string, listener: (event: object) => void): void {
    this.#listeners.set(event, listener);
  }
  async connect(): Promise<void> {}
  async subscribe(): Promise<void> {}
  /** Resolves when it has joined. */
  run(): Promise<void> {
    return this.#joined.promise;
  }
  pause(): void {}
  resume(those: readonly { readonly partitions: number[] }[]): void {
    this.claimed.push(...those.map(({ partitions }) => partitions));
  }
  seek(): void {}
  paused(): readonly never[] {
    return [];
  }
  async commitOffsets(): Promise<void> {
    if (this.refusal !== undefined) throw this.refusal;
  }
  disconnect(): Promise<void> {
    this.told++;
    return this.hangs ? new Promise(() => undefined) : Promise.resolve();
  }

  joins(): void {
    this.#listeners.get(this.events.GROUP_JOIN)?.({ payload: { memberAssignment: { [TOPIC]: [0] } } });
    this.#joined.resolve();
  }
  beats(): void {
    this.#listeners.get(this.events.HEARTBEAT)?.({});
  }
}

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function stage() {
  const clock = new HandClock();
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined } as never;
  const kafka = { brokers: ['127.0.0.1:9'], tls: false, sasl: undefined } as const;
  const client = new KafkaClient({ kafka, clientId: 'test', log, clock });
  const members: Member[] = [];
  vi.spyOn(client.kafka, 'consumer').mockImplementation(() => {
    const member = new Member();
    members.push(member);
    return member as unknown as KafkaConsumer;
  });
  const admin = {
    fetchTopicOffsets: async () => [{ partition: 0, offset: '0', low: '0', high: '0' }],
    fetchOffsets: async () => [],
  } as unknown as Admin;
  const consumer = new Consumer({
    client,
    admin,
    reader: new RecordReader({ clock, deadLetters: undefined as never, epoch: 1 }),
    clock,
    log,
    topic: TOPIC,
    group: 'jobs',
    partitions: 1,
    epoch: 1,
    commitMs: 2_000,
    idleMs: 5_000,
    handler: async () => undefined,
    assigned: undefined,
    gap: undefined,
    alarm: () => undefined,
  });
  const stop = new AbortController();
  const running = consumer.run(stop.signal);
  stops.push(async () => {
    stop.abort();
    for (const member of members) {
      member.hangs = false;
      member.joins();
    }
    await clock.pass(1_000);
    await running;
  });
  /** Time in which these are heard. */
  const heard = async (ms: number, ...those: readonly Member[]): Promise<void> => {
    for (let passed = 0; passed < ms; passed += HEARTBEAT_MS) {
      for (const member of those) member.beats();
      await clock.pass(HEARTBEAT_MS);
    }
  };
  return { clock, consumer, members, heard };
}

const at = <T>(list: readonly T[], index: number): T => {
  const one = list[index];
  if (one === undefined) throw new Error(`there is no ${index}`);
  return one;
};

test('a member that is heard no more joins anew; one that hangs is left behind, and is nobody when it comes back', async () => {
  const { clock, consumer, members, heard } = stage();
  await clock.rest();
  const first = at(members, 0);
  first.joins();
  await heard(60_000, first);
  expect([members.length, first.told, first.claimed]).toEqual([1, 0, [[0]]]);
  first.hangs = true;
  await clock.pass(15_000);
  expect(first.told).toBe(0);
  await clock.pass(5_000);
  expect([first.told, members.length]).toEqual([1, 1]);
  await clock.pass(6_000);
  expect([members.length, consumer.counters.restarts]).toEqual([2, 1]);
  const second = at(members, 1);
  second.joins();
  await clock.rest();
  expect(second.claimed).toEqual([[0]]);
  // What the first one does says nothing of the second.
  first.joins();
  await clock.rest();
  expect([first.told, first.claimed, second.claimed]).toEqual([2, [[0]], [[0]]]);
  await heard(30_000, first, second);
  expect(members.length).toBe(2);
  await heard(30_000, first);
  expect([second.told, members.length, consumer.counters.restarts]).toEqual([1, 3, 2]);
});

test('a member whose claims are refused because the broker leads the group no more is followed by another', async () => {
  const { clock, consumer, members, heard } = stage();
  await clock.rest();
  const first = at(members, 0);
  first.refusal = Object.assign(new Error('no more'), { type: 'NOT_COORDINATOR_FOR_GROUP' });
  first.joins();
  await clock.pass(700);
  expect([members.length, first.told]).toEqual([1, 0]);
  await heard(5_000, first);
  expect([members.length, first.told, consumer.counters.restarts]).toEqual([2, 1, 1]);
  const second = at(members, 1);
  second.joins();
  await clock.rest();
  expect([first.claimed, second.claimed]).toEqual([[], [[0]]]);
});

test('a member whose claims are refused for anything else tries on', async () => {
  const { clock, members, heard } = stage();
  await clock.rest();
  const first = at(members, 0);
  first.refusal = Object.assign(new Error('not now'), { type: 'COORDINATOR_LOAD_IN_PROGRESS' });
  first.joins();
  await heard(30_000, first);
  first.refusal = undefined;
  await heard(3_000, first);
  expect([members.length, first.told, first.claimed]).toEqual([1, 0, [[0]]]);
});
