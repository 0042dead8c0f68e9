// Which topic the store's ids come from. An id is an epoch and a position in the queue's topic: in another topic, or one that
// was made anew, the same position is another message. So the store remembers the topic that it belongs to and the epoch
// of its ids, refuses another one, and when an operator accepts that one, gives it the next epoch.

import { ImgoError } from '../../../protocol/errors.js';
import type { Clock } from '../../clock.js';
import type { TopicIdentity } from '../../queue/queue.js';
import type { RedisLink } from './connect.js';
import { script } from './script.js';

export interface HistoryOptions {
  readonly link: RedisLink;
  readonly prefix: string;
  readonly clock: Clock;
  /** The operator says that another topic is meant: it begins the next epoch. */
  readonly accept?: boolean;
  /** Of this version; tests say another one's. */
  readonly formats?: Formats;
}

/**
 * The layout of keys and values: the highest that is read, and the one that is written. A store with a higher one than is read
 * is refused, one with a lower one is carried on. A layout is written one release after it is read: then what N has
 * written N-1 reads, and a node of either may start.
 */
interface Formats {
  readonly read: number;
  readonly written: number;
}

const FORMATS: Formats = { read: 1, written: 1 };

/** KEYS: history. ARGV: seconds, cluster, topic, partitions, format read, format written, 1 to accept. Returns [epoch, format, known…]. */
const OPEN_HISTORY = script(
  'history-2',
  `
local known = redis.call('HMGET', KEYS[1], 'epoch', 'format', 'cluster', 'topic', 'partitions')
local epoch = tonumber(known[1] or '0')
local format = tonumber(known[2] or ARGV[6])
if format > tonumber(ARGV[5]) then return {tostring(epoch), tostring(format)} end
local same = known[3] == ARGV[2] and known[4] == ARGV[3] and known[5] == ARGV[4]
if epoch > 0 and not same and ARGV[7] ~= '1' then
  return {'0', tostring(format), known[3], known[4], known[5]}
end
if not same then
  epoch = math.max(epoch + 1, tonumber(ARGV[1]))
  redis.call('HSET', KEYS[1], 'epoch', string.format('%.0f', epoch), 'cluster', ARGV[2], 'topic', ARGV[3],
    'partitions', ARGV[4])
end
format = tostring(math.max(format, tonumber(ARGV[6])))
redis.call('HSET', KEYS[1], 'format', format)
return {string.format('%.0f', epoch), format}`,
);

/**
 * The epoch of this topic's ids: the same for all who open it. For a topic that the store has not seen, and where nothing
 * else was, or with `accept`, a new one: above every earlier one, and at least the time in seconds.
 * @throws ImgoError kafka_topic_changed; data_newer
 */
export async function openHistory(topic: TopicIdentity, options: HistoryOptions): Promise<number> {
  const { link, prefix, clock, accept = false, formats = FORMATS } = options;
  const { topic: name, clusterId, topicId, partitions } = topic;
  const seconds = Math.max(1, Math.floor(clock.now() / 1_000));
  const args = [seconds, clusterId, topicId, partitions, formats.read, formats.written, accept ? 1 : 0];
  const answer = (await link.run(OPEN_HISTORY, [`${prefix}{history}`], args)) as readonly Buffer[];
  const [epoch = '0', format = '0', cluster = '', other = '', count = ''] = answer.map((part) => part.toString());
  if (Number(format) > formats.read) {
    const details = { data: `Redis at ${link.address}`, found: format, known: formats.read, other: '' };
    throw new ImgoError('data_newer', details);
  }
  if (epoch !== '0') return Number(epoch);
  const was = `${other} with ${count} partitions of cluster ${cluster}`;
  const is = `${topicId} with ${partitions} of cluster ${clusterId}`;
  throw new ImgoError('kafka_topic_changed', { topic: name, detail: `that is ${was}, this is ${is}` });
}
