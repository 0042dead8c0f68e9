// A full disk: pushes are refused, everything else goes on, nothing that was accepted is harmed, and when there is space
// again, on the disk or inside the store, pushes are accepted by themselves.

import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { type MessageId, ZERO_ID } from '../../../src/protocol/ids.js';
import { type LmdbOptions, openLmdbStore } from '../../../src/server/store/lmdb.js';
import { OPTIONS, Stage } from '../../conformance/buckets-stage.js';
import { TestClock } from './test-clock.js';

const MIB = 1 << 20;
const root = mkdtempSync(join(tmpdir(), 'imgo-space-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function open(more: Partial<LmdbOptions>): Promise<Stage> {
  const clock = new TestClock();
  const keep = { messages: 10_000, bytes: 64 * MIB, ageMs: 1e9 };
  const path = mkdtempSync(join(root, 'd-'));
  const store = await openLmdbStore({ path, options: { ...OPTIONS, keep }, clock, ...more });
  onTestFinished(() => store[Symbol.asyncDispose]());
  return new Stage({ create: async () => store.buckets, clock: () => clock }, clock, store.buckets);
}

const payload = Buffer.alloc(8_192, 'x');
const FULL = { code: 'store_full', http: 507, details: { free: '0 MiB', needed: '1 MiB' } };

describe('space', () => {
  test('below the reserve pushes are refused, and again accepted when the disk has space', async () => {
    let disk = 100 * MIB;
    const stage = await open({ reserveBytes: MIB, freeBytes: () => disk });
    const session = await stage.open('s', { device: 'phone' as never });
    await stage.push(3);
    disk = MIB / 2;
    stage.clock.pass(1_000);
    await expect(stage.push(1)).rejects.toMatchObject(FULL);
    expect(stage.buckets.health()).toMatchObject({ writable: false, code: 'store_full' });
    expect(stage.count('refused_full')).toBe(1);
    expect(await stage.shown()).toBe('1 2 3');
    await stage.acknowledge(session, stage.id(1));
    expect(await stage.shown()).toBe('(0-1] 2 3');
    disk = 100 * MIB;
    stage.clock.pass(1_000);
    expect((await stage.applyOne(stage.record(4))).kind).toBe('appended');
    expect(stage.buckets.health()).toMatchObject({ writable: true });
  });

  test('marks move while the disk is full: they need no room', async () => {
    const stage = await open({ reserveBytes: MIB, freeBytes: () => MIB / 4 });
    const moved = await stage.buckets.apply([{ bucket: 3, lastSeen: ZERO_ID, records: [], upTo: stage.id(9) }]);
    expect(moved).toMatchObject([{ kind: 'applied', mark: stage.id(9) }]);
  });

  test('pages inside the store that were freed count as space', async () => {
    let disk = 100 * MIB;
    const stage = await open({ reserveBytes: MIB, freeBytes: () => disk });
    const session = await stage.open('s', { device: 'phone' as never });
    const pushed = await stage.push(300, { payload });
    disk = MIB / 4;
    stage.clock.pass(1_000);
    await expect(stage.push(1)).rejects.toMatchObject({ code: 'store_full' });
    await stage.acknowledge(session, pushed[250] as (typeof pushed)[0]);
    stage.clock.pass(1_000);
    expect(stage.buckets.health()).toMatchObject({ writable: true });
    expect((await stage.applyOne(stage.record(400))).kind).toBe('appended');
  });

  test('lmdb is not asked to commit where it could find no room at all; cursors wait', async () => {
    let disk = 100 * MIB;
    const stage = await open({ reserveBytes: 0x10_0000, freeBytes: () => disk });
    const session = await stage.open('s', { device: 'phone' as never });
    await stage.push(3);
    disk = MIB / 16;
    // Not looked at again yet: the push is under way when the disk fills.
    await expect(stage.push(1)).rejects.toMatchObject(FULL);
    expect(stage.count('commits_failed')).toBe(1);
    expect(await stage.shown()).toBe('1 2 3');
    await stage.buckets.progress(session, stage.id(2), true);
    await expect(stage.buckets.flush()).rejects.toMatchObject(FULL);
    expect(await stage.shown()).toBe('1 2 3');
    disk = 100 * MIB;
    stage.clock.pass(1_000);
    await stage.buckets.flush();
    expect(await stage.shown()).toBe('(0-2] 3');
    expect(await stage.applyOne(stage.record(5))).toMatchObject({ kind: 'appended', prev: stage.id(3) });
  });

  test('where nothing can be written devices that are known open all the same, new ones do not', async () => {
    let disk = 100 * MIB;
    const stage = await open({ reserveBytes: MIB, freeBytes: () => disk });
    await stage.push(3);
    await stage.close(await stage.open('s', { device: 'phone' as never }), stage.id(2));
    disk = MIB / 16;
    await stage.open('again', { device: 'phone' as never });
    expect(stage.count('opened_unrecorded')).toBe(1);
    for (const name of ['new', 'new once more']) {
      await expect(stage.open(name, { device: 'tablet' as never })).rejects.toMatchObject({ code: 'store_full' });
    }
    await stage.open('old client', { dialect: 'imgo' });
    await stage.open('anonymous');
    expect(await stage.shown()).toBe('1 2 3');
    disk = 100 * MIB;
    stage.clock.pass(1_000);
    await stage.open('new at last', { device: 'tablet' as never });
  });

  test('that devices opened so is forgotten when the server stopped in order, and not before', async () => {
    const path = mkdtempSync(join(root, 'd-'));
    const clock = new TestClock();
    let disk = 100 * MIB;
    const settings = { path, options: OPTIONS, clock, reserveBytes: MIB, freeBytes: () => disk };
    /** What a phone that had taken everything is told it may have got before, after such an opening and an end. */
    const sentBefore = async (end: 'orderly' | 'crash'): Promise<{ flagged: unknown; head: unknown }> => {
      let store = await openLmdbStore(settings);
      const stage = new Stage({ create: async () => store.buckets, clock: () => clock }, clock, store.buckets);
      const [first] = await stage.push(2);
      await stage.close(await stage.open('s', { device: 'phone' as never }), first as MessageId);
      await stage.rest();
      disk = 0;
      const open = await stage.open('t', { device: 'phone' as never });
      const copy = mkdtempSync(join(root, 'c-'));
      if (end === 'crash') cpSync(path, copy, { recursive: true });
      disk = 100 * MIB;
      clock.pass(1_000);
      await stage.close(open, first as MessageId);
      await store[Symbol.asyncDispose]();
      if (end === 'crash') rmSync(join(copy, 'lock'));
      store = await openLmdbStore({ ...settings, path: end === 'crash' ? copy : path });
      const again = new Stage({ create: async () => store.buckets, clock: () => clock }, clock, store.buckets);
      const session = await again.register(again.session('u', { device: 'phone' as never }));
      const { sentBefore: flagged, head } = await store.buckets.openCursor(session, undefined);
      await again.close(session, first as MessageId);
      await store[Symbol.asyncDispose]();
      return { flagged, head };
    };
    const orderly = await sentBefore('orderly');
    expect(orderly.flagged).not.toEqual(orderly.head);
    const crashed = await sentBefore('crash');
    expect(crashed.flagged).toEqual(crashed.head);
  });

  test('the store is not asked for more than the reserve by pushes that are under way when the disk fills', async () => {
    let disk = 100 * MIB;
    const stage = await open({ reserveBytes: MIB, freeBytes: () => disk });
    const session = await stage.open('s', { device: 'phone' as never });
    await stage.push(3);
    disk = MIB / 2;
    // The disk is looked at again by the commit, not by the push.
    await expect(stage.push(1)).rejects.toMatchObject(FULL);
    expect(stage.count('commits_failed')).toBe(0);
    await stage.acknowledge(session, stage.id(1));
    expect(await stage.shown()).toBe('(0-1] 2 3');
  });
});
