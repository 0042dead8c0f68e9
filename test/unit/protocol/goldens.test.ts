// Every golden is read at every split position, and encoded to the same bytes.

import { describe, expect, it } from 'vitest';
import {
  encodeAuthReply,
  encodeHeartbeatReply,
  encodePush,
  encodeReply,
  TEST_REPLY_BODY,
} from '../../../src/protocol/dialect.js';
import { DISCONNECT } from '../../../src/protocol/disconnect.js';
import { encodeFrame, encodeInto, limitsFromServer, Op, readHeader } from '../../../src/protocol/frame.js';
import { encodeGoimAuth, encodeOnlineCount, wrapBatch } from '../../../src/protocol/goim.js';
import { ALL_LOG, type LogName, type RoomId, type SessionId, type UserId, ZERO_ID } from '../../../src/protocol/ids.js';
import {
  encodeAck,
  encodeNativePush,
  FLAG_EPHEMERAL,
  FLAG_REDELIVERED,
  OWN_TOPIC,
  topicBytes,
} from '../../../src/protocol/native.js';
import {
  encodeDisconnect,
  encodeGap,
  encodeJoin,
  encodeJoinReply,
  encodeLeaveReply,
  encodeNativeAuth,
  encodeNativeAuthReply,
  encodePresenceReply,
  encodeRoomRequest,
} from '../../../src/protocol/native-json.js';
import { FrameReader, readMessage } from '../../../src/protocol/reader.js';
import { GOIM, type Golden, IMGO, NATIVE, TEST_1, TOKEN, WS } from './goldens.js';
import { hex, toHex } from './hex.js';
import { Recorder, type Seen } from './sinks.js';

const LIMITS = limitsFromServer(65_536);
const ALL = [...IMGO, ...GOIM, ...NATIVE];
const payload = hex(TEST_1);
const room = 'r' as RoomId;
const id = (epoch: number, n: number) => ({ epoch, n });
const entry = { id: id(1, 42), payload, operation: 1000 };

function seen(golden: Golden): Seen {
  const { bytes, headerLen, op, seq, ver } = golden;
  return { bytes, headerLen, op, seq, ver };
}

function readParts(parts: readonly Uint8Array[]): Recorder {
  const reader = new FrameReader(LIMITS);
  const recorder = new Recorder();
  for (const part of parts) reader.push(part, recorder);
  return recorder;
}

describe.each(ALL)('$name', (golden) => {
  it('is read whole, field by field', () => {
    const recorder = readParts([golden.bytes]);
    expect(recorder.faults).toEqual([]);
    expect(recorder.frames).toEqual([seen(golden)]);
    expect(golden.bytes.slice(golden.headerLen)).toEqual(golden.body);
    expect(readHeader(golden.bytes)).toEqual({
      packLen: golden.bytes.length,
      headerLen: golden.headerLen,
      ver: golden.ver,
      op: golden.op,
      seq: golden.seq,
    });
  });

  it('is read the same at every split position', () => {
    for (let cut = 0; cut <= golden.bytes.length; cut++) {
      const recorder = readParts([golden.bytes.slice(0, cut), golden.bytes.slice(cut)]);
      expect(recorder.frames, `split at ${cut}`).toEqual([seen(golden)]);
      expect(recorder.faults).toEqual([]);
    }
  });

  it('is read byte by byte', () => {
    expect(readParts(Array.from(golden.bytes, (byte) => Uint8Array.of(byte))).frames).toEqual([seen(golden)]);
  });

  it('is a whole WebSocket message', () => {
    const recorder = new Recorder();
    expect(readMessage(golden.bytes, LIMITS, recorder)).toBe(golden.bytes.length);
    expect(recorder.frames).toEqual([seen(golden)]);
  });

  it('with a standard header is encoded to the same bytes', () => {
    if (golden.headerLen !== 16) return;
    expect(toHex(encodeFrame(golden.ver, golden.op, golden.seq, golden.body))).toBe(toHex(golden.bytes));
    const target = new Uint8Array(golden.bytes.length + 8).fill(0xee);
    expect(encodeInto(target, 4, golden.ver, golden.op, golden.seq, golden.body)).toBe(golden.bytes.length + 4);
    expect(toHex(target)).toBe(`eeeeeeee${toHex(golden.bytes)}eeeeeeee`);
  });
});

describe('a stream of all goldens', () => {
  const stream = new Uint8Array(ALL.reduce((sum, golden) => sum + golden.bytes.length, 0));
  let at = 0;
  for (const golden of ALL) {
    stream.set(golden.bytes, at);
    at += golden.bytes.length;
  }

  it('is read the same at every split position', () => {
    const expected = ALL.map(seen);
    for (let cut = 0; cut <= stream.length; cut++) {
      const recorder = readParts([stream.slice(0, cut), stream.slice(cut)]);
      expect(recorder.faults).toEqual([]);
      expect(recorder.frames.length).toBe(expected.length);
      if (cut % 16 === 0) expect(recorder.frames).toEqual(expected);
    }
  });
});

/** The golden of this name. */
function bytesOf(name: string): string {
  const golden = ALL.find((candidate) => candidate.name === name);
  if (golden === undefined) throw new Error(`no golden ${name}`);
  return toHex(golden.bytes);
}

