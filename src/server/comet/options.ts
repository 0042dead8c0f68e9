// What a comet is told: where it listens, what it allows, how it delivers. Plain values in bytes and milliseconds;
// src/server/config.ts makes them from imgo.toml. `cometDefaults` are the documented defaults.

/** Where one listener stands. Port 0 is any free one. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** What a session past its lag limit gets. */
export type LagPolicy = 'gap' | 'disconnect';

/** What tells that a legacy client took a message: the kernel took the bytes, or the client spoke after that. */
export type LegacyAck = 'drain' | 'heartbeat';

/** Everything a comet can be told. */
export interface CometOptions {
  readonly listen: {
    readonly tcp: ListenAddress | undefined;
    readonly ws: ListenAddress | undefined;
    /** goim's own port, both transports; trusts the identity that a client states. */
    readonly goim: ListenAddress | undefined;
    /** Several processes share the ports. */
    readonly reusePort: boolean;
    readonly backlog: number;
    /** Origins that browsers may come from: `same-host`, or `https://host[:port]`, or `*`. */
    readonly origins: readonly string[];
    /** Hosts that a WebSocket request may name (without port); undefined: any. Development names only loopback ones. */
    readonly hosts: readonly string[] | undefined;
  };
  readonly limits: {
    /** Connections of this process; Infinity: only descriptors bound them. */
    readonly maxConns: number;
    /** Descriptors kept free for everything else. */
    readonly reserveFds: number;
    /** Bytes of a whole frame, or of a WebSocket message, from a client. */
    readonly frameBytes: number;
    /** From accept to a granted AUTH, ms. */
    readonly handshakeMs: number;
    /** Silence that closes a session, ms. */
    readonly idleMs: number;
    readonly roomsPerSession: number;
    /** 0: no limit. `rate` is new connections per second. */
    readonly perAddress: { readonly conns: number; readonly rate: number };
    /** Frames per second from one session; acknowledgements may come ten times as often. */
    readonly inboundPerSecond: number;
    readonly lag: { readonly maxBytes: number; readonly policy: LagPolicy };
  };
  readonly delivery: {
    readonly legacyAck: LegacyAck;
  };
  readonly fanout: {
    /** 0 sends at once. */
    readonly windowMs: number;
    /** Sockets between two turns of the event loop. */
    readonly yieldEvery: number;
    /** Listeners whose legacy TCP clients get one frame a write, paced: they parse one frame a read. */
    readonly oneFramePerWrite: readonly ('tcp' | 'goim')[];
    /** Between two paced frames, ms. */
    readonly paceMs: number;
  };
}

/** What a running comet takes over of changed options: those that it reads whenever it needs them. */
export interface LiveCometOptions {
  readonly origins: CometOptions['listen']['origins'];
  readonly limits: Pick<CometOptions['limits'], 'handshakeMs' | 'idleMs' | 'roomsPerSession' | 'inboundPerSecond'>;
  readonly delivery: CometOptions['delivery'];
}

/** The options of a comet, from now on with these. */
export function takeOver(options: CometOptions, { origins, limits, delivery }: LiveCometOptions): void {
  Object.assign(options.listen, { origins });
  Object.assign(options.limits, limits);
  Object.assign(options.delivery, delivery);
}

/** How often a native client is told to send a heartbeat, ms. */
export const NATIVE_HEARTBEAT_MS = 60_000;

/** What one write, one user-log batch and one turn of catch-up may hold, in bytes. */
export const WRITE_BYTES = 64 * 1024;

/** The documented defaults, listening on free loopback ports. */
export const cometDefaults: CometOptions = {
  listen: {
    tcp: { host: '127.0.0.1', port: 0 },
    ws: { host: '127.0.0.1', port: 0 },
    goim: undefined,
    reusePort: false,
    backlog: 4096,
    origins: ['same-host'],
    hosts: undefined,
  },
  limits: {
    maxConns: Number.POSITIVE_INFINITY,
    reserveFds: 256,
    frameBytes: 64 * 1024,
    handshakeMs: 5_000,
    idleMs: 300_000,
    roomsPerSession: 100,
    perAddress: { conns: 0, rate: 0 },
    inboundPerSecond: 50,
    lag: { maxBytes: 1024 * 1024, policy: 'gap' },
  },
  delivery: { legacyAck: 'drain' },
  fanout: { windowMs: 100, yieldEvery: 512, oneFramePerWrite: [], paceMs: 20 },
};
