// Rows of the error table that Kafka is the reason of: a part of error-table.ts, in a file of its own for its length.

import { Exit, retry, row } from './error-row.js';

const { IMPOSSIBLE, REFUSED, UNREACHABLE, USAGE } = Exit;

/** What Kafka may be the reason of. */
export const KAFKA = {
  kafka_unreachable: retry(
    503,
    UNREACHABLE,
    'Kafka at {brokers} does not answer[: {detail}].',
    'What is pushed is kept in Kafka before it is accepted; while no broker answers nothing is accepted.',
    ['queue.kafka.brokers names them', 'it is tried again by itself'],
  ),
  kafka_topic_changed: row(
    503,
    IMPOSSIBLE,
    'Kafka topic {topic} is not the one that the store knows: {detail}.',
    'Ids come from the positions in a topic: another topic of the same name would give the same ids to other messages.',
    ['if its messages are meant to be lost, accept the topic that is there as a new history'],
  ),
  kafka_refused: row(
    500,
    REFUSED,
    'Kafka at {brokers} refuses {who}: {detail}.',
    'The user, its password or the mechanism is wrong, or the user may not do what is needed with topic or group.',
    ['queue.kafka.username, password_file and mechanism', 'it needs to read, write, describe and create the topic'],
  ),
  kafka_tls: row(
    500,
    USAGE,
    'Kafka at {brokers} and this end do not agree on TLS: {detail}.',
    'One end speaks TLS and the other does not, or the certificate is not trusted.',
    ['queue.kafka.tls', 'NODE_EXTRA_CA_CERTS=FILE trusts an authority of your own'],
  ),
  kafka_topic: row(
    500,
    USAGE,
    'Kafka topic {topic} {detail}.',
    'What is pushed is kept in this topic; one that may lose messages is not used.',
    ['queue.kafka.topic names it', 'kafka-configs.sh and kafka-topics.sh change it'],
  ),
  kafka_unusable: row(500, USAGE, 'Kafka[ at {brokers}] cannot be used: {detail}.', 'Kafka 3.1 or newer is needed.'),
} as const;
