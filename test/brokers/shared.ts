// The one Kafka and the one Redis of a run of broker tests, for whoever only uses them. Who kills, pauses or configures a
// broker starts one of its own. Nothing is cleaned between files: each takes its names from a prefix of its own.
import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';

/** `host:port` of a Kafka of one node, started by the first call of the run. */
export async function sharedKafka(): Promise<readonly string[]> {
  return (await address('kafka')) as readonly string[];
}

/** The URL of a single Redis, started by the first call of the run. */
export async function sharedRedis(): Promise<string> {
  return (await address('redis')) as string;
}

/** What the names of topics, groups and keys of a file begin with: no other file's do. */
export function uniquePrefix(): string {
  return `t${randomBytes(6).toString('hex')}`;
}

/** Settings of roles apart on these brokers, under names that no other file has. */
export function brokerSettings(redisUrl: string, kafka: readonly string[]): Readonly<Record<string, unknown>> {
  const name = uniquePrefix();
  return {
    'redis.url': redisUrl,
    'redis.prefix': name,
    'queue.kafka.brokers': kafka.join(','),
    'queue.kafka.topic': name,
    'queue.kafka.group': name,
    'queue.kafka.partitions': 2,
  };
}

async function address(broker: 'kafka' | 'redis'): Promise<unknown> {
  const response = await fetch(`${inject('brokers')}/${broker}`);
  if (!response.ok) throw new Error(`${broker} did not start: ${await response.text()}`);
  return await response.json();
}
