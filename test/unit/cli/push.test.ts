// What push sends: the bytes that were given, to whom it was said, a line at a time in bounded groups.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { gapObject, messageLine, messageObject } from '../../../src/cli/listen/print.js';
import { type InputLine, lineGroups, MAX_LINE_BYTES } from '../../../src/cli/push/line-reader.js';
import { readMessage } from '../../../src/cli/push/message.js';
import { pushBody } from '../../../src/cli/push/one.js';
import { idempotencyKey } from '../../../src/cli/push/retry.js';
import { confirmAll, readTarget, requestTargets } from '../../../src/cli/push/target.js';
import type { Message } from '../../../src/client/index.js';
import type { LogName } from '../../../src/protocol/ids.js';
import { fc } from '../../harness/property.js';

const folder = mkdtempSync(join(tmpdir(), 'imgo-push-'));
afterAll(() => rmSync(folder, { recursive: true }));

function fileWith(bytes: string | Uint8Array): string {
  const file = join(folder, 'message');
  writeFileSync(file, bytes);
  return file;
}

async function sent(argument: string | undefined, as: 'json' | 'text' | 'base64', file?: string): Promise<string> {
  const message = await readMessage({ argument, file, as });
  return pushBody('{"user":"1"}', message, undefined).toString();
}

describe('a message', () => {
  it('that is JSON is sent as the bytes that came', async () => {
    const big = '{ "n": 12345678901234567890, "s":"\\u00e4" }';
    expect(await sent(big, 'json')).toBe(`{"to":{"user":"1"},"message":${big}}`);
    expect(await sent(undefined, 'json', fileWith(`${big}\r\n`))).toBe(`{"to":{"user":"1"},"message":${big}}`);
  });

  it('that is not JSON needs --text, and is not repeated in the error', async () => {
    const error = (await sent('not json: secret', 'json').catch((thrown: unknown) => thrown)) as Error;
    expect(error).toMatchObject({ code: 'not_json', exit: 2 });
    expect(String(error)).not.toContain('secret');
    expect(await sent('not json', 'text')).toBe('{"to":{"user":"1"},"message":"not json"}');
  });

  it('that is bytes is base64', async () => {
    expect(await sent('AP8=', 'base64')).toBe('{"to":{"user":"1"},"base64":"AP8="}');
    expect(await sent(undefined, 'base64', fileWith('AP\n8='))).toBe('{"to":{"user":"1"},"base64":"AP8="}');
    await expect(sent('AP!8=', 'base64')).rejects.toMatchObject({ code: 'usage' });
  });

  it('that is not UTF-8 is neither JSON nor text', async () => {
    const file = fileWith(Buffer.from([0x22, 0xff, 0x22]));
    await expect(sent(undefined, 'json', file)).rejects.toMatchObject({ code: 'not_json' });
    await expect(sent(undefined, 'text', file)).rejects.toMatchObject({ code: 'not_json' });
  });

  it('comes from one place', async () => {
    await expect(sent(undefined, 'json')).rejects.toMatchObject({ code: 'usage' });
    await expect(sent('1', 'json', fileWith('1'))).rejects.toMatchObject({ code: 'usage' });
    await expect(sent(undefined, 'json', join(folder, 'none'))).rejects.toMatchObject({ code: 'file_unreadable' });
  });
});

describe('a target', () => {
  it('is one kind of receiver', async () => {
    await expect(readTarget({})).rejects.toMatchObject({ code: 'invalid_target' });
    await expect(readTarget({ user: ['1'], room: ['r'] })).rejects.toMatchObject({ code: 'invalid_target' });
    await expect(readTarget({ user: ['1'], all: true })).rejects.toMatchObject({ code: 'invalid_target' });
    await expect(readTarget({ user: ['a\u0000b'] })).rejects.toMatchObject({ code: 'invalid_user' });
    await expect(readTarget({ room: ['x'.repeat(129)] })).rejects.toMatchObject({ code: 'invalid_room' });
  });

  it('of many users comes from flags and file, each once', async () => {
    const target = await readTarget({ user: ['1', '2'], 'users-file': fileWith('2\r\n3\n\n') });
    expect(target).toEqual({ kind: 'users', users: ['1', '2', '3'] });
    expect([...requestTargets(target, 0)]).toEqual([{ to: '{"users":["1","2","3"]}' }]);
  });

  it('of very many is several requests below the limits of the server', () => {
    const users = Array.from({ length: 25_000 }, (_, at) => `${at}`.padStart(100, 'x'));
    const requests = [...requestTargets({ kind: 'users', users }, 65_536)].map(({ to }) => to);
    expect(requests.flatMap((to) => (JSON.parse(to) as { users: string[] }).users)).toEqual(users);
    for (const to of requests) {
      expect(Buffer.byteLength(to) + 65_536).toBeLessThan(2 ** 20);
      expect((JSON.parse(to) as { users: string[] }).users.length).toBeLessThanOrEqual(10_000);
    }
  });

  it('all asks for --yes away from this machine', () => {
    const all = { kind: 'all' } as const;
    expect(() => confirmAll(all, 'http://push.example.com', false)).toThrow('--yes');
    expect(() => confirmAll(all, 'http://push.example.com', true)).not.toThrow();
    expect(() => confirmAll(all, 'http://[::1]:7172', false)).not.toThrow();
  });
});

