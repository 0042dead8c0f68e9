// The configuration: what a server is started with. Settings come from defaults < imgo.toml < IMGO_* < flags, all
// through one schema (config-schema.ts), and each value remembers where it came from. A key that does not exist is an
// error with the nearest name, never ignored.

import { isAbsolute, resolve } from 'node:path';
import type { ListenAddress, Span } from './config-kinds.js';
import type { Settings } from './config-schema.js';
import type { AlertThresholds } from './observe/facts.js';
import type { Role } from './router/registry.js';

/** Where a listener listens. */
export interface ListenerConfig {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Somebody named this port: it never moves to another one. */
  readonly named: boolean;
}

/** A history's bounds: whichever is reached first. */
export interface KeepConfig {
  readonly messages: number;
  readonly bytes: number;
  readonly ageMs: number;
}

/** How roles apart find and trust each other. */
export interface ClusterConfig {
  /** undefined: one is made up. */
  readonly node: string | undefined;
  readonly keyFile: string | undefined;
  /** undefined: nobody dials this node. */
  readonly rpc: ListenerConfig | undefined;
  /** `host:port`; undefined: where it listens. */
  readonly advertise: string | undefined;
  /** `host:port` or `dns:name:port`. */
  readonly logic: readonly string[];
  readonly encrypt: 'remote' | 'always';
  /** Files of mutual TLS, in place of the key. */
  readonly tls: { readonly cert: string; readonly key: string; readonly ca: string } | undefined;
}

/** The brokers, and the topic on them. */
export interface KafkaConfig {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly group: string;
  readonly partitions: number;
  readonly replication: number | 'auto';
  readonly create: boolean;
  /** Id of the one topic that may take the place of the one that the store knows. */
  readonly acceptTopic: string | undefined;
  readonly tls: boolean;
  readonly sasl:
    | {
        readonly username: string;
        readonly passwordFile: string;
        readonly mechanism: Settings['queue']['kafka']['mechanism'];
      }
    | undefined;
}

/** Everything a server is started with. Times in ms, sizes in bytes, rates a second. */
export interface Config {
  /** Each once; all three: everything in this process. */
  readonly roles: readonly Role[];
  /** `shown`: as it was given, for messages; `folder`: absolute. */
  readonly data:
    | { readonly kind: 'memory' }
    | { readonly kind: 'folder'; readonly shown: string; readonly folder: string };
  readonly shutdownTimeoutMs: number;
  /** Processes that hold connections; 1: the server itself does. */
  readonly workers: number | 'auto';
  readonly listen: {
    readonly host: string;
    /** undefined: off. */
    readonly http: ListenerConfig | undefined;
    readonly ws: ListenerConfig | undefined;
    readonly tcp: ListenerConfig | undefined;
    readonly goim: ListenerConfig | undefined;
    readonly legacyHttp: ListenerConfig | undefined;
    /** `same-host`, `*` or origins. */
    readonly origins: readonly string[];
    /** The page at / of the HTTP port. */
    readonly tryIt: boolean;
  };
  readonly auth: {
    readonly tokenTtlMs: number;
    readonly weakTokens: boolean;
  };
  readonly limits: {
    readonly maxConns: number | 'auto';
    readonly reserveFds: number;
    readonly frameBytes: number;
    readonly payloadBytes: number;
    readonly handshakeMs: number;
    readonly idleMs: number;
    readonly sessionsPerUser: number;
    readonly onTooMany: 'replace-oldest' | 'reject';
    readonly roomsPerSession: number;
    readonly devicesPerUser: number;
    /** 0: no limit. */
    readonly inboundPerSecond: number;
    /** 0: no limit. */
    readonly connsPerAddress: number;
    /** 0: no limit. */
    readonly connRatePerAddress: number;
    readonly lagBytes: number;
    readonly lagPolicy: 'gap' | 'disconnect';
  };
  readonly delivery: {
    /** User logs. */
    readonly keep: KeepConfig;
    readonly newDevice: 'kept' | 'head';
    readonly legacyAck: 'drain' | 'heartbeat';
    readonly idempotency: { readonly forMs: number; readonly bytes: number };
  };
  readonly rooms: {
    readonly join: 'token' | 'open';
    /** Room logs and `all`. */
    readonly keep: KeepConfig;
  };
  readonly legacy: { readonly defaultRoom: string };
  readonly fanout: {
    /** 0: at once. */
    readonly windowMs: number;
    readonly yieldEvery: number;
    /** Listeners whose clients parse one frame a read. */
    readonly oneFramePerWrite: readonly ('tcp' | 'goim')[];
    readonly frameIntervalMs: number;
  };
  /** undefined: the store and the router are of this process. */
  readonly redis:
    | { readonly url: string; readonly passwordFile: string | undefined; readonly prefix: string }
    | undefined;
  /** undefined: the queue is the store. */
  readonly kafka: KafkaConfig | undefined;
  readonly cluster: ClusterConfig;
  readonly drain: { readonly perSecond: number; readonly reconnect: Span };
  readonly store: { readonly reserveBytes: number };
  /** The receiver of spans; undefined: the environment may name one. */
  readonly otlp: string | undefined;
  /** Whoever has the key in it may read /metrics; undefined: there is none. */
  readonly metricsKeyFile: string | undefined;
  /** Whether admin keys may see payloads in the event stream. */
  readonly payloads: 'hidden' | 'allowed';
  readonly alerts: AlertThresholds;
  readonly log: {
    readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
    readonly format: 'auto' | 'json' | 'pretty';
  };
  readonly observe: {
    /** From 0 to 1. */
    readonly traceSample: number;
  };
}

