// JSON in the page's editor: where it breaks, and the same with other blanks.
import { expect, test } from 'vitest';
import { compactJson, jsonFault, prettyJson } from '../../../src/page/json.js';
import { fc } from '../../harness/property.js';

test('fewer or more blanks change nothing else', () => {
  fc.assert(
    fc.property(fc.json(), fc.nat(3), (text, indent) => {
      const loose = JSON.stringify(JSON.parse(text), null, indent);
      expect(compactJson(loose)).toBe(JSON.stringify(JSON.parse(text)));
      expect(prettyJson(loose)).toBe(JSON.stringify(JSON.parse(text), null, 2));
    }),
  );
});

test('what a value cannot hold survives: large numbers, keys that stand twice', () => {
  const text = '{ "n": 12345678901234567890, "n": 1.10 }';
  expect(compactJson(text)).toBe('{"n":12345678901234567890,"n":1.10}');
  expect(prettyJson(text)).toBe('{\n  "n": 12345678901234567890,\n  "n": 1.10\n}');
});

test.each([
  ['', 1, 1, 'there is nothing yet'],
  ['{"a":1', 1, 7, 'it ends too early'],
  ['{"a":1,\n  b}', 2, 3, '“b” does not fit here'],
  ['[1,]', 1, 4, '“]” does not fit here'],
  ['"a\nb"', 1, 3, 'a line break or tab inside of a string'],
])('%j is no JSON at %d:%d', (text, line, column, reason) => {
  expect(jsonFault(text)).toEqual({ line, column, reason });
});

test('what is JSON to JavaScript is JSON here, and nothing else', () => {
  const isJson = (text: string) => {
    try {
      JSON.parse(text);
      return true;
    } catch {
      return false;
    }
  };
  const nearly = fc
    .tuple(fc.json(), fc.nat(200), fc.constantFrom('', '"', ',', '}', '0', '\\', ' ', '\n', 'e'))
    .map(([text, at, piece]) => text.slice(0, at) + piece + text.slice(at + 1));
  fc.assert(
    fc.property(fc.oneof(fc.json({ maxDepth: 5 }), nearly), (text) => {
      expect(jsonFault(text) === undefined, text).toBe(isJson(text));
    }),
    { numRuns: 1_000 },
  );
});

test('what the server reads no further is told', () => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
  expect(jsonFault(nested(63))).toBeUndefined();
  expect(jsonFault(nested(64))?.reason).toBe('nested deeper than 63');
});
