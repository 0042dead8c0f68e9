// Random bytes against the codec for a while: goldens cut, joined, bent and split, JSON bent, each judged by a second,
// simpler parser. Every round has its own seed; a failure prints the command that repeats just that round.
// npm run fuzz -- [--seconds 10] [--seed N] [--rounds N]

import { type AuthContext, detectDialect } from '../../src/protocol/dialect.js';
import { checkHeader, encodeFrame, type FrameFault, type FrameLimits } from '../../src/protocol/frame.js';
import { looksLikeGoimAuth, parseGoimAuth, parseOperations, parseRoomBody } from '../../src/protocol/goim.js';
import { formatId, parseFullId, parseId } from '../../src/protocol/ids.js';
import { encodeJsonItem, jsonArray, parseClientJson, parseServerJson } from '../../src/protocol/imgo-json.js';
import { decodeAck, decodeNativePush, encodeNativePush } from '../../src/protocol/native.js';
import * as native from '../../src/protocol/native-json.js';
import { FrameReader, type FrameSink, readMessage, Verdict } from '../../src/protocol/reader.js';
import { flagsOf } from '../harness/flags.js';
import { seededRandom } from '../harness/random.js';
import { GOIM, IMGO, NATIVE } from '../unit/protocol/goldens.js';
import { toHex } from '../unit/protocol/hex.js';

const { values } = flagsOf(import.meta.filename, {
  seconds: { type: 'string' },
  seed: { type: 'string' },
  rounds: { type: 'string' },
});
const seconds = Number(values.seconds ?? 10);
const firstSeed = Number(values.seed ?? Date.now() % 0x7fff_ffff);
const maxRounds = Number(values.rounds ?? Number.POSITIVE_INFINITY);

const FRAMES = [...IMGO, ...GOIM, ...NATIVE].map((golden) => golden.bytes);
const BODIES = [...IMGO, ...GOIM, ...NATIVE].map((golden) => golden.body).filter((body) => body.length > 0);
const TOKENS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ':',
  ',',
  '\\',
  '1-1',
  '01-1',
  'null',
  '-1',
  '1e999',
  '\u0000',
  '"mid":',
  '9007199254740993',
];
const ODD = [0, 1, 15, 16, 17, 32, 0x7f, 0x80, 0xff];

type Random = () => number;

const below = (random: Random, limit: number) => Math.floor(random() * limit);
const pick = <T>(random: Random, list: readonly T[]): T => list[below(random, list.length)] as T;

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Overwrites, cuts, repeats or inserts a few bytes. */
function bent(random: Random, bytes: Uint8Array): Uint8Array {
  let result = bytes.slice();
  for (let times = below(random, 4); times > 0; times--) {
    const at = below(random, result.length + 1);
    const what = below(random, 5);
    if (what === 0 && at < result.length) result[at] = pick(random, ODD);
    else if (what === 1 && at < result.length) result[at] = below(random, 256);
    else if (what === 2) result = result.slice(0, at);
    else if (what === 3) result = joined([result.slice(0, at), result.slice(below(random, result.length + 1))]);
    else result = joined([result.slice(0, at), new TextEncoder().encode(pick(random, TOKENS)), result.slice(at)]);
  }
  return result;
}

interface Reading {
  readonly frames: string[];
  fault: FrameFault | undefined;
}

/** What the reader must see, told by a parser over the whole stream that only uses DataView. */
function reference(bytes: Uint8Array, limits: FrameLimits, message: boolean): Reading {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reading: Reading = { frames: [], fault: undefined };
  let at = 0;
  while (at < bytes.length || (message && at === 0)) {
    const left = bytes.length - at;
    if (left < 16) {
      if (message) reading.fault = 'message_truncated';
      break;
    }
    const pack = view.getInt32(at);
    const header = view.getInt16(at + 4);
    if (pack < 16) reading.fault = 'pack_too_small';
    else if (pack > limits.maxFrame) reading.fault = 'frame_too_large';
    else if (header < 16) reading.fault = 'header_too_small';
    else if (header > pack) reading.fault = 'header_over_pack';
    else if (header > limits.maxHeader) reading.fault = 'header_too_large';
    else if (message && pack > left) reading.fault = 'message_truncated';
    if (reading.fault !== undefined || pack > left) break;
    const op = view.getInt32(at + 8);
    reading.frames.push(
      `${view.getUint16(at + 6)} ${op} ${view.getInt32(at + 12)} ${toHex(bytes.subarray(at, at + pack))}`,
    );
    at += pack;
  }
  return reading;
}

function collector(reading: Reading, random: Random, pauses: boolean): FrameSink {
  return {
    frame(buf, start, _headerLen, end, op, seq, ver) {
      reading.frames.push(`${ver} ${op} ${seq} ${toHex(buf.subarray(start, end))}`);
      return pauses && random() < 0.2 ? Verdict.PAUSE : Verdict.MORE;
    },
    fault(fault) {
      if (reading.fault !== undefined) throw new Error('two faults');
      reading.fault = fault;
    },
  };
}

