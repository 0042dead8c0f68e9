// The codec alone, on one core: small frames decoded and encoded beside a bare DataView loop over the same bytes,
// and what a million heartbeats leave on the heap.

import { PerformanceObserver } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { encodePush } from '../../src/protocol/dialect.js';
import { encodeInto, limitsFromClients, Op } from '../../src/protocol/frame.js';
import { type FrameSink, type FrameState, readFrames, readMessage, Verdict } from '../../src/protocol/reader.js';
import type { Bench, BenchRow } from './row.js';

const FRAMES = 2_000;
const ROUNDS = 500;
const BODY = new Uint8Array(10).fill(0x61);
const LIMITS = limitsFromClients(65_536);

/** Sums what it is given, so that nothing can be optimised away. */
class Summing implements FrameSink {
  sum = 0;
  frames = 0;

  frame(_buf: Uint8Array, start: number, headerLen: number, end: number, op: number, seq: number, ver: number) {
    this.sum = (this.sum + start + headerLen + end + op + seq + ver) | 0;
    this.frames++;
    return Verdict.MORE;
  }

  fault(): void {
    throw new Error('the benchmark made a malformed frame');
  }
}

function perSecond(work: () => number): number {
  work();
  let best = 0;
  for (let turn = 0; turn < 5; turn++) {
    const from = performance.now();
    const count = work();
    best = Math.max(best, (count * 1000) / (performance.now() - from));
  }
  return best;
}

function bareDecode(chunk: Uint8Array): number {
  const view = new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  let sum = 0;
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (let at = 0; at < chunk.length; count++) {
      const pack = view.getInt32(at);
      sum = (sum + at + view.getInt16(at + 4) + at + pack + view.getInt32(at + 8) + view.getInt32(at + 12)) | 0;
      sum = (sum + view.getUint16(at + 6)) | 0;
      at += pack;
    }
  }
  if (sum === 1) throw new Error('never');
  return count;
}

function decode(chunk: Uint8Array): number {
  const state: FrameState = { carry: undefined, held: 0, mode: 0 };
  const sink = new Summing();
  for (let round = 0; round < ROUNDS; round++) readFrames(state, LIMITS, chunk, sink);
  return sink.frames;
}

function decodeMessages(chunk: Uint8Array): number {
  const sink = new Summing();
  for (let round = 0; round < ROUNDS; round++) readMessage(chunk, LIMITS, sink);
  return sink.frames;
}

/** Every chunk ends in the middle of a frame. */
function decodeSplit(chunk: Uint8Array): number {
  const state: FrameState = { carry: undefined, held: 0, mode: 0 };
  const sink = new Summing();
  const parts: Uint8Array[] = [];
  for (let at = 0; at < chunk.length; at += 1441) parts.push(chunk.subarray(at, at + 1441));
  for (let round = 0; round < ROUNDS; round++) for (const part of parts) readFrames(state, LIMITS, part, sink);
  return sink.frames;
}

function bareEncode(target: Uint8Array): number {
  const view = new DataView(target.buffer);
  const size = 16 + BODY.length;
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (let at = 0; at + size <= target.length; at += size, count++) {
      view.setInt32(at, size);
      view.setInt16(at + 4, 16);
      view.setInt16(at + 6, 0);
      view.setInt32(at + 8, 5);
      view.setInt32(at + 12, 0);
      target.set(BODY, at + 16);
    }
  }
  return count;
}

function encode(target: Uint8Array): number {
  const size = 16 + BODY.length;
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (let at = 0; at + size <= target.length; count++) at = encodeInto(target, at, 0, Op.PUSH, 0, BODY);
  }
  return count;
}

function encodePushes(): number {
  const entry = { id: { epoch: 1, n: 42 }, payload: BODY };
  let length = 0;
  for (let count = 0; count < 500_000; count++) {
    length += encodePush('native-ws', entry, undefined, 0, Buffer.allocUnsafe).length;
  }
  return length === 0 ? 0 : 500_000;
}

/** Bytes that a million heartbeats, one a chunk, leave on the heap, and collections meanwhile. */
async function heartbeats(): Promise<{ bytes: number; collections: number }> {
  const chunk = new Uint8Array(16);
  encodeInto(chunk, 0, 1, Op.HEARTBEAT, 1);
  const state: FrameState = { carry: undefined, held: 0, mode: 0 };
  const sink = new Summing();
  const million = () => {
    for (let count = 0; count < 1_000_000; count++) readFrames(state, LIMITS, chunk, sink);
  };
  million();
  let collections = 0;
  const observer = new PerformanceObserver((list) => {
    collections += list.getEntries().length;
  });
  observer.observe({ entryTypes: ['gc'] });
  await pause(100);
  collections = 0;
  const before = process.memoryUsage().heapUsed;
  million();
  const bytes = process.memoryUsage().heapUsed - before;
  await pause(100);
  observer.disconnect();
  return { bytes, collections };
}

/** The benchmark. */
export const codec: Bench = {
  name: 'codec',
  run: async (): Promise<readonly BenchRow[]> => {
    const beats = await heartbeats();
    const chunk = new Uint8Array(FRAMES * (16 + BODY.length));
    encode(chunk);
    const decodeReference = perSecond(() => bareDecode(chunk));
    const encodeReference = perSecond(() => bareEncode(chunk));
    const frames = (name: string, figure: number, reference: number, bound?: number): BenchRow => ({
      name,
      figure,
      reference,
      unit: 'frames/s',
      ...(bound === undefined ? {} : { bound: { least: bound } }),
    });
    return [
      frames(
        'decode, 26-byte frames, whole chunks',
        perSecond(() => decode(chunk)),
        decodeReference,
        5e6,
      ),
      frames(
        'decode, each chunk ends inside a frame',
        perSecond(() => decodeSplit(chunk)),
        decodeReference,
        5e6,
      ),
      frames(
        'decode, WebSocket messages',
        perSecond(() => decodeMessages(chunk)),
        decodeReference,
        5e6,
      ),
      frames(
        'encode into one buffer',
        perSecond(() => encode(chunk)),
        encodeReference,
        5e6,
      ),
      frames('encode a native push in its own buffer', perSecond(encodePushes), encodeReference),
      {
        name: 'heap growth of 1,000,000 heartbeats',
        figure: beats.bytes,
        unit: 'bytes',
        bound: { most: 100_000 },
        note: `collections meanwhile: ${beats.collections}`,
      },
    ];
  },
};
