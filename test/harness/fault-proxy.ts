// A TCP proxy on loopback that fails as networks do: it refuses, cuts, stalls, delays, or cuts the answer to a request that
// went through, so that the work is done and whoever asked never hears of it. Every fault lasts until heal().
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

const LOOPBACK = '127.0.0.1';
/** What goes on at once where a proxy is narrow. */
const NARROW_BYTES = 1_024;

export interface FaultProxyOptions {
  /** The port of loopback that it forwards to; nothing need listen there yet. */
  readonly target: number;
  /** Where it listens; without one, any free port. */
  readonly port?: number;
  /**
   * How cutAnswer tells requests and answers apart. `length-prefixed`: each is a 4-byte length and so many bytes, and
   * answers come in the order of their requests (Kafka, while no producer asks for no answer). `chunks` (the default): what
   * arrives at once is one request, and what comes back next is its answer.
   */
  readonly framing?: 'chunks' | 'length-prefixed';
  /** What becomes of bytes on their way back: of as many, as where answers name addresses. */
  readonly rewrite?: (answer: Buffer) => Buffer;
}

export type Way = 'requests' | 'answers';

interface AwaitedCut {
  readonly matches: (request: Buffer) => boolean;
  readonly done: () => void;
}

interface Connection {
  readonly client: Socket;
  readonly target: Socket;
  requests: number;
  answers: number;
  /** The request, by number from 0, whose answer is to be cut. */
  cut: { readonly request: number; readonly done: () => void } | undefined;
  answerCut: boolean;
}

export class FaultProxy implements AsyncDisposable {
  readonly #target: number;
  readonly #framed: boolean;
  readonly #rewrite: (answer: Buffer) => Buffer;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  #awaited: AwaitedCut[] = [];
  #refusing = false;
  #delayMs = 0;
  #bytesPerSecond = Number.POSITIVE_INFINITY;
  /** When what was let through has gone through. */
  #freeAt = 0;
  readonly #stalled: Record<Way, PromiseWithResolvers<void> | undefined> = { requests: undefined, answers: undefined };

  private constructor(options: FaultProxyOptions) {
    this.#target = options.target;
    this.#framed = options.framing === 'length-prefixed';
    this.#rewrite = options.rewrite ?? ((answer) => answer);
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#take(client));
  }

  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const proxy = new FaultProxy(options);
    proxy.#server.listen(options.port ?? 0, LOOPBACK);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Resets each new connection; those that are open stay. */
  refuse(): void {
    this.#refusing = true;
  }

  /** Resets the open connections at both ends; new ones are taken. With {@link refuse} first, nothing gets through. */
  cut(): void {
    for (const { client, target } of this.#connections) {
      client.resetAndDestroy();
      target.resetAndDestroy();
    }
  }

  /** Holds the bytes of one way or both back, those of new connections too: heal() lets them go on, none is lost. */
  stall(ways: readonly Way[] = ['requests', 'answers']): void {
    for (const way of ways) this.#stalled[way] ??= Promise.withResolvers();
  }

  /** From now on every byte takes this much longer, at most twice as much, each way. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** From now on so many bytes of requests go on a second, over all connections together: a target that can do no more. */
  narrow(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond;
    this.#freeAt = performance.now();
  }

