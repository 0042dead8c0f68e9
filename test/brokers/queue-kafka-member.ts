// A job in a process of its own, which a test kills: it applies what it is given and never gets as far as the commit. Tells its
// parent of each batch. Arguments: brokers, topic.
import { applyAll, bodies, openQueue } from './kafka-queue.js';

const [brokers = '', topic = ''] = process.argv.slice(2);
const queue = await openQueue(brokers.split(','), topic);
await queue.consume(async (batch) => {
  applyAll(batch);
  process.send?.({ applied: bodies(batch) });
  if (batch.records.length > 0) await new Promise(() => undefined);
  return undefined;
}, new AbortController().signal);