describe('lines', () => {
  async function read(chunks: readonly Buffer[]): Promise<readonly InputLine[]> {
    const lines: InputLine[] = [];
    for await (const group of lineGroups(
      (async function* () {
        yield* chunks;
      })(),
    )) {
      expect(group.length).toBeGreaterThan(0);
      expect(group.length).toBeLessThanOrEqual(2_000);
      lines.push(...group);
    }
    return lines;
  }

  it('are the same however the bytes arrive', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 30 }),
        fc.array(fc.nat(200), { maxLength: 20 }),
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        async (texts, cuts, end, last) => {
          const clean = texts.map((text) => text.replace(/[\r\n]/g, ' '));
          const bytes = Buffer.from(clean.join(end) + (last ? end : ''));
          const chunks: Buffer[] = [];
          let from = 0;
          for (const cut of [...cuts].sort((a, b) => a - b)) {
            chunks.push(bytes.subarray(from, Math.max(from, Math.min(cut, bytes.length))));
            from = Math.max(from, Math.min(cut, bytes.length));
          }
          chunks.push(bytes.subarray(from));
          const expected = clean.flatMap((text, at) =>
            Buffer.from(text).some((byte) => byte > 0x20) ? [`${at + 1} ${text}`] : [],
          );
          const lines = await read(chunks);
          expect(lines.map(({ number, bytes: line }) => `${number} ${line.toString()}`)).toEqual(expected);
        },
      ),
    );
  });

  it('that are too long are told, and do not disturb the next', async () => {
    const long = Buffer.alloc(MAX_LINE_BYTES + 1, 0x61);
    const lines = await read([long.subarray(0, 10), long.subarray(10), Buffer.from('\nshort\n')]);
    expect(lines.map(({ number, tooLong }) => [number, tooLong])).toEqual([
      [1, true],
      [2, false],
    ]);
  });
});

describe('an idempotency key', () => {
  it('auto is another one each time', () => {
    expect(idempotencyKey('auto')).not.toBe(idempotencyKey('auto'));
    expect(idempotencyKey(undefined)).toBeUndefined();
    expect(idempotencyKey('order-7')).toBe('order-7');
    expect(() => idempotencyKey('a b')).toThrow();
  });
});

describe('a received message', () => {
  const message = (payload: string | Uint8Array, more: Partial<Message> = {}): Message => ({
    log: 'user:1' as LogName,
    id: { epoch: 1, n: 42 },
    payload: Buffer.from(payload),
    redelivered: false,
    ephemeral: false,
    operation: 5,
    receivedAt: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
    ...more,
  });

  it('is one line of JSON whose message is what came', () => {
    expect(messageObject(message('{"n":\n12345678901234567890}'))).toBe(
      '{"log":"user:1","id":"1-42","message":{"n": 12345678901234567890},"redelivered":false,"receivedAt":"2026-01-02T03:04:05.006Z"}',
    );
  });
  it('that is not JSON is a string, that is not UTF-8 is base64', () => {
    expect(JSON.parse(messageObject(message('a "b"\n')))).toMatchObject({ message: 'a "b"\n' });
    expect(JSON.parse(messageObject(message(Buffer.from([0xff]))))).toMatchObject({ base64: '/w==' });
  });
  it('of no log and no id says so', () => {
    const bare = message('1', { log: undefined, id: undefined });
    expect(JSON.parse(messageObject(bare))).toMatchObject({ log: null, id: null, message: 1 });
  });
  it('on a terminal obeys no control character, and names a log that is not the own one', () => {
    const own = 'user:1' as LogName;
    expect(messageLine(message('"\u001b[2J"'), own)).toMatch(/ {2}1-42 {2}"\\x1b\[2J"$/);
    expect(messageLine(message('1', { log: 'room:r' as LogName, redelivered: true }), own)).toMatch(
      / {2}room:r@1-42 {2}1 {2}\(redelivered\)$/,
    );
  });
  it('a gap is told between which ids', () => {
    const gap = { log: 'user:1' as LogName, after: { epoch: 1, n: 3 }, upTo: { epoch: 1, n: 9 } };
    expect(gapObject(gap)).toBe('{"gap":{"log":"user:1","after":"1-3","upTo":"1-9"}}');
  });
});