  /**
   * Waits for a request that matches (any, without `matches`; with `length-prefixed` it begins with its length), forwards it,
   * and when the target answers it resets the client's connection in place of the answer. Resolves once that happened. Once:
   * the next answer needs another call.
   */
  cutAnswer(matches: (request: Buffer) => boolean = () => true): Promise<void> {
    return new Promise((done) => this.#awaited.push({ matches, done }));
  }

  /** Ends every fault; a cut of an answer that did not come to pass never will. */
  heal(): void {
    this.#refusing = false;
    this.#delayMs = 0;
    this.#bytesPerSecond = Number.POSITIVE_INFINITY;
    this.#awaited = [];
    for (const connection of this.#connections) connection.cut = undefined;
    for (const way of ['requests', 'answers'] as const) {
      this.#stalled[way]?.resolve();
      this.#stalled[way] = undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    this.heal();
    await closed;
  }

  #take(client: Socket): void {
    if (this.#refusing) {
      client.resetAndDestroy();
      return;
    }
    const target = connect({ port: this.#target, host: LOOPBACK, allowHalfOpen: true, noDelay: true });
    const connection: Connection = { client, target, requests: 0, answers: 0, cut: undefined, answerCut: false };
    this.#connections.add(connection);
    // What an error means is #forward's to say: reading fails with it.
    client.on('error', () => undefined);
    target.on('error', () => undefined);
    const closed = (): void => {
      if (client.destroyed && target.destroyed) this.#connections.delete(connection);
    };
    client.on('close', closed);
    target.on('close', closed);
    void this.#forward(connection, 'requests');
    void this.#forward(connection, 'answers');
  }

  /** Until this way ends, which the other end is told: an end is an end there, a reset a reset. */
  async #forward(connection: Connection, way: Way): Promise<void> {
    const [from, to] =
      way === 'requests' ? [connection.client, connection.target] : [connection.target, connection.client];
    const frames = new Frames();
    try {
      for await (const chunk of from.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        if (this.#delayMs > 0) await wait(this.#delayMs);
        await this.#stalled[way]?.promise;
        for (const taken of this.#framed ? frames.take(chunk) : [chunk]) {
          if (to.destroyed) {
            from.resetAndDestroy();
            return;
          }
          const unit = way === 'answers' ? this.#rewrite(taken) : taken;
          if (way === 'requests') this.#note(connection, unit);
          else if (this.#cuts(connection)) return;
          if (way === 'requests' && this.#bytesPerSecond < Number.POSITIVE_INFINITY) await this.#squeeze(unit, to);
          else if (!to.write(unit)) await drained(to);
        }
      }
      to.end();
    } catch {
      if (!connection.answerCut) to.resetAndDestroy();
    }
  }

  /** A little at a time, so that connections take turns. */
  async #squeeze(bytes: Buffer, to: Socket): Promise<void> {
    for (let from = 0; from < bytes.length; from += NARROW_BYTES) {
      const part = bytes.subarray(from, from + NARROW_BYTES);
      this.#freeAt = Math.max(this.#freeAt, performance.now()) + (part.length / this.#bytesPerSecond) * 1_000;
      await wait(this.#freeAt - performance.now());
      if (!to.write(part)) await drained(to);
    }
  }

  #note(connection: Connection, request: Buffer): void {
    const index = connection.cut === undefined ? this.#awaited.findIndex(({ matches }) => matches(request)) : -1;
    const [awaited] = index === -1 ? [] : this.#awaited.splice(index, 1);
    if (awaited !== undefined) connection.cut = { request: connection.requests, done: awaited.done };
    connection.requests += 1;
  }

  /** Whether the answer that came is to be cut, which it then is. The target may read to the end of what it was sent. */
  #cuts(connection: Connection): boolean {
    const { client, target, cut } = connection;
    const answered = connection.answers;
    connection.answers += 1;
    if (cut === undefined || (this.#framed && answered !== cut.request)) return false;
    connection.answerCut = true;
    client.resetAndDestroy();
    target.end();
    target.resume();
    cut.done();
    return true;
  }
}

/** Resolves when it takes more, or never will. */
async function drained(socket: Socket): Promise<void> {
  const either = new AbortController();
  const { signal } = either;
  await Promise.race([once(socket, 'drain', { signal }), once(socket, 'close', { signal })]);
  either.abort();
}

/** Puts a stream together again as frames that begin with their length. */
class Frames {
  #rest: Buffer = Buffer.alloc(0);

  /** The frames that are complete with this chunk. */
  take(chunk: Buffer): readonly Buffer[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: Buffer[] = [];
    while (this.#rest.length >= 4) {
      const end = 4 + this.#rest.readUInt32BE(0);
      if (this.#rest.length < end) break;
      frames.push(this.#rest.subarray(0, end));
      this.#rest = this.#rest.subarray(end);
    }
    return frames;
  }
}
