// imgo's JSON dialect: a payload's bytes go out exactly as they came, and client messages are checked.

import { describe, expect, it } from 'vitest';
import { encodeJsonMessage, encodeJsonPush } from '../../../src/protocol/dialect.js';
import { ZERO_ID } from '../../../src/protocol/ids.js';
import {
  encodeClientJson,
  encodeJsonItem,
  jsonArray,
  jsonBody,
  parseClientJson,
  parseServerJson,
} from '../../../src/protocol/imgo-json.js';
import { decodeText, encodeText, isJson, MAX_JSON_DEPTH, withinJsonDepth } from '../../../src/protocol/text.js';
import { fc } from '../../harness/property.js';
import { hex } from './hex.js';

const item = (payload: Uint8Array) => decodeText(encodeJsonItem(0, 5, 0, payload));

describe('a payload that is JSON', () => {
  it.each([
    '9007199254740993',
    '{"id":12345678901234567890123,"x":1.10,"e":1E5}',
    ' { "a" : 1 }\r\n\t',
    '{"a":1,"a":2}',
    '"\\u00e9\\/"',
    '"\u2028"',
    'null',
    '[]',
    '-0',
    '{"__proto__":1}',
  ])('stands in body byte for byte: %s', (text) => {
    expect(item(encodeText(text))).toBe(`{"ver":0,"op":5,"seq":0,"body":${text}}`);
  });

  it('stands there for any JSON with any white space', () => {
    const spaced = fc.tuple(fc.jsonValue(), fc.nat(3)).map(([value, indent]) => JSON.stringify(value, null, indent));
    fc.assert(
      fc.property(spaced, (text) => {
        expect(item(encodeText(text))).toBe(`{"ver":0,"op":5,"seq":0,"body":${text}}`);
        expect(jsonBody(encodeText(text))).toEqual(encodeText(text));
      }),
    );
  });
});

describe('a payload that is not JSON', () => {
  it('is a JSON string; empty is {}', () => {
    expect(item(encodeText('hello "you"\n'))).toBe('{"ver":0,"op":5,"seq":0,"body":"hello \\"you\\"\\n"}');
    expect(item(encodeText('{"a":1'))).toBe('{"ver":0,"op":5,"seq":0,"body":"{\\"a\\":1"}');
    expect(item(encodeText('NaN'))).toBe('{"ver":0,"op":5,"seq":0,"body":"NaN"}');
    expect(item(new Uint8Array(0))).toBe('{"ver":0,"op":5,"seq":0,"body":{}}');
  });

  it('with a byte order mark keeps it inside the string', () => {
    expect(isJson(hex('efbbbf 31'))).toBe(false);
    expect(item(hex('efbbbf 31'))).toBe('{"ver":0,"op":5,"seq":0,"body":"\ufeff1"}');
  });

  it('that is not UTF-8 has U+FFFD for what JSON cannot say', () => {
    expect(item(hex('61 ff 62'))).toBe('{"ver":0,"op":5,"seq":0,"body":"a\ufffdb"}');
  });

  it('never breaks the array, whatever its bytes', () => {
    const payloads = fc.array(fc.oneof(fc.uint8Array({ maxLength: 60 }), fc.json().map(encodeText)), { maxLength: 6 });
    fc.assert(
      fc.property(payloads, (list) => {
        const text = jsonArray(list.map((payload) => encodeJsonItem(0, 5, 0, payload)));
        const items = parseServerJson(text);
        expect(Array.isArray(items) && items.length).toBe(list.length);
        list.forEach((payload, index) => {
          if (!isJson(payload) || typeof items === 'string') return;
          expect(items[index]?.body).toEqual(JSON.parse(decodeText(payload) ?? ''));
        });
      }),
    );
  });
});

