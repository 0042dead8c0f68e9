// A process that holds a store and does nothing: started by lock.e2e.test.ts.

import { systemClock as clock } from '../../../src/server/clock.js';
import { openLmdbStore } from '../../../src/server/store/lmdb.js';

const keep = { messages: 10, bytes: 1_000, ageMs: 1_000_000 };
const options = {
  keep,
  rooms: keep,
  devicesPerUser: 1,
  newDevice: 'kept',
  idempotency: { forMs: 1, bytes: 1 },
  forgetLogAfterMs: 1,
} as const;
await openLmdbStore({ path: process.argv[2] ?? '', options, clock });
process.send?.('open');
process.on('message', () => undefined);
