/**
 * Where other processes reach this one: takes connections, has each say and prove who it is, and gives it what its role may
 * ask for. What cannot be told from noise costs a bounded number of sockets for a bounded time.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { ImgoError } from '../../protocol/errors.js';
import type { Clock } from '../clock.js';
import type { Role } from '../router/registry.js';
import { AdmissionError, admit, type Peer } from './admission.js';
import { type Channel, encryptAccepted } from './channel.js';
import type { CallerKeys } from './keys.js';
import { Link, type LinkHandler } from './link.js';

/** What a listener logs with. */
export interface RpcLog {
  warn(details: object, message: string): void;
}

export interface RpcListenerOptions {
  readonly clock: Clock;
  readonly self: Peer;
  readonly channel: Channel;
  /** What a peer may ask for; undefined: nothing. */
  readonly handlerFor: (peer: Peer) => LinkHandler | undefined;
  readonly log: RpcLog;
  readonly silenceMs: number;
}

/** Connections that have not proven anything yet. */
const MOST_UNPROVEN = 256;
/** A node that dials with a wrong key does so again and again: it is logged this often. */
const LOG_MS = 10_000;

export class RpcListener {
  readonly #options: RpcListenerOptions;
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #unproven = new Set<Socket>();
  readonly #loggedAt = new Map<string, number>();
  #keys: CallerKeys | Promise<CallerKeys>;
  #address = '';

  /** `keys`: who may dial. They come with the lease, so whoever dials earlier waits. */
  constructor(options: RpcListenerOptions, keys: Promise<CallerKeys>) {
    this.#options = options;
    this.#keys = keys;
    keys.catch(() => undefined);
    this.#server = createServer({ noDelay: true }, (socket) => void this.#take(socket));
  }

  /** @throws ImgoError port_in_use, listen_refused */
  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        const details = {
          address: `${host}:${port}`,
          host,
          port,
          listener: 'rpc',
          detail: error.code ?? error.message,
        };
        reject(
          new ImgoError(error.code === 'EADDRINUSE' ? 'port_in_use' : 'listen_refused', details, { cause: error }),
        );
      });
      this.#server.listen({ host, port }, () => {
        this.#server.removeAllListeners('error');
        this.#server.on('error', () => undefined);
        const { address, port: bound, family } = this.#server.address() as AddressInfo;
        this.#address = family === 'IPv6' ? `[${address}]:${bound}` : `${address}:${bound}`;
        resolve();
      });
    });
  }

  /** `127.0.0.1:7173`, once it listens. */
  get address(): string {
    return this.#address;
  }

  /** From now on these keys count; links that there are stay. */
  accept(keys: CallerKeys): void {
    this.#keys = keys;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const link of this.#links) link.close();
    for (const socket of this.#unproven) socket.destroy();
    await closed;
  }

  async #take(socket: Socket): Promise<void> {
    const { clock, self, channel, silenceMs } = this.#options;
    const from = socket.remoteAddress ?? '';
    // Until somebody else listens for errors.
    socket.on('error', () => undefined);
    if (this.#unproven.size >= MOST_UNPROVEN) {
      socket.destroy();
      return;
    }
    this.#unproven.add(socket);
    try {
      const keys = await this.#keys;
      const keyFor = (role: Role) => (Object.hasOwn(keys, role) ? keys[role] : undefined);
      const secure = await this.#inTime(socket, encryptAccepted(socket, channel, keyFor));
      const peer = await admit({ socket: secure, clock, self, keyFor });
      const handler = this.#options.handlerFor(peer);
      if (handler === undefined) throw new Error(`a ${peer.role} may ask for nothing here`);
      const link = new Link({ socket: secure, clock, hello: self, handler, silenceMs });
      this.#links.add(link);
      void link.ended.then(() => this.#links.delete(link));
      secure.resume();
    } catch (error) {
      if (!(error instanceof AdmissionError)) socket.destroy();
      this.#report(from, error);
    } finally {
      this.#unproven.delete(socket);
    }
  }

  /** A handshake of TLS that does not end is ended. */
  async #inTime(socket: Socket, secured: Promise<Socket>): Promise<Socket> {
    const { clock } = this.#options;
    const timer = clock.after(5_000, () => socket.destroy());
    try {
      return await secured;
    } finally {
      clock.clear(timer);
    }
  }

  #report(from: string, error: unknown): void {
    const { clock, log } = this.#options;
    const [why, code] =
      error instanceof ImgoError ? [String(error.details['why']), { code: error.code }] : [String(error), {}];
    // A load balancer's look whether somebody is there is nobody's fault.
    if (error instanceof AdmissionError && error.refusal === 'lost') return;
    const now = clock.monotonic();
    if (now - (this.#loggedAt.get(from) ?? Number.NEGATIVE_INFINITY) < LOG_MS) return;
    if (this.#loggedAt.size >= MOST_UNPROVEN) this.#loggedAt.clear();
    this.#loggedAt.set(from, now);
    log.warn({ from, ...code, why }, 'a connection from another node was refused');
  }
}
