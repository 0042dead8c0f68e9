// What a connection receives, cut anywhere: every walker counts and marks what was sent, as a slow reading of it says.
import { describe, expect, test } from 'vitest';
import { factorOf, fingerprintOf, payloadOf } from '../../../src/bench/payload.js';
import { FrameWalker } from '../../../src/bench/wire/frames.js';
import { MessageWalker } from '../../../src/bench/wire/messages.js';
import { MOST_BYTES, type Unit, type WalkEvents, type Walker } from '../../../src/bench/wire/walker.js';
import { UPGRADE_ANSWER } from '../../../src/bench/wire/wire.js';
import {
  type Encoding,
  encodeJsonMessage,
  encodeJsonPush,
  encodePush,
  encodeReply,
} from '../../../src/protocol/dialect.js';
import { encodeFrame, Op } from '../../../src/protocol/frame.js';
import { wrapBatch } from '../../../src/protocol/goim.js';
import { ALL_LOG, type RoomId, roomLog } from '../../../src/protocol/ids.js';
import { topicBytes } from '../../../src/protocol/native.js';
import { encodeGap } from '../../../src/protocol/native-json.js';
import { encodeWebSocket, WsOpcode } from '../../../src/protocol/websocket.js';
import { fc } from '../../harness/property.js';

const UPGRADED = `HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: ${UPGRADE_ANSWER}\r\n\r\n`;

/** What is put on the wire: a push of message n, or something else. */
type Said = number | 'heartbeat' | 'gap' | 'ping' | 'auth';

const said: fc.Arbitrary<Said> = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 1, max: 40 }) },
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 2_000_000 }) },
  { weight: 1, arbitrary: fc.constantFrom<Said>('heartbeat', 'gap', 'ping', 'auth') },
);

interface Kind {
  readonly encoding: Encoding;
  readonly dialect: 'imgo' | 'goim2' | 'native';
  readonly transport: 'tcp' | 'ws';
}

const KINDS: readonly Kind[] = [
  { encoding: 'plain-tcp', dialect: 'imgo', transport: 'tcp' },
  { encoding: 'imgo-ws', dialect: 'imgo', transport: 'ws' },
  { encoding: 'goim2-tcp', dialect: 'goim2', transport: 'tcp' },
  { encoding: 'goim2-ws', dialect: 'goim2', transport: 'ws' },
  { encoding: 'native-tcp', dialect: 'native', transport: 'tcp' },
  { encoding: 'native-ws', dialect: 'native', transport: 'ws' },
];

const TOPICS = [new Uint8Array(0), topicBytes(roomLog('1' as RoomId)), topicBytes(ALL_LOG)];

function bytesFor({ encoding, dialect, transport }: Kind, one: Said, size: number): Uint8Array {
  switch (one) {
    case 'heartbeat':
      return encodeReply(
        dialect,
        transport,
        1,
        Op.HEARTBEAT_REPLY,
        1,
        dialect === 'goim2' ? new Uint8Array(4) : undefined,
      );
    case 'auth':
      return encodeReply(dialect, transport, 1, Op.AUTH_REPLY, 1);
    case 'gap': {
      if (dialect !== 'native') return bytesFor({ encoding, dialect, transport }, 'heartbeat', size);
      const gap = { log: ALL_LOG, after: { epoch: 1, n: 1 }, upTo: { epoch: 1, n: 9 } };
      return encodeReply(dialect, transport, 2, Op.GAP, 0, encodeGap(gap));
    }
    case 'ping':
      return transport === 'ws' ? encodeWebSocket(WsOpcode.PING, new Uint8Array(3)) : new Uint8Array(0);
    default: {
      const payload = Buffer.from(payloadOf(one, size));
      const id = { epoch: 1_700_000_000, n: one };
      return encodePush(encoding, { id, payload }, TOPICS[one % 3], one % 7 === 0 ? 1 : 0);
    }
  }
}

/** What a walker told, beside its counts. */
class Told implements WalkEvents {
  readonly payloads: string[][];
  readonly controls: number[] = [];
  readonly sockets: string[] = [];

