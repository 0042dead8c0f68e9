// The native dialect: extended headers, acknowledgements, and JSON bodies that are checked field by field.

import { describe, expect, it } from 'vitest';
import { DISCONNECT } from '../../../src/protocol/disconnect.js';
import { FrameError, orThrow } from '../../../src/protocol/frame.js';
import { isName, type LogName, type RoomId, type SessionId, type UserId, ZERO_ID } from '../../../src/protocol/ids.js';
import {
  decodeAck,
  decodeNativePush,
  encodeAck,
  encodeNativePush,
  NATIVE_HEADER_BYTES,
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
  parseDisconnect,
  parseGap,
  parseJoin,
  parseJoinReply,
  parseLeaveReply,
  parseNativeAuth,
  parseNativeAuthReply,
  parsePresenceReply,
  parseRoomRequest,
} from '../../../src/protocol/native-json.js';
import { encodeText } from '../../../src/protocol/text.js';
import { fc } from '../../harness/property.js';
import { NATIVE, NATIVE_AUTH } from './goldens.js';
import { hex } from './hex.js';

const ids = fc.record({ epoch: fc.nat(0xffff_ffff), n: fc.maxSafeNat() });
const room = 'r' as RoomId;

describe('an extended header', () => {
  const push = (name: string) => {
    const golden = NATIVE.find((candidate) => candidate.name === name);
    if (golden === undefined) throw new Error(name);
    return decodeNativePush(golden.bytes, 0, golden.headerLen);
  };

  it('is read from the goldens', () => {
    expect(push('native push of the own log')).toEqual({ id: { epoch: 1, n: 42 }, flags: 0, log: undefined });
    expect(push('native push, redelivered, large id')).toEqual({
      id: { epoch: 0xffff_ffff, n: Number.MAX_SAFE_INTEGER - 1 },
      flags: 1,
      log: undefined,
    });
    expect(push('native push of a room, ephemeral')).toEqual({ id: ZERO_ID, flags: 2, log: 'room:live://1000' });
    expect(push('native push of all, empty')).toEqual({ id: { epoch: 1, n: 7 }, flags: 0, log: 'all' });
  });

  it('survives encoding at any offset', () => {
    const logs = fc.constantFrom(
      'user:1',
      'all',
      'room:live://1000',
      `room:${'é'.repeat(64)}`,
    ) as fc.Arbitrary<LogName>;
    fc.assert(
      fc.property(ids, fc.nat(0xffff), logs, fc.uint8Array(), fc.nat(50), (id, flags, log, payload, offset) => {
        const topic = topicBytes(log);
        const frame = encodeNativePush(id, flags, topic, payload);
        const moved = new Uint8Array(offset + frame.length);
        moved.set(frame, offset);
        const headerLen = NATIVE_HEADER_BYTES + topic.length;
        const expected = { id, flags, log: log.startsWith('user:') ? undefined : log };
        expect(decodeNativePush(moved, offset, headerLen)).toEqual(expected);
        expect(moved.slice(offset + headerLen)).toEqual(payload);
      }),
    );
  });

  it.each([
    ['no room for it', '00000010 0010 0002 00000005 00000000', 16, 'bad_length'],
    ['31 bytes', '0000001f 001f 0002 00000005 00000000 00000001 000000000000002a 0000 00', 31, 'bad_length'],
    [
      'topicLen too large',
      '00000020 0020 0002 00000005 00000000 00000001 000000000000002a 0000 0001',
      32,
      'bad_length',
    ],
    [
      'topicLen too small',
      '00000021 0021 0002 00000005 00000000 00000001 000000000000002a 0000 0000 61',
      33,
      'bad_length',
    ],
    ['n of 2^53', '00000020 0020 0002 00000005 00000000 00000001 0020000000000000 0000 0000', 32, 'bad_id'],
    ['the largest n', '00000020 0020 0002 00000005 00000000 00000001 ffffffffffffffff 0000 0000', 32, 'bad_id'],
    [
      'a topic that is no log',
      '00000023 0023 0002 00000005 00000000 00000001 000000000000002a 0000 0003 616c6d',
      35,
      'bad_field',
    ],
    [
      'a topic that is a user',
      '00000026 0026 0002 00000005 00000000 00000001 000000000000002a 0000 0006 757365723a31',
      38,
      'bad_field',
    ],
    [
      'a topic that is not UTF-8',
      '00000021 0021 0002 00000005 00000000 00000001 000000000000002a 0000 0001 ff',
      33,
      'bad_field',
    ],
  ] as const)('%s is a fault', (_name, digits, headerLen, fault) => {
    expect(decodeNativePush(hex(digits), 0, headerLen)).toBe(fault);
  });
});

