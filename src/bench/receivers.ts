// A process of receivers: lean clients on the wire's own terms. Each dials, authenticates, sends heartbeats and counts what
// it is sent; of a sample every payload is read: its number tells order, and when it was due tells latency.

import { connect, type Socket } from 'node:net';
import { encodeFrame, HEADER_BYTES, Op } from '../protocol/frame.js';
import { encodeText } from '../protocol/text.js';
import type { ReceiverAudit, ReceiverFigures, ReceiverOrder, ReceiverWord } from './messages.js';
import { Walker } from './walker.js';

const HEARTBEAT_MS = 120_000;
const HEARTBEAT_TICK_MS = 1_000;
const AUTH_MS = 20_000;
const MOST_LATENCY_MS = 600_000;
const HEARTBEAT = encodeFrame(1, Op.HEARTBEAT, 1);

const now = () => Number(process.hrtime.bigint()) / 1e6;
const say = (word: ReceiverWord) => process.send?.(word);

const shared = Buffer.allocUnsafe(256 * 1024);
const sockets: (Socket | undefined)[] = [];
const failed: Record<string, number> = {};
let walker = new Walker(0);
let open = 0;
let received = 0;
let sampleEvery = 1;
let ending = false;
let startedAt = Number.POSITIVE_INFINITY;
let everyMs = 1;

/** What is read of a connection of the sample. */
interface Sampled {
  rest: Buffer;
  /** The numbers of its messages, as they came. */
  readonly numbers: number[];
}
const samples = new Map<number, Sampled>();
const latencies = new Map<number, number>();

function fail(reason: string): void {
  failed[reason] = (failed[reason] ?? 0) + 1;
}

/** One connection; resolves when it is authenticated, or has failed and was counted. */
function dial(order: ReceiverOrder & { do: 'connect' }, index: number): Promise<void> {
  return new Promise((resolve) => {
    let authenticated = false;
    let over = false;
    const end = (reason: string) => {
      if (over) return;
      over = true;
      clearTimeout(deadline);
      sockets[index] = undefined;
      socket.destroy();
      if (authenticated) open--;
      if (!ending) fail(reason);
      resolve();
    };
    const deadline = setTimeout(() => end('timeout'), AUTH_MS);
    const source = order.sources[index % order.sources.length];
    const socket = connect({
      host: order.host,
      port: order.port,
      ...(source === undefined ? {} : { localAddress: source }),
      onread: {
        buffer: shared,
        callback: (length) => {
          if (authenticated) {
            take(index, length, end);
            return true;
          }
          // The answer is a frame of the header alone; a push may follow in the same read.
          if (length < HEADER_BYTES || shared.readUInt32BE(8) !== Op.AUTH_REPLY) {
            end('refused');
            return true;
          }
          authenticated = true;
          open++;
          clearTimeout(deadline);
          if (length > HEADER_BYTES) {
            shared.copyWithin(0, HEADER_BYTES, length);
            take(index, length - HEADER_BYTES, end);
          }
          resolve();
          return true;
        },
      },
    });
    sockets[index] = socket;
    socket.setNoDelay(true);
    socket.on('connect', () => socket.write(encodeFrame(1, Op.AUTH, 1, encodeText(order.tokens[index] as string))));
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? 'error'));
    socket.on('close', () => end('closed'));
  });
}

function take(index: number, length: number, end: (reason: string) => void): void {
  const complete = walker.walk(index, shared, length);
  if (complete < 0) {
    end('nonsense');
    return;
  }
  received += complete;
  if (index % sampleEvery === 0) sample(index, length);
}

function sample(index: number, length: number): void {
  let state = samples.get(index);
  if (state === undefined) {
    state = { rest: Buffer.alloc(0), numbers: [] };
    samples.set(index, state);
  }
  const bytes = Buffer.concat([state.rest, shared.subarray(0, length)]);
  const at = now();
  let from = 0;
  while (bytes.length - from >= HEADER_BYTES) {
    const frame = bytes.readUInt32BE(from);
    if (bytes.length - from < frame) break;
    if (frame > HEADER_BYTES) read(state, bytes.toString('latin1', from + HEADER_BYTES, from + frame), at);
    from += frame;
  }
  state.rest = Buffer.from(bytes.subarray(from));
}

function read(state: Sampled, payload: string, at: number): void {
  const n = Number(/"test":(\d+)/.exec(payload)?.[1] ?? 0);
  state.numbers.push(n);
  const due = startedAt + (n - 1) * everyMs;
  const ms = Math.max(0, Math.min(MOST_LATENCY_MS, Math.ceil(at - due)));
  latencies.set(ms, (latencies.get(ms) ?? 0) + 1);
}

async function connectAll(order: ReceiverOrder & { do: 'connect' }): Promise<void> {
  walker = new Walker(order.tokens.length);
  sampleEvery = order.sampleEvery;
  let next = 0;
  const lane = async () => {
    for (let at = next++; at < order.tokens.length; at = next++) await dial(order, at);
  };
  await Promise.all(Array.from({ length: order.atOnce }, lane));
}

/** Each connection in its turn, so that they do not all speak at once. */
let beating = 0;
function beat(): void {
  const turn = Math.ceil(sockets.length / (HEARTBEAT_MS / HEARTBEAT_TICK_MS));
  for (let one = 0; one < turn; one++) sockets[beating++ % sockets.length]?.write(HEARTBEAT);
}

let lastLoop = performance.eventLoopUtilization();
function figures(): ReceiverFigures {
  const { user, system } = process.cpuUsage();
  const loop = performance.eventLoopUtilization(lastLoop).utilization;
  lastLoop = performance.eventLoopUtilization();
  const rssBytes = process.memoryUsage.rss();
  return { open, failed: { ...failed }, received, cpuSeconds: (user + system) / 1e6, rssBytes, loop };
}

/** What came after something that stands later in the log. What is not in the log's part was not answered: nobody knows. */
function countDisorder(order: readonly number[]): number {
  const places = new Map(order.map((n, place) => [n, place]));
  let disorder = 0;
  for (const { numbers } of samples.values()) {
    let last = -1;
    for (const n of numbers) {
      const place = places.get(n);
      if (place === undefined) continue;
      if (place <= last) disorder++;
      else last = place;
    }
  }
  return disorder;
}

function audit(order: readonly number[]): ReceiverAudit {
  const expected = order.length;
  const outOfOrder = countDisorder(order);
  let complete = 0;
  let lost = 0;
  let duplicates = 0;
  for (const count of walker.counts) {
    if (count === expected) complete++;
    else if (count < expected) lost += expected - count;
    else duplicates += count - expected;
  }
  const connections = walker.counts.length;
  return { connections, complete, lost, duplicates, sampled: samples.size, outOfOrder, latencies: [...latencies] };
}

process.on('message', (order: ReceiverOrder) => {
  switch (order.do) {
    case 'connect':
      void connectAll(order).then(() => say({ say: 'connected', figures: figures() }));
      setInterval(beat, HEARTBEAT_TICK_MS).unref();
      return;
    case 'measure':
      ({ startedAt, everyMs } = order);
      return;
    case 'audit':
      say({ say: 'audit', audit: audit(order.order), figures: figures() });
      return;
    case 'end':
      ending = true;
      for (const socket of sockets) socket?.destroy();
      process.exit(0);
  }
});
process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => undefined);
setInterval(() => say({ say: 'figures', figures: figures() }), 1_000).unref();
say({ say: 'ready' });