function must(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

function sameReading(got: Reading, want: Reading, what: string): void {
  must(got.fault === want.fault, `${what}: fault ${got.fault}, expected ${want.fault}`);
  must(got.frames.join() === want.frames.join(), `${what}: frames differ`);
}

function fuzzFrames(random: Random): void {
  const limits = { maxFrame: pick(random, [16, 64, 200, 65_536]), maxHeader: pick(random, [16, 40, 0x7fff]) };
  const parts = Array.from({ length: below(random, 6) }, () => bent(random, pick(random, FRAMES)));
  const bytes = joined(parts);
  const stream: Reading = { frames: [], fault: undefined };
  const reader = new FrameReader(limits);
  const sink = collector(stream, random, random() < 0.3);
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + below(random, pick(random, [3, 20, 400]));
    const chunk = bytes.slice(at, at + size);
    reader.push(chunk, sink);
    chunk.fill(0xee);
    at += size;
    if (random() < 0.3) reader.resume(sink);
  }
  for (let turn = 0; turn <= FRAMES.length; turn++) reader.resume(sink);
  sameReading(stream, reference(bytes, limits, false), 'stream');
  must(reader.carry === undefined || reader.held > 0, 'an empty carry is kept');
  const message: Reading = { frames: [], fault: undefined };
  readMessage(bytes, limits, collector(message, random, false));
  sameReading(message, reference(bytes, limits, true), 'message');
  if (bytes.length >= 16 && checkHeader(bytes, 0, limits) === undefined) {
    const headerLen = new DataView(bytes.buffer).getInt16(4);
    if (headerLen <= bytes.length) decodeNativePush(bytes, 0, headerLen);
  }
}

function fuzzBodies(random: Random): void {
  const body = bent(random, pick(random, BODIES));
  decodeAck(body);
  parseGoimAuth(body);
  parseOperations(body);
  parseRoomBody(body);
  parseClientJson(body);
  parseServerJson(body);
  looksLikeGoimAuth(body, random() < 0.5);
  for (const parse of [
    native.parseNativeAuth,
    native.parseNativeAuthReply,
    native.parseGap,
    native.parseJoin,
    native.parseJoinReply,
    native.parseRoomRequest,
    native.parseLeaveReply,
    native.parsePresenceReply,
    native.parseDisconnect,
  ]) {
    parse(body);
  }
  const carrier = pick(random, ['tcp', 'text', 'binary'] as const) satisfies AuthContext['carrier'];
  const goimListener = random() < 0.2;
  detectDialect({ carrier, subprotocol: random() < 0.2, goimListener, ver: below(random, 4), body });
  const array = jsonArray([encodeJsonItem(0, 5, 0, body), encodeJsonItem(1, 8, 1)]);
  const items = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(array)) as unknown[];
  must(items.length === 2, 'a payload broke the array around it');
  const text = Array.from({ length: below(random, 12) }, () =>
    pick(random, ['0', '1', '9', '-', '@', 'user:', 'all', ' ']),
  ).join('');
  const id = parseId(text);
  must(id === undefined || formatId(id) === text, `an id with two spellings: ${text}`);
  parseFullId(text);
}

function fuzzRoundTrip(random: Random): void {
  const payload = Uint8Array.from({ length: below(random, 100) }, () => below(random, 256));
  const ver = below(random, 0x1_0000);
  const op = below(random, 2 ** 32) | 0;
  const seq = below(random, 2 ** 32) | 0;
  const frame = encodeFrame(ver, op, seq, payload);
  const want = reference(frame, { maxFrame: 1000, maxHeader: 16 }, true);
  must(want.frames.join() === `${ver} ${op} ${seq} ${toHex(frame)}`, 'a frame that is not read as written');
  const id = { epoch: below(random, 2 ** 32), n: below(random, Number.MAX_SAFE_INTEGER) };
  const topic = new TextEncoder().encode(pick(random, ['', 'all', 'room:r']));
  const push = encodeNativePush(id, 3, topic, payload);
  const decoded = decodeNativePush(push, 0, 32 + topic.length);
  must(typeof decoded === 'object' && formatId(decoded.id) === formatId(id), 'an id that is not read as written');
}

const ends = performance.now() + seconds * 1000;
let round = 0;
for (; round < maxRounds && (round % 64 !== 0 || performance.now() < ends); round++) {
  const seed = firstSeed + round;
  try {
    const random = seededRandom(seed);
    fuzzFrames(random);
    fuzzBodies(random);
    fuzzRoundTrip(random);
  } catch (error) {
    console.error(error);
    console.error(`round ${round} failed; again: npm run fuzz -- --seed ${seed} --rounds 1`);
    process.exit(1);
  }
}
console.log(`${round} rounds from seed ${firstSeed}: no exception, no difference`);