describe('an ACK', () => {
  it('survives', () => {
    fc.assert(
      fc.property(ids, (id) => {
        expect(decodeAck(encodeAck(id))).toEqual(id);
      }),
    );
    expect(decodeAck(hex('ffff 00000001 000000000000002a ffff'), 2, 14)).toEqual({ epoch: 1, n: 42 });
  });

  it('has 12 bytes exactly', () => {
    for (const length of [0, 1, 11, 13, 24]) expect(decodeAck(new Uint8Array(length))).toBe('bad_length');
  });

  it('of 2^53 or more is a fault, just below is not', () => {
    expect(decodeAck(hex('00000001 0020000000000000'))).toBe('bad_id');
    expect(decodeAck(hex('00000001 001fffffffffffff'))).toEqual({ epoch: 1, n: Number.MAX_SAFE_INTEGER });
  });
});

describe('AUTH', () => {
  const parse = (text: string) => parseNativeAuth(encodeText(text));

  it('is read from the golden', () => {
    expect(parseNativeAuth(hex(NATIVE_AUTH))).toEqual({
      token: 'TOKEN',
      device: 'phone',
      cursor: { epoch: 1, n: 41 },
      rooms: new Map([
        ['live://1000', { epoch: 1, n: 7 }],
        ['r', undefined],
      ]),
      all: { epoch: 1, n: 9 },
    });
  });

  it('needs only the token; null is absence; unknown keys are ignored', () => {
    const bare = { token: 't', device: undefined, cursor: undefined, rooms: undefined, all: undefined };
    expect(parse('{"token":"t"}')).toEqual(bare);
    expect(parse('{"token":"t","device":null,"cursor":null,"rooms":null,"all":null,"x":[{}]}')).toEqual(bare);
    expect(parse('{"token":"t","rooms":["r","q"]}')).toEqual({
      ...bare,
      rooms: new Map([
        ['r', undefined],
        ['q', undefined],
      ]),
    });
  });

  it('keeps a room named __proto__ a room', () => {
    const auth = orThrow(parse('{"token":"t","rooms":{"__proto__":"1-1"}}'));
    expect([...(auth.rooms ?? [])]).toEqual([['__proto__', { epoch: 1, n: 1 }]]);
    expect(parseNativeAuth(encodeNativeAuth(auth))).toEqual(auth);
  });

  it.each([
    ['{}', 'bad_field'],
    ['{"token":""}', 'bad_field'],
    ['{"token":1}', 'bad_field'],
    ['{"token":"t","device":""}', 'bad_field'],
    ['{"token":"t","device":1}', 'bad_field'],
    ['{"token":"t","cursor":"1"}', 'bad_field'],
    ['{"token":"t","cursor":1}', 'bad_field'],
    ['{"token":"t","cursor":"01-1"}', 'bad_field'],
    ['{"token":"t","rooms":"r"}', 'bad_field'],
    ['{"token":"t","rooms":[1]}', 'bad_field'],
    ['{"token":"t","rooms":[""]}', 'bad_field'],
    ['{"token":"t","rooms":{"":null}}', 'bad_field'],
    ['{"token":"t","rooms":{"r":1}}', 'bad_field'],
    ['{"token":"t","all":"x"}', 'bad_field'],
    ['[]', 'bad_json'],
    ['null', 'bad_json'],
    ['"t"', 'bad_json'],
    ['', 'bad_json'],
    ['{', 'bad_json'],
    ['{"token":"t"} x', 'bad_json'],
    [`{"token":"t","x":${'['.repeat(63)}${']'.repeat(63)}}`, undefined],
    [`{"token":"t","x":${'['.repeat(64)}${']'.repeat(64)}}`, 'json_too_deep'],
    [`{"token":"t","x":${'['.repeat(60_000)}`, 'json_too_deep'],
  ])('%.60s', (text, fault) => {
    const result = parse(text);
    if (fault === undefined) expect(result).toMatchObject({ token: 't' });
    else expect(result).toBe(fault);
  });

  it('of bytes that are not UTF-8 is bad_utf8', () => {
    expect(parseNativeAuth(hex('7b 22 ff 22 3a 31 7d'))).toBe('bad_utf8');
  });

  it('survives', () => {
    const names = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }).filter(isName);
    const auths = fc.record({
      token: fc.string({ minLength: 1 }),
      device: fc.option(names, { nil: undefined }),
      cursor: fc.option(ids, { nil: undefined }),
      rooms: fc.option(
        fc
          .array(fc.tuple(names as fc.Arbitrary<RoomId>, fc.option(ids, { nil: undefined })))
          .map((list) => new Map(list)),
        { nil: undefined },
      ),
      all: fc.option(ids, { nil: undefined }),
    });
    fc.assert(
      fc.property(auths, (auth) => {
        expect(parseNativeAuth(encodeNativeAuth(auth))).toEqual(auth);
      }),
    );
  });
});

