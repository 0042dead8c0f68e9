/**
 * One connection between two roles: calls in both directions over one socket. What each side may rely on:
 * - A call ends: with its answer, with the other side's typed error, or with `node_unreachable` when its deadline passes or
 *   the link breaks; then the other side may have done it or not.
 * - Calls arrive in the order in which they were made; answers come in any order.
 * - Nothing is unbounded: requests in flight have a credit in bytes; beyond it calls wait, bounded as well, then `overloaded`.
 * - A link that is silent, skips a sequence number or speaks nonsense is broken at once; it never comes back.
 */
import type { Socket } from 'node:net';
import { asImgoError, type ErrorDetails, ImgoError, isErrorCode } from '../../protocol/errors.js';
import type { Clock, Timer } from '../clock.js';
import { Line } from '../line.js';
import {
  LINK_VERSION,
  type LinkFrame,
  LinkKind,
  LinkReader,
  linkHeader,
  MAX_LINK_BODY,
  OLDEST_LINK_VERSION,
  packBody,
  unpackBody,
} from './wire.js';

/** What a side says of itself, first of all. */
export interface LinkHello {
  readonly node: string;
  readonly role: string;
}

/** Answers the other side's calls. Rejections travel as errors by code. */
export type LinkHandler = (method: string, args: readonly unknown[]) => Promise<unknown>;

export interface LinkOptions {
  readonly socket: Socket;
  readonly clock: Clock;
  readonly hello: LinkHello;
  readonly handler: LinkHandler;
  /** Requests without an answer, bytes. */
  readonly creditBytes?: number;
  /** Calls that wait for credit, bytes. */
  readonly waitingBytes?: number;
  /** Of a call that names none, ms. */
  readonly deadlineMs?: number;
  /** Without a word from the other side for this long the link is broken; a third of it is the heartbeat. ms */
  readonly silenceMs?: number;
}

interface WaitingCall {
  readonly id: number;
  readonly bytes: number;
  /** None: it was sent, or given up and only stands in the line still. */
  body: Buffer | undefined;
}

interface Call {
  readonly bytes: number;
  /** It waits for credit. */
  readonly waits: WaitingCall | undefined;
  /** Monotonic ms. */
  readonly until: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: ImgoError) => void;
}

/** What every call costs beside its body, bytes. */
const CALL_OVERHEAD = 256;
const LOOK_MS = 250;

/** Why a link ended. */
export type LinkEnd = 'closed' | 'silent' | 'sequence' | 'nonsense' | 'version' | 'lost';

export class Link {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #handler: LinkHandler;
  readonly #creditBytes: number;
  readonly #waitingMax: number;
  readonly #deadlineMs: number;
  readonly #silenceMs: number;
  readonly #reader = new LinkReader();
  readonly #calls = new Map<number, Call>();
  readonly #hello = Promise.withResolvers<LinkHello>();
  readonly #ended = Promise.withResolvers<LinkEnd>();
  readonly #ticker: Timer;
  #waiting = new Line<WaitingCall>();
  #waitingBytes = 0;
  #inFlight = 0;
  #sent = 0;
  #received = 0;
  #nextCall = 0;
  #heardAt: number;
  #spokeAt: number;
  #corked = false;
  #end: LinkEnd | undefined;
  #peer: LinkHello | undefined;

  constructor(options: LinkOptions) {
    this.#socket = options.socket;
    this.#clock = options.clock;
    this.#handler = options.handler;
    this.#creditBytes = options.creditBytes ?? 8 * 1024 * 1024;
    this.#waitingMax = options.waitingBytes ?? 32 * 1024 * 1024;
    this.#deadlineMs = options.deadlineMs ?? 10_000;
    this.#silenceMs = options.silenceMs ?? 6_000;
    this.#heardAt = this.#spokeAt = this.#clock.monotonic();
    // Nobody needs to ask for them.
    this.#hello.promise.catch(() => undefined);
    this.#socket.on('data', (chunk: Buffer) => this.#read(chunk));
    this.#socket.on('error', () => this.#break('lost'));
    this.#socket.on('close', () => this.#break('lost'));
    // What came while this process did not run is read first: it is neither silence nor too late.
    const look = () => this.#clock.soon(() => this.#look());
    this.#ticker = this.#clock.every(Math.min(LOOK_MS, this.#silenceMs / 6), look);
    this.#send(LinkKind.hello, 0, packBody({ version: LINK_VERSION, ...options.hello }));
  }

