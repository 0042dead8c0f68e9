// Texts to copy: a shell reads them as the words that are meant, JavaScript as the call that is meant.
import { execFileSync } from 'node:child_process';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import {
  commandText,
  curlText,
  fetchText,
  messageText,
  type PushOrder,
  pushBody,
  pushPath,
} from '../../../src/page/snippets.js';
import { fc } from '../../harness/property.js';

const here = { server: 'http://127.0.0.1:7391', command: 'imgo', needsKey: false };

/** The words that a shell makes of a line whose program is `name`. */
function wordsOf(name: string, line: string, env = {}): string[] {
  const script = `${name}() { for word; do printf '%s\\0' "$word"; done; }; ${line}`;
  return execFileSync('/bin/sh', ['-c', script], { encoding: 'utf8', env }).split('\0').slice(0, -1);
}

/** URL and body of the call that a JavaScript text makes. */
function callOf(text: string): [url: string, body: string] {
  const calls: [string, string][] = [];
  const fetch = (url: string, { body }: { body: string }) => calls.push([url, body]);
  runInNewContext(text.replace(/^await /, ''), { fetch });
  return calls[0] ?? ['', ''];
}

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter((text) => !/[\0\r\n]/.test(text));
const order: fc.Arbitrary<PushOrder> = fc.record({
  target: fc.oneof(
    fc.record({ kind: fc.constantFrom('user' as const, 'room' as const), name }),
    fc.constant({ kind: 'all' as const }),
  ),
  message: fc.json().filter((text) => !text.includes('\0')),
  ttl: fc.constantFrom('', '0', '7d'),
  wait: fc.boolean(),
});

describe('the same push from elsewhere', () => {
  test('curl sends the body of the push', () => {
    fc.assert(
      fc.property(order, (push) => {
        const words = wordsOf('curl', curlText(push, here));
        expect(words).toEqual([
          '-s',
          here.server + pushPath(push),
          '-H',
          'Content-Type: application/json',
          '-d',
          pushBody(push),
        ]);
        expect(JSON.parse(pushBody(push)).message).toEqual(JSON.parse(push.message));
      }),
      { numRuns: 60 },
    );
  });

  test('the command has the target and the message as words of their own', () => {
    fc.assert(
      fc.property(order, (push) => {
        const words = wordsOf('imgo', commandText(push, here));
        expect(words[0]).toBe('push');
        expect(JSON.parse(words.at(-1) ?? '')).toEqual(JSON.parse(push.message));
        if (push.target.kind === 'all') expect(words[1]).toBe('--all');
        else expect(words.slice(1, 3).join(' ').replace('=', ' ')).toContain(`--${push.target.kind} `);
        if (push.target.kind !== 'all') expect(words.join('\0')).toContain(push.target.name);
      }),
      { numRuns: 60 },
    );
  });

  test('fetch calls the same address with the same body', () => {
    fc.assert(
      fc.property(order, (push) => {
        const [url, body] = callOf(fetchText(push, here));
        expect(url).toBe(here.server + pushPath(push));
        expect(JSON.parse(body)).toEqual(JSON.parse(pushBody(push)));
      }),
      { numRuns: 200 },
    );
  });

  test('a key that JavaScript takes for the prototype survives', () => {
    const push: PushOrder = { target: { kind: 'all' }, message: '[{"__proto__":{}}]', ttl: '', wait: false };
    expect(callOf(fetchText(push, here))[1]).toBe(pushBody(push));
  });

  test('numbers that JavaScript cannot hold survive', () => {
    const push = { target: { kind: 'user', name: '1' }, message: '{"n":12345678901234567890}', ttl: '', wait: false };
    for (const text of [curlText, commandText, fetchText]) {
      expect(text(push as PushOrder, here)).toContain('12345678901234567890');
    }
    expect(fetchText(push as PushOrder, here)).not.toContain('JSON.stringify');
  });

  test('where a key is needed it is named', () => {
    const push: PushOrder = { target: { kind: 'user', name: '1' }, message: '1', ttl: '', wait: false };
    const there = { ...here, needsKey: true };
    expect(wordsOf('curl', curlText(push, there), { IMGO_KEY: 'secret' })).toContain('Authorization: Bearer secret');
    expect(commandText(push, there)).toContain('--key-file imgo.key');
    expect(fetchText(push, there)).toContain('process.env.IMGO_KEY');
  });

  test('a message is named as one word', () => {
    expect(wordsOf('imgo', messageText("user:o'neil@1-2", here))).toEqual([
      'msg',
      "user:o'neil@1-2",
      '--server',
      here.server,
    ]);
  });

  test('the default server needs no mention', () => {
    const push: PushOrder = { target: { kind: 'user', name: '1' }, message: '{"a": 1}', ttl: '', wait: true };
    const text = commandText(push, { ...here, server: 'http://127.0.0.1:7172' });
    expect(text).toBe(`imgo push --user 1 --wait '{"a":1}'`);
  });
});
