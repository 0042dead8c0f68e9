// kafkajs as it is used here: one client a queue, its log in ours, its errors in the words of the error table.

import { connect, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type ISocketFactory, Kafka, type KafkaConfig, logLevel, type SASLOptions } from 'kafkajs';
import { ImgoError } from '../../../protocol/errors.js';
import type { Clock } from '../../clock.js';
import { type Cluster, clusterOf, fixKafkajs } from './internals.js';
import type { KafkaConnection, KafkaQueueOptions } from './options.js';

/** For a request that has no limit of its own. */
const REQUEST_MS = 10_000;
const CONNECT_MS = 3_000;
const KEEP_ALIVE_MS = 60_000;
/** A caller here repeats by itself; a client that goes on alone for long hides what is wrong. */
const RETRY = { retries: 2, initialRetryTime: 100, maxRetryTime: 300 };

export class KafkaClient {
  readonly kafka: Kafka;
  readonly #connection: KafkaConnection;

  constructor({ kafka, clientId, log, clock }: Pick<KafkaQueueOptions, 'kafka' | 'clientId' | 'log' | 'clock'>) {
    fixKafkajs();
    this.#connection = kafka;
    const { brokers, tls, sasl } = kafka;
    const config: KafkaConfig = {
      clientId,
      brokers: inAnyOrder(brokers.map(uncut), clock),
      socketFactory,
      connectionTimeout: CONNECT_MS,
      authenticationTimeout: CONNECT_MS,
      requestTimeout: REQUEST_MS,
      retry: RETRY,
      logLevel: logLevel.WARN,
      // Everything that matters comes back as an error and is told once, by who asked; this is for a closer look.
      logCreator:
        () =>
        ({ namespace, log: { message, broker } }) => {
          log.debug({ kafkajs: namespace, broker }, message);
        },
      ...(tls === false ? {} : { ssl: tls === true ? true : { ca: [tls.ca] } }),
      ...(sasl === undefined ? {} : { sasl: { ...sasl } as SASLOptions }),
    };
    this.kafka = new Kafka(config);
  }

  cluster(): Cluster {
    return clusterOf(this.kafka);
  }

  /** Any error of kafkajs as one of the table. */
  error(thrown: unknown): ImgoError {
    if (thrown instanceof ImgoError) return thrown;
    const chain = causes(thrown);
    const brokers = this.#connection.brokers.join(', ');
    const says = (test: RegExp) => chain.find(({ text }) => test.test(text))?.message;
    const refused = says(/SASL|_AUTHORIZATION_FAILED/);
    if (refused !== undefined) {
      const { sasl } = this.#connection;
      const who = sasl === undefined ? 'clients without a user' : `user ${sasl.username}`;
      return new ImgoError('kafka_refused', { brokers, who, detail: refused }, { cause: thrown });
    }
    const tls = says(/ERR_SSL|ERR_TLS|EPROTO|CERT|certificate|UNABLE_TO|DEPTH_ZERO/);
    if (tls !== undefined) return new ImgoError('kafka_tls', { brokers, detail: tls }, { cause: thrown });
    const closed = says(/Closed connection|closed by the server|ECONNRESET|disconnected/);
    const detail =
      closed === undefined ? chain.at(-1)?.message : `${closed}; it may want TLS (queue.kafka.tls) or a user`;
    return new ImgoError('kafka_unreachable', { brokers, detail }, { cause: thrown });
  }
}

/** kafkajs cuts an address at its first colon: within brackets something else stands for it, until it is dialled. */
function uncut(broker: string): string {
  return broker.replace(/^\[.*\]/, (host) => host.replaceAll(':', '_'));
}

/** A new client tries the first few only: where those are down, the next client must have others. */
function inAnyOrder(brokers: readonly string[], clock: Clock): string[] {
  const from = Math.floor(clock.random() * brokers.length);
  return [...brokers.slice(from), ...brokers.slice(0, from)];
}

/** As kafkajs's own, and where {@link uncut} left something, what was meant. */
const socketFactory: ISocketFactory = ({ host: given, port, ssl, onConnect }) => {
  const host = given.startsWith('[') ? given.slice(1, -1).replaceAll('_', ':') : given;
  const socket = ssl
    ? connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
    : connect({ host, port }, onConnect);
  return socket.setKeepAlive(true, KEEP_ALIVE_MS);
};

/** Outermost first. */
function causes(thrown: unknown): readonly { readonly message: string; readonly text: string }[] {
  const chain: { message: string; text: string }[] = [];
  for (let at = thrown; at instanceof Error && chain.length < 8; at = at.cause) {
    const { code, type } = at as { readonly code?: unknown; readonly type?: unknown };
    chain.push({ message: at.message, text: `${at.name} ${at.message} ${String(code)} ${String(type)}` });
  }
  return chain;
}

/** Kafka's name of an error, where kafkajs tells it. */
export function kafkaErrorType(thrown: unknown): string | undefined {
  for (let at = thrown; at instanceof Error; at = at.cause) {
    const { type } = at as { readonly type?: unknown };
    if (typeof type === 'string') return type;
  }
  return undefined;
}
