/** What a benchmark can be asked for. Milliseconds, bytes, shares from 0 to 1; every value is resolved, none is a text. */

/** What is pushed, and to whom. */
export type BenchMode =
  /** Rooms: `connections` members spread over `rooms`, each message to one of them in turn (imgo's published case: one room). */
  | 'room'
  /** Each message to one random user. */
  | 'user'
  /** Each message to everybody. */
  | 'all'
  /** Connections and heartbeats, no message. */
  | 'idle'
  /** How fast connections are opened and authenticated; with churn, how long that goes on. */
  | 'connect'
  /** The push API by itself, as many calls as it takes (closed loop, autocannon). */
  | 'http'
  /** Of every ten messages eight to users, one to a room, one to all, while connections come and go. */
  | 'mix';

export type BenchDialect = 'native' | 'imgo' | 'goim';
export type BenchTransport = 'tcp' | 'ws';

export interface BenchOptions {
  readonly mode: BenchMode;
  readonly connections: number;
  /** Messages a second, whether or not the last one was answered (open loop). */
  readonly rate: number;
  readonly durationMs: number;
  readonly rooms: number;
  /** Of a whole frame as imgo's clients get it over TCP: 16 bytes of header and `{"test":N}`. Larger ones are padded. */
  readonly sizeBytes: number;
  readonly transport: BenchTransport;
  readonly dialect: BenchDialect;
  /** Of a server of this run's own. */
  readonly store: 'memory' | 'lmdb';
  /** Between two sweeps, of a server of this run's own. undefined: the server's default. */
  readonly windowMs: number | undefined;
  readonly seed: number;
  /** Connections a second; auto: as fast as a bounded number under way allows. */
  readonly connectRate: number | 'auto';
  readonly warmupMs: number;
  /** How long may be waited for what is on its way. */
  readonly settleMs: number;
  /** Connections that stop reading while messages are measured, 0 to 1. */
  readonly slow: number;
  /** Connections that end and are opened again, 0 to 1 of all, each second. */
  readonly churn: number;
  /** Server processes that hold connections. */
  readonly workers: number | 'auto';
  /** Sockets of one process, on either side. */
  readonly perProcess: number;
  /** Where receivers dial from: auto, or a part of loopback such as 127.0.8.0/24. */
  readonly addresses: string;
  /** A running server to measure: its HTTP address. undefined: one of this run's own. */
  readonly server: string | undefined;
  /** Connections that break come back, as clients do. false: they are gone, and counted so. */
  readonly reconnect: boolean;
  /** `section.key=value` for a server of this run's own. */
  readonly settings: readonly string[];
}

/** How a running server is reached. In no plan and no report: it may hold a key. */
export interface ServerAccess {
  /** Of the API, without a trailing slash. */
  readonly http: string;
  /** Where receivers connect, in turn: `tcp://127.0.0.1:8080`, `ws://127.0.0.1:8090/sub`. */
  readonly clients: readonly string[];
  /** Bearer of every call. */
  readonly key: string | undefined;
  /** It has imgo's own API (`/v1/…`); false: one of the originals, pushed to through theirs. */
  readonly native: boolean;
  /** Its process, where that is on this machine and known: what it uses is measured then. */
  readonly pid: number | undefined;
}
