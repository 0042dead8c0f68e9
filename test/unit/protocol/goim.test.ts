// goim's bodies: exact user ids, batches that end where they must, rooms, operations.

import { describe, expect, it } from 'vitest';
import { encodeFrame, limitsFromClients } from '../../../src/protocol/frame.js';
import {
  encodeGoimAuth,
  encodeOnlineCount,
  looksLikeGoimAuth,
  parseGoimAuth,
  parseOperations,
  parseRoomBody,
  readBatch,
  wrapBatch,
} from '../../../src/protocol/goim.js';
import { encodeText } from '../../../src/protocol/text.js';
import { fc } from '../../harness/property.js';
import { GOIM_AUTH, LIVE_1000, OPERATIONS } from './goldens.js';
import { hex } from './hex.js';
import { Recorder } from './sinks.js';

const parse = (text: string) => parseGoimAuth(encodeText(text));
const nobody = { mid: undefined, key: '', room: undefined, platform: '', accepts: [], token: undefined };

describe('AUTH', () => {
  it('is read from the golden', () => {
    expect(parseGoimAuth(hex(GOIM_AUTH))).toEqual({
      mid: '123',
      key: '',
      room: 'live://1000',
      platform: 'web',
      accepts: [1000, 1001],
      token: undefined,
    });
  });

  it.each([
    ['{"mid":9007199254740993}', '9007199254740993'],
    ['{"mid":9223372036854775807}', '9223372036854775807'],
    ['{"x":{"mid":1},"mid":9007199254740993,"y":{"mid":2}}', '9007199254740993'],
    ['{"mid":[9007199254740995],"mid":9007199254740993}', '9007199254740993'],
    ['{"mid":"9007199254740993"}', '9007199254740993'],
    ['{"mid":"123"}', '123'],
    ['{"mid":123}', '123'],
    ['{"mid":0}', undefined],
    ['{"mid":"0"}', undefined],
    ['{"mid":null}', undefined],
    ['{}', undefined],
  ])('keeps the exact decimal of %s', (text, mid) => {
    expect(parse(text)).toEqual({ ...nobody, mid });
  });

  it.each([
    '{"mid":-1}',
    '{"mid":1.5}',
    '{"mid":9223372036854775808}',
    '{"mid":1e300}',
    '{"mid":9007199254740993.0}',
    '{"mid":"01"}',
    '{"mid":"x"}',
    '{"mid":""}',
    '{"mid":true}',
    '{"mid":[1]}',
    '{"mid":1,"key":1}',
    '{"mid":1,"key":"\\u0000"}',
    '{"mid":1,"room_id":5}',
    '{"mid":1,"room_id":"\\n"}',
    '{"mid":1,"platform":{}}',
    '{"mid":1,"accepts":"1000"}',
    '{"mid":1,"accepts":["1000"]}',
    '{"mid":1,"accepts":[1.5]}',
    '{"mid":1,"accepts":[4294967296]}',
    '{"mid":1,"token":1}',
  ])('%s is bad_field', (text) => {
    expect(parse(text)).toBe('bad_field');
  });

  it('null is absence; what accepts repeats counts once; a token is kept', () => {
    expect(parse('{"mid":1,"key":null,"room_id":null,"platform":null,"accepts":null,"token":null}')).toEqual({
      ...nobody,
      mid: '1',
    });
    expect(parse('{"accepts":[1000,1000,5],"token":"t"}')).toEqual({ ...nobody, accepts: [1000, 5], token: 't' });
  });

  it('of bytes never throws, and every int64 survives', () => {
    fc.assert(fc.property(fc.oneof(fc.uint8Array(), fc.json().map(encodeText)), (body) => void parseGoimAuth(body)));
    fc.assert(
      fc.property(fc.bigInt({ min: 1n, max: 9_223_372_036_854_775_807n }), (mid) => {
        expect(parseGoimAuth(encodeGoimAuth({ mid: String(mid) }))).toMatchObject({ mid: String(mid) });
      }),
    );
    expect(parse('[1]')).toBe('bad_json');
    expect(parseGoimAuth(hex('ff'))).toBe('bad_utf8');
  });

  it('is told from an opaque token', () => {
    expect(looksLikeGoimAuth(hex(GOIM_AUTH), false)).toBe(true);
    expect(looksLikeGoimAuth(encodeText(' \n{"mid":1}'), false)).toBe(true);
    expect(looksLikeGoimAuth(encodeText('{"key":"x"}'), false)).toBe(false);
    expect(looksLikeGoimAuth(encodeText('{"key":"x"}'), true)).toBe(true);
    for (const token of ['', 'TOKEN', '123', '{', '{"mid":1', '[{"mid":1}]', '"mid"', '{"toString":1}']) {
      expect(looksLikeGoimAuth(encodeText(token), false), token).toBe(false);
    }
    expect(looksLikeGoimAuth(hex('7b ff 7d'), true)).toBe(false);
  });
});

describe('a batch', () => {
  const limits = limitsFromClients(1024);
  const frame = encodeFrame(1, 1000, 0, hex('6869'));
  const two = hex('00000012 0010 0001 000003e8 00000000 6869 00000012 0010 0001 000003e8 00000000 6869');

  it('hands on its frames', () => {
    const batch = wrapBatch(two);
    const recorder = new Recorder();
    expect(readBatch(batch, limits, recorder, 16, batch.length)).toBe(batch.length);
    expect(recorder.frames.map((seen) => seen.bytes)).toEqual([frame, frame]);
  });

  it('must end exactly with a frame', () => {
    for (let length = 0; length < two.length; length++) {
      if (length === 18) continue;
      const batch = wrapBatch(two.slice(0, length));
      const recorder = new Recorder();
      expect(readBatch(batch, limits, recorder, 16, batch.length)).toBe(-1);
      expect(recorder.faults).toEqual(['message_truncated']);
    }
  });
});

describe('small bodies', () => {
  it('a room, no room, an invalid one', () => {
    expect(parseRoomBody(hex(LIVE_1000))).toBe('live://1000');
    expect(parseRoomBody(new Uint8Array(0))).toBeNull();
    expect(parseRoomBody(hex('ff'))).toBeUndefined();
    expect(parseRoomBody(hex('0a'))).toBeUndefined();
    expect(parseRoomBody(new Uint8Array(129).fill(0x61))).toBeUndefined();
  });

  it('operations', () => {
    expect(parseOperations(hex(OPERATIONS))).toEqual([1000, 1001]);
    expect(parseOperations(encodeText('5,5'))).toEqual([5]);
    for (const text of ['', ',', '1000,', ',1', '1 ,2', '-1', '01', '1.5', '2147483648', '1e3', 'x']) {
      expect(parseOperations(encodeText(text)), text).toBeUndefined();
    }
    expect(parseOperations(hex('31 ff'))).toBeUndefined();
  });

  it('an online count of 4 bytes', () => {
    expect(encodeOnlineCount(7)).toEqual(hex('00000007'));
    expect(encodeOnlineCount(2 ** 40)).toEqual(hex('7fffffff'));
  });
});
