// What an engine that outlives its process promises: what was answered is there again, sessions are not, and no id can
// ever be given out twice.

import { expect, test } from 'vitest';
import { compareIds, type MessageId, userLog, ZERO_ID } from '../../src/protocol/ids.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import { ALICE, type BucketsEngine, device, LOG, PLENTY, Stage, user } from './buckets-stage.js';

const PHONE = { device: device('phone') };

export function restartConformance(engine: BucketsEngine): void {
  test('the epoch is that of the clock, in seconds', async () => {
    const stage = await Stage.open(engine);
    expect(stage.buckets.epoch).toBe(Math.floor(stage.clock.now() / 1_000));
  });

  if (engine.restart === undefined) return;
  const open = (options = {}) => Stage.open(engine, options);
  const ids = (items: Awaited<ReturnType<Stage['read']>>['items']): (MessageId | undefined)[] =>
    items.map((item) => (item.kind === 'entry' ? item.entry.id : undefined));

  for (const how of ['orderly', 'crash'] as const) {
    test(`what was applied is there after a restart (${how})`, async () => {
      const stage = await open();
      const idempotency = { scope: 's', key: 'k', bodyHash: 'b' };
      const [a, b] = await stage.push(2);
      const c = stage.id(3);
      await stage.applyOne(stage.record(3, { idempotency }));
      const before = await stage.read();
      await stage.restart(how);
      expect((await stage.read()).items).toEqual(before.items);
      expect(ids((await stage.read()).items)).toEqual([a, b, c]);
      expect(await stage.buckets.marks([bucketOf(LOG)])).toEqual([c]);
      expect(await stage.buckets.log(LOG)).toMatchObject({ messages: 3, bytes: 6, head: c });
      expect(await stage.applyOne(stage.record(1, { idempotency }))).toEqual({ kind: 'duplicate', id: c });
      expect(await stage.applyOne(stage.record(2, { id: b as MessageId }))).toMatchObject({
        kind: 'repeated',
        prev: a,
      });
      const [next] = await stage.push(1, { id: stage.id(9) });
      expect((await stage.read(c)).items).toMatchObject([{ entry: { id: next, prev: c } }]);
    });

    test(`every start is a new, higher epoch, also when the clock went back (${how})`, async () => {
      const stage = await open();
      const [last] = await stage.push(1);
      const epochs = [stage.buckets.epoch];
      for (const seconds of [0, -3_600, -7_200, 86_400]) {
        stage.clock.set(stage.clock.now() + seconds * 1_000);
        await stage.restart(how);
        epochs.push(stage.buckets.epoch);
        expect(compareIds(stage.id(0), last as MessageId)).toBeGreaterThan(0);
      }
      for (const [at, epoch] of epochs.slice(1).entries()) expect(epoch).toBeGreaterThan(epochs[at] as number);
      expect(epochs[4]).toBeGreaterThanOrEqual(Math.floor(stage.clock.now() / 1_000));
    });

    test(`cursors, devices and trimming outlive a restart; sessions do not (${how})`, async () => {
      const stage = await open();
      const session = await stage.open('s', PHONE);
      await stage.push(4);
      const [second, fourth] = [stage.id(2), stage.id(4)];
      await stage.acknowledge(session, second);
      await stage.close(session, stage.id(3));
      await stage.open('other', { device: device('laptop') });
      await stage.buckets.flush();
      await stage.restart(how);
      expect(await stage.buckets.sessions({ after: undefined, limit: 9 })).toEqual([]);
      expect((await stage.buckets.devices(ALICE)).map((one) => [one.device, one.clean])).toEqual([
        ['phone', true],
        ['laptop', false],
      ]);
      const again = await stage.register(stage.session('again', PHONE));
      const opened = await stage.buckets.openCursor(again, undefined);
      const forgotten = how === 'crash' && engine.forgetsEnds === true;
      expect(opened).toEqual({ start: second, head: fourth, sentBefore: forgotten ? fourth : { ...fourth, n: 3 } });
      expect((await stage.read(ZERO_ID)).items[0]).toEqual({ kind: 'gap', after: ZERO_ID, upTo: second });
      const laptop = await stage.register(stage.session('laptop', { device: device('laptop') }));
      expect(await stage.buckets.openCursor(laptop, undefined)).toMatchObject({ start: second, sentBefore: fourth });
    });

    test(`the idempotency bound outlives a restart (${how})`, async () => {
      const stage = await open();
      let n = 0;
      const push = async (): Promise<string> => {
        n += 1;
        const idempotency = { scope: 's', key: `key-${n}`, bodyHash: 'b' };
        return (await stage.applyOne(stage.record(n, { idempotency }))).kind;
      };
      while ((await push()) === 'appended');
      await stage.restart(how);
      expect(await push()).toBe('idempotency_full');
    });
  }

  test('an open device is unclean after a crash, and was clean after an orderly end of its session', async () => {
    const stage = await open();
    await stage.push(2);
    const head = stage.id(2);
    await stage.close(await stage.open('s', PHONE), ZERO_ID);
    await stage.open('t', PHONE);
    await stage.restart('crash');
    const back = await stage.register(stage.session('back', PHONE));
    expect((await stage.buckets.openCursor(back, undefined)).sentBefore).toEqual(head);
  });

  test('a session whose device another one is just opening is not answered before the device is remembered as open', async () => {
    const stage = await open();
    const [first] = await stage.push(2);
    await stage.close(await stage.open('s', PHONE), first as MessageId);
    await stage.rest();
    const newer = [stage.session('a', PHONE), stage.session('b', PHONE)] as const;
    await stage.register(newer[0]);
    const opening = stage.buckets.openCursor(newer[0], undefined);
    await stage.register(newer[1]);
    const opened = await stage.buckets.openCursor(newer[1], undefined);
    await stage.restart('crash');
    await opening;
    const again = await stage.register(stage.session('c', PHONE));
    expect((await stage.buckets.openCursor(again, undefined)).sentBefore).toEqual(opened.head);
  });

  test('what an anonymous session was sent before a crash is flagged, what came after is not', async () => {
    const stage = await open();
    await stage.push(2);
    const head = stage.id(2);
    await stage.open('a', { dialect: 'imgo' });
    await stage.restart('crash');
    const next = { ...stage.id(1) };
    await stage.applyOne(stage.record(1, { id: next }));
    const legacy = await stage.register(stage.session('b', { dialect: 'imgo' }));
    const { start, sentBefore } = await stage.buckets.openCursor(legacy, undefined);
    expect(start).toEqual(ZERO_ID);
    expect(sentBefore).toEqual(engine.flagsMore === true ? next : head);
    expect((await stage.buckets.read(LOG, start, PLENTY)).items).toHaveLength(2 + 1);
  });

  test('a new anonymous device that starts at the head is remembered before it is answered', async () => {
    const stage = await open({ newDevice: 'head' });
    await stage.push(1);
    const head = stage.id(1);
    await stage.open('a', { dialect: 'imgo' });
    await stage.push(1, { id: stage.id(2) });
    await stage.restart('crash');
    const back = await stage.register(stage.session('b', { dialect: 'imgo' }));
    expect((await stage.buckets.openCursor(back, undefined)).start).toEqual(head);
  });

  test('entries, cursors and trimming agree after many restarts', async () => {
    const stage = await open();
    const expected: MessageId[] = [];
    for (let round = 0; round < 5; round++) {
      expected.push(...(await stage.push(3)));
      await stage.restart(round % 2 === 0 ? 'crash' : 'orderly');
    }
    const kept = expected.slice(-10);
    const { items } = await stage.read(expected[4] as MessageId);
    expect(ids(items)).toEqual(kept);
    expect(await stage.buckets.log(LOG)).toMatchObject({ messages: 10, trimmedTo: expected[4] });
  });

  test('an entry whose id is below others of the engine outlives a crash', async () => {
    const stage = await open();
    const other = userLog(user('bob'));
    const { epoch } = stage.buckets;
    await stage.push(1, { id: { epoch, n: 100 } });
    await stage.restart('orderly');
    const id = { epoch, n: 50 };
    expect(await stage.applyOne(stage.record(1, { id, log: other }))).toMatchObject({ kind: 'appended' });
    await stage.restart('crash');
    expect((await stage.read(ZERO_ID, other)).items).toMatchObject([{ kind: 'entry', entry: { id } }]);
    expect(await stage.buckets.log(other)).toMatchObject({ head: id, messages: 1 });
  });
}
