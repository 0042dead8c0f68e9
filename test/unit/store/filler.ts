// Fills a store until its file cannot grow, then makes room inside it: started by full.e2e.test.ts under a limit on the
// size of files, which makes a commit fail as a full disk does. Tells what it saw.

import { setTimeout as pause } from 'node:timers/promises';
import { type MessageId, type UserId, userLog, ZERO_ID } from '../../../src/protocol/ids.js';
import { systemClock as clock } from '../../../src/server/clock.js';
import { bucketOf } from '../../../src/server/store/bucket.js';
import type { SessionRecord } from '../../../src/server/store/buckets.js';
import { openLmdbStore } from '../../../src/server/store/lmdb.js';

const keep = { messages: 10_000, bytes: 1 << 30, ageMs: 1e9 };
const idempotency = { forMs: 1e9, bytes: 1 << 20 };
const options = {
  keep,
  rooms: keep,
  devicesPerUser: 4,
  newDevice: 'kept',
  idempotency,
  forgetLogAfterMs: 1e9,
} as const;
const payload = Buffer.alloc(8_192, 'x');
const user = 'alice' as UserId;
const log = userLog(user);

const path = process.argv[2] ?? '';
const store = await openLmdbStore({ path, options, clock, reserveBytes: 0 });
const { buckets } = store;
const id = (n: number): MessageId => ({ epoch: buckets.epoch, n });

async function push(n: number): Promise<string> {
  const acceptedAt = clock.now();
  const record = { id: id(n), log, payload, acceptedAt, expiresAt: acceptedAt + 1e9 };
  const keyed = n % 10 === 0 ? { idempotency: { scope: 's', key: `k${n}`, bodyHash: 'b' } } : {};
  try {
    const group = { bucket: bucketOf(log), lastSeen: ZERO_ID, records: [{ ...record, ...keyed }], upTo: id(n) };
    const [result] = await buckets.apply([group]);
    return result?.kind === 'applied' ? (result.results[0]?.kind ?? 'nothing') : 'behind';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

const session = { session: 's', user, device: 'phone', token: undefined, comet: 'c', incarnation: 1, seq: 1 };
const record = { ...session, dialect: 'native', transport: 'tcp', peer: '', since: 1 } as unknown as SessionRecord;
await buckets.register(record, { cap: 1, onTooMany: 'reject' });
await buckets.openCursor(record, undefined);

let accepted = 0;
let outcome = 'appended';
for (let n = 1; outcome === 'appended' && n < 5_000; n++) {
  outcome = await push(n);
  if (outcome === 'appended') accepted = n;
}
const seen = { outcome, accepted, state: await buckets.log(log), counters: buckets.health().counters };
const { items } = await buckets.read(log, ZERO_ID, { entries: 10_000, bytes: 1 << 30 });
const whole = items.every((item) => item.kind === 'entry' && Buffer.from(item.entry.payload).equals(payload));
const [mark] = await buckets.marks([bucketOf(log)]);

await buckets.progress(record, id(accepted - 5), true);
let trimmed = false;
for (let tries = 0; tries < 20 && !trimmed; tries++) {
  await buckets.flush().catch(() => undefined);
  trimmed = (await buckets.log(log))?.messages === 5;
}
let again = 'store_full';
// The refusal holds until the next look at the disk.
for (const until = clock.monotonic() + 5_000; again === 'store_full' && clock.monotonic() < until; ) {
  await pause(50);
  again = await push(10_000);
}
const after = await buckets.read(log, ZERO_ID, { entries: 10_000, bytes: 1 << 30 });
process.send?.({ ...seen, read: items.length, whole, mark, trimmed, again, kept: after.items.length });
await store[Symbol.asyncDispose]();
process.disconnect?.();
