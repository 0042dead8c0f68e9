// The ports of a comet: who may connect, and which side serves the connection. Above the limit of connections a new one is
// closed at once, so that its client tries elsewhere; that is said once a second with the knob's name, and it recovers.

import type { Server as HttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { ImgoError } from '../../protocol/errors.js';
import type { CometCore } from './core.js';
import { AddressLimits, ConnectionLimit } from './limits.js';
import type { ListenAddress } from './options.js';
import type { ListenerKind, Session } from './session.js';
import { type SessionSocket, serveRaw, serveTcp } from './tcp.js';

/** Where a comet can be reached; undefined: that listener is off. */
export interface CometAddresses {
  /** `127.0.0.1:8080` */
  readonly tcp: string | undefined;
  /** `ws://127.0.0.1:8090/sub` */
  readonly ws: string | undefined;
  /** `127.0.0.1:3101` */
  readonly goim: string | undefined;
}

/** Ports instead of those in the options: those that processes of one server share. */
export type ListenPorts = { readonly [Kind in ListenerKind]?: number };

/** What is told when connections are refused, at most once a second. */
export type LimitAlarm = (alarm: { code: 'fd_limit' | 'max_conns'; connections: number; refused: number }) => void;

const ALARM_MS = 1_000;
const MEASURE_MS = 5_000;
/**
 * Sockets that listen on a port. libuv takes one connection of each in a turn of the event loop, so that with one socket
 * a turn is spent on one connection; with several, connecting and authenticating costs a quarter less.
 */
const SOCKETS = 16;
/** Where several sockets may listen on one port and the kernel spreads connections over them. */
const CAN_SHARE = process.platform === 'linux';

/** The listeners of one comet. */
export class Listeners {
  readonly #core: CometCore;
  readonly #limit: ConnectionLimit;
  readonly #addressLimits: AddressLimits;
  readonly #alarm: LimitAlarm;
  /** Once a listener is open that takes WebSocket. */
  #web: HttpServer | undefined;
  /** Sockets that listen, by kind; the first one says where. */
  readonly #servers = new Map<ListenerKind, Server[]>();
  #refused = 0;
  #alarmedAt = Number.NEGATIVE_INFINITY;
  #measuredAt = Number.NEGATIVE_INFINITY;
  #stopped = false;
  /** Where it listened before `pause`. */
  #paused: ListenPorts | undefined;

  constructor(core: CometCore, alarm: LimitAlarm) {
    const { maxConns, reserveFds, perAddress } = core.options.limits;
    this.#core = core;
    this.#limit = new ConnectionLimit(maxConns, reserveFds);
    this.#addressLimits = new AddressLimits(perAddress, core.clock);
    this.#alarm = alarm;
  }

  /** @throws ImgoError port_in_use, listen_refused; what was opened before is closed then. */
  async open(ports: ListenPorts = {}): Promise<void> {
    const at = (kind: ListenerKind) => {
      const address = this.#core.options.listen[kind];
      return address && { ...address, port: ports[kind] ?? address.port };
    };
    const [tcp, ws, goim] = [at('tcp'), at('ws'), at('goim')];
    // HTTP and `ws` cost a process 10 MB and a tenth of a second: only where they are used.
    if (ws !== undefined || goim !== undefined) {
      this.#web ??= (await import('./websocket.js')).createWebServer(this.#core);
    }
    try {
      if (tcp !== undefined) await this.#listen('tcp', tcp, ports.tcp !== undefined);
      if (ws !== undefined) await this.#listen('ws', ws, ports.ws !== undefined);
      if (goim !== undefined) await this.#listen('goim', goim, ports.goim !== undefined);
    } catch (error) {
      this.#closeAll();
      throw error;
    }
  }

  /** The most connections at the moment, and what bounds them; undefined: nothing does. */
  get capacity(): { readonly most: number; readonly by: 'max_conns' | 'fd_limit' } | undefined {
    const { max, reason } = this.#limit;
    return Number.isFinite(max) ? { most: max, by: reason } : undefined;
  }

  addresses(): CometAddresses {
    const ws = this.#address('ws');
    return { tcp: this.#address('tcp'), ws: ws && `ws://${ws}/sub`, goim: this.#address('goim') };
  }

  /** No new connections; those that are there stay. */
  async close(): Promise<void> {
    this.#stopped = true;
    this.#closeAll();
  }

  /** No new connections until `resume`: whoever dials is refused by the system, and goes elsewhere. */
  pause(): void {
    if (this.#stopped || this.#paused !== undefined || this.#servers.size === 0) return;
    const ports: { [Kind in ListenerKind]?: number } = {};
    for (const [kind, [first]] of this.#servers) {
      const address = first?.address() as AddressInfo | null | undefined;
      if (address !== null && address !== undefined) ports[kind] = address.port;
    }
    this.#paused = ports;
    this.#closeAll();
  }

  /** On the ports from before. @throws ImgoError port_in_use, listen_refused: then it is still paused */
  async resume(): Promise<void> {
    const ports = this.#paused;
    if (ports === undefined || this.#stopped) return;
    await this.open(ports);
    this.#paused = undefined;
  }

  #closeAll(): void {
    for (const servers of this.#servers.values()) for (const server of servers) server.close();
    this.#servers.clear();
  }

  #address(kind: ListenerKind): string | undefined {
    const address = this.#servers.get(kind)?.[0]?.address();
    if (address === undefined || address === null || typeof address === 'string') return undefined;
    return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
  }

  /** `told`: the port is one that this server's processes share. */
  async #listen(kind: ListenerKind, { host, port }: ListenAddress, told: boolean): Promise<void> {
    const servers: Server[] = [];
    this.#servers.set(kind, servers);
    let at = port;
    if (!told) {
      // A shared port is shared with whoever of this user asks for it, another server as well: it has to be free first.
      const alone = await this.#socket(kind, host, port, false);
      if (!CAN_SHARE && !this.#core.options.listen.reusePort) {
        servers.push(alone);
        return;
      }
      at = portOf(alone);
      await new Promise<void>((resolve) => alone.close(() => resolve()));
    }
    while (servers.length < SOCKETS) servers.push(await this.#socket(kind, host, at, true));
  }

  #socket(kind: ListenerKind, host: string, port: number, reusePort: boolean): Promise<Server> {
    const { backlog } = this.#core.options.listen;
    const server = createServer({ noDelay: true }, (socket) => this.#accept(kind, socket));
    return new Promise((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => {
        const details = { address: `${host}:${port}`, host, port, listener: kind, detail: error.code ?? error.message };
        reject(
          new ImgoError(error.code === 'EADDRINUSE' ? 'port_in_use' : 'listen_refused', details, { cause: error }),
        );
      });
      server.listen({ host, port, backlog, reusePort }, () => {
        server.removeAllListeners('error');
        server.on('error', () => this.#core.counters.count('failed_accept'));
        resolve(server);
      });
    });
  }

  #accept(kind: ListenerKind, socket: SessionSocket): void {
    const core = this.#core;
    const address = socket.remoteAddress;
    if (this.#stopped || address === undefined || !this.#hasRoom()) {
      socket.destroy();
      return;
    }
    const refusal = this.#addressLimits.enter(address);
    if (refusal !== undefined) {
      core.counters.count(`refused_${refusal}`);
      socket.destroy();
      return;
    }
    if (this.#addressLimits.on) socket.once('close', () => this.#addressLimits.leave(address));
    if (kind === 'tcp') serveTcp(core, socket, kind);
    else if (kind === 'ws') {
      serveRaw(core, socket, kind);
      this.#web?.emit('connection', socket);
    } else serveTcp(core, socket, kind, (session, first) => this.#sniff(session, socket, first));
    forgetPeer(socket);
  }

  /** goim's port speaks both: an HTTP request begins with `G`, which no frame of a client can. */
  #sniff(_session: Session, socket: Socket, first: Buffer): boolean {
    if (first[0] !== 0x47) return false;
    socket.unshift(first);
    this.#web?.emit('connection', socket);
    return true;
  }

  #hasRoom(): boolean {
    const core = this.#core;
    const now = core.clock.monotonic();
    const connections = core.connections.size;
    if (now - this.#measuredAt >= MEASURE_MS) {
      this.#measuredAt = now;
      this.#limit.measure(connections);
      this.#addressLimits.forget();
    }
    if (connections < this.#limit.max) return true;
    const code = this.#limit.reason;
    core.counters.count(`refused_${code}`);
    this.#refused++;
    if (now - this.#alarmedAt >= ALARM_MS) {
      this.#alarmedAt = now;
      this.#alarm({ code, connections, refused: this.#refused });
      this.#refused = 0;
    }
    return false;
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Node keeps the answer to `remoteAddress` with the socket; the session has what is needed of it. */
function forgetPeer(socket: Socket & { _peername?: object | undefined }): void {
  if (socket._peername !== undefined) socket._peername = undefined;
}
