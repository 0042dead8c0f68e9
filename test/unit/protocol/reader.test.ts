// The reader: any frames in any splits, every malformed header, bounded carry, pause and stop.

import { describe, expect, it } from 'vitest';
import { encodeFrame, HEADER_BYTES, limitsFromClients, limitsFromServer } from '../../../src/protocol/frame.js';
import { closeFrames, FrameReader, MAX_PAUSED_BYTES, readMessage, Verdict } from '../../../src/protocol/reader.js';
import { fc } from '../../harness/property.js';
import { hex } from './hex.js';
import { Recorder } from './sinks.js';

const LIMITS = limitsFromClients(1024);

const frames = fc.array(
  fc
    .record({
      ver: fc.nat(0xffff),
      op: fc.integer(),
      seq: fc.integer(),
      body: fc.uint8Array({ maxLength: 200 }),
    })
    .map(({ ver, op, seq, body }) => ({ ver, op, seq, bytes: encodeFrame(ver, op, seq, body), headerLen: 16 })),
  { maxLength: 12 },
);

function join(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Cuts the bytes at these places (taken modulo the length). */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const at = [...places.map((place) => place % (bytes.length + 1)), 0, bytes.length].sort((a, b) => a - b);
  return at.slice(1).map((end, index) => bytes.slice(at[index], end));
}

function read(parts: readonly Uint8Array[], limits = LIMITS): Recorder {
  const reader = new FrameReader(limits);
  const recorder = new Recorder();
  for (const part of parts) reader.push(part, recorder);
  return recorder;
}

describe('any frames', () => {
  it('come out the same for any splits', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(4000), { maxLength: 30 }), (list, places) => {
        const recorder = read(cut(join(list.map((frame) => frame.bytes)), places));
        expect(recorder.faults).toEqual([]);
        expect(recorder.frames).toEqual(list);
      }),
    );
  });

  it('come out the same when the sink pauses anywhere and the bytes go on arriving', () => {
    fc.assert(
      fc.property(frames, fc.array(fc.nat(4000), { maxLength: 30 }), fc.array(fc.boolean()), (list, places, pauses) => {
        const reader = new FrameReader(limitsFromClients(4096));
        const recorder = new Recorder((count) => (pauses[count - 1] ? Verdict.PAUSE : Verdict.MORE));
        for (const part of cut(join(list.map((frame) => frame.bytes)), places)) reader.push(part, recorder);
        for (let turn = 0; turn <= list.length; turn++) reader.resume(recorder);
        expect(recorder.frames).toEqual(list);
        expect(reader.carry).toBeUndefined();
      }),
    );
  });

  it('of arbitrary bytes give frames or one fault, never an exception', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.array(fc.nat(400)), (bytes, places) => {
        const recorder = read(cut(bytes, places));
        expect(recorder.faults.length).toBeLessThanOrEqual(1);
        const message = new Recorder();
        readMessage(bytes, LIMITS, message);
        expect(message.faults.length).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('split anywhere fault at the same place as whole', () => {
    const mutated = fc.tuple(frames, fc.nat(3000), fc.nat(255)).map(([list, place, value]) => {
      const bytes = join(list.map((frame) => frame.bytes));
      if (bytes.length > 0) bytes[place % bytes.length] = value;
      return bytes;
    });
    fc.assert(
      fc.property(mutated, fc.array(fc.nat(4000), { maxLength: 20 }), (bytes, places) => {
        const whole = read([bytes]);
        const split = read(cut(bytes, places));
        expect(split.frames).toEqual(whole.frames);
        expect(split.faults).toEqual(whole.faults);
      }),
    );
  });
});