describe('the typed encoders give the goldens', () => {
  const live = 'live://1000' as RoomId;
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ['imgo auth', encodeFrame(1, Op.AUTH, 1, hex(TOKEN))],
    ['imgo auth reply', encodeAuthReply('imgo', 'tcp', 1, 1)],
    ['heartbeat', encodeFrame(1, Op.HEARTBEAT, 2)],
    ['heartbeat reply', encodeHeartbeatReply('imgo', 'tcp', 1, 2, 7)],
    ['heartbeat reply', encodeHeartbeatReply('goim1', 'tcp', 1, 2, 7)],
    ['imgo push', encodePush('plain-tcp', entry)],
    ['imgo push, empty', encodePush('plain-tcp', { id: ZERO_ID, payload: new Uint8Array(0) })],
    ['test reply', encodeReply('imgo', 'tcp', 1, Op.TEST_REPLY, 4, TEST_REPLY_BODY)],
    [
      'goim auth',
      encodeFrame(1, Op.AUTH, 1, encodeGoimAuth({ mid: '123', room: 'live://1000', accepts: [1000, 1001] })),
    ],
    ['goim auth reply', encodeAuthReply('goim2', 'tcp', 1, 1)],
    ['goim heartbeat reply', encodeHeartbeatReply('goim2', 'tcp', 1, 2, 7)],
    ['goim heartbeat reply', encodeFrame(1, Op.HEARTBEAT_REPLY, 2, encodeOnlineCount(7))],
    ['goim push', encodePush('goim2-tcp', entry)],
    [
      'goim batch of two',
      wrapBatch(
        hex(toHex(encodePush('goim2-tcp', entry)), toHex(encodePush('goim2-tcp', { ...entry, operation: 1001 }))),
      ),
    ],
    [
      'native auth',
      encodeFrame(
        2,
        Op.AUTH,
        1,
        encodeNativeAuth({
          token: 'TOKEN',
          device: 'phone',
          cursor: id(1, 41),
          rooms: new Map([
            [live, id(1, 7)],
            [room, undefined],
          ]),
          all: id(1, 9),
        }),
      ),
    ],
    [
      'native auth reply',
      encodeAuthReply(
        'native',
        'tcp',
        2,
        1,
        encodeNativeAuthReply({
          session: 's1' as SessionId,
          user: '1' as UserId,
          device: 'phone' as never,
          head: id(1, 42),
          heartbeatMs: 60_000,
          rooms: new Map([[room, { head: id(1, 9), recovered: false }]]),
        }),
      ),
    ],
    ['native push of the own log', encodePush('native-tcp', entry)],
    ['native push of the own log', encodePush('native-tcp', entry, topicBytes('user:1' as LogName))],
    [
      'native push, redelivered, large id',
      encodeNativePush(id(0xffff_ffff, Number.MAX_SAFE_INTEGER - 1), FLAG_REDELIVERED, OWN_TOPIC, payload),
    ],
    [
      'native push of a room, ephemeral',
      encodePush('native-tcp', { id: ZERO_ID, payload }, topicBytes('room:live://1000' as LogName), FLAG_EPHEMERAL),
    ],
    [
      'native push of all, empty',
      encodePush('native-tcp', { id: id(1, 7), payload: new Uint8Array(0) }, topicBytes(ALL_LOG)),
    ],
    ['ack', encodeFrame(2, Op.ACK, 0, encodeAck(id(1, 42)))],
    ['gap', encodeFrame(2, Op.GAP, 0, encodeGap({ log: 'user:1' as LogName, after: id(1, 2), upTo: id(1, 9) }))],
    ['join', encodeFrame(2, Op.JOIN, 3, encodeJoin(room, id(1, 7)))],
    [
      'join reply',
      encodeReply('native', 'tcp', 2, Op.JOIN_REPLY, 3, encodeJoinReply(room, { head: id(1, 9), recovered: true })),
    ],
    ['leave', encodeFrame(2, Op.LEAVE, 4, encodeRoomRequest(room))],
    ['leave reply', encodeFrame(2, Op.LEAVE_REPLY, 4, encodeLeaveReply(room))],
    ['disconnect', encodeFrame(2, Op.DISCONNECT, 0, encodeDisconnect(DISCONNECT.kicked))],
    ['presence', encodeFrame(2, Op.PRESENCE, 5, encodeRoomRequest(room))],
    ['presence reply', encodeFrame(2, Op.PRESENCE_REPLY, 5, encodePresenceReply({ count: 2 }))],
  ];

  it.each(cases)('%s', (name, bytes) => {
    expect(toHex(bytes)).toBe(bytesOf(name));
  });

  const messages: readonly (readonly [keyof typeof WS, Uint8Array])[] = [
    ['imgoAuthReply', encodeAuthReply('imgo', 'ws', 1, 1)],
    ['imgoHeartbeatReply', encodeHeartbeatReply('imgo', 'ws', 1, 2, 7)],
    ['imgoPush', encodePush('imgo-ws', entry)],
    ['goim1AuthReply', encodeAuthReply('goim1', 'ws', 1, 1)],
    ['goim1Push', encodePush('goim1-ws', entry)],
    ['goim2HeartbeatReply', encodeHeartbeatReply('goim2', 'ws', 1, 2, 7)],
    ['goim2Push', encodePush('goim2-ws', entry)],
    ['nativePush', encodePush('native-ws', entry)],
  ];

  it.each(messages)('WebSocket message %s', (name, bytes) => {
    expect(toHex(bytes)).toBe(toHex(WS[name]));
  });

  it('into memory that was used before, too', () => {
    const dirty = (length: number) => new Uint8Array(length).fill(0xee);
    for (const encoding of ['plain-tcp', 'goim1-ws', 'goim2-tcp', 'goim2-ws', 'native-tcp', 'native-ws'] as const) {
      const topic = topicBytes('room:r' as LogName);
      expect(toHex(encodePush(encoding, entry, topic, 1, dirty))).toBe(toHex(encodePush(encoding, entry, topic, 1)));
    }
  });
});
