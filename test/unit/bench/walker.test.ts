// Frame boundaries of a stream, cut anywhere: what is counted is what was sent.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Walker } from '../../../src/bench/walker.js';

/** A frame by hand: packLen, headerLen 16, ver 1, op, seq, body. */
function frame(body: number): Buffer {
  const bytes = Buffer.alloc(16 + body, 0x7b);
  bytes.writeUInt32BE(16 + body, 0);
  bytes.writeUInt16BE(16, 4);
  bytes.writeUInt16BE(1, 6);
  bytes.writeUInt32BE(body === 0 ? 3 : 5, 8);
  return bytes;
}

test('counts the pushes of each connection, wherever its stream is cut, and no heartbeat', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 40 }), { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1 }),
      (connections, cuts) => {
        const walker = new Walker(connections.length);
        const streams = connections.map((bodies) => Buffer.concat(bodies.map(frame)));
        const at = streams.map(() => 0);
        let total = 0;
        for (let turn = 0; streams.some((stream, one) => (at[one] as number) < stream.length); turn++) {
          const one = turn % streams.length;
          const stream = streams[one] as Buffer;
          const from = at[one] as number;
          const part = Buffer.from(stream.subarray(from, from + (cuts[turn % cuts.length] as number)));
          at[one] = from + part.length;
          const complete = walker.walk(one, part, part.length);
          expect(complete).toBeGreaterThanOrEqual(0);
          total += complete;
        }
        expect([...walker.counts]).toEqual(connections.map((bodies) => bodies.filter((body) => body > 0).length));
        expect(total).toBe(connections.flat().filter((body) => body > 0).length);
      },
    ),
  );
});

test('tells what is no frame', () => {
  for (const length of [0, 15, 0x7fffffff, 0xffffffff]) {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt32BE(length);
    expect(new Walker(1).walk(0, bytes, 16)).toBe(-1);
    const byOne = new Walker(1);
    const answers = [...bytes.subarray(0, 4)].map((byte) => byOne.walk(0, Buffer.from([byte]), 1));
    expect(answers.at(-1)).toBe(-1);
  }
});