const MALFORMED = [
  ['a negative packLen', 'ffffffff 0010 0001 00000002 00000001', 'pack_too_small'],
  ['the most negative packLen', '80000000 0010 0001 00000002 00000001', 'pack_too_small'],
  ['packLen 0', '00000000 0010 0001 00000002 00000001', 'pack_too_small'],
  ['packLen 15', '0000000f 0010 0001 00000002 00000001', 'pack_too_small'],
  ['headerLen 0', '00000010 0000 0001 00000002 00000001', 'header_too_small'],
  ['headerLen 15', '00000010 000f 0001 00000002 00000001', 'header_too_small'],
  ['a negative headerLen', '00000010 ffff 0001 00000002 00000001', 'header_too_small'],
  ['headerLen above packLen', '00000010 0011 0001 00000002 00000001', 'header_over_pack'],
  ['a long header from a client', '00000014 0011 0001 00000002 00000001 00000000', 'header_too_large'],
  ['packLen above the limit', '00000401 0010 0001 00000002 00000001', 'frame_too_large'],
  ['the largest packLen', '7fffffff 0010 0001 00000002 00000001', 'frame_too_large'],
  ['HTTP on the TCP port', '47455420 2f204854 54502f31 2e310d0a', 'frame_too_large'],
] as const;

describe.each(MALFORMED)('%s', (_name, digits, fault) => {
  it(`is ${fault} at every split position and nothing is read after it`, () => {
    const bytes = hex(digits);
    const good = encodeFrame(1, 2, 3);
    for (let at = 0; at <= bytes.length; at++) {
      const reader = new FrameReader(LIMITS);
      const recorder = new Recorder();
      for (const part of [good, bytes.slice(0, at), bytes.slice(at), good, good]) reader.push(part, recorder);
      expect(recorder.faults).toEqual([fault]);
      expect(recorder.frames.length).toBe(1);
      expect(reader.closed).toBe(true);
      expect(reader.carry).toBeUndefined();
    }
  });

  it(`is ${fault} in a WebSocket message`, () => {
    const recorder = new Recorder();
    expect(readMessage(hex(digits), LIMITS, recorder)).toBe(-1);
    expect(recorder.faults).toEqual([fault]);
    expect(recorder.frames).toEqual([]);
  });
});

describe('limits', () => {
  it('a frame of exactly the limit is read, one byte more is not', () => {
    expect(read([encodeFrame(1, 7, 1, new Uint8Array(1024 - 16))]).frames.length).toBe(1);
    expect(read([encodeFrame(1, 7, 1, new Uint8Array(1024 - 15))]).faults).toEqual(['frame_too_large']);
  });

  it('a header that fills the whole frame is read from a server', () => {
    expect(read([hex('00000014 0014 0001 00000002 00000001 00000000')], limitsFromServer(64)).frames.length).toBe(1);
  });
});

describe('a WebSocket message', () => {
  const frame = encodeFrame(1, 4, 1, hex('6869'));

  it('may hold several whole frames', () => {
    const recorder = new Recorder();
    expect(readMessage(join([frame, frame, frame]), LIMITS, recorder)).toBe(54);
    expect(recorder.frames.length).toBe(3);
  });

  it('must end with a frame: empty, cut short or with bytes left over is message_truncated', () => {
    for (let length = 0; length < 36; length++) {
      if (length === 18) continue;
      const recorder = new Recorder();
      expect(readMessage(join([frame, frame]).slice(0, length), LIMITS, recorder), `${length} bytes`).toBe(-1);
      expect(recorder.faults).toEqual(['message_truncated']);
    }
  });

  it('is read only between start and end, whatever lies around it', () => {
    const recorder = new Recorder();
    const bytes = join([hex('ffffffff'), frame, frame]);
    expect(readMessage(bytes, LIMITS, recorder, 4, 22)).toBe(22);
    expect(recorder.frames.map((seen) => seen.bytes)).toEqual([frame]);
    const over = new Recorder();
    expect(readMessage(bytes, LIMITS, over, 4, 39)).toBe(-1);
    expect(over.faults).toEqual(['message_truncated']);
  });

  it('goes on from where the sink paused', () => {
    const recorder = new Recorder((count) => (count === 1 ? Verdict.PAUSE : Verdict.MORE));
    const bytes = join([frame, frame]);
    expect(readMessage(bytes, LIMITS, recorder)).toBe(18);
    expect(readMessage(bytes, LIMITS, recorder, 18)).toBe(36);
    expect(recorder.frames.length).toBe(2);
  });

  it('is left when the sink stops', () => {
    const recorder = new Recorder(() => Verdict.STOP);
    expect(readMessage(join([frame, frame]), LIMITS, recorder)).toBe(-1);
    expect(recorder.frames.length).toBe(1);
    expect(recorder.faults).toEqual([]);
  });
});

