// The durable store alone: appends per CPU second of the whole process (threads of lmdb included), beside bare lmdb puts
// of the same bytes, awaited by as many writers. Disk time is not counted; the disk is whatever holds the temp folder.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open } from 'lmdb';
import { type LogName, type MessageId, type SessionId, type UserId, userLog, ZERO_ID } from '../../src/protocol/ids.js';
import { systemClock as clock } from '../../src/server/clock.js';
import { bucketOf } from '../../src/server/store/bucket.js';
import type { Buckets, BucketsOptions, SessionRecord } from '../../src/server/store/buckets.js';
import { openLmdbStore } from '../../src/server/store/lmdb.js';
import type { Bench, BenchRow } from './row.js';

const DAY = 86_400_000;
const KEEP = { messages: 1_000, bytes: 1 << 20, ageMs: 7 * DAY };
const OPTIONS: BucketsOptions = {
  keep: KEEP,
  rooms: KEEP,
  devicesPerUser: 8,
  newDevice: 'kept',
  idempotency: { forMs: DAY, bytes: 64 << 20 },
  forgetLogAfterMs: 30 * DAY,
};
const PAYLOAD = Buffer.alloc(200, 'x');
const OPERATIONS = 40_000;

/** Operations per second of CPU time, user and system, of this process. */
async function perCpuSecond(writers: number, operation: (n: number) => Promise<unknown>): Promise<number> {
  const run = async (from: number, to: number): Promise<void> => {
    let next = from;
    const write = async (): Promise<void> => {
      while (next < to) await operation(next++);
    };
    await Promise.all(Array.from({ length: writers }, write));
  };
  await run(1, OPERATIONS / 4);
  const before = process.cpuUsage();
  await run(OPERATIONS / 4, OPERATIONS + OPERATIONS / 4);
  const { user, system } = process.cpuUsage(before);
  return OPERATIONS / ((user + system) / 1e6);
}

async function bare(writers: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'imgo-bench-'));
  const settings = {
    path: join(folder, 'bare.mdb'),
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
  } as const;
  const db = open<Buffer, Buffer>({ ...settings, overlappingSync: false, mapSize: 2 ** 34 });
  const value = Buffer.concat([Buffer.alloc(45), PAYLOAD]);
  try {
    return await perCpuSecond(writers, (n) => {
      const key = Buffer.alloc(20);
      key.writeUIntBE(n, 6, 6);
      return db.put(key, Buffer.from(value));
    });
  } finally {
    await db.close();
    rmSync(folder, { recursive: true });
  }
}

async function withStore<T>(work: (buckets: Buckets) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'imgo-bench-'));
  const store = await openLmdbStore({ path: folder, options: OPTIONS, clock });
  try {
    return await work(store.buckets);
  } finally {
    await store[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  }
}

function apply(buckets: Buckets, log: LogName, n: number): Promise<unknown> {
  const id: MessageId = { epoch: buckets.epoch, n };
  const acceptedAt = clock.now();
  const record = { id, log, payload: PAYLOAD, acceptedAt, expiresAt: acceptedAt + DAY };
  return buckets.apply([{ bucket: bucketOf(log), lastSeen: ZERO_ID, records: [record], upTo: id }]);
}

function session(name: string): SessionRecord {
  return {
    session: name as SessionId,
    user: name as UserId,
    device: 'phone' as SessionRecord['device'],
    token: undefined,
    comet: 'c' as SessionRecord['comet'],
    incarnation: 1,
    seq: 1,
    dialect: 'native',
    transport: 'tcp',
    peer: '127.0.0.1',
    since: 1,
  };
}

async function run(): Promise<readonly BenchRow[]> {
  const rows: BenchRow[] = [];
  const unit = '/CPU s';
  const row = (name: string, figure: number, reference: number): void => {
    rows.push({ name, figure, reference, unit, note: `${(1e6 / figure).toFixed(1)} us each` });
  };
  for (const writers of [64, 256]) {
    const reference = await bare(writers);
    for (const [users, name] of [
      [1, 'one user'],
      [1_000, '1,000 users'],
      [50_000, '50,000 users'],
    ] as const) {
      const logs = Array.from({ length: users }, (_, at) => userLog(`${at}` as UserId));
      const figure = await withStore((buckets) =>
        perCpuSecond(writers, (n) => apply(buckets, logs[Math.imul(n, 7_919) % users] as LogName, n)),
      );
      row(`apply, ${writers} in flight, ${name}`, figure, reference);
    }
  }
  const reference = await bare(256);
  const acknowledged = await withStore(async (buckets) => {
    const sessions = Array.from({ length: 1_000 }, (_, at) => session(`${at}`));
    for (const one of sessions) {
      await buckets.register(one, { cap: 8, onTooMany: 'replace-oldest' });
      void buckets.openCursor(one, undefined);
    }
    await buckets.flush();
    return perCpuSecond(256, async (n) => {
      const one = sessions[n % 1_000] as SessionRecord;
      await apply(buckets, userLog(one.user as UserId), n);
      await buckets.progress(one, { epoch: buckets.epoch, n }, true);
    });
  });
  row('apply and acknowledge, 256, 1,000 users', acknowledged, reference);
  const opened = await withStore((buckets) =>
    perCpuSecond(256, async (n) => {
      const one = session(`${n}`);
      await buckets.register(one, { cap: 8, onTooMany: 'replace-oldest' });
      await buckets.openCursor(one, undefined);
    }),
  );
  row('open a named device of a new user, 256', opened, reference);
  return rows;
}

export const store: Bench = { name: 'store', run };
