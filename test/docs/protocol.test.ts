// The examples in docs/protocol.md are what the codec writes and reads.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type FrameFault, isFault, Op } from '../../src/protocol/frame.js';
import { encodeJsonItem, jsonArray, parseClientJson } from '../../src/protocol/imgo-json.js';
import { encodeNativePush, OWN_TOPIC } from '../../src/protocol/native.js';
import {
  parseDisconnect,
  parseGap,
  parseJoin,
  parseJoinReply,
  parseNativeAuth,
  parseNativeAuthReply,
  parsePresenceReply,
  parseRoomRequest,
} from '../../src/protocol/native-json.js';
import { encodeText } from '../../src/protocol/text.js';

const page = readFileSync(fileURLToPath(new URL('../../docs/protocol.md', import.meta.url)), 'utf8');
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

describe('docs/protocol.md', () => {
  it('shows a native push byte for byte', () => {
    const shown = /^ {4}([0-9a-f ]{40,})$/m.exec(page)?.[1]?.replaceAll(' ', '');
    const push = encodeNativePush({ epoch: 1, n: 42 }, 0, OWN_TOPIC, encodeText('{}'));
    expect(shown).toBe(Buffer.from(push).toString('hex'));
  });

  it("shows imgo's JSON as it is written and read", () => {
    const sent = [...page.matchAll(/^ {4}-> (.*)$/gm)].map(([, line]) => parseClientJson(line ?? ''));
    expect(sent).toMatchObject([
      { op: Op.AUTH, seq: 1, body: 'TOKEN' },
      { op: Op.HEARTBEAT, seq: 2 },
    ]);
    const received = [...page.matchAll(/^ {4}<- (.*)$/gm)].map(([, line]) => line);
    const push = encodeJsonItem(0, Op.PUSH, 0, encodeText('{"test":1}'));
    const items = [encodeJsonItem(1, Op.AUTH_REPLY, 1), push, encodeJsonItem(1, Op.HEARTBEAT_REPLY, 2)];
    expect(received).toEqual(items.map((item) => text(jsonArray([item]))));
  });

  it.each<[string, RegExp, (body: Uint8Array) => object | FrameFault]>([
    ['AUTH', /^ {4}(\{"token"[^\n]*)/m, parseNativeAuth],
    ['the reply to AUTH', /^ {4}(\{"session"[\s\S]*?\}\})$/m, parseNativeAuthReply],
    ['GAP', /\*\*GAP\*\*[^`]*`([^`]+)`/, parseGap],
    ['JOIN', /\*\*JOIN\*\*[^`]*`([^`]+)`/, parseJoin],
    ['the reply to JOIN', /Its reply \(259\):\s*`([^`]+)`/, parseJoinReply],
    ['a refused JOIN', /Its reply \(259\):\s*`[^`]+`, or `([^`]+)`/, parseJoinReply],
    ['LEAVE', /\*\*LEAVE\*\*[^`]*`([^`]+)`/, parseRoomRequest],
    ['PRESENCE', /\*\*PRESENCE\*\*[^`]*`([^`]+)`/, parseRoomRequest],
    ['the reply to PRESENCE', /its reply \(264\)[^`]*`([^`]+)`/, parsePresenceReply],
    ['DISCONNECT', /\*\*DISCONNECT\*\*[^`]*`([^`]+)`/, parseDisconnect],
  ])('shows %s as it is read', (_name, where, parse) => {
    const shown = where.exec(page)?.[1]?.replaceAll(/\s*\n\s*/g, '');
    expect(shown).toBeDefined();
    const read = parse(encodeText(shown ?? ''));
    expect(typeof read === 'string' && isFault(read) ? read : 'read').toBe('read');
  });
});
