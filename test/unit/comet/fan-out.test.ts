// What a topic promises beyond "everything, in order": when it writes, how often, to whom at once, and what a slow member costs.
import { describe, expect, test } from 'vitest';
import { formatId, type LogName, ZERO_ID } from '../../../src/protocol/ids.js';
import { SEGMENT_BYTES } from '../../../src/server/comet/ring.js';
import { ephemeral, notificationOf, Stage, TestOutlet } from './stage.js';

function joined(stage: Stage, count: number): TestOutlet[] {
  return Array.from({ length: count }, () => {
    const outlet = new TestOutlet(stage, 'plain-tcp');
    stage.topic.join(outlet);
    return outlet;
  });
}

describe('coalescing', () => {
  test('after an idle window the first message goes at once, what follows waits for the window and goes as one write', async () => {
    const stage = new Stage({ windowMs: 100 });
    const [outlet] = joined(stage, 1) as [TestOutlet];
    stage.push();
    await stage.clock.rest();
    expect(outlet.writes).toBe(1);
    for (let count = 0; count < 5; count++) stage.push();
    await stage.clock.pass(99);
    expect(outlet.writes).toBe(1);
    await stage.clock.pass(1);
    expect(outlet.writes).toBe(2);
    expect(outlet.ids).toHaveLength(6);
    expect(stage.counters.deliveries).toBe(6);
    expect(stage.counters.flushes).toBe(2);
  });

  test('window 0 sends in the next turn, always', async () => {
    const stage = new Stage({ windowMs: 0 });
    const [outlet] = joined(stage, 1) as [TestOutlet];
    for (let count = 1; count <= 3; count++) {
      stage.push();
      await stage.clock.rest();
      expect(outlet.writes).toBe(count);
    }
  });

  test('a sweep that takes longer than the window is followed by the next one, never joined by it', async () => {
    const stage = new Stage({ windowMs: 10 }, { yieldEvery: 4 });
    const outlets = joined(stage, 40);
    for (const outlet of outlets) {
      const write = outlet.write.bind(outlet);
      outlet.write = (bytes) => {
        stage.clock.time += 5;
        write(bytes);
      };
    }
    stage.push();
    await stage.clock.turn();
    for (let turns = 0; turns < 9; turns++) {
      stage.push();
      await stage.clock.turn();
    }
    for (const { writes } of outlets) expect(writes).toBe(1);
    await stage.clock.pass(100);
    for (const { writes, ids } of outlets) {
      expect(writes).toBeLessThanOrEqual(2);
      expect(ids).toHaveLength(10);
    }
  });

  test('where everything else takes long, a sweep has three times as much', async () => {
    const stage = new Stage({ windowMs: 10 }, { yieldEvery: 4 });
    const outlets = joined(stage, 40);
    for (const outlet of outlets) {
      const write = outlet.write.bind(outlet);
      outlet.write = (bytes) => {
        stage.clock.time += 1;
        write(bytes);
      };
    }
    stage.push();
    stage.clock.time += 6;
    await stage.clock.turn();
    expect(outlets.filter(({ writes }) => writes === 1)).toHaveLength(20);
    // Nothing else took time: the next turn is as short as ever.
    await stage.clock.turn();
    expect(outlets.filter(({ writes }) => writes === 1)).toHaveLength(24);
    stage.clock.time += 1_000;
    await stage.clock.turn();
    expect(outlets.every(({ writes }) => writes === 1)).toBe(true);
  });

  test('a sweep yields after as many sockets as it may, and a large topic does not hold up a small one', async () => {
    const stage = new Stage({ windowMs: 0 }, { yieldEvery: 10 });
    joined(stage, 100);
    const log = { ...stage.log, name: 'room:2' as LogName };
    const { Topic } = await import('../../../src/server/comet/topic.js');
    const small = new Topic(log.name, ZERO_ID, stage.context);
    const outlet = new TestOutlet(stage, 'plain-tcp');
    small.join(outlet);
    const id = stage.push();
    await stage.clock.turn();
    expect(stage.counters.flushes).toBe(10);
    small.append({ ...notificationOf(stage.log, stage.log.append(5)), log: log.name, prev: ZERO_ID });
    await stage.clock.turn();
    await stage.clock.turn();
    expect(outlet.writes, `before the sweep of ${formatId(id)} has ended`).toBe(1);
    expect(stage.counters.flushes).toBeLessThan(40);
    await stage.clock.rest();
    expect(stage.counters.flushes).toBe(101);
  });

  test('members that are up to date get the same memory, not copies', async () => {
    const stage = new Stage();
    const given: Uint8Array[] = [];
    class Keeping extends TestOutlet {
      override write(bytes: Uint8Array): void {
        given.push(bytes);
        super.write(bytes);
      }
    }
    for (let count = 0; count < 5; count++) stage.topic.join(new Keeping(stage, 'imgo-ws'));
    stage.push();
    await stage.clock.rest();
    expect(given).toHaveLength(5);
    for (const bytes of given) expect(bytes).toBe(given[0]);
  });
});

