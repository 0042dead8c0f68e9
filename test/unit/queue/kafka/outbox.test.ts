// What waits for one partition: nothing overtakes anything in its log, and no record has two logs of one bucket.
import { expect, test } from 'vitest';
import { type LogName, userLog } from '../../../../src/protocol/ids.js';
import { decodeParcel } from '../../../../src/server/queue/kafka/format.js';
import { aloneBytes, Outbox } from '../../../../src/server/queue/kafka/outbox.js';
import { bucketOf } from '../../../../src/server/store/bucket.js';
import type { PushRecord } from '../../../../src/server/store/buckets.js';
import { fc } from '../../../harness/property.js';

const waiter = { appended: () => undefined, failed: () => undefined, bytes: 1, since: 0 };

function record(log: LogName, payload: Uint8Array): PushRecord {
  return { log, payload, acceptedAt: 1_000, expiresAt: 2_000 };
}

/** Users of one bucket, and of others. */
const users: readonly LogName[] = (() => {
  const all = Array.from({ length: 6_000 }, (_, n) => userLog(`u${n}` as never));
  const bucket = bucketOf(all[0] as LogName);
  return [...all.filter((log) => bucketOf(log) === bucket).slice(0, 4), ...all.slice(1, 5)];
})();

test('pushes stay in the order of their log, whatever is taken together', () => {
  const push = fc.record({ user: fc.nat(users.length - 1), payload: fc.nat(2) });
  fc.assert(
    fc.property(fc.array(fc.array(push, { maxLength: 30 }), { maxLength: 8 }), (turns) => {
      const outbox = new Outbox();
      const payloads = [0, 1, 2].map((n) => Buffer.from([n]));
      const given: string[] = [];
      const sent: string[] = [];
      for (const turn of turns) {
        for (const { user, payload } of turn) {
          const log = users[user] as LogName;
          given.push(`${log} ${payload}`);
          outbox.add(record(log, payloads[payload] as Buffer), waiter);
        }
        for (const value of outbox.take(200)?.values ?? []) take(value);
      }
      for (let taken = outbox.take(200); taken !== undefined; taken = outbox.take(200)) taken.values.forEach(take);
      function take(value: Buffer): void {
        const { logs, payload } = decodeParcel(value);
        expect(new Set(logs.map(bucketOf)).size).toBe(logs.length);
        for (const log of logs) sent.push(`${log} ${payload[0]}`);
      }
      for (const log of users) {
        const of = (list: readonly string[]) => list.filter((one) => one.startsWith(`${log} `));
        expect(of(sent)).toEqual(of(given));
      }
    }),
  );
});

test('one push to many users is one record for as long as they are of different buckets', () => {
  const outbox = new Outbox();
  const payload = Buffer.from('to all of you');
  for (const log of users) outbox.add(record(log, payload), waiter);
  const counts = outbox.take(1 << 20)?.values.map((value) => decodeParcel(value).logs.length);
  expect(counts).toEqual([5, 1, 1, 1]);
});

test('a record of many users is split at 512 KiB, and a batch at what the topic takes', () => {
  const outbox = new Outbox();
  const payload = Buffer.alloc(300 * 1024);
  const seen = new Set<number>();
  for (let n = 0; seen.size < 1_000; n++) {
    const log = userLog(`${n}${'x'.repeat(100)}` as never);
    if (seen.has(bucketOf(log))) continue;
    seen.add(bucketOf(log));
    outbox.add(record(log, payload), waiter);
  }
  const sizes: number[] = [];
  for (let taken = outbox.take(900 * 1024); taken !== undefined; taken = outbox.take(900 * 1024)) {
    expect(taken.values.reduce((sum, { byteLength }) => sum + byteLength, 0)).toBeLessThanOrEqual(900 * 1024);
    sizes.push(...taken.values.map(({ byteLength }) => byteLength));
  }
  expect(sizes.length).toBeGreaterThan(1);
  for (const size of sizes) expect(size).toBeLessThanOrEqual(512 * 1024);
});

test('what waits too long is taken out with everybody of its record', () => {
  const outbox = new Outbox();
  for (const since of [1, 2, 3]) outbox.add(record(users[0] as LogName, Buffer.from([since])), { ...waiter, since });
  expect(outbox.overdue(3).map(({ since }) => since)).toEqual([1, 2]);
  expect(outbox.since).toBe(3);
  expect(aloneBytes(record(users[0] as LogName, Buffer.alloc(1_000)))).toBeGreaterThan(1_000);
});
