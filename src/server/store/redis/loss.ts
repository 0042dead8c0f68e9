// What the queue lost before any job had applied it is told to whoever reads the logs that it may have been for: their heads
// move over it. What a reader finds missing below a head is a gap, so no log needs to remember more.

import type { MessageId } from '../../../protocol/ids.js';
import { isUserLog } from '../retention.js';
import type { StoreContext } from './context.js';
import { LOG } from './lua/log.js';
import { script } from './script.js';

/** KEYS: record. ARGV: 1 for a user's log, epoch, n. */
const PASS_OVER = script(
  'pass-over-1',
  LOG,
  `
local e, n = tonumber(ARGV[4]), tonumber(ARGV[5])
local log = load_log(KEYS[1])
if not log or le(e, n, log.he, log.hn) then return 0 end
log.he, log.hn = e, n
save_log(KEYS[1], log, ARGV[3] == '1')
return 1`,
);

const SCANNED_AT_ONCE = 1_000;

/**
 * Passes over everything up to `upTo` in all logs of these buckets. Again changes nothing. Resolves with how many logs.
 * Nothing newer than `upTo` may be applied to these buckets meanwhile.
 */
export async function passOver(context: StoreContext, buckets: readonly number[], upTo: MessageId): Promise<number> {
  const concerned = new Set(buckets);
  const perServer = context.link.primaries().map(async (server) => {
    let passed = 0;
    let cursor = '0';
    do {
      const [next, keys] = await server.scan(cursor, 'MATCH', context.recordPattern, 'COUNT', SCANNED_AT_ONCE);
      cursor = next;
      const logs = keys.flatMap((key) => context.recordOf(key) ?? []).filter(({ bucket }) => concerned.has(bucket));
      const done = logs.map(({ log, bucket }) => {
        const [record] = context.logKeys(log, bucket);
        return context.run(PASS_OVER, [record], [isUserLog(log) ? 1 : 0, upTo.epoch, upTo.n]);
      });
      for (const one of await Promise.all(done)) passed += Number(one);
    } while (cursor !== '0');
    return passed;
  });
  return (await Promise.all(perServer)).reduce((sum, one) => sum + one, 0);
}
