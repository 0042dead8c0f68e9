// What `x` shows of a frame are the bytes that were on the wire, and no payload that was not asked for.

import { expect, it } from 'vitest';
import { detailLines } from '../../../../src/cli/tail/detail.js';
import { encodeFrame, Op } from '../../../../src/protocol/frame.js';
import type { LogName } from '../../../../src/protocol/ids.js';
import { encodeNativePush, FLAG_REDELIVERED, OWN_TOPIC, topicBytes } from '../../../../src/protocol/native.js';
import { tcpFrame } from '../../../../src/server/observe/frames.js';

const BODY = Buffer.from('{"test":1}');
const ID = { epoch: 1_795_566_226, n: 2 ** 40 + 7 };

/** The event that a server makes of these bytes, as a line. */
function lineOf(bytes: Uint8Array, body = true): string {
  const frame = tcpFrame(bytes, 0).read() ?? expect.fail('no frame');
  const payload = body ? { body: Buffer.from(frame.body).toString('base64') } : {};
  return JSON.stringify({
    event: 'frame',
    at: 1,
    direction: 'out',
    header: frame.header,
    bytes: frame.bytes,
    ...payload,
  });
}

/** The bytes of lines such as `000010  00 2a …`, each where it says that it lies. */
function shownBytes(lines: readonly string[]): Buffer {
  const parts = lines.flatMap((line) => /^([0-9a-f]{6}) {2}((?:[0-9a-f]{2} ?)+)/.exec(line) ?? []);
  const bytes: number[] = [];
  for (let at = 0; at < parts.length; at += 3) {
    expect(Number.parseInt(parts[at + 1] as string, 16)).toBe(bytes.length);
    bytes.push(
      ...(parts[at + 2] as string)
        .trim()
        .split(' ')
        .map((pair) => Number.parseInt(pair, 16)),
    );
  }
  return Buffer.from(bytes);
}

it.each([
  ['a native push to a user', encodeNativePush(ID, FLAG_REDELIVERED, OWN_TOPIC, BODY)],
  ['a native push to a room', encodeNativePush(ID, 0, topicBytes('room:live://Ünïcode' as LogName), BODY)],
  ['a push of another dialect', encodeFrame(1, Op.PUSH, -1, BODY)],
  ['a reply without a body', encodeFrame(1, Op.HEARTBEAT_REPLY, 91)],
])('of %s x shows every byte', (_name, bytes) => {
  expect(shownBytes(detailLines(lineOf(bytes), 'hex')).toString('hex')).toBe(Buffer.from(bytes).toString('hex'));
});

it('of a payload that is hidden x shows the header, and says what is missing', () => {
  const bytes = encodeNativePush(ID, 0, OWN_TOPIC, BODY);
  const lines = detailLines(lineOf(bytes, false), 'hex');
  expect(shownBytes(lines).toString('hex')).toBe(Buffer.from(bytes).subarray(0, 32).toString('hex'));
  expect(lines.join(' ')).toContain('--payload full shows it');
});

it.each([
  ['text, which has no header', { ver: 0, op: 5, seq: 0 }],
  [
    'another version, which says it otherwise',
    { packLen: 58, headerLen: 40, ver: 2, op: 5, seq: 1, epoch: 1, n: 1, flags: 0 },
  ],
])('of a frame of %s x shows the payload alone', (_name, header) => {
  const line = JSON.stringify({ event: 'frame', at: 1, header, body: BODY.toString('base64') });
  expect(shownBytes(detailLines(line, 'hex')).toString()).toBe(BODY.toString());
});
