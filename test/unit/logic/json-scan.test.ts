import { describe, expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import { isDecimal, isJsonText, readMultiPush, readPush } from '../../../src/server/logic/push-body.js';
import { fc } from '../../harness/property.js';

const limits = { payloadBytes: 65_536, usersPerPush: 10_000 };
const read = (text: string | Uint8Array) =>
  readPush(typeof text === 'string' ? Buffer.from(text) : Buffer.from(text), limits);

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof ImgoError) return error.code;
    throw error;
  }
  return 'none';
}

describe('the body of a push', () => {
  test.each([
    ['', 'invalid_request'],
    ['[]', 'invalid_request'],
    ['{', 'invalid_json'],
    ['{}', 'invalid_target'],
    ['{"to":{"user":"1"}}', 'invalid_request'],
    ['{"to":{"user":"1"},"message":1,"base64":""}', 'invalid_request'],
    ['{"message":1}', 'invalid_target'],
    ['{"to":{},"message":1}', 'invalid_target'],
    ['{"to":"1","message":1}', 'invalid_target'],
    ['{"to":{"user":"1","room":"r"},"message":1}', 'invalid_target'],
    ['{"to":{"user":"1","user":"2"},"message":1}', 'invalid_target'],
    ['{"to":{"all":false},"message":1}', 'invalid_target'],
    ['{"to":{"all":1},"message":1}', 'invalid_target'],
    ['{"to":{"usr":"1"},"message":1}', 'unknown_field'],
    ['{"to":{"user":1},"message":1}', 'invalid_user'],
    ['{"to":{"user":""},"message":1}', 'invalid_user'],
    ['{"to":{"user":"a\\nb"},"message":1}', 'invalid_user'],
    ['{"to":{"user":"\\ud800"},"message":1}', 'invalid_user'],
    [`{"to":{"user":"${'é'.repeat(65)}"},"message":1}`, 'invalid_user'],
    ['{"to":{"users":[]},"message":1}', 'invalid_target'],
    ['{"to":{"users":"1"},"message":1}', 'invalid_request'],
    ['{"to":{"users":["1",2]},"message":1}', 'invalid_user'],
    ['{"to":{"room":""},"message":1}', 'invalid_room'],
    ['{"to":{"user":"1"},"mesage":1}', 'unknown_field'],
    ['{"to":{"user":"1"},"to":{"user":"2"},"message":1}', 'invalid_json'],
    ['{"to":{"user":"1"},"message":1,"message":2}', 'invalid_json'],
    ['{"to":{"user":"1"},"message":1,"\\u006dessage":2}', 'invalid_json'],
    ['{"to":{"user":"1"},"message":1,"ttl":"1d","ttl":"2d"}', 'invalid_json'],
    ['{"to":{"user":"1"},"message":1,"ttl":5}', 'invalid_ttl'],
    ['{"to":{"user":"1"},"message":1,"ttl":"5x"}', 'invalid_ttl'],
    ['{"to":{"user":"1"},"message":1,"ttl":null}', 'invalid_ttl'],
    ['{"to":{"user":"1"},"message":1,"idempotencyKey":"a b"}', 'idempotency_key_invalid'],
    ['{"to":{"user":"1"},"base64":"a"}', 'invalid_request'],
    ['{"to":{"user":"1"},"base64":"YQ"}', 'invalid_request'],
    ['{"to":{"user":"1"},"base64":"Y-_="}', 'invalid_request'],
    ['{"to":{"user":"1"},"message":}', 'invalid_json'],
    ['{"to":{"user":"1"},"message":1}}', 'invalid_json'],
    ['{"to":{"user":"1"},"message":1} x', 'invalid_json'],
    ['{"to":{"user":"1"},"message":1,}', 'invalid_json'],
    ['{"to":{"user":"1"},"message":{"a":[1,2}}', 'invalid_json'],
    [`{"to":{"user":"1"},"message":${'['.repeat(63)}${']'.repeat(63)}}`, 'none'],
    [`{"to":{"user":"1"},"message":${'['.repeat(64)}${']'.repeat(64)}}`, 'json_too_deep'],
    [`{"to":{"user":"1"},"message":${'{"a":'.repeat(100_000)}`, 'json_too_deep'],
    [`{"to":{"user":"1"},"message":"${'x'.repeat(65_535)}"}`, 'payload_too_large'],
    [`{"to":{"user":"1"},"message":"${'x'.repeat(65_534)}"}`, 'none'],
  ])('case %#', (text, code) => {
    expect(codeOf(() => read(text))).toBe(code);
  });

  test.each([
    ['a byte that is no UTF-8', [0xff]],
    ['a sequence cut short', [0xe4, 0xb8]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
  ])('%s is refused, in a message as everywhere', (_name, bytes) => {
    const body = Buffer.concat([Buffer.from('{"to":{"user":"1"},"message":"'), Buffer.from(bytes), Buffer.from('"}')]);
    expect(codeOf(() => read(body))).toBe('invalid_json');
  });

  test('users are distinct, and at most as many as the limit', () => {
    const users = (count: number) => Array.from({ length: count }, (_, index) => String(index));
    const twice = [...users(10_000), ...users(10_000)];
    const push = read(JSON.stringify({ to: { users: twice }, message: 1 }));
    expect(push.target.kind === 'users' && push.target.users.length).toBe(10_000);
    expect(codeOf(() => read(JSON.stringify({ to: { users: users(10_001) }, message: 1 })))).toBe('too_many_targets');
  });

  test('bytes come as base64', () => {
    expect([...read('{"to":{"all":true},"base64":"AP+A"}').payload]).toEqual([0, 255, 128]);
  });
});

describe('the scanner', () => {
  test('takes exactly what JSON.parse takes', () => {
    const pieces = fc.constantFrom(
      ...['{', '}', '[', ']', ',', ':', '"', '"a"', '1', '-', '0', '.5', 'e', 'E+1', 'true', 'false', 'null'],
      ...['nul', ' ', '\n', '\t', '\f', '\\', '\\u12', '"\\u0041"', '"\\x"', '01', '-0', '1.', '中', '\u00a0'],
    );
    const text = fc.oneof(
      fc.json(),
      fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join('')),
      fc.tuple(fc.json(), fc.nat(), pieces).map(([json, at, piece]) => {
        const cut = at % (json.length + 1);
        return json.slice(0, cut) + piece + json.slice(cut);
      }),
    );
    const valid = (candidate: string) => {
      try {
        JSON.parse(candidate);
        return true;
      } catch {
        return false;
      }
    };
    fc.assert(
      fc.property(text, (candidate) => {
        expect(isJsonText(Buffer.from(candidate))).toBe(valid(candidate));
      }),
      { numRuns: 3_000 },
    );
  });

  test('gives the bytes of the message for any JSON around it', () => {
    const space = fc.constantFrom('', ' ', '\n\t ', '\r\n');
    fc.assert(
      fc.property(fc.json(), space, space, fc.boolean(), (message, before, after, first) => {
        const to = `"to"${after}:{${before}"user":"1"${after}}`;
        const field = `"message"${before}:${after}${message}`;
        const body = `${before}{${first ? `${field},${to}` : `${to}${after},${field}`}${before}}${after}`;
        expect(Buffer.from(read(body).payload).toString()).toBe(message.trim());
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("imgo's multi push", () => {
  test('keeps integers exactly and the bytes of the message', () => {
    const { users, payload } = readMultiPush(Buffer.from('{"u":[1, 9223372036854775807,-5,1],"x":0,"m": {"a":1.0} }'));
    expect(users).toEqual(['1', '9223372036854775807', '-5']);
    expect(Buffer.from(payload).toString()).toBe('{"a":1.0}');
  });

  test.each(['{"u":1,"m":1}', '{"u":["1"],"m":1}', '{"u":[1.5],"m":1}', '{"u":[1]}', '{"m":1}', '[]'])(
    '%s is refused',
    (text) => {
      expect(codeOf(() => readMultiPush(Buffer.from(text)))).not.toBe('none');
    },
  );

  test.each([
    ['0', true],
    ['-1', true],
    ['9223372036854775807', true],
    ['9223372036854775808', false],
    ['01', false],
    ['-0', false],
    ['1e3', false],
    ['', false],
  ])('%s as an integer: %s', (text, expected) => {
    expect(isDecimal(text)).toBe(expected);
  });
});