describe('a server message', () => {
  it('joins several pushes in one array, and none is []', () => {
    const push = (text: string) => encodeJsonPush({ id: ZERO_ID, payload: encodeText(text) });
    const joined = '[{"ver":0,"op":5,"seq":0,"body":1},{"ver":0,"op":5,"seq":0,"body":"x"}]';
    expect(decodeText(jsonArray([push('1'), push('x')]))).toBe(joined);
    expect(decodeText(jsonArray([]))).toBe('[]');
    const message = encodeJsonMessage([push('1'), push('x')]);
    expect([...message.slice(0, 2)]).toEqual([0x81, joined.length]);
  });

  it.each([
    ['{}', 'bad_json'],
    ['x', 'bad_json'],
    ['[1]', 'bad_field'],
    ['[null]', 'bad_field'],
    ['[{"ver":0,"op":"5","seq":0}]', 'bad_field'],
  ])('%s is a fault to a client', (text, fault) => {
    expect(parseServerJson(text)).toBe(fault);
    expect(parseServerJson(hex('ff'))).toBe('bad_utf8');
  });
});

describe('a client message', () => {
  it('is read from the wire page', () => {
    const text = '{"ver":1,"op":7,"seq":1,"body":"TOKEN"}';
    const frame = { ver: 1, op: 7, seq: 1, body: 'TOKEN' };
    expect(parseClientJson(text)).toEqual(frame);
    expect(parseClientJson(encodeText(text))).toEqual(frame);
    expect(encodeClientJson(1, 7, 1, 'TOKEN')).toBe(text);
    expect(parseClientJson('{"ver":1,"op":2,"seq":2,"body":{}}')).toEqual({ ver: 1, op: 2, seq: 2, body: {} });
    expect(parseClientJson('{"op":2}')).toEqual({ ver: 0, op: 2, seq: 0, body: undefined });
  });

  it.each([
    ['', 'bad_json'],
    ['x', 'bad_json'],
    ['1', 'bad_json'],
    ['null', 'bad_json'],
    ['"x"', 'bad_json'],
    ['[{"ver":1,"op":2,"seq":1}]', 'bad_json'],
    ['{"ver":1,"op":2,"seq":1', 'bad_json'],
    ['{}', 'bad_field'],
    ['{"ver":1,"seq":1}', 'bad_field'],
    ['{"ver":1,"op":"7","seq":1}', 'bad_field'],
    ['{"ver":1,"op":7.5,"seq":1}', 'bad_field'],
    ['{"ver":1,"op":7,"seq":2147483648}', 'bad_field'],
    ['{"ver":null,"op":7,"seq":1}', 'bad_field'],
    ['{"ver":1,"op":1e99,"seq":1}', 'bad_field'],
    [`{"op":2,"body":${'['.repeat(64)}${']'.repeat(64)}}`, 'json_too_deep'],
    [`{"op":2,"body":${'{"a":'.repeat(100_000)}`, 'json_too_deep'],
  ])('%.50s is a fault', (text, fault) => {
    expect(parseClientJson(text)).toBe(fault);
  });

  it('of invalid UTF-8 is bad_utf8', () => {
    expect(parseClientJson(hex('7b 22 c0 22 7d'))).toBe('bad_utf8');
  });

  it('nests as deep as the limit', () => {
    const text = (depth: number) => `{"op":2,"body":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
    expect(typeof parseClientJson(text(MAX_JSON_DEPTH))).toBe('object');
    expect(parseClientJson(text(MAX_JSON_DEPTH + 1))).toBe('json_too_deep');
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), fc.uint8Array()), (message) => {
        expect(['string', 'object']).toContain(typeof parseClientJson(message));
      }),
    );
  });
});

describe('the depth of JSON', () => {
  it('does not count brackets in strings, with or without escapes', () => {
    expect(withinJsonDepth('["[[[[","\\"[[","\\\\",[]]', 2)).toBe(true);
    expect(withinJsonDepth('["\\\\",[[]]]', 2)).toBe(false);
  });

  it('equals the depth of the value', () => {
    const depth = (value: unknown): number =>
      typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depth)) : 0;
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify(value);
        expect(withinJsonDepth(text, depth(value))).toBe(true);
        if (depth(value) > 0) expect(withinJsonDepth(text, depth(value) - 1)).toBe(false);
      }),
    );
  });
});