describe('the other bodies survive', () => {
  it('AUTH reply', () => {
    const reply = {
      session: 's' as SessionId,
      user: '1' as UserId,
      device: undefined,
      head: { epoch: 1, n: 2 },
      heartbeatMs: 60_000,
      rooms: new Map([
        [room, { head: { epoch: 1, n: 1 }, recovered: true }],
        ['q' as RoomId, { error: 'join_refused' }],
      ]),
    };
    expect(parseNativeAuthReply(encodeNativeAuthReply(reply))).toEqual(reply);
    const told = { ...reply, all: { head: { epoch: 1, n: 7 }, recovered: false } };
    expect(parseNativeAuthReply(encodeNativeAuthReply(told))).toEqual(told);
  });

  it('GAP, JOIN, LEAVE, PRESENCE, DISCONNECT', () => {
    const gap = { log: 'room:r' as LogName, after: ZERO_ID, upTo: { epoch: 1, n: 2 } };
    expect(parseGap(encodeGap(gap))).toEqual(gap);
    expect(parseJoin(encodeJoin(room))).toEqual({ room, since: undefined });
    expect(parseJoin(encodeJoin(room, { epoch: 1, n: 2 }))).toEqual({ room, since: { epoch: 1, n: 2 } });
    const state = { head: { epoch: 1, n: 2 }, recovered: false };
    expect(parseJoinReply(encodeJoinReply(room, state))).toEqual({ room, ...state });
    expect(parseJoinReply(encodeJoinReply(room, { error: 'join_refused' }))).toEqual({ room, error: 'join_refused' });
    expect(parseRoomRequest(encodeRoomRequest(room))).toEqual({ room });
    expect(parseLeaveReply(encodeLeaveReply(room))).toEqual({ room });
    expect(parseLeaveReply(encodeLeaveReply(room, 'x'))).toEqual({ room, error: 'x' });
    expect(parsePresenceReply(encodePresenceReply({ count: 0 }))).toEqual({ count: 0 });
    expect(parsePresenceReply(encodePresenceReply({ error: 'x' }))).toEqual({ error: 'x' });
    for (const row of Object.values(DISCONNECT)) {
      const { code, reason, reconnect } = row;
      expect(parseDisconnect(encodeDisconnect(row))).toEqual({ code, reason, reconnect });
    }
  });
});

const PARSERS = {
  parseNativeAuth,
  parseNativeAuthReply,
  parseGap,
  parseJoin,
  parseJoinReply,
  parseRoomRequest,
  parseLeaveReply,
  parsePresenceReply,
  parseDisconnect,
};

describe.each(Object.entries(PARSERS))('%s', (_name, parse) => {
  it('never throws: not for bytes, not for any JSON', () => {
    const names = fc.constantFrom(
      'token',
      'device',
      'cursor',
      'rooms',
      'all',
      'session',
      'user',
      'head',
      'log',
      'room',
      'count',
      'code',
      'reconnect',
      'after',
      'since',
    );
    const json = fc
      .dictionary(names, fc.oneof(fc.jsonValue(), fc.constantFrom('1-1', 'r', 'user:1')))
      .map((value) => JSON.stringify(value));
    const bodies = fc.oneof(fc.uint8Array(), fc.json().map(encodeText), json.map(encodeText));
    fc.assert(
      fc.property(bodies, (body) => {
        const result = parse(body);
        expect(['string', 'object']).toContain(typeof result);
      }),
    );
  });

  it('refuses wrong types with bad_field', () => {
    expect(parse(encodeText('{"room":1,"log":1,"token":1,"session":1,"count":"1","code":"1"}'))).toBe('bad_field');
    expect(() => orThrow(parse(encodeText('{}')))).toThrow(FrameError);
  });
});

describe('single fields', () => {
  it.each([
    ['{"log":"user:1","after":"1-1"}', parseGap],
    ['{"log":"x","after":"1-1","upTo":"1-2"}', parseGap],
    ['{"room":"r","since":7}', parseJoin],
    ['{"room":""}', parseJoin],
    ['{"room":"r","head":"1-1"}', parseJoinReply],
    ['{"count":-1}', parsePresenceReply],
    ['{"count":1.5}', parsePresenceReply],
    ['{"code":4000,"reason":"x","reconnect":true}', parseDisconnect],
    ['{"code":4000,"reason":"x","reconnect":{"minMs":5,"maxMs":4}}', parseDisconnect],
    ['{"code":4000,"reason":"x"}', parseDisconnect],
    ['{"session":"s","user":"1","head":"1-1","heartbeatMs":0,"rooms":{}}', parseNativeAuthReply],
    ['{"session":"s","user":"1","head":"1-1","heartbeatMs":1}', parseNativeAuthReply],
    ['{"session":"s","user":"1","head":"1-1","heartbeatMs":1,"rooms":{},"all":{"head":1}}', parseNativeAuthReply],
  ])('%s is bad_field', (text, parse) => {
    expect(parse(encodeText(text))).toBe('bad_field');
  });
});