describe('memory', () => {
  const frame = encodeFrame(1, 4, 1, new Uint8Array(500));

  it('complete frames lie in the chunk itself and leave no carry', () => {
    const reader = new FrameReader(LIMITS);
    const recorder = new Recorder();
    const chunk = join([frame, frame]);
    reader.push(chunk, recorder);
    expect(recorder.buffers[0]).toBe(chunk);
    expect(recorder.buffers[1]).toBe(chunk);
    expect(reader.carry).toBeUndefined();
  });

  it('the carry grows with what arrived, not with what the header promises, and never above the frame', () => {
    const reader = new FrameReader(limitsFromClients(1_000_000));
    const recorder = new Recorder();
    const large = encodeFrame(1, 4, 1, new Uint8Array(900_000));
    let largest = 0;
    for (let at = 0; at < 40_000; at += 100) {
      reader.push(large.subarray(at, at + 100), recorder);
      largest = Math.max(largest, reader.carry?.length ?? 0);
    }
    expect(reader.held).toBe(40_000);
    expect(largest).toBeLessThanOrEqual(80_000);
    reader.push(large.subarray(40_000, 899_999), recorder);
    expect(reader.carry?.length).toBeLessThanOrEqual(large.length);
    reader.push(large.subarray(899_999), recorder);
    expect(recorder.frames.length).toBe(1);
    expect(reader.carry).toBeUndefined();
  });

  it('the carry is not the chunk: the caller may reuse its buffer', () => {
    const reader = new FrameReader(LIMITS);
    const recorder = new Recorder();
    const shared = new Uint8Array(300);
    shared.set(frame.subarray(0, 300));
    reader.push(shared, recorder);
    shared.fill(0xff);
    reader.push(frame.slice(300), recorder);
    expect(recorder.frames.map((seen) => seen.bytes)).toEqual([frame]);
  });

  it('what waits during a pause is bounded', () => {
    const reader = new FrameReader(LIMITS);
    const recorder = new Recorder(() => Verdict.PAUSE);
    reader.push(frame, recorder);
    reader.push(new Uint8Array(1024 + MAX_PAUSED_BYTES), recorder);
    expect(recorder.faults).toEqual([]);
    reader.push(Uint8Array.of(0), recorder);
    expect(recorder.faults).toEqual(['paused_overflow']);
    expect(reader.carry).toBeUndefined();
    expect(reader.closed).toBe(true);
  });
});

describe('a sink', () => {
  const frame = encodeFrame(1, 2, 1);

  it('that stops gets nothing more', () => {
    const reader = new FrameReader(LIMITS);
    const recorder = new Recorder(() => Verdict.STOP);
    reader.push(join([frame, frame, frame.slice(0, 7)]), recorder);
    reader.push(frame, recorder);
    reader.resume(recorder);
    expect(recorder.frames.length).toBe(1);
    expect(reader.carry).toBeUndefined();
  });

  it('that closes the state inside the call gets nothing more, also for a frame from the carry', () => {
    const reader = new FrameReader(LIMITS);
    const recorder = new Recorder(() => {
      closeFrames(reader);
      return Verdict.MORE;
    });
    reader.push(frame.slice(0, HEADER_BYTES - 1), recorder);
    reader.push(join([frame.slice(HEADER_BYTES - 1), frame]), recorder);
    reader.push(frame, recorder);
    expect(recorder.frames.length).toBe(1);
  });
});
