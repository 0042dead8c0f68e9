/**
 * A link that is dialled when it is needed, and again after it broke. Calls that are made while it is being dialled wait,
 * bounded, and go out in their order; where dialling fails they fail with `node_unreachable`, and so do all calls until it is
 * worth another attempt. Nothing is repeated here: only callers know what may be.
 */
import { connect, type Socket } from 'node:net';
import { ImgoError } from '../../protocol/errors.js';
import type { Clock } from '../clock.js';
import type { Role } from '../router/registry.js';
import { AdmissionError, ask, type Peer } from './admission.js';
import { type Channel, encryptDialled } from './channel.js';
import { Link } from './link.js';

export interface DialOptions {
  readonly clock: Clock;
  readonly self: Peer;
  readonly channel: Channel;
  /** `host:port`. */
  readonly address: string;
  /** The node that has to answer; undefined: any that knows the key. */
  readonly to?: string;
  readonly key: Uint8Array;
  readonly silenceMs: number;
  readonly deadlineMs: number;
  /** Why it could not be dialled, and that a link has ended; for the log. */
  readonly onDown?: (error: unknown) => void;
}

interface WaitingCall {
  readonly method: string;
  readonly args: readonly unknown[];
  readonly deadlineMs: number | undefined;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const CONNECT_MS = 2_000;
const MOST_WAITING = 10_000;
const AGAIN_MIN_MS = 50;
const AGAIN_MAX_MS = 1_000;

export class DialledLink {
  readonly #options: DialOptions;
  #link: Link | undefined;
  #waiting: WaitingCall[] | undefined;
  #failures = 0;
  #notBefore = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: DialOptions) {
    this.#options = options;
  }

  get address(): string {
    return this.#options.address;
  }

  /** A call would go out at once. */
  get isUp(): boolean {
    return this.#link !== undefined;
  }

  /** It was not worth dialling a moment ago. */
  get isDown(): boolean {
    return this.#link === undefined && this.#failures > 0;
  }

  /** @throws ImgoError what the other side threw; node_unreachable, overloaded */
  call(method: string, args: readonly unknown[], deadlineMs?: number): Promise<unknown> {
    if (this.#link !== undefined) return this.#link.call(method, args, deadlineMs);
    if (this.#closed) return Promise.reject(this.#unreachable());
    if (this.#waiting === undefined) {
      if (this.#options.clock.monotonic() < this.#notBefore) return Promise.reject(this.#unreachable());
      this.#waiting = [];
      void this.#dial();
    } else if (this.#waiting.length >= MOST_WAITING) {
      return Promise.reject(new ImgoError('overloaded', { reason: `calls to ${this.address} that wait` }));
    }
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#waiting.push({ method, args, deadlineMs, resolve, reject });
    return promise;
  }

  /** For good; calls without an answer fail. */
  close(): void {
    this.#closed = true;
    this.#link?.close();
  }

  async #dial(): Promise<void> {
    const { clock, self, silenceMs, deadlineMs, onDown } = this.#options;
    try {
      const socket = await this.#connect();
      const link = new Link({ socket, clock, hello: self, handler: nothing, silenceMs, deadlineMs });
      socket.resume();
      if (this.#closed) link.close();
      this.#failures = 0;
      const waiting = this.#waiting ?? [];
      this.#waiting = undefined;
      this.#link = link;
      for (const { method, args, deadlineMs: ms, resolve, reject } of waiting) {
        link.call(method, args, ms).then(resolve, reject);
      }
      void link.ended.then((end) => {
        this.#link = undefined;
        if (!this.#closed) onDown?.(new Error(`the link ended: ${end}`));
      });
    } catch (error) {
      const wait = Math.min(AGAIN_MAX_MS, AGAIN_MIN_MS * 2 ** this.#failures++);
      this.#notBefore = clock.monotonic() + wait;
      const waiting = this.#waiting ?? [];
      this.#waiting = undefined;
      for (const { reject } of waiting) reject(this.#unreachable(error));
      if (!this.#closed) onDown?.(error);
    }
  }

  async #connect(): Promise<Socket> {
    const { clock, self, channel, address, key, to } = this.#options;
    const { host, port } = splitAddress(address);
    const socket = connect({ host, port, noDelay: true });
    const timer = clock.after(CONNECT_MS, () => socket.destroy(new Error('no answer in time')));
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve).once('error', reject);
      });
      socket.on('error', () => undefined);
      const secure = await encryptDialled(socket, channel, self.role, key);
      await ask({ socket: secure, clock, self, key, ...(to === undefined ? {} : { to }) });
      return secure;
    } catch (error) {
      if (!(error instanceof AdmissionError)) socket.destroy();
      throw error;
    } finally {
      clock.clear(timer);
    }
  }

  #unreachable(cause?: unknown): ImgoError {
    return new ImgoError('node_unreachable', { node: this.#options.to ?? this.address }, { cause });
  }
}

/** Whoever dials answers nothing. */
async function nothing(method: string): Promise<never> {
  throw new ImgoError('internal', { detail: `${method} is not offered here` });
}

/** `10.0.0.1:7173`, `[::1]:7173`, `name:7173`. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}

/** The role under which a process with these roles dials. */
export function dialsAs(roles: readonly Role[]): Role {
  return roles.includes('logic') ? 'logic' : roles.includes('job') ? 'job' : 'comet';
}

/** Why a link could not be dialled, or ended, for the log. */
export function reasonOf(error: unknown): { readonly code?: string; readonly why: string } {
  if (!(error instanceof ImgoError)) return { why: error instanceof Error ? error.message : String(error) };
  return error.cause === undefined ? { code: error.code, why: error.message } : reasonOf(error.cause);
}
