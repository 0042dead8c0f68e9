// The options of logic and comet, made from a configuration, and what of a changed configuration a running server takes
// over: settings that are read whenever they are needed. The roles share these objects; all else waits for the next start.

import type { RoomId } from '../protocol/ids.js';
import { type CometOptions, type LiveCometOptions, takeOver } from './comet/options.js';
import { LOOPBACK_HOSTS } from './comet/origins.js';
import { type Config, type ListenerConfig, listeners } from './config.js';
import { type LogicOptions, logicDefaults } from './logic/options.js';

/** Settings of logic that a running server takes over. */
const LOGIC_KEYS = [
  'auth.token_ttl',
  'auth.weak_tokens',
  'limits.payload',
  'limits.sessions_per_user',
  'limits.on_too_many',
  'rooms.join',
  'legacy.default_room',
  'observe.payloads',
  'alerts.fd_limit',
  'alerts.max_conns',
  'alerts.loop_lag',
  'alerts.queue_lag',
  'alerts.lagging',
  'alerts.memory',
  'alerts.disk',
  'alerts.certificate',
  'alerts.clock_skew',
  'observe.trace_sample',
];
/** Settings of comets. */
const COMET_KEYS = [
  'listen.origins',
  'limits.handshake',
  'limits.idle',
  'limits.rooms_per_session',
  'limits.inbound',
  'delivery.legacy_ack',
];
/** Taken over by whoever logs. */
const LOG_KEYS = ['observe.log.level'];

/** What became of settings that changed. */
export interface Reloaded {
  readonly taken: readonly string[];
  /** They take effect with the next start. */
  readonly waiting: readonly string[];
}

export class LiveOptions {
  readonly logic: LogicOptions;
  readonly comet: CometOptions;
  /** Of the HTTP side and the comet of this process. */
  readonly origins: string[];

  /** `processes`: that hold connections. `development`: every listener on loopback and no key. */
  constructor(config: Config, development: boolean, processes: number) {
    this.logic = logicOptions(config);
    this.origins = [...config.listen.origins];
    this.comet = cometOptions(config, development, processes, this.origins);
  }

  /**
   * `changed`: keys of settings that are others in `config` than at the last call, or at the start. `tell`: hands on what comets
   * in processes of their own are to take over.
   */
  reload(config: Config, changed: readonly string[], tell?: (live: LiveCometOptions) => void): Reloaded {
    const keys = new Set([...LOGIC_KEYS, ...LOG_KEYS, ...COMET_KEYS]);
    const { userTtlMs, roomTtlMs, keep, ...logic } = logicOptions(config);
    Object.assign(this.logic, logic);
    this.origins.splice(0, this.origins.length, ...config.listen.origins);
    const { handshakeMs, idleMs, roomsPerSession, inboundPerSecond } = config.limits;
    const live: LiveCometOptions = {
      origins: this.origins,
      limits: { handshakeMs, idleMs, roomsPerSession, inboundPerSecond },
      delivery: { legacyAck: config.delivery.legacyAck },
    };
    takeOver(this.comet, live);
    tell?.(live);
    return {
      taken: changed.filter((key) => keys.has(key)),
      waiting: changed.filter((key) => !keys.has(key)),
    };
  }
}

function logicOptions(config: Config): LogicOptions {
  const { limits, rooms, auth, delivery, legacy, observe } = config;
  return {
    ...logicDefaults,
    sessionsPerUser: limits.sessionsPerUser,
    onTooMany: limits.onTooMany,
    roomsJoin: rooms.join,
    defaultRoom: legacy.defaultRoom === '' ? undefined : (legacy.defaultRoom as RoomId),
    tokenTtlMs: auth.tokenTtlMs,
    weakTokens: auth.weakTokens,
    payloadBytes: limits.payloadBytes,
    payloadsShown: config.payloads === 'allowed',
    userTtlMs: delivery.keep.ageMs,
    roomTtlMs: rooms.keep.ageMs,
    alerts: config.alerts,
    traceSample: observe.traceSample,
    keep: { user: delivery.keep, room: rooms.keep },
  };
}

function cometOptions(
  config: Config,
  development: boolean,
  processes: number,
  origins: readonly string[],
): CometOptions {
  const { listen, limits, delivery, fanout } = config;
  return {
    listen: {
      tcp: listen.tcp && addressOf(listen.tcp),
      ws: listen.ws && addressOf(listen.ws),
      goim: listen.goim && addressOf(listen.goim),
      reusePort: processes > 1,
      backlog: 4_096,
      origins,
      // Nobody needs a key there: a page whose name was made to point to this machine must not reach it.
      hosts: development ? [...LOOPBACK_HOSTS, ...listeners(config).map(([, { host }]) => host)] : undefined,
    },
    limits: {
      maxConns: limits.maxConns === 'auto' ? Number.POSITIVE_INFINITY : Math.ceil(limits.maxConns / processes),
      reserveFds: limits.reserveFds,
      frameBytes: limits.frameBytes,
      handshakeMs: limits.handshakeMs,
      idleMs: limits.idleMs,
      roomsPerSession: limits.roomsPerSession,
      perAddress: { conns: limits.connsPerAddress, rate: limits.connRatePerAddress },
      inboundPerSecond: limits.inboundPerSecond,
      lag: { maxBytes: limits.lagBytes, policy: limits.lagPolicy },
    },
    delivery: { legacyAck: delivery.legacyAck },
    fanout: {
      windowMs: fanout.windowMs,
      yieldEvery: fanout.yieldEvery,
      oneFramePerWrite: fanout.oneFramePerWrite,
      paceMs: fanout.frameIntervalMs,
    },
  };
}

function addressOf({ host, port }: ListenerConfig): { readonly host: string; readonly port: number } {
  return { host, port };
}