describe('a sweep that runs', () => {
  test('passes nobody over and writes to nobody twice when members leave and join in the midst of it', async () => {
    for (let leaver = 0; leaver < 12; leaver++) {
      const stage = new Stage({}, { yieldEvery: 3 });
      const outlets = joined(stage, 12);
      stage.push();
      await stage.clock.turn();
      await stage.clock.turn();
      const gone = outlets[leaver] as TestOutlet;
      const had = gone.got.length;
      stage.topic.leave(gone);
      const late = new TestOutlet(stage, 'plain-tcp');
      stage.topic.join(late);
      await stage.clock.rest();
      for (const outlet of outlets) if (outlet !== gone) expect(outlet.writes).toBe(1);
      expect(gone.got).toHaveLength(had);
      expect(late.writes).toBe(0);
      stage.push();
      await stage.clock.pass(100);
      for (const outlet of outlets) if (outlet !== gone) expect(outlet.ids).toHaveLength(2);
      expect(late.ids).toHaveLength(1);
    }
  });

  test('ends when everybody has left, and leaves no timer behind', async () => {
    const stage = new Stage({}, { yieldEvery: 2 });
    const outlets = joined(stage, 9);
    stage.push();
    stage.push();
    await stage.clock.turn();
    for (const outlet of outlets) outlet.close();
    stage.push();
    await stage.clock.pass(1_000);
    expect(stage.clock.idle).toBe(true);
    expect(stage.topic.stats().ringBytes).toBe(0);
  });

  test('closes a member whose write fails, and goes on with the others', async () => {
    const stage = new Stage({}, { yieldEvery: 3 });
    class Failing extends TestOutlet {
      override write(bytes: Uint8Array): void {
        super.write(bytes);
        this.disconnect('internal');
      }
    }
    const outlets = [0, 1, 2, 3, 4, 5, 6, 7].map((each) => {
      const outlet = each % 2 === 0 ? new Failing(stage, 'plain-tcp') : new TestOutlet(stage, 'plain-tcp');
      stage.topic.join(outlet);
      return outlet;
    });
    stage.push();
    await stage.clock.pass(50);
    stage.push();
    await stage.clock.pass(50);
    for (const [each, outlet] of outlets.entries()) expect(outlet.writes).toBe(each % 2 === 0 ? 1 : 2);
    expect(stage.topic.members).toHaveLength(4);
  });
});

describe('a stalled member', () => {
  test('delays nobody, costs one write, and loses its place with one gap when it lags too far', async () => {
    const stage = new Stage({ windowMs: 0, ringBytes: 64 * 1024, maxLagBytes: 16 * 1024 });
    const [slow, fast] = joined(stage, 2) as [TestOutlet, TestOutlet];
    slow.stalled = true;
    for (let count = 0; count < 200; count++) {
      stage.push(1_000);
      await stage.clock.rest();
      expect(fast.ids).toHaveLength(count + 1);
    }
    expect(slow.writes).toBe(1);
    expect(slow.pendingBytes).toBeLessThanOrEqual(SEGMENT_BYTES);
    expect(stage.topic.stats().ringBytes).toBeLessThanOrEqual(2 * SEGMENT_BYTES);
    expect(stage.topic.stats().lagging).toBe(1);
    slow.drain();
    expect(slow.got.slice(1)).toEqual([{ kind: 'gap', after: stage.log.entries[0]?.id, upTo: stage.log.head }]);
    stage.push();
    await stage.clock.rest();
    expect(slow.ids).toHaveLength(2);
    expect(stage.counters.gapsLag).toBe(1);
  });

  test('gets all that it missed in writes of at most a segment when it comes back in time', async () => {
    const stage = new Stage({ windowMs: 0, ringBytes: 1 << 20 });
    const [slow] = joined(stage, 2) as [TestOutlet];
    slow.stalled = true;
    for (let count = 0; count < 300; count++) {
      stage.push(1_000);
      await stage.clock.rest();
    }
    const sizes: number[] = [];
    const write = slow.write.bind(slow);
    slow.write = (bytes) => {
      sizes.push(bytes.length);
      write(bytes);
    };
    slow.drain();
    expect(slow.ids).toHaveLength(300);
    for (const size of sizes) expect(size).toBeLessThanOrEqual(SEGMENT_BYTES);
    expect(stage.counters.gapsLag).toBe(0);
  });

  test('is disconnected at its limit, if that is the policy, and not before', async () => {
    const stage = new Stage({ windowMs: 0, maxLagBytes: 10_000, lagPolicy: 'disconnect' });
    const [slow, fast] = joined(stage, 2) as [TestOutlet, TestOutlet];
    slow.stalled = true;
    for (let count = 0; count < 10; count++) {
      stage.push(900);
      await stage.clock.rest();
    }
    expect(slow.closed).toBe(false);
    for (let count = 0; count < 4; count++) {
      stage.push(900);
      await stage.clock.rest();
    }
    expect(slow.reason).toBe('lag_exceeded');
    expect(stage.counters.lagDisconnects).toBe(1);
    expect(fast.ids).toHaveLength(14);
    expect(stage.pins.size).toBe(0);
  });

  test('is disconnected when it holds memory that fell off the ring, beyond the bound, the oldest first', async () => {
    const stage = new Stage({ windowMs: 0, ringBytes: 40_000, maxLagBytes: 1 << 30 }, { pinnedBytes: 100_000 });
    const outlets = joined(stage, 20);
    for (const outlet of outlets) {
      outlet.stalled = true;
      for (let count = 0; count < 40; count++) {
        stage.push(1_500);
        await stage.clock.rest();
        for (const other of outlets) if (!other.stalled) other.drain();
      }
      expect(stage.pins.fallenBytes).toBeLessThanOrEqual(100_000);
    }
    expect(stage.pins.evicted).toBeGreaterThan(0);
    const closed = outlets.map((outlet) => outlet.closed);
    expect(closed.lastIndexOf(true)).toBe(stage.pins.evicted - 1);
    for (const outlet of outlets) if (outlet.closed) expect(outlet.reason).toBe('lag_exceeded');
  });
});

