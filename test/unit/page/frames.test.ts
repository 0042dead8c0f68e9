// Frames as the page shows them.
import { expect, test } from 'vitest';
import { aboutOf, acknowledgedBy, fieldsOf, framesOf, hexOf, nameOf } from '../../../src/page/frames.js';
import { encodeFrame, Op } from '../../../src/protocol/frame.js';
import type { LogName, RoomId } from '../../../src/protocol/ids.js';
import { encodeAck, encodeNativePush, FLAG_REDELIVERED, topicBytes } from '../../../src/protocol/native.js';
import { encodeJoin, encodeNativeAuth } from '../../../src/protocol/native-json.js';
import { encodeText } from '../../../src/protocol/text.js';

const id = { epoch: 7, n: 42 };
const push = encodeNativePush(id, FLAG_REDELIVERED, topicBytes('room:r' as LogName), encodeText('{"a":1}'));

test('a push is decoded by the parts of its frame', () => {
  const [frame] = framesOf('in', push, 0);
  if (frame === undefined) throw new Error('no frame');
  expect(aboutOf(frame)).toBe('room:r 7-42');
  expect(Object.fromEntries(fieldsOf(frame).map(({ name, value }) => [name, value]))).toMatchObject({
    packLen: '45',
    headerLen: '38',
    op: '5 push',
    id: '7-42',
    flags: 'redelivered',
    topic: 'room:r',
  });
  const runs = hexOf(frame).flat();
  expect(runs.map(({ kind }) => kind)).toEqual(['header', 'extended', 'extended', 'body']);
  expect(runs.at(-1)).toEqual({ kind: 'body', hex: '7b 22 61 22 3a 31 7d', text: '{"a":1}' });
});

test('several frames of one message are told apart; what is no frame is none', () => {
  const ack = encodeFrame(2, Op.ACK, 1, encodeAck(id));
  const both = new Uint8Array([...push, ...ack]);
  const frames = framesOf('out', both, 0);
  expect(frames.map(({ op }) => nameOf(op))).toEqual(['push', 'ack']);
  expect(frames.map(acknowledgedBy)).toEqual([undefined, id]);
  expect(framesOf('in', new Uint8Array(40), 0)).toEqual([]);
  expect(framesOf('in', new Uint8Array(3), 0)).toEqual([]);
});

test('a token is not kept', () => {
  const auth = encodeFrame(2, Op.AUTH, 1, encodeNativeAuth({ token: 'secret-token' }));
  const [frame] = framesOf('out', auth, 0);
  expect(frame?.packLen).toBe(auth.length);
  expect(new TextDecoder().decode(frame?.bytes)).not.toContain('secret');
});

test('of a long frame the beginning is kept', () => {
  const [frame] = framesOf('in', encodeFrame(2, Op.PUSH, 1, new Uint8Array(100_000)), 0);
  expect(frame?.packLen).toBe(100_016);
  expect(frame?.bytes.length).toBeLessThan(4_096);
});

test('a room that is asked for is named', () => {
  const [frame] = framesOf('out', encodeFrame(2, Op.JOIN, 1, encodeJoin('live://1' as RoomId)), 0);
  expect(frame && aboutOf(frame)).toBe('live://1');
});
