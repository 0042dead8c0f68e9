// A look at the engines outside of this process, for `imgo doctor`: whether they answer, and what is not as it should be.
// Nothing is made there and nothing is changed.

import { ImgoError } from '../../protocol/errors.js';
import { systemClock } from '../clock.js';
import type { Config } from '../config.js';
import { saslOf, secretOf } from './secrets.js';

/** What one of them is like. */
export interface Seen {
  readonly address: string;
  /** What it says of itself; undefined where it could not be reached. */
  readonly says?: string;
  /** Works, and an operator should know it all the same. */
  readonly warnings: readonly string[];
  /** Its clock less ours, ms. */
  readonly skewMs?: number;
  readonly failure?: ImgoError;
}

const PATIENCE_MS = 4_000;
const clock = systemClock;

/** Redis as `redis.url` names it. */
export async function lookAtRedis({ url, passwordFile }: NonNullable<Config['redis']>): Promise<Seen> {
  const [{ connectRedis }, { RedisWatch }, { parseRedisUrl }] = await Promise.all([
    import('../store/redis/connect.js'),
    import('../store/redis/watch.js'),
    import('../store/redis/url.js'),
  ]);
  let address = 'redis';
  try {
    address = parseRedisUrl(url).shown;
    const password = secretOf(passwordFile);
    await using link = await connectRedis({
      url,
      clock,
      connectForMs: PATIENCE_MS,
      ...(password === undefined ? {} : { password }),
    });
    let skewMs = 0;
    using watch = await RedisWatch.start({
      link,
      clock,
      onTime(said, askedAt) {
        const sinceAsked = clock.monotonic() - askedAt;
        skewMs = said - (clock.now() - sinceAsked / 2);
      },
    });
    const version = /^redis_version:(\S+)/m.exec((await link.primaries()[0]?.info('server')) ?? '')?.[1];
    return { address, says: `answers, version ${version}`, warnings: watch.warnings, skewMs };
  } catch (error) {
    return { address, warnings: [], failure: asFailure(error) };
  }
}

/** Kafka as `queue.kafka` names it. */
export async function lookAtKafka(kafka: NonNullable<Config['kafka']>): Promise<Seen> {
  const { KafkaClient } = await import('../queue/kafka/client.js');
  const address = kafka.brokers.join(', ');
  const log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
  let client: InstanceType<typeof KafkaClient> | undefined;
  try {
    const connection = { brokers: kafka.brokers, tls: kafka.tls, sasl: saslOf(kafka) };
    client = new KafkaClient({ kafka: connection, clientId: 'imgo-doctor', log, clock });
    const admin = client.kafka.admin();
    try {
      await admin.connect();
      const { brokers } = await admin.describeCluster();
      const topics = await admin.listTopics();
      const warnings: string[] = [];
      if (!topics.includes(kafka.topic)) {
        const made = kafka.create ? 'the first start makes it' : 'queue.kafka.create is false: its operator makes it';
        warnings.push(`there is no topic ${kafka.topic}; ${made}`);
      }
      return { address, says: `answers, brokers: ${brokers.length}, topics: ${topics.length}`, warnings };
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  } catch (error) {
    return { address, warnings: [], failure: client?.error(error) ?? asFailure(error) };
  }
}

/** With what it was in its words, unlike what callers of a server are told: who asks here runs the machine. */
function asFailure(error: unknown): ImgoError {
  return error instanceof ImgoError ? error : new ImgoError('internal', { detail: String(error) }, { cause: error });
}
