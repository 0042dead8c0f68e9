// The topics of a comet: opened once however many join, never closed under anybody, given back after a while, and nothing
// that was notified while one opened is lost.
import { describe, expect, test } from 'vitest';
import { compareIds, formatId, type LogName, type MessageId, ZERO_ID } from '../../../src/protocol/ids.js';
import { Counters } from '../../../src/server/comet/counters.js';
import { TopicTable } from '../../../src/server/comet/topic-table.js';
import type { CometIdentity } from '../../../src/server/rpc/services.js';
import { notificationOf, Stage, TestOutlet } from './stage.js';

const ROOM = 'room:1' as LogName;

interface Call {
  readonly what: 'open' | 'close';
  readonly log: LogName;
  readonly seq: number;
}

/** A table on a stage, with a logic whose answers take a turn. */
function table(fail: { opens: number } = { opens: 0 }) {
  const stage = new Stage({ windowMs: 0 });
  const calls: Call[] = [];
  let seq = 0;
  const soon = () => new Promise<void>((resolve) => stage.clock.soon(resolve));
  const logic = {
    async openTopic({ seq }: CometIdentity, log: LogName): Promise<MessageId> {
      calls.push({ what: 'open', log, seq });
      const head = stage.log.head;
      await soon();
      if (fail.opens > 0) {
        fail.opens--;
        throw new Error('logic is away');
      }
      return head;
    },
    async closeTopic({ seq }: CometIdentity, log: LogName): Promise<void> {
      calls.push({ what: 'close', log, seq });
      await soon();
    },
  };
  const counters = new Counters();
  const topics = new TopicTable(stage.context, logic, counters, () => ({
    node: 'c-1' as CometIdentity['node'],
    incarnation: 1,
    seq: ++seq,
  }));
  return { stage, topics, calls, counters };
}

async function join({ stage, topics }: ReturnType<typeof table>): Promise<TestOutlet> {
  const outlet = new TestOutlet(stage, 'plain-tcp');
  const acquired = topics.acquire(ROOM);
  await stage.clock.rest();
  const topic = await acquired;
  topic.join(outlet);
  topics.release(ROOM);
  return outlet;
}

describe('the topics of a comet', () => {
  test('are opened once, however many join at the same time', async () => {
    const parts = table();
    const acquired = Array.from({ length: 20 }, () => parts.topics.acquire(ROOM));
    await parts.stage.clock.rest();
    const opened = await Promise.all(acquired);
    expect(new Set(opened).size).toBe(1);
    expect(parts.calls).toEqual([{ what: 'open', log: ROOM, seq: 1 }]);
  });

  test('keep what is notified while they open, in whatever order it comes', async () => {
    const parts = table();
    const { stage, topics } = parts;
    stage.log.append(10);
    const acquired = topics.acquire(ROOM);
    const raced = stage.log.append(10);
    topics.append(notificationOf(stage.log, raced));
    await stage.clock.turn();
    const topic = await acquired;
    const outlet = new TestOutlet(stage, 'plain-tcp');
    topic.join(outlet);
    topics.release(ROOM);
    await stage.clock.pass(100);
    expect(compareIds(topic.head, raced.id)).toBe(0);
    const next = stage.log.append(10);
    topics.append(notificationOf(stage.log, next));
    await stage.clock.pass(100);
    expect(outlet.ids.at(-1)).toBe(formatId(next.id));
  });

  test('linger after the last member, then are given back under a later number', async () => {
    const parts = table();
    const { stage, topics, calls } = parts;
    const outlet = await join(parts);
    topics.leaveAll(outlet);
    stage.clock.time += 4_900;
    topics.endIdle(stage.clock.time);
    expect(topics.get(ROOM)).toBeDefined();
    const back = await join(parts);
    stage.clock.time += 60_000;
    topics.endIdle(stage.clock.time);
    expect(topics.get(ROOM), 'with a member').toBeDefined();
    topics.leaveAll(back);
    stage.clock.time += 5_001;
    topics.endIdle(stage.clock.time);
    expect(topics.get(ROOM)).toBeUndefined();
    const again = await join(parts);
    expect(again.topics).toHaveLength(1);
    expect(calls.map(({ what, seq }) => `${what} ${seq}`)).toEqual(['open 1', 'close 2', 'open 3']);
  });

  test('do not end while somebody still waits to join', async () => {
    const parts = table();
    const { stage, topics } = parts;
    const outlet = await join(parts);
    topics.acquire(ROOM);
    topics.leaveAll(outlet);
    stage.clock.time += 60_000;
    topics.endIdle(stage.clock.time);
    expect(topics.get(ROOM)).toBeDefined();
    topics.release(ROOM);
    stage.clock.time += 60_000;
    topics.endIdle(stage.clock.time);
    expect(topics.get(ROOM)).toBeUndefined();
  });

  test('a registration that may have been made by a failure is given back', async () => {
    const { stage, topics, calls } = table({ opens: 1 });
    const failed = Promise.resolve(topics.acquire(ROOM)).catch(() => 'failed');
    await stage.clock.rest();
    expect(await failed).toBe('failed');
    topics.release(ROOM);
    stage.clock.time += 60_000;
    topics.endIdle(stage.clock.time);
    expect(calls.map(({ what, seq }) => `${what} ${seq}`)).toEqual(['open 1', 'close 2']);
  });

  test('a failure to open is told to all who wait, leaves nothing behind, and the next try is a new one', async () => {
    const fail = { opens: 1 };
    const parts = table(fail);
    const { stage, topics, counters } = parts;
    const waiting = [topics.acquire(ROOM), topics.acquire(ROOM)].map((each) =>
      Promise.resolve(each).then(
        () => 'opened',
        () => 'failed',
      ),
    );
    await stage.clock.rest();
    expect(await Promise.all(waiting)).toEqual(['failed', 'failed']);
    topics.release(ROOM);
    topics.release(ROOM);
    expect(counters.reasons['failed_open_topic']).toBe(1);
    const outlet = await join(parts);
    expect(outlet.topics).toHaveLength(1);
    expect([...topics]).toHaveLength(1);
  });

  test('what was being opened while everything registered again is registered again, too', async () => {
    const parts = table();
    const { stage, topics, calls } = parts;
    const acquired = topics.acquire(ROOM);
    const registered = topics.reregister();
    await stage.clock.rest();
    await Promise.all([acquired, registered]);
    expect(calls.map(({ what, seq }) => `${what} ${seq}`)).toEqual(['open 1', 'open 2']);
  });

  test('a notification for what is not served here changes nothing', () => {
    const { stage, topics } = table();
    topics.append(notificationOf(stage.log, stage.log.append(5)));
    expect([...topics]).toEqual([]);
    expect(topics.get(ROOM)).toBeUndefined();
    expect(stage.log.head).not.toEqual(ZERO_ID);
  });
});
