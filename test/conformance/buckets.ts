// What every Buckets engine promises about logs: order, repetition, marks, idempotency, retention, gaps. Run by one
// small file per engine; cursors and sessions are in buckets-cursors.ts, restarts in buckets-restart.ts.

import { expect, test } from 'vitest';
import { type LogName, userLog, ZERO_ID } from '../../src/protocol/ids.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import type { Idempotency } from '../../src/server/store/buckets.js';
import { cursorsConformance } from './buckets-cursors.js';
import { restartConformance } from './buckets-restart.js';
import { sessionsConformance } from './buckets-sessions.js';
import { type BucketsEngine, DAY, LOG, MINUTE, PLENTY, ROOM, Stage, user } from './buckets-stage.js';

export function bucketsConformance(engine: BucketsEngine): void {
  const open = (options = {}) => Stage.open(engine, options);
  const once = (key: string, bodyHash = 'body', scope = 'key'): { idempotency: Idempotency } => ({
    idempotency: { scope, key, bodyHash },
  });

  test('entries are read in the order of their ids, each with what was before it', async () => {
    const stage = await open();
    const [a, b, c] = await stage.push(3);
    const { items, head, readTo } = await stage.read();
    const entries = items.map((item) => (item.kind === 'entry' ? item.entry : undefined));
    expect(entries.map((entry) => entry?.id)).toEqual([a, b, c]);
    expect(entries.map((entry) => entry?.prev)).toEqual([ZERO_ID, a, b]);
    expect(entries.map((entry) => Buffer.from(entry?.payload ?? []).toString())).toEqual(['m1', 'm2', 'm3']);
    expect(head).toEqual(c);
    expect(readTo).toEqual(c);
  });

  test('an entry keeps exact bytes, operation and times', async () => {
    const stage = await open();
    const payload = Buffer.from([0, 255, 10, 13, 0]);
    const acceptedAt = stage.clock.now() - 5;
    await stage.push(1, { payload, operation: 4_294_967_295, acceptedAt, expiresAt: acceptedAt + 1_000 });
    await stage.push(1, { payload: Buffer.alloc(0) });
    const { items } = await stage.read();
    const [first, second] = items;
    if (first?.kind !== 'entry' || second?.kind !== 'entry') throw new Error('no entries');
    expect(Buffer.from(first.entry.payload)).toEqual(payload);
    expect(first.entry).toMatchObject({ operation: 4_294_967_295, acceptedAt, expiresAt: acceptedAt + 1_000 });
    expect(second.entry.operation).toBeUndefined();
    expect(second.entry.payload.length).toBe(0);
  });

  test('millisecond ids grow by at least one, also when the clock stands or goes back', async () => {
    const stage = await open();
    const now = stage.clock.now();
    for (const acceptedAt of [now, now, now - 50, now + 7]) await stage.push(1, { acceptedAt });
    const { items } = await stage.read();
    const mids = items.map((item) => (item.kind === 'entry' ? item.entry.mid : 0));
    expect(mids).toEqual([now, now + 1, now + 2, now + 7]);
    expect((await stage.buckets.log(LOG))?.lastMid).toBe(now + 7);
  });

  test('a read is cut by entries and by bytes, and goes on where it ended', async () => {
    const stage = await open();
    await stage.push(5, { payload: Buffer.alloc(100) });
    const two = await stage.buckets.read(LOG, ZERO_ID, { entries: 2, bytes: 1_000 });
    expect(stage.brief(two.items)).toBe('1 2');
    expect(two.readTo).toEqual(stage.id(2));
    expect(two.head).toEqual(stage.id(5));
    const bytes = await stage.buckets.read(LOG, two.readTo, { entries: 10, bytes: 250 });
    expect(stage.brief(bytes.items)).toBe('3 4');
    const large = await stage.buckets.read(LOG, bytes.readTo, { entries: 10, bytes: 1 });
    expect(stage.brief(large.items)).toBe('5');
    expect(large.readTo).toEqual(large.head);
    expect((await stage.buckets.read(LOG, large.readTo, PLENTY)).items).toEqual([]);
  });

  test('logs do not see one another', async () => {
    const stage = await open();
    const other = userLog(user('alice2'));
    await stage.push(1);
    await stage.push(1, { log: other });
    await stage.push(1);
    expect(await stage.shown()).toBe('1 3');
    expect(await stage.shown(ZERO_ID, other)).toBe('2');
    expect((await stage.read()).items[1]).toMatchObject({ entry: { prev: stage.id(1) } });
  });

  test('one id in several logs of a batch is an entry in each', async () => {
    const stage = await open();
    const logs = ['a', 'b', 'c'].map((name) => userLog(user(name)));
    await stage.buckets.apply(logs.map((log) => stage.group(log, [stage.record(1, { log })])));
    for (const log of logs) expect(await stage.shown(ZERO_ID, log)).toBe('1');
  });

  test('a repeated apply changes nothing and returns the stored prev', async () => {
    const stage = await open();
    await stage.push(3);
    const again = await stage.apply([stage.record(2, { payload: Buffer.from('other') }), stage.record(3)]);
    expect(again).toMatchObject({
      kind: 'applied',
      mark: stage.id(3),
      results: [
        { kind: 'repeated', id: stage.id(2), prev: stage.id(1) },
        { kind: 'repeated', id: stage.id(3), prev: stage.id(2) },
      ],
    });
    const { items } = await stage.read();
    expect(items.map((item) => (item.kind === 'entry' ? Buffer.from(item.entry.payload).toString() : ''))).toEqual([
      'm1',
      'm2',
      'm3',
    ]);
    expect((await stage.buckets.log(LOG))?.messages).toBe(3);
  });

  test('an id given twice in one group is one entry', async () => {
    const stage = await open();
    const result = await stage.apply([stage.record(1), stage.record(2), stage.record(2)]);
    expect(result).toMatchObject({
      results: [{ kind: 'appended' }, { kind: 'appended' }, { kind: 'repeated', prev: stage.id(1) }],
    });
    expect(await stage.shown()).toBe('1 2');
  });

  test('a repeated apply of an entry that is gone says so', async () => {
    const stage = await open();
    await stage.push(12);
    expect(await stage.applyOne(stage.record(1))).toEqual({ kind: 'gone', id: stage.id(1) });
    expect(await stage.applyOne(stage.record(3))).toMatchObject({ kind: 'repeated', prev: stage.id(2) });
    stage.clock.pass(8 * DAY);
    expect(await stage.applyOne(stage.record(12))).toEqual({ kind: 'gone', id: stage.id(12) });
  });

  test('the mark moves with records and with upTo, never back', async () => {
    const stage = await open();
    const bucket = bucketOf(LOG);
    expect(await stage.buckets.marks([bucket])).toEqual([ZERO_ID]);
    await stage.push(2);
    expect(await stage.buckets.marks([bucket, (bucket + 1) % 1_024])).toEqual([stage.id(2), ZERO_ID]);
    const moved = await stage.buckets.apply([{ bucket, lastSeen: stage.id(2), records: [], upTo: stage.id(9) }]);
    expect(moved).toMatchObject([{ kind: 'applied', mark: stage.id(9), results: [] }]);
    await stage.buckets.apply([{ bucket, lastSeen: stage.id(2), records: [], upTo: stage.id(3) }]);
    expect(await stage.buckets.marks([bucket])).toEqual([stage.id(9)]);
    expect(await stage.applyOne(stage.record(7))).toEqual({ kind: 'gone', id: stage.id(7) });
  });

  test('a mark below what the caller saw is BEHIND, and nothing is done', async () => {
    const stage = await open();
    await stage.push(2);
    const result = await stage.apply([stage.record(6)], stage.id(5));
    expect(result).toEqual({ kind: 'behind', mark: stage.id(2) });
    expect(await stage.shown()).toBe('1 2');
    expect(await stage.buckets.marks([bucketOf(LOG)])).toEqual([stage.id(2)]);
    expect(await stage.apply([stage.record(3)], stage.id(2))).toMatchObject({ kind: 'applied' });
  });

  test('many marks move in one call, each by what its own bucket says, beside records', async () => {
    const stage = await open();
    const [first = 0, second = 0, third = 0] = [1, 2, 3].map((more) => (bucketOf(LOG) + more) % 1_024);
    const mark = (bucket: number, lastSeen: number, upTo: number) => ({
      bucket,
      lastSeen: lastSeen === 0 ? ZERO_ID : stage.id(lastSeen),
      records: [],
      upTo: stage.id(upTo),
    });
    await stage.buckets.apply([mark(first, 0, 4), mark(second, 0, 4), mark(third, 0, 9)]);
    const record = { bucket: bucketOf(LOG), lastSeen: ZERO_ID, records: [stage.record(5)], upTo: stage.id(8) };
    const results = await stage.buckets.apply([mark(first, 4, 8), record, mark(second, 6, 8), mark(third, 9, 8)]);
    expect(results).toMatchObject([
      { kind: 'applied', mark: stage.id(8), results: [] },
      { kind: 'applied', mark: stage.id(8), results: [{ kind: 'appended', id: stage.id(5) }] },
      { kind: 'behind', mark: stage.id(4) },
      { kind: 'applied', mark: stage.id(9), results: [] },
    ]);
    const marks = await stage.buckets.marks([first, bucketOf(LOG), second, third]);
    expect(marks).toEqual([stage.id(8), stage.id(8), stage.id(4), stage.id(9)]);
  });

  test('marks that move while records of their buckets are applied wait for these', async () => {
    const stage = await open();
    const [bucket, other] = [bucketOf(LOG), (bucketOf(LOG) + 1) % 1_024];
    const upTo = stage.id(9);
    const moves = [bucket, other].map((one) => ({ bucket: one, lastSeen: ZERO_ID, records: [], upTo }));
    const [applied] = await Promise.all([stage.apply([stage.record(1), stage.record(2)]), stage.buckets.apply(moves)]);
    expect(applied).toMatchObject({ kind: 'applied', results: [{ kind: 'appended' }, { kind: 'appended' }] });
    expect(await stage.buckets.marks([bucket, other])).toEqual([upTo, upTo]);
  });

  test('an idempotency key gets one id; another body is a mismatch; another scope or log is another key', async () => {
    const stage = await open();
    const other = userLog(user('bob'));
    expect(await stage.applyOne(stage.record(1, once('k')))).toMatchObject({ kind: 'appended' });
    expect(await stage.applyOne(stage.record(2, once('k')))).toEqual({ kind: 'duplicate', id: stage.id(1) });
    expect(await stage.applyOne(stage.record(3, once('k', 'else')))).toEqual({ kind: 'mismatch' });
    expect(await stage.applyOne(stage.record(4, once('k', 'body', 'key2')))).toMatchObject({ kind: 'appended' });
    expect(await stage.applyOne(stage.record(5, { log: other, ...once('k') }))).toMatchObject({ kind: 'appended' });
    expect(await stage.shown()).toBe('1 4');
    expect((await stage.read()).items[1]).toMatchObject({ entry: { prev: stage.id(1) } });
  });

  test('what an idempotency key was used for can be asked, until it is forgotten', async () => {
    const stage = await open();
    await stage.apply([stage.record(1, once('k')), stage.record(2, once('k', 'else')), stage.record(3)]);
    const question = { log: LOG, scope: 'key', key: 'k' };
    const asked = [
      question,
      { ...question, key: 'unused' },
      { ...question, scope: 'key2' },
      { ...question, log: ROOM },
    ];
    const use = { id: stage.id(1), bodyHash: 'body' };
    expect(await stage.buckets.keyUses(asked)).toEqual([use, undefined, undefined, undefined]);
    stage.clock.pass(DAY);
    expect(await stage.buckets.keyUses([question])).toEqual([undefined]);
  });

  test('an idempotency key used twice in one batch gets one id', async () => {
    const stage = await open();
    const both = await stage.apply([stage.record(1, once('k')), stage.record(2, once('k'))]);
    expect(both).toMatchObject({ results: [{ kind: 'appended' }, { kind: 'duplicate', id: stage.id(1) }] });
    expect(await stage.shown()).toBe('1');
  });

  test('calls of apply in flight together see one another', async () => {
    const stage = await open();
    const [first, second] = await Promise.all([
      stage.applyOne(stage.record(1, once('k'))),
      stage.applyOne(stage.record(2, once('k'))),
    ]);
    expect([first.kind, second.kind]).toEqual(['appended', 'duplicate']);
  });

  test('a repeat of a duplicate is gone, a repeat of the first is repeated', async () => {
    const stage = await open();
    await stage.apply([stage.record(1, once('k')), stage.record(2, once('k'))]);
    expect(await stage.applyOne(stage.record(1, once('k')))).toMatchObject({ kind: 'repeated', prev: ZERO_ID });
    expect(await stage.applyOne(stage.record(2, once('k')))).toEqual({ kind: 'gone', id: stage.id(2) });
  });

  test('idempotency records are bounded; expired ones make room', async () => {
    const stage = await open();
    let n = 0;
    let last = 'appended';
    while (last === 'appended' && n < 200) {
      n += 1;
      last = (await stage.applyOne(stage.record(n, once(`key-${n}`)))).kind;
    }
    expect(last).toBe('idempotency_full');
    expect(n).toBeGreaterThan(3);
    n += 1;
    expect(await stage.applyOne(stage.record(n, once('key-1')))).toMatchObject({ kind: 'duplicate' });
    stage.clock.pass(DAY + 1);
    await stage.maintain();
    await stage.maintain();
    n += 1;
    expect(await stage.applyOne(stage.record(n, once('key-1')))).toMatchObject({ kind: 'appended' });
    n += 1;
    expect(await stage.applyOne(stage.record(n, once('new')))).toMatchObject({ kind: 'appended' });
    expect(stage.count('idempotency_expired')).toBeGreaterThan(0);
  });

  test('an expired idempotency key is free at once', async () => {
    const stage = await open();
    await stage.applyOne(stage.record(1, once('k')));
    stage.clock.pass(DAY);
    expect(await stage.applyOne(stage.record(2, once('k', 'else')))).toMatchObject({ kind: 'appended' });
    expect(await stage.applyOne(stage.record(3, once('k', 'else')))).toEqual({ kind: 'duplicate', id: stage.id(2) });
    await stage.maintain();
    expect(await stage.applyOne(stage.record(4, once('k', 'else')))).toEqual({ kind: 'duplicate', id: stage.id(2) });
  });

  test('over its cap in messages or bytes a log loses the oldest, and readers get a gap', async () => {
    const stage = await open();
    await stage.push(12);
    expect(await stage.shown()).toBe('(0-2] 3 4 5 6 7 8 9 10 11 12');
    expect(await stage.shown(stage.id(1))).toBe('(1-2] 3 4 5 6 7 8 9 10 11 12');
    expect(await stage.shown(stage.id(2))).toBe('3 4 5 6 7 8 9 10 11 12');
    await stage.push(2, { payload: Buffer.alloc(495) });
    expect(await stage.shown(stage.id(2))).toBe('(2-9] 10 11 12 13 14');
    expect(await stage.buckets.log(LOG)).toMatchObject({ messages: 5, trimmedTo: stage.id(9), head: stage.id(14) });
    expect(stage.count('trimmed_cap')).toBe(9);
  });

  test('a single entry larger than the cap is kept until a newer one comes', async () => {
    const stage = await open();
    await stage.push(1, { payload: Buffer.alloc(3_000) });
    expect(await stage.shown()).toBe('1');
    await stage.push(1);
    expect(await stage.shown()).toBe('(0-1] 2');
  });

  test('a log counts what it keeps', async () => {
    const stage = await open();
    await stage.push(4, { payload: Buffer.alloc(100) });
    expect(await stage.buckets.log(LOG)).toMatchObject({ messages: 4, bytes: 400, trimmedTo: ZERO_ID });
    expect(await stage.buckets.log(userLog(user('nobody')))).toBeUndefined();
  });

  test('an entry that expired is a gap at once, also in the middle, and gaps join', async () => {
    const stage = await open();
    const soon = stage.clock.now() + 1_000;
    await stage.push(1);
    await stage.push(2, { expiresAt: soon });
    await stage.push(1);
    await stage.push(1, { expiresAt: soon });
    expect(await stage.shown()).toBe('1 2 3 4 5');
    stage.clock.pass(1_000);
    expect(await stage.shown()).toBe('1 (1-3] 4 (4-5]');
    expect(await stage.shown(stage.id(2))).toBe('(2-3] 4 (4-5]');
    expect((await stage.read()).readTo).toEqual(stage.id(5));
  });

  test('age ends what an entry asked for; maintenance frees what expired', async () => {
    const stage = await open();
    await stage.push(3, { expiresAt: Number.POSITIVE_INFINITY });
    stage.clock.pass(7 * DAY);
    expect(await stage.shown()).toBe('(0-3]');
    await stage.maintain();
    await stage.maintain();
    expect(await stage.buckets.log(LOG)).toMatchObject({ messages: 0, bytes: 0, trimmedTo: stage.id(3) });
    expect(stage.count('trimmed_expired')).toBe(3);
    await stage.push(1);
    expect(await stage.shown(stage.id(3))).toBe('4');
    expect(await stage.shown(stage.id(1))).toBe('(1-3] 4');
  });

  test('rooms have bounds of their own', async () => {
    const stage = await open();
    await stage.push(7, { log: ROOM });
    expect(await stage.shown(ZERO_ID, ROOM)).toBe('(0-2] 3 4 5 6 7');
    stage.clock.pass(60 * MINUTE);
    expect(await stage.shown(stage.id(4), ROOM)).toBe('(4-7]');
  });

  test('the log that nobody knows is empty for a new reader, and a gap for one with a position', async () => {
    const stage = await open();
    expect((await stage.read()).items).toEqual([]);
    const before = { epoch: stage.buckets.epoch - 1, n: 7 };
    const { items, readTo, head } = await stage.read(before);
    expect(items).toMatchObject([{ kind: 'gap', after: before }]);
    expect(readTo).toEqual(head);
    const next = await stage.push(1);
    const [gap, entry] = (await stage.read(before)).items;
    expect(gap).toMatchObject({ kind: 'gap', after: before });
    expect(entry).toMatchObject({ kind: 'entry', entry: { id: next[0] } });
    expect(await stage.shown(readTo)).toBe('1');
  });

  test('a log that nobody used for a month is forgotten, and then a gap for who was there', async () => {
    const stage = await open();
    await stage.push(3);
    stage.clock.pass(8 * DAY);
    await stage.maintain();
    await stage.maintain();
    expect(await stage.buckets.log(LOG)).toMatchObject({ head: stage.id(3), messages: 0 });
    stage.clock.pass(29 * DAY);
    await stage.maintain();
    await stage.maintain();
    await stage.maintain();
    expect(await stage.buckets.log(LOG)).toBeUndefined();
    expect(stage.count('logs_forgotten')).toBe(1);
    const { items } = await stage.read(stage.id(1));
    expect(items).toMatchObject([{ kind: 'gap', after: stage.id(1) }]);
  });

  test('flush resolves, and what was applied is in health', async () => {
    const stage = await open();
    await stage.push(2);
    await stage.buckets.flush();
    expect(stage.buckets.health()).toMatchObject({ writable: true });
    expect(stage.count('appended')).toBe(2);
    expect(stage.buckets.health().usedBytes).toBeGreaterThan(0);
  });

  test('long names and every letter keep their logs apart', async () => {
    const stage = await open();
    const logs = ['x'.repeat(128), 'x'.repeat(127), '日本', 'é', 'e\u0301', '😀', 'a\u00a0'].map((name) =>
      userLog(user(name)),
    ) as LogName[];
    for (const log of logs) await stage.push(1, { log });
    for (const [at, log] of logs.entries()) expect(await stage.shown(ZERO_ID, log)).toBe(`${at + 1}`);
  });

  cursorsConformance(engine);
  sessionsConformance(engine);
  restartConformance(engine);
}