describe('holes and positions', () => {
  test('a hole is read once for the topic, not once a member, and messages meanwhile wait for nothing but their turn', async () => {
    const stage = new Stage({ windowMs: 0, read: { entries: 100, bytes: 1 << 20 } });
    const outlets = joined(stage, 50);
    for (let count = 0; count < 5; count++) stage.log.append(10);
    stage.push();
    stage.push();
    await stage.clock.pass(100);
    expect(stage.log.reads).toBe(1);
    for (const { ids } of outlets) expect(ids).toEqual(stage.log.entries.map(({ id }) => formatId(id)));
    expect(stage.counters.holes).toBeGreaterThan(0);
  });

  test('a store that fails is asked again, more and more slowly, until the hole is closed', async () => {
    const stage = new Stage({ windowMs: 0 });
    const [outlet] = joined(stage, 1) as [TestOutlet];
    stage.log.append(10);
    stage.log.failing = 8;
    stage.push();
    await stage.clock.pass(60_000);
    expect(stage.counters.readErrors).toBe(8);
    expect(outlet.ids).toHaveLength(2);
    expect(stage.clock.idle).toBe(true);
  });

  test('who comes back together from about the same place shares one read', async () => {
    const stage = new Stage({ windowMs: 0, read: { entries: 1_000, bytes: 1 << 20 } });
    for (let count = 0; count < 30; count++) stage.log.append(10);
    await Promise.all([stage.topic.resync(), stage.clock.pass(10)]);
    await stage.clock.rest();
    const before = stage.log.reads;
    const outlets = Array.from({ length: 40 }, () => new TestOutlet(stage, 'native-tcp'));
    const joins = outlets.map((outlet, at) => stage.topic.joinAfter(outlet, stage.log.entries[at % 20]?.id ?? ZERO_ID));
    await stage.clock.pass(100);
    for (const [at, join] of joins.entries()) {
      expect(await join).toEqual({ head: stage.log.head, recovered: true });
      const wanted = stage.log.entries.slice((at % 20) + 1).map(({ id }) => formatId(id));
      expect(outlets[at]?.ids).toEqual(wanted);
    }
    expect(stage.log.reads - before).toBe(1);
    expect(stage.topic.expire(stage.clock.time + 60_000)).toBe(0);
  });

  test('a position that the store no longer has is a gap, and the join says so', async () => {
    const stage = new Stage({ windowMs: 0 });
    for (let count = 0; count < 10; count++) stage.log.append(10);
    stage.log.trim(3);
    await Promise.all([stage.topic.resync(), stage.clock.pass(10)]);
    const outlet = new TestOutlet(stage, 'native-tcp');
    const since = stage.log.entries[1]?.id ?? ZERO_ID;
    const join = stage.topic.joinAfter(outlet, since);
    await stage.clock.pass(100);
    expect((await join)?.recovered).toBe(false);
    expect(outlet.got[0]).toEqual({ kind: 'gap', after: since, upTo: stage.log.trimmedTo });
    expect(outlet.ids).toHaveLength(3);
  });

  test('a store that fails while a member comes back is a gap, not a refusal', async () => {
    const stage = new Stage({ windowMs: 0 });
    for (let count = 0; count < 10; count++) stage.log.append(10);
    await Promise.all([stage.topic.resync(), stage.clock.pass(10)]);
    const outlet = new TestOutlet(stage, 'native-ws');
    const since = stage.log.entries[1]?.id ?? ZERO_ID;
    stage.log.failing = 1;
    const join = stage.topic.joinAfter(outlet, since);
    await stage.clock.pass(100);
    expect(await join).toEqual({ head: stage.log.head, recovered: false });
    expect(outlet.got).toEqual([{ kind: 'gap', after: since, upTo: stage.log.head }]);
  });

  test('who is held when it comes back gets everything once it drains, also when nothing new follows', async () => {
    for (const held of [true, false]) {
      const stage = new Stage({ windowMs: 0 });
      for (let count = 0; count < 10; count++) stage.log.append(10);
      await Promise.all([stage.topic.resync(), stage.clock.pass(10)]);
      const [ring, store] = [new TestOutlet(stage, 'native-tcp'), new TestOutlet(stage, 'native-ws')];
      const other = new TestOutlet(stage, 'native-tcp');
      stage.topic.join(other);
      const since = stage.push();
      stage.push();
      for (const outlet of [ring, store]) outlet.held = held;
      const joins = [stage.topic.joinAfter(ring, since), stage.topic.joinAfter(store, ZERO_ID)];
      await stage.clock.pass(1_000);
      await Promise.all(joins);
      for (const outlet of [ring, store]) outlet.drain();
      expect(ring.ids).toHaveLength(1);
      expect(store.ids).toHaveLength(12);
    }
  });

  test('who leaves or closes while the store is read for it is not placed, and keeps no ring', async () => {
    const stage = new Stage({ windowMs: 0 });
    for (let count = 0; count < 10; count++) stage.log.append(10);
    await Promise.all([stage.topic.resync(), stage.clock.pass(10)]);
    const [left, closed] = [new TestOutlet(stage, 'native-tcp'), new TestOutlet(stage, 'native-ws')];
    const joins = [left, closed].map((outlet) => stage.topic.joinAfter(outlet, ZERO_ID));
    stage.topic.leave(left);
    closed.close();
    await stage.clock.pass(100);
    expect(await Promise.all(joins)).toEqual([undefined, undefined]);
    expect(stage.topic.members).toHaveLength(0);
    expect(stage.topic.stats().ringBytes).toBe(0);
  });

  test('an ephemeral message goes to who is up to date, never late to who was held', async () => {
    const stage = new Stage({ windowMs: 0 });
    const [slow, fast] = joined(stage, 2) as [TestOutlet, TestOutlet];
    slow.stalled = true;
    stage.push();
    await stage.clock.rest();
    stage.topic.append(ephemeral(stage.log, 'now'));
    stage.push();
    await stage.clock.rest();
    slow.drain();
    expect(fast.got.map(({ kind }) => kind)).toEqual(['entry', 'ephemeral', 'entry']);
    expect(slow.got.map(({ kind }) => kind)).toEqual(['entry', 'entry']);
    expect(stage.counters.ephemeralDropped).toBe(1);
  });
});

describe('ephemeral messages', () => {
  test('are dropped and counted while the topic catches up', async () => {
    const stage = new Stage({ windowMs: 0 });
    const [one] = joined(stage, 2) as [TestOutlet];
    stage.log.append(10);
    stage.push();
    stage.topic.append(ephemeral(stage.log, 'now'));
    await stage.clock.pass(100);
    expect(one.got.map(({ kind }) => kind)).toEqual(['entry', 'entry']);
    expect(stage.counters.ephemeralDropped).toBe(2);
  });
});

describe('a fenced comet', () => {
  test('writes nothing until its lease is back, then everything', async () => {
    const stage = new Stage({ windowMs: 5 }, { yieldEvery: 2 });
    const outlets = joined(stage, 7);
    stage.push();
    await stage.clock.turn();
    stage.fenced = true;
    const writes = outlets.map((outlet) => outlet.writes);
    stage.push();
    await stage.clock.pass(500);
    for (const outlet of outlets) outlet.drain();
    expect(outlets.map((outlet) => outlet.writes)).toEqual(writes);
    stage.fenced = false;
    const back = stage.topic.resync();
    await stage.clock.pass(500);
    await back;
    for (const { ids } of outlets) expect(ids).toHaveLength(2);
  });
});