  constructor(connections: number) {
    this.payloads = Array.from({ length: connections }, () => []);
  }

  pushes(connection: number, { buffer }: { buffer: Buffer }, at: number, count: number, unit: Unit): void {
    for (let one = 0; one < count; one++) {
      const start = at + one * unit.length;
      this.payloads[connection]?.push(buffer.toString('latin1', start + unit.body, start + unit.bodyEnd));
    }
  }

  control(_connection: number, op: number): void {
    this.controls.push(op);
  }

  socket(_connection: number, what: string): void {
    this.sockets.push(what);
  }
}

function walkerOf(
  { dialect, transport }: Kind,
  connections: number,
  read: Buffer,
  ordered: boolean,
  told: Told,
): Walker {
  const kind = { pushOp: Op.PUSH, native: dialect === 'native' };
  return transport === 'tcp'
    ? new FrameWalker(connections, read, ordered, told, kind)
    : new MessageWalker(connections, read, ordered, told, kind, UPGRADE_ANSWER);
}

/** Gives the streams to a walker in turns, cut as `cuts` says. False: it was told that one is no protocol. */
function walk(walker: Walker, read: Buffer, streams: readonly Buffer[], cuts: readonly number[]): boolean {
  const at = streams.map(() => 0);
  for (let turn = 0; streams.some((stream, one) => (at[one] as number) < stream.length); turn++) {
    const one = turn % streams.length;
    const from = at[one] as number;
    const length = (streams[one] as Buffer).copy(read, 0, from, from + (cuts[turn % cuts.length] as number));
    at[one] = from + length;
    if (length > 0 && !walker.walk(one, length)) return false;
  }
  return true;
}

