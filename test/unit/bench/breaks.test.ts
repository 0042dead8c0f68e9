// What is kept of connections that break: where they go on, after what time, and how long they were away.
import { expect, test } from 'vitest';
import { Breaks } from '../../../src/bench/breaks.js';
import { brokenOf } from '../../../src/bench/pardons.js';
import { Positions } from '../../../src/bench/positions.js';
import { gapOf, headsOf } from '../../../src/bench/resume.js';
import { Samples } from '../../../src/bench/samples.js';
import { TokenStore } from '../../../src/bench/token-store.js';
import { ZERO_ID } from '../../../src/protocol/ids.js';
import { encodeGap, encodeNativeAuthReply } from '../../../src/protocol/native-json.js';

/** With a clock that is set by hand. */
function breaksAt(addresses: number, random = () => 0.5) {
  let now = 1_000;
  const breaks = new Breaks(addresses, () => now, random);
  const at = (ms: number): void => {
    now = ms;
  };
  return { breaks, at };
}

test('each break is counted by its reason, each return by how long it took', () => {
  const { breaks, at } = breaksAt(3);
  breaks.broke(4, 0, 'closed');
  breaks.broke(9, 1, 'ECONNRESET');
  expect([breaks.away, breaks.isAway(4), breaks.isAway(5)]).toEqual([2, true, false]);
  breaks.failed(4, 'ECONNREFUSED');
  at(1_700);
  breaks.back(4);
  at(3_000);
  breaks.back(9);
  breaks.broke(9, 2, 'closed');
  expect(breaks.causes).toEqual({ closed: 2, ECONNRESET: 1 });
  expect(breaks.retries).toEqual({ ECONNREFUSED: 1 });
  expect([breaks.away, breaks.returned]).toEqual([1, 2]);
  expect(breaks.awayMs.take()).toEqual([
    [700, 1],
    [2_000, 1],
  ]);
  expect(breaks.times()).toEqual([
    { index: 4, away: [[1_000, 1_700]], gaps: [] },
    {
      index: 9,
      away: [
        [1_000, 3_000],
        [3_000, Infinity],
      ],
      gaps: [],
    },
  ]);
});

test('who was told not to come back is away no more, and has not returned', () => {
  const { breaks } = breaksAt(2);
  breaks.broke(1, 0, 'closed by an administrator');
  breaks.gaveUp(1);
  expect([breaks.away, breaks.returned]).toEqual([0, 0]);
});

test('it is dialled at another address than the one where it broke or was refused, if there is one', () => {
  for (const random of [0, 0.3, 0.7, 0.999]) {
    const { breaks } = breaksAt(3, () => random);
    for (const address of [0, 1, 2]) {
      breaks.broke(7, address, 'closed');
      const next = breaks.addressOf(7) as number;
      expect(next).not.toBe(address);
      breaks.failed(7, 'ECONNREFUSED');
      expect(breaks.addressOf(7)).not.toBe(next);
      expect([0, 1, 2]).toContain(breaks.addressOf(7));
    }
    const alone = breaksAt(1, () => random).breaks;
    alone.broke(7, 0, 'closed');
    expect(alone.addressOf(7)).toBe(0);
  }
  expect(breaksAt(3).breaks.addressOf(7)).toBeUndefined();
});

test('it waits longer after each dial for nothing, never as long as the others, and for as long as it is told', () => {
  const delays = (random: number) => {
    const { breaks } = breaksAt(1, () => random);
    breaks.broke(1, 0, 'closed');
    return Array.from({ length: 9 }, () => {
      const ms = breaks.delayMs(1, undefined);
      breaks.failed(1, 'ECONNREFUSED');
      return ms;
    });
  };
  expect(delays(0)).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);
  expect(delays(1)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  expect(breaksAt(1, () => 0.25).breaks.delayMs(1, { minMs: 1_000, maxMs: 5_000 })).toBe(2_000);
});

test('times away are messages: those that were due then, or on their way; times that overlap count once', () => {
  const samples = new Samples(26, () => 0);
  // Message n is due at 10,000 + (n - 1) * 100.
  samples.schedule(10_000, 100, 1);
  const away = (...times: readonly (readonly [number, number])[]) =>
    brokenOf([{ index: 3, away: times, gaps: [] }], samples).get(3)?.away;
  expect(away([14_000, 15_000])).toEqual([[21, 51]]);
  expect(away([14_000, 15_000], [16_000, 17_050], [30_000, Infinity])).toEqual([
    [21, 71],
    [181, Infinity],
  ]);
  expect(away([9_000, 9_900])).toEqual([[1, 0]]);
});

test('a native connection goes on where it stood, at the head it was told, or after a gap', () => {
  const positions = new Positions(4);
  expect(positions.at('room', 2)).toBeUndefined();
  const room = { head: { epoch: 3, n: 17 }, recovered: true };
  const reply = { session: 's', user: '7', device: undefined, head: ZERO_ID, heartbeatMs: 1_000 };
  const body = encodeNativeAuthReply({
    ...reply,
    rooms: new Map([['1', room]]),
    all: { head: ZERO_ID, recovered: true },
  } as never);
  for (const [log, { epoch, n }] of headsOf(body)) positions.set(log, 2, epoch, n);
  expect(positions.at('room', 2)).toEqual({ epoch: 3, n: 17 });
  expect(positions.at('all', 2)).toEqual({ epoch: 0, n: 0 });
  expect([positions.at('user', 2), positions.at('room', 1)]).toEqual([undefined, undefined]);
  const gap = { after: { epoch: 3, n: 17 }, upTo: { epoch: 3, n: 20 } };
  for (const [name, log] of [
    ['room:1', 'room'],
    ['user:7', 'user'],
    ['all', 'all'],
  ] as const) {
    expect(gapOf(encodeGap({ log: name, ...gap } as never))).toEqual({ log, ...gap });
  }
});

test('tokens are as they were given, whatever their length, until they are dropped', () => {
  const store = new TokenStore(6);
  store.add(['one', 'another', '']);
  store.add(['x'.repeat(900), 'last']);
  expect([0, 1, 2, 4, 5].map((index) => store.at(index))).toEqual(['one', 'another', '', 'last', '']);
  expect(store.at(3)).toBe('x'.repeat(900));
  store.drop();
  expect(store.at(0)).toBe('');
});
