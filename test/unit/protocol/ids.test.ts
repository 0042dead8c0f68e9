// Ids, log names and full names: one spelling each, and order by epoch, then n.

import { describe, expect, it } from 'vitest';
import {
  ALL_LOG,
  compareIds,
  formatFullId,
  formatId,
  isName,
  isZeroId,
  maxId,
  parseFullId,
  parseId,
  parseLogName,
  roomId,
  roomLog,
  userId,
  userLog,
  ZERO_ID,
} from '../../../src/protocol/ids.js';
import { fc } from '../../harness/property.js';

const ids = fc.record({ epoch: fc.nat(0xffff_ffff), n: fc.maxSafeNat() });

describe('message ids', () => {
  it('survive being printed and parsed', () => {
    fc.assert(
      fc.property(ids, (id) => {
        expect(parseId(formatId(id))).toEqual(id);
      }),
    );
  });

  it('have one spelling: what parses prints the same', () => {
    const spelled = fc.oneof(fc.string(), fc.stringMatching(/^[0-9-]{0,24}$/), ids.map(formatId));
    fc.assert(
      fc.property(spelled, (text) => {
        const id = parseId(text);
        if (id !== undefined) expect(formatId(id)).toBe(text);
      }),
    );
  });

  it.each([
    '',
    '1',
    '-',
    '1-',
    '-1',
    '01-1',
    '1-01',
    '00-1',
    '1-00',
    '+1-1',
    '1--1',
    ' 1-1',
    '1-1 ',
    '1-1\n',
    '1.0-1',
    '1e3-1',
    '4294967296-1',
    '9999999999-1',
    '1-9007199254740992',
    '1-9007199254740993',
    '1-9999999999999999',
    '1-10000000000000000',
    '1-1-1',
    '١-١',
    '0x1-1',
  ])('refuses %j', (text) => {
    expect(parseId(text)).toBeUndefined();
  });

  it('takes the extremes', () => {
    expect(parseId('0-0')).toEqual(ZERO_ID);
    expect(parseId('4294967295-9007199254740991')).toEqual({ epoch: 0xffff_ffff, n: Number.MAX_SAFE_INTEGER });
    expect(isZeroId(ZERO_ID)).toBe(true);
    expect(isZeroId({ epoch: 1, n: 0 })).toBe(false);
  });

  it('compare by epoch, then n: a total order', () => {
    expect(compareIds({ epoch: 1, n: 100 }, { epoch: 2, n: 1 })).toBeLessThan(0);
    expect(compareIds({ epoch: 2, n: 2 }, { epoch: 2, n: 10 })).toBeLessThan(0);
    expect(maxId({ epoch: 2, n: 1 }, { epoch: 1, n: 100 })).toEqual({ epoch: 2, n: 1 });
    fc.assert(
      fc.property(ids, ids, (a, b) => {
        const big = (id: typeof a) => (BigInt(id.epoch) << 64n) + BigInt(id.n);
        const sign = big(a) < big(b) ? -1 : big(a) > big(b) ? 1 : 0;
        expect(Math.sign(compareIds(a, b))).toBe(sign);
        expect(Math.sign(compareIds(b, a))).toBe(sign === 0 ? 0 : -sign);
      }),
    );
  });
});

describe('names', () => {
  it.each([
    '1',
    '123456',
    'live://1000',
    'ключ',
    '用户',
    '👩‍💻',
    'a b',
    'x'.repeat(128),
    'é'.repeat(64),
    '@',
    'a@b',
    '__proto__',
    '\u0080',
  ])('takes %j', (text) => {
    expect(isName(text)).toBe(true);
    expect(userId(text)).toBe(text);
    expect(roomId(text)).toBe(text);
  });

  it.each([
    '',
    'a\0',
    '\n',
    '\x1f',
    '\x7f',
    'x'.repeat(129),
    'é'.repeat(65),
    '用'.repeat(43),
    '\ud800',
    'a\udc00',
    '\udc00\udc00',
    '\ud83d\ud83d',
  ])('refuses %j', (text) => {
    expect(isName(text)).toBe(false);
    expect(userId(text)).toBeUndefined();
  });

  it('are measured as TextEncoder measures', () => {
    const unit = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), fc.constant('\ud800'));
    fc.assert(
      fc.property(unit, (text) => {
        const bytes = new TextEncoder().encode(text).length;
        const control = [...text].some((sign) => sign < ' ' || sign === '\x7f');
        expect(isName(text)).toBe(text.isWellFormed() && bytes >= 1 && bytes <= 128 && !control);
      }),
    );
  });
});

describe('log names', () => {
  const user = userId('a@b') as NonNullable<ReturnType<typeof userId>>;
  const room = roomId('live://1000') as NonNullable<ReturnType<typeof roomId>>;

  it('are made and read back', () => {
    expect(userLog(user)).toBe('user:a@b');
    expect(roomLog(room)).toBe('room:live://1000');
    expect(parseLogName('user:a@b')).toEqual({ kind: 'user', log: 'user:a@b', user });
    expect(parseLogName('room:live://1000')).toEqual({ kind: 'room', log: 'room:live://1000', room });
    expect(parseLogName('all')).toEqual({ kind: 'all', log: ALL_LOG });
    expect(parseLogName('room:all')).toEqual({ kind: 'room', log: 'room:all', room: 'all' });
  });

  it.each([
    '',
    'user',
    'user:',
    'room:',
    'User:1',
    'all ',
    'allx',
    'users:1',
    'xxxx:1',
    'user:\n',
    `user:${'x'.repeat(129)}`,
  ])('refuses %j', (text) => {
    expect(parseLogName(text)).toBeUndefined();
  });

  it('with an id are split at the last @', () => {
    expect(parseFullId('user:a@b@1-42')).toEqual({ log: 'user:a@b', id: { epoch: 1, n: 42 } });
    expect(parseFullId('room:live://1000@1-7')).toEqual({ log: 'room:live://1000', id: { epoch: 1, n: 7 } });
    expect(formatFullId(userLog(user), { epoch: 1, n: 42 })).toBe('user:a@b@1-42');
    for (const text of ['user:1', '@1-1', 'user:1@', 'user:1@01-1', 'all@1-1@', 'user:@1-1']) {
      expect(parseFullId(text), text).toBeUndefined();
    }
  });
});