describe.each(KINDS)('$encoding', (kind) => {
  test('counts, marks and shows every push, wherever the stream is cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(said, { maxLength: 60 }), { minLength: 1, maxLength: 3 }),
        fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }),
        fc.constantFrom(26, 26, 26, 150, 70_000),
        fc.boolean(),
        (connections, cuts, size, ordered) => {
          const read = Buffer.alloc(300_000);
          const told = new Told(connections.length);
          const walker = walkerOf(kind, connections.length, read, ordered, told);
          walker.watched.fill(1);
          const streams = connections.map((all) =>
            Buffer.concat([
              ...(kind.transport === 'ws' ? [Buffer.from(UPGRADED)] : []),
              ...all.map((one) => bytesFor(kind, one, size)),
            ]),
          );
          const longer = size > 1_000 ? cuts.map((cut) => cut * 500) : cuts;
          expect(walk(walker, read, streams, longer)).toBe(true);
          for (const [connection, all] of connections.entries()) {
            const numbers = all.filter((one): one is number => typeof one === 'number');
            expect(walker.counts[connection]).toBe(numbers.length);
            expect(told.payloads[connection]).toEqual(numbers.map((n) => payloadOf(n, size)));
            const mark = numbers.reduce((mark, n) => (Math.imul(mark, factorOf(ordered)) + fingerprintOf(n)) | 0, 0);
            expect(walker.marks[connection]).toBe(mark);
          }
          expect(walker.pushes).toBe(connections.flat().filter((one) => typeof one === 'number').length);
          expect(told.controls.filter((op) => op === Op.AUTH_REPLY).length).toBe(
            connections.flat().filter((one) => one === 'auth').length,
          );
          if (kind.dialect === 'native') {
            expect(told.controls.filter((op) => op === Op.GAP).length).toBe(
              connections.flat().filter((one) => one === 'gap').length,
            );
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  test('what is lost, comes twice or in another order changes the mark', () => {
    const markOf = (numbers: readonly number[], ordered: boolean) => {
      const read = Buffer.alloc(65_536);
      const walker = walkerOf(kind, 1, read, ordered, new Told(1));
      const head = kind.transport === 'ws' ? [Buffer.from(UPGRADED)] : [];
      walk(walker, read, [Buffer.concat([...head, ...numbers.map((n) => bytesFor(kind, n, 26))])], [4_096]);
      return walker.marks[0];
    };
    const all = Array.from({ length: 300 }, (_, at) => at + 1);
    const swapped = [...all.slice(0, 100), 102, 101, ...all.slice(102)];
    const replaced = [...all.slice(0, 100), 100, ...all.slice(101)];
    for (const ordered of [true, false]) {
      expect(markOf(replaced, ordered)).not.toBe(markOf(all, ordered));
      expect(markOf(all.slice(1), ordered)).not.toBe(markOf(all, ordered));
    }
    expect(markOf(swapped, true)).not.toBe(markOf(all, true));
    expect(markOf(swapped, false)).toBe(markOf(all, false));
  });
});

test("goim's batches and imgo's arrays of several items are taken apart", () => {
  const read = Buffer.alloc(65_536);
  const told = new Told(2);
  const payloads = [1, 2, 3, 40, 41].map((n) => payloadOf(n, 26));
  const goim = new MessageWalker(1, read, true, told, { pushOp: 1_000, native: false }, UPGRADE_ANSWER);
  goim.watched.fill(1);
  const frames = Buffer.concat(payloads.map((payload) => encodeFrame(1, 1_000, 0, Buffer.from(payload))));
  const batch = encodeWebSocket(WsOpcode.BINARY, wrapBatch(frames));
  expect(walk(goim, read, [Buffer.concat([Buffer.from(UPGRADED), batch])], [33])).toBe(true);
  const imgo = new MessageWalker(2, read, true, told, { pushOp: Op.PUSH, native: false }, UPGRADE_ANSWER);
  imgo.watched.fill(1);
  const array = encodeJsonMessage(
    payloads.map((text) => encodeJsonPush({ id: { epoch: 0, n: 0 }, payload: Buffer.from(text) })),
  );
  expect(walk(imgo, read, [Buffer.alloc(0), Buffer.concat([Buffer.from(UPGRADED), array])], [29])).toBe(true);
  expect([goim.pushes, imgo.pushes]).toEqual([5, 5]);
  expect(told.payloads).toEqual([payloads, payloads]);
});

test('what is not the protocol is told at once', () => {
  const tcp: readonly Uint8Array[] = [
    ...[0, 15, -1, MOST_BYTES + 1].map((length) => {
      const bytes = Buffer.alloc(16);
      bytes.writeInt32BE(length);
      return bytes;
    }),
    Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
  ];
  for (const bytes of tcp) {
    const read = Buffer.alloc(64);
    const told = new Told(1);
    const fresh = () => new FrameWalker(1, read, true, told, { pushOp: Op.PUSH, native: false });
    expect(walk(fresh(), read, [Buffer.from(bytes)], [64])).toBe(false);
    expect(walk(fresh(), read, [Buffer.from(bytes)], [1])).toBe(false);
  }
  const upgraded = Buffer.from(UPGRADED);
  const ws: readonly Uint8Array[] = [
    Buffer.from('HTTP/1.1 200 OK\r\n\r\n'),
    Buffer.from('HTTP/1.1 101 Switching Protocols\r\n\r\n'),
    // Masked, a fragment, an opcode that is none, a frame longer than its message, a text that is no array.
    Buffer.concat([upgraded, Buffer.from([0x82, 0x80, 0, 0, 0, 0])]),
    Buffer.concat([upgraded, Buffer.from([0x02, 0x01, 0])]),
    Buffer.concat([upgraded, Buffer.from([0x83, 0x01, 0])]),
    Buffer.concat([
      upgraded,
      encodeWebSocket(WsOpcode.BINARY, encodeFrame(1, 5, 0, new Uint8Array(9)).subarray(0, 20)),
    ]),
    Buffer.concat([upgraded, encodeWebSocket(WsOpcode.TEXT, Buffer.from('{"ver":0}'))]),
  ];
  for (const bytes of ws) {
    const read = Buffer.alloc(512);
    const walker = new MessageWalker(1, read, true, new Told(1), { pushOp: Op.PUSH, native: false }, UPGRADE_ANSWER);
    expect(walk(walker, read, [Buffer.from(bytes)], [512])).toBe(false);
  }
});