/** True for addresses that only this machine can reach. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return bare === 'localhost' || bare === '::1' || /^(::ffff:)?127(\.\d{1,3}){3}$/.test(bare);
}

/** True where nothing of it is in another process but its workers. */
export function isEmbedded(config: Config): boolean {
  return config.redis === undefined && config.roles.length === ROLES.length;
}

/** The listeners that are on and belong to this process's roles, by name. */
export function listeners(config: Config): readonly (readonly [string, ListenerConfig])[] {
  const comet = config.roles.includes('comet');
  const { http } = config.listen;
  const rpc = isEmbedded(config) ? undefined : config.cluster.rpc;
  const { ws, tcp, goim } = comet ? config.listen : NO_LISTENERS;
  const legacyHttp = config.roles.includes('logic') ? config.listen.legacyHttp : undefined;
  const all: readonly (readonly [string, ListenerConfig | undefined])[] = [
    ['http', http],
    ['ws', ws],
    ['tcp', tcp],
    ['goim', goim],
    ['legacy-http', legacyHttp],
    ['rpc', rpc],
  ];
  return all.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
}

const ROLES: readonly Role[] = ['comet', 'logic', 'job'];
const NO_LISTENERS = { ws: undefined, tcp: undefined, goim: undefined };

/** Settings as a Config. `named`: true for a key that somebody set; `folder`: what a relative data folder is relative to. */
export function toConfig(settings: Settings, named: (key: string) => boolean, folder: string): Config {
  const { data, listen, auth, limits, delivery, rooms, legacy, fanout, store, observe } = settings;
  const { redis, queue, cluster, drain, alerts } = settings;
  const listenerOf = (key: string, value: ListenAddress | 'off'): ListenerConfig | undefined =>
    value === 'off' ? undefined : { host: value.host ?? listen.host, port: value.port, named: named(`listen.${key}`) };
  const path = (file: string) => (file === '' ? undefined : isAbsolute(file) ? file : resolve(folder, file));
  return {
    roles: ROLES.filter((role) => settings.role.includes('all') || settings.role.includes(role)),
    data:
      data === 'memory'
        ? { kind: 'memory' }
        : { kind: 'folder', shown: data, folder: isAbsolute(data) ? data : resolve(folder, data) },
    shutdownTimeoutMs: settings.shutdown_timeout,
    workers: settings.workers,
    listen: {
      host: listen.host,
      http: listenerOf('http', listen.http),
      ws: listenerOf('ws', listen.ws),
      tcp: listenerOf('tcp', listen.tcp),
      goim: listenerOf('goim', listen.goim),
      legacyHttp: listenerOf('legacy_http', listen.legacy_http),
      origins: listen.origins,
      tryIt: listen.tryit,
    },
    auth: { tokenTtlMs: auth.token_ttl, weakTokens: auth.weak_tokens },
    limits: {
      maxConns: limits.max_conns,
      reserveFds: limits.reserve_fds,
      frameBytes: limits.frame,
      payloadBytes: limits.payload,
      handshakeMs: limits.handshake,
      idleMs: limits.idle,
      sessionsPerUser: limits.sessions_per_user,
      onTooMany: limits.on_too_many,
      roomsPerSession: limits.rooms_per_session,
      devicesPerUser: limits.devices_per_user,
      inboundPerSecond: limits.inbound,
      connsPerAddress: limits.per_address.conns,
      connRatePerAddress: limits.per_address.rate,
      lagBytes: limits.lag.max,
      lagPolicy: limits.lag.policy,
    },
    delivery: {
      keep: { messages: delivery.keep.messages, bytes: delivery.keep.bytes, ageMs: delivery.ttl },
      newDevice: delivery.new_device,
      legacyAck: delivery.legacy_ack,
      idempotency: { forMs: delivery.idempotency.for, bytes: delivery.idempotency.bytes },
    },
    rooms: {
      join: rooms.join,
      keep: { messages: rooms.keep.messages, bytes: rooms.keep.bytes, ageMs: rooms.keep.for },
    },
    legacy: { defaultRoom: legacy.default_room },
    fanout: {
      windowMs: fanout.window,
      yieldEvery: fanout.yield_every,
      oneFramePerWrite: fanout.one_frame_per_write,
      frameIntervalMs: fanout.frame_interval,
    },
    redis:
      redis.url === '' ? undefined : { url: redis.url, passwordFile: path(redis.password_file), prefix: redis.prefix },
    kafka: queue.engine === 'kafka' ? kafkaOf(queue.kafka, path) : undefined,
    cluster: {
      node: cluster.node === '' ? undefined : cluster.node,
      keyFile: path(cluster.key_file),
      rpc:
        cluster.rpc === 'off'
          ? undefined
          : { host: cluster.rpc.host ?? '127.0.0.1', port: cluster.rpc.port, named: named('cluster.rpc') },
      advertise: cluster.advertise === '' ? undefined : cluster.advertise,
      logic: cluster.logic,
      encrypt: cluster.encrypt,
      tls:
        cluster.tls.cert === ''
          ? undefined
          : { cert: path(cluster.tls.cert) ?? '', key: path(cluster.tls.key) ?? '', ca: path(cluster.tls.ca) ?? '' },
    },
    drain: { perSecond: drain.rate, reconnect: drain.reconnect },
    store: { reserveBytes: store.reserve },
    otlp: observe.otlp === '' ? undefined : observe.otlp,
    metricsKeyFile: path(observe.metrics_key_file),
    payloads: observe.payloads,
    alerts: {
      fdLimit: alerts.fd_limit,
      maxConns: alerts.max_conns,
      loopLagMs: alerts.loop_lag,
      queueLagMs: alerts.queue_lag,
      lagging: alerts.lagging,
      memory: alerts.memory,
      diskBytes: alerts.disk,
      certificateMs: alerts.certificate,
      clockSkewMs: alerts.clock_skew,
    },
    log: observe.log,
    observe: { traceSample: observe.trace_sample },
  };
}

function kafkaOf(kafka: Settings['queue']['kafka'], path: (file: string) => string | undefined): KafkaConfig {
  const { brokers, topic, group, partitions, replication, create, tls, username, mechanism } = kafka;
  const sasl = username === '' ? undefined : { username, mechanism, passwordFile: path(kafka.password_file) ?? '' };
  const acceptTopic = kafka.accept_topic === '' ? undefined : kafka.accept_topic;
  return { brokers, topic, group, partitions, replication, create, acceptTopic, tls, sasl };
}
