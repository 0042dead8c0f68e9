// What every Buckets engine promises about devices: where reading starts, what is flagged as sent before, what an
// acknowledgement lets go, and what holds it.

import { expect, test } from 'vitest';
import { type MessageId, userLog, ZERO_ID } from '../../src/protocol/ids.js';
import { ANONYMOUS } from '../../src/server/store/buckets.js';
import { ALICE, type BucketsEngine, DAY, device, LOG, Stage, user } from './buckets-stage.js';

const PHONE = { device: device('phone') };
const LAPTOP = { device: device('laptop') };

export function cursorsConformance(engine: BucketsEngine): void {
  const open = (options = {}) => Stage.open(engine, options);
  const opened = async (stage: Stage, name: string, more = {}, given?: MessageId) =>
    stage.buckets.openCursor(await stage.register(stage.session(name, more)), given);

  test('a new device starts at what is kept, or at the head, as configured', async () => {
    const kept = await open();
    await kept.push(2);
    expect(await opened(kept, 's', PHONE)).toEqual({ start: ZERO_ID, head: kept.id(2), sentBefore: ZERO_ID });
    const head = await open({ newDevice: 'head' });
    await head.push(2);
    const at = head.id(2);
    expect(await opened(head, 's', PHONE)).toEqual({ start: at, head: at, sentBefore: at });
    const anonymous = await opened(head, 't');
    expect(anonymous.start).toEqual(at);
  });

  test('a new device is not told of what was trimmed before it came', async () => {
    const stage = await open();
    await stage.push(12);
    const { start } = await opened(stage, 's', PHONE);
    expect(start).toEqual(stage.id(2));
    expect(await stage.shown(start)).toBe('3 4 5 6 7 8 9 10 11 12');
  });

  test('a cursor moves with acknowledgements, never back, never above the head', async () => {
    const stage = await open();
    await stage.push(5);
    const session = await stage.open('s', PHONE);
    await stage.acknowledge(session, stage.id(3));
    await stage.acknowledge(session, stage.id(2));
    expect(await stage.buckets.devices(ALICE)).toMatchObject([{ device: 'phone', cursor: stage.id(3) }]);
    await stage.acknowledge(session, stage.id(99));
    expect(await stage.buckets.devices(ALICE)).toMatchObject([{ cursor: stage.id(5) }]);
    await stage.close(session, stage.id(5));
    expect((await opened(stage, 's2', PHONE)).start).toEqual(stage.id(5));
  });

  test('each device has a cursor of its own; the log keeps what the slowest has not taken', async () => {
    const stage = await open();
    const phone = await stage.open('p', PHONE);
    const laptop = await stage.open('l', LAPTOP);
    await stage.push(4);
    await stage.acknowledge(phone, stage.id(4));
    expect(await stage.shown()).toBe('1 2 3 4');
    await stage.acknowledge(laptop, stage.id(2));
    expect(await stage.shown()).toBe('(0-2] 3 4');
    expect(await stage.buckets.log(LOG)).toMatchObject({ messages: 2, trimmedTo: stage.id(2), head: stage.id(4) });
    await stage.acknowledge(laptop, stage.id(4));
    expect(await stage.buckets.log(LOG)).toMatchObject({ messages: 0, bytes: 0, trimmedTo: stage.id(4) });
    expect(stage.count('trimmed_acknowledged')).toBe(4);
    expect(await stage.push(1)).toEqual([stage.id(5)]);
    expect((await stage.read(stage.id(4))).items).toMatchObject([{ kind: 'entry', entry: { prev: stage.id(4) } }]);
  });

  test('the cursor of a device that is away holds what it has not taken', async () => {
    const stage = await open();
    const laptop = await stage.open('l', LAPTOP);
    await stage.close(laptop, ZERO_ID);
    const phone = await stage.open('p', PHONE);
    await stage.push(3);
    await stage.acknowledge(phone, stage.id(3));
    expect(await stage.shown()).toBe('1 2 3');
    const back = await opened(stage, 'l2', LAPTOP);
    expect(back).toMatchObject({ start: ZERO_ID, sentBefore: ZERO_ID });
  });

  test('an open session holds what it has not taken, whatever others acknowledge', async () => {
    const stage = await open();
    const slow = await stage.open('slow');
    const fast = await stage.open('fast');
    await stage.push(3);
    await stage.acknowledge(fast, stage.id(3));
    expect(await stage.shown()).toBe('1 2 3');
    await stage.buckets.progress(slow, stage.id(2), false);
    await stage.buckets.flush();
    expect(await stage.shown()).toBe('(0-2] 3');
    await stage.close(slow, stage.id(2));
    expect(await stage.shown()).toBe('(0-3]');
  });

  test('a hold is released with its session, however it ends', async () => {
    for (const end of ['close', 'unregister', 'dropComet'] as const) {
      const stage = await open();
      const slow = await stage.open('slow', { comet: 'other' as never });
      const fast = await stage.open('fast');
      await stage.push(2);
      await stage.acknowledge(fast, stage.id(2));
      expect(await stage.shown()).toBe('1 2');
      if (end === 'close') await stage.buckets.closeCursor(slow, ZERO_ID, true);
      else if (end === 'unregister') await stage.buckets.unregister(slow.session, ALICE, 1, slow.seq + 1);
      else await stage.buckets.dropComet('other' as never, undefined);
      await stage.buckets.flush();
      expect(await stage.shown(), end).toBe('(0-2]');
    }
  });

  test('nobody has acknowledged: everything is kept up to the cap', async () => {
    const stage = await open();
    await stage.push(3);
    await stage.maintain();
    expect(await stage.shown()).toBe('1 2 3');
  });

  test('anonymous sessions share one cursor, which holds only while no named device exists', async () => {
    const stage = await open();
    const first = await stage.open('a1');
    await stage.push(3);
    await stage.acknowledge(first, stage.id(2));
    await stage.close(first, stage.id(3));
    expect(await opened(stage, 'a2')).toMatchObject({ start: stage.id(2), sentBefore: stage.id(3) });
    expect(await stage.shown()).toBe('(0-2] 3');
    await stage.close({ ...first, session: 'a2' as never, seq: 500 }, stage.id(3));
    const phone = await stage.open('p', PHONE);
    await stage.acknowledge(phone, stage.id(3));
    expect(await stage.shown()).toBe('(0-3]');
  });

  /** So much happens in other logs that an engine which keeps only some of them at hand has put this one away. */
  const elsewhere = async (stage: Stage): Promise<void> => {
    const logs = Array.from({ length: 20 }, (_, at) => userLog(user(`other-${at}`)));
    for (const log of logs) await stage.push(1, { log });
    await stage.rest();
    for (const log of logs) await stage.shown(ZERO_ID, log);
  };

  test('what an anonymous session took is not delivered again, however much happens between', async () => {
    for (const dialect of ['imgo', 'native']) {
      const stage = await open();
      await stage.push(3);
      await stage.rest();
      const first = await stage.open('a', { dialect });
      await elsewhere(stage);
      await stage.acknowledge(first, stage.id(2));
      await elsewhere(stage);
      await stage.close(first, stage.id(3));
      await elsewhere(stage);
      const again = await opened(stage, 'b', { dialect });
      expect(again, dialect).toMatchObject({ start: stage.id(2), sentBefore: stage.id(3) });
    }
  });

  test('an anonymous session that vanished may have been sent everything', async () => {
    for (const dialect of ['imgo', 'native']) {
      const stage = await open();
      await stage.push(3);
      await stage.rest();
      const first = await stage.open('a', { dialect });
      await elsewhere(stage);
      await stage.buckets.unregister(first.session, ALICE, 1, first.seq + 1);
      await elsewhere(stage);
      expect(await opened(stage, 'b', { dialect: 'native' }), dialect).toMatchObject({ sentBefore: stage.id(3) });
    }
  });

  test('a position of the client is where reading starts, never above the head', async () => {
    const stage = await open();
    await stage.push(5);
    expect(await opened(stage, 'a', PHONE, stage.id(2))).toMatchObject({ start: stage.id(2), head: stage.id(5) });
    expect((await opened(stage, 'b', LAPTOP, stage.id(99))).start).toEqual(stage.id(5));
    expect((await opened(stage, 'c', LAPTOP, stage.id(1))).start).toEqual(stage.id(1));
    const laptop = (await stage.buckets.devices(ALICE)).find((one) => one.device === 'laptop');
    expect(laptop?.cursor).toEqual(stage.id(5));
    expect((await opened(stage, 'd', PHONE, ZERO_ID)).start).toEqual(ZERO_ID);
  });

  test('a client with a position in a log that nobody knows is told a gap', async () => {
    const stage = await open();
    const given = { epoch: stage.buckets.epoch - 9, n: 41 };
    const { start, head } = await opened(stage, 's', PHONE, given);
    expect(start).toEqual(given);
    const { items, readTo } = await stage.read(start);
    expect(items).toEqual([{ kind: 'gap', after: given, upTo: head }]);
    expect(readTo).toEqual(head);
    const [id] = await stage.push(1);
    expect((await stage.read(start)).items).toMatchObject([
      { kind: 'gap', upTo: head },
      { kind: 'entry', entry: { id, prev: head } },
    ]);
  });

  test('a position from the future in a log that nobody knows starts at nothing, with a gap', async () => {
    const stage = await open();
    const { start, head } = await opened(stage, 's', PHONE, { epoch: 4_294_967_295, n: 9 });
    expect(start).toEqual(ZERO_ID);
    expect((await stage.read(start)).items).toEqual([{ kind: 'gap', after: ZERO_ID, upTo: head }]);
    const [id] = await stage.push(1);
    expect((await stage.read(head)).items).toMatchObject([{ kind: 'entry', entry: { id } }]);
  });

  test('after a clean end only what was sent is flagged; otherwise all up to the head', async () => {
    const stage = await open();
    await stage.push(2);
    const first = await stage.open('s1', PHONE);
    expect(await stage.buckets.devices(ALICE)).toMatchObject([{ clean: false }]);
    await stage.close(first, stage.id(1));
    expect(await stage.buckets.devices(ALICE)).toMatchObject([{ clean: true, sentTo: stage.id(1), cursor: ZERO_ID }]);
    await stage.push(1);
    const second = stage.session('s2', PHONE);
    await stage.register(second);
    expect(await stage.buckets.openCursor(second, undefined)).toEqual({
      start: ZERO_ID,
      head: stage.id(3),
      sentBefore: stage.id(1),
    });
    await stage.close(second, ZERO_ID, false);
    expect(await stage.buckets.devices(ALICE)).toMatchObject([{ clean: false }]);
    await stage.push(1);
    expect(await opened(stage, 's3', PHONE)).toMatchObject({ sentBefore: stage.id(4) });
  });

  test('what a session was sent stays flagged however later sessions end', async () => {
    const stage = await open();
    await stage.push(5);
    const first = await stage.open('s1', PHONE);
    await stage.close(first, ZERO_ID, false);
    const second = await stage.open('s2', PHONE);
    await stage.close(second, stage.id(1));
    const third = await stage.register(stage.session('s3', PHONE));
    expect(await stage.buckets.openCursor(third, undefined)).toMatchObject({ sentBefore: stage.id(5) });
    await stage.push(1);
    await stage.buckets.unregister(third.session, ALICE, 1, third.seq + 1);
    await stage.close(await stage.open('s4', PHONE), stage.id(1));
    expect(await opened(stage, 's5', PHONE)).toMatchObject({ sentBefore: stage.id(6) });
  });

  test('an anonymous session that opens beside another cannot know what that one was sent', async () => {
    const stage = await open();
    const first = await stage.open('a1');
    await stage.push(3);
    expect(await opened(stage, 'a2')).toMatchObject({ start: ZERO_ID, sentBefore: stage.id(3) });
    await stage.push(1);
    await stage.close(first, ZERO_ID, false);
    await stage.close({ ...first, session: 'a2' as never, seq: 500 }, stage.id(1));
    expect(await opened(stage, 'a3')).toMatchObject({ sentBefore: stage.id(4) });
  });

  test('at most N devices: the least recently seen is forgotten, and gets a gap should it return', async () => {
    const stage = await open();
    for (const name of ['d1', 'd2', 'd3']) {
      stage.clock.pass(1_000);
      await stage.close(await stage.open(name, { device: device(name) }), ZERO_ID);
    }
    await stage.push(4);
    stage.clock.pass(1_000);
    const fourth = await stage.open('d4', { device: device('d4') });
    expect((await stage.buckets.devices(ALICE)).map((one) => one.device)).toEqual(['d2', 'd3', 'd4']);
    expect(stage.count('devices_forgotten')).toBe(1);
    await stage.acknowledge(fourth, stage.id(4));
    for (const name of ['d2', 'd3']) {
      await stage.acknowledge(await stage.open(`${name}b`, { device: device(name) }), stage.id(4));
    }
    const { start, sentBefore } = await opened(stage, 'd1b', { device: device('d1') });
    expect(await stage.shown(start)).toBe('(0-4]');
    expect(sentBefore).toEqual(stage.id(4));
  });

  test('a device with an open session is not forgotten while another can be', async () => {
    const stage = await open();
    await stage.open('old', { device: device('d1') });
    for (const name of ['d2', 'd3', 'd4']) {
      stage.clock.pass(1_000);
      await stage.close(await stage.open(name, { device: device(name) }), ZERO_ID);
    }
    expect((await stage.buckets.devices(ALICE)).map((one) => one.device)).toEqual(['d1', 'd3', 'd4']);
  });

  test('anonymous sessions cost no place among the devices', async () => {
    const stage = await open();
    await stage.open('a');
    for (const name of ['d1', 'd2', 'd3']) await stage.open(name, { device: device(name) });
    const devices = (await stage.buckets.devices(ALICE)).map((one) => one.device);
    expect(devices.filter((name) => name !== ANONYMOUS)).toEqual(['d1', 'd2', 'd3']);
    expect(stage.count('devices_forgotten')).toBe(0);
  });

  test('a device is told what it missed over the cap and by age', async () => {
    const stage = await open();
    await stage.close(await stage.open('s', PHONE), ZERO_ID);
    await stage.push(12);
    const back = await opened(stage, 's2', PHONE);
    expect(await stage.shown(back.start)).toBe('(0-2] 3 4 5 6 7 8 9 10 11 12');
    stage.clock.pass(8 * DAY);
    await stage.maintain();
    expect(await stage.shown(back.start)).toBe('(0-12]');
  });

  test('the positions of sessions are shown with them', async () => {
    const stage = await open();
    await stage.push(3);
    const session = await stage.open('s', PHONE);
    await stage.buckets.progress(session, stage.id(2), false);
    const [states] = await stage.buckets.sessionsOf([ALICE]);
    expect(states).toMatchObject([{ session: 's', position: stage.id(2) }]);
    await stage.buckets.progress(session, stage.id(1), false);
    expect((await stage.buckets.sessions({ after: undefined, limit: 9 }))[0]?.position).toEqual(stage.id(2));
  });

  test('cursors of sessions without a user, or that nobody knows, change nothing', async () => {
    const stage = await open();
    await stage.push(1);
    const nobody = stage.session('n', { user: undefined });
    expect(await stage.buckets.openCursor(nobody, undefined)).toMatchObject({ start: ZERO_ID, head: ZERO_ID });
    await stage.buckets.progress(nobody, stage.id(1), true);
    await stage.buckets.closeCursor(nobody, stage.id(1), true);
    const stranger = stage.session('x', PHONE);
    await stage.buckets.progress(stranger, stage.id(1), true);
    await stage.buckets.closeCursor(stranger, stage.id(1), true);
    await stage.buckets.flush();
    expect(await stage.shown()).toBe('1');
  });
}