  /** Who is there, once it has said so. Rejects when the link ends before. */
  get hello(): Promise<LinkHello> {
    return this.#hello.promise;
  }

  /** Resolves when the link has ended, with why. */
  get ended(): Promise<LinkEnd> {
    return this.#ended.promise;
  }

  /** Bytes of requests that have no answer yet, those that wait for credit included. */
  get pendingBytes(): number {
    return this.#inFlight + this.#waitingBytes;
  }

  /**
   * Asks the other side.
   * @throws ImgoError what the other side threw; node_unreachable, overloaded
   */
  call(method: string, args: readonly unknown[], deadlineMs = this.#deadlineMs): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#end !== undefined) {
        reject(this.#unreachable());
        return;
      }
      const body = packBody([method, ...args]);
      const bytes = body.length + CALL_OVERHEAD;
      if (body.length > MAX_LINK_BODY) {
        reject(new ImgoError('internal', { detail: `a call of ${body.length} bytes to ${method}` }));
        return;
      }
      const mustWait = this.#waitingBytes > 0 || (this.#inFlight > 0 && this.#inFlight + bytes > this.#creditBytes);
      if (mustWait && this.#waitingBytes + bytes > this.#waitingMax) {
        reject(new ImgoError('overloaded', { reason: `calls to ${this.#peerName()} that wait` }));
        return;
      }
      this.#nextCall = (this.#nextCall + 1) >>> 0;
      const id = this.#nextCall;
      const waits = mustWait ? { id, bytes, body } : undefined;
      this.#calls.set(id, { bytes, waits, until: this.#clock.monotonic() + deadlineMs, resolve, reject });
      if (waits !== undefined) {
        this.#waiting.push(waits);
        this.#waitingBytes += bytes;
      } else this.#request(id, body, bytes);
    });
  }

  /** Ends the link; calls without an answer end with it. */
  close(): void {
    this.#break('closed');
  }

  #request(id: number, body: Buffer, bytes: number): void {
    this.#inFlight += bytes;
    this.#send(LinkKind.request, id, body);
  }

  #send(kind: LinkKind, call: number, body: Buffer): void {
    if (this.#end !== undefined) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      // A write costs more than the frames that it carries.
      this.#clock.soon(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#spokeAt = this.#clock.monotonic();
    this.#socket.write(linkHeader(kind, this.#sent, call, body.length));
    this.#sent = (this.#sent + 1) >>> 0;
    if (body.length > 0) this.#socket.write(body);
  }

  #read(chunk: Buffer): void {
    if (this.#end !== undefined) return;
    this.#heardAt = this.#clock.monotonic();
    if (this.#reader.read(chunk, (frame) => this.#frame(frame)) !== undefined) this.#break('nonsense');
  }

  #frame(frame: LinkFrame): void {
    if (this.#end !== undefined) return;
    if (frame.sequence !== this.#received) {
      this.#break('sequence');
      return;
    }
    this.#received = (this.#received + 1) >>> 0;
    if ((frame.kind === LinkKind.hello) !== (this.#peer === undefined)) {
      this.#break('nonsense');
      return;
    }
    try {
      this.#take(frame);
    } catch {
      this.#break('nonsense');
    }
  }

  #take({ kind, call, body }: LinkFrame): void {
    switch (kind) {
      case LinkKind.hello: {
        const { version, node, role } = unpackBody(body) as { version: number } & LinkHello;
        if (typeof node !== 'string' || typeof role !== 'string') throw new Error('no hello');
        if (!(version >= OLDEST_LINK_VERSION)) {
          this.#break('version');
          return;
        }
        this.#peer = { node, role };
        this.#hello.resolve(this.#peer);
        return;
      }
      case LinkKind.request: {
        const [method, ...args] = unpackBody(body) as [string, ...unknown[]];
        if (typeof method !== 'string') throw new Error('no request');
        this.#answer(call, method, args);
        return;
      }
      case LinkKind.reply:
        this.#settled(call)?.resolve(unpackBody(body));
        return;
      case LinkKind.error:
        this.#settled(call)?.reject(errorFrom(unpackBody(body)));
        return;
      case LinkKind.ping:
        this.#send(LinkKind.pong, 0, NOTHING);
        return;
      case LinkKind.pong:
        return;
      // What a newer version adds is its side's matter: requests name their methods, everything else has a number.
      default:
        throw new Error('no kind');
    }
  }

  #answer(call: number, method: string, args: readonly unknown[]): void {
    let answer: Promise<unknown>;
    try {
      answer = this.#handler(method, args);
    } catch (error) {
      answer = Promise.reject(error);
    }
    answer.then(
      (value) => this.#send(LinkKind.reply, call, packBody(value)),
      (error: unknown) => {
        const { code, details } = asImgoError(error);
        this.#send(LinkKind.error, call, packBody({ code, details }));
      },
    );
  }

  /** A call that was answered; undefined when its deadline had passed. */
  #settled(id: number): Call | undefined {
    const call = this.#calls.get(id);
    if (call === undefined) return undefined;
    this.#calls.delete(id);
    this.#inFlight -= call.bytes;
    this.#pump();
    return call;
  }

  #pump(): void {
    for (let next = this.#waiting.first; next !== undefined; next = this.#waiting.first) {
      const { id, bytes, body } = next;
      if (body !== undefined) {
        if (this.#inFlight > 0 && this.#inFlight + bytes > this.#creditBytes) return;
        this.#waitingBytes -= bytes;
        next.body = undefined;
        this.#request(id, body, bytes);
      }
      this.#waiting.shift();
    }
  }

  #look(): void {
    if (this.#end !== undefined) return;
    const now = this.#clock.monotonic();
    if (now - this.#heardAt > this.#silenceMs) {
      this.#break('silent');
      return;
    }
    if (now - this.#spokeAt > this.#silenceMs / 3) this.#send(LinkKind.ping, 0, NOTHING);
    let waited = false;
    for (const [id, call] of this.#calls) {
      if (call.until > now) continue;
      this.#calls.delete(id);
      if (call.waits?.body === undefined) this.#inFlight -= call.bytes;
      else {
        call.waits.body = undefined;
        this.#waitingBytes -= call.bytes;
      }
      waited = true;
      call.reject(this.#unreachable());
    }
    if (waited) this.#pump();
  }

  #break(end: LinkEnd): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#clock.clear(this.#ticker);
    this.#socket.destroy();
    const error = this.#unreachable();
    this.#hello.reject(error);
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#waiting = new Line();
    this.#waitingBytes = this.#inFlight = 0;
    for (const call of calls) call.reject(error);
    this.#ended.resolve(end);
  }

  #unreachable(): ImgoError {
    return new ImgoError('node_unreachable', { node: this.#peerName() });
  }

  #peerName(): string {
    return this.#peer?.node ?? 'of the other side';
  }
}

const NOTHING = Buffer.alloc(0);

/** An error of the other side. What it calls by a code that is not known here is `internal`. */
function errorFrom(body: unknown): ImgoError {
  const { code, details } = body as { code?: unknown; details?: ErrorDetails };
  if (typeof code === 'string' && isErrorCode(code)) return new ImgoError(code, details ?? {});
  return new ImgoError('internal', { detail: `the other side says ${String(code)}` });
}
