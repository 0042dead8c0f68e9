// A topic against a model: whatever joins, leaves, stalls, is lost or trimmed, each member gets exactly what came after its
// join position, in order, or a gap that covers it; and nothing after it left.
import { describe, expect, test } from 'vitest';
import type { Encoding } from '../../../src/protocol/dialect.js';
import { compareIds, formatId, type LogName, type MessageId, ZERO_ID } from '../../../src/protocol/ids.js';
import { SEGMENT_BYTES } from '../../../src/server/comet/ring.js';
import { fc } from '../../harness/property.js';
import { ALL, ephemeral, type Got, notificationOf, Stage, TestOutlet } from './stage.js';

type Step =
  | {
      readonly kind: 'push';
      readonly size: number;
      readonly how: 'told' | 'lost' | 'twice' | 'late';
      readonly operation: number;
    }
  | { readonly kind: 'ephemeral' }
  | { readonly kind: 'join'; readonly encoding: number; readonly accepts: number }
  | { readonly kind: 'joinAfter'; readonly back: number; readonly native: boolean }
  | { readonly kind: 'leave' | 'close' | 'stall' | 'drain' | 'reaccept'; readonly pick: number }
  | { readonly kind: 'trim'; readonly keep: number }
  | { readonly kind: 'turn' | 'fail' | 'resync' | 'expire' | 'fence' }
  | { readonly kind: 'pass'; readonly ms: number };

const ENCODINGS: readonly Encoding[] = [
  'plain-tcp',
  'native-tcp',
  'imgo-ws',
  'goim1-ws',
  'native-ws',
  'goim2-tcp',
  'goim2-ws',
];
const ACCEPTS: readonly (readonly number[])[] = [[5], [1000], [1000, 1001], [5, 1000, 1001], []];

const picked = (kind: 'leave' | 'close' | 'stall' | 'drain' | 'reaccept') =>
  fc.record({ kind: fc.constant(kind), pick: fc.nat(50) });

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('push' as const),
      size: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 0, max: 100 }) }, fc.integer({ min: 500, max: 6_000 })),
      how: fc.constantFrom('told', 'told', 'told', 'told', 'lost', 'twice', 'late'),
      operation: fc.constantFrom(5, 1000, 1001),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('ephemeral' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('join' as const), encoding: fc.nat(6), accepts: fc.nat(4) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('joinAfter' as const), back: fc.nat(25), native: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.oneof(picked('leave'), picked('close')) },
  { weight: 3, arbitrary: picked('stall') },
  { weight: 3, arbitrary: picked('drain') },
  { weight: 1, arbitrary: picked('reaccept') },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('trim' as const), keep: fc.nat(15) }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('turn' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constantFrom('fail' as const, 'resync' as const, 'expire' as const, 'fence' as const),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 40 }) }) },
);

interface Member {
  readonly outlet: TestOutlet;
  /** It has everything up to here at its join. */
  from: MessageId;
  /** How much it had got when it left, and where its part of the log ends. */
  leftWith: number | undefined;
  /** It changed what it takes, at these points: checks of completeness are loose for it. */
  changed: boolean;
}

/** Replays what a member got against the log. Returns where it stands, and fails on anything wrong. */
function check(stage: Stage, member: Member): MessageId {
  const { outlet } = member;
  const accepts = stage.log.name === ALL ? outlet.accepts : undefined;
  const native = outlet.encoding.startsWith('native');
  let at = member.from;
  const passTo = (id: MessageId, inclusive: boolean) => {
    for (const entry of stage.log.entries) {
      if (compareIds(entry.id, at) <= 0 || compareIds(entry.id, id) >= (inclusive ? 1 : 0)) continue;
      const wanted = accepts === undefined || member.changed ? !member.changed : accepts.includes(entry.operation ?? 5);
      // A legacy client cannot be told what the store had trimmed before this comet could read it.
      const untold = !native && compareIds(entry.id, stage.log.trimmedTo) <= 0;
      if (wanted && !untold) expect.fail(`${outlet.encoding}: ${formatId(entry.id)} was passed over without a gap`);
    }
  };
  for (const item of outlet.got.slice(0, member.leftWith)) {
    if (item.kind === 'ephemeral') continue;
    if (item.kind === 'gap') {
      expect(compareIds(item.after, item.upTo), 'an empty gap').toBeLessThan(0);
      expect(compareIds(item.upTo, at), 'a gap of what it had').toBeGreaterThan(0);
      if (compareIds(item.after, at) > 0) passTo(item.after, true);
      at = item.upTo;
      continue;
    }
    expect(compareIds(item.id, at), `${formatId(item.id)} again or too late, after ${formatId(at)}`).toBeGreaterThan(0);
    passTo(item.id, false);
    at = item.id;
  }
  return at;
}

async function play(steps: readonly Step[], log: LogName, policy: 'gap' | 'disconnect'): Promise<void> {
  const ringBytes = 24_000;
  const stage = new Stage(
    { ringBytes, maxLagBytes: 8_000, lagPolicy: policy, ringAgeMs: 30, filteredRings: 2 },
    { yieldEvery: 3, pinnedBytes: 30_000, recoveredBytes: 20_000, log },
  );
  const { topic, clock } = stage;
  const members: Member[] = [];
  const late: (() => void)[] = [];
  const pending: Promise<unknown>[] = [];
  const live = () => members.filter(({ outlet, leftWith }) => leftWith === undefined && !outlet.closed);
  let tags = 0;

  for (const each of steps) {
    switch (each.kind) {
      case 'push': {
        const entry = stage.log.append(each.size, each.operation);
        const note = notificationOf(stage.log, entry);
        if (each.how === 'late') late.push(() => topic.append(note));
        else if (each.how !== 'lost') topic.append(note);
        if (each.how === 'twice') topic.append(note);
        break;
      }
      case 'ephemeral':
        topic.append(ephemeral(stage.log, `${tags++}`));
        break;
      case 'join': {
        const encoding = ENCODINGS[each.encoding] as Encoding;
        const outlet = new TestOutlet(
          stage,
          encoding,
          encoding.startsWith('goim2') ? ACCEPTS[each.accepts] : undefined,
        );
        members.push({ outlet, from: topic.join(outlet), leftWith: undefined, changed: false });
        break;
      }
      case 'joinAfter': {
        const since = stage.log.entries.at(-1 - each.back)?.id ?? ZERO_ID;
        const outlet = new TestOutlet(stage, each.native ? 'native-tcp' : 'native-ws');
        const member: Member = { outlet, from: since, leftWith: undefined, changed: false };
        members.push(member);
        const join = topic.joinAfter(outlet, since).then((joined) => {
          if (member.leftWith === undefined && !outlet.closed) expect(joined).toBeDefined();
          if (joined?.recovered === true) {
            expect(outlet.got, 'written before the answer').toEqual([]);
          }
        });
        pending.push(join);
        break;
      }
      case 'leave':
      case 'close': {
        const member = live()[each.pick % Math.max(1, live().length)];
        if (member === undefined) break;
        member.leftWith = member.outlet.got.length;
        topic.leave(member.outlet);
        if (each.kind === 'close') member.outlet.close();
        break;
      }
      case 'stall':
      case 'drain': {
        const member = live()[each.pick % Math.max(1, live().length)];
        if (each.kind === 'stall' && member !== undefined) member.outlet.stalled = true;
        else member?.outlet.drain();
        break;
      }
      case 'reaccept': {
        const member = live()[each.pick % Math.max(1, live().length)];
        if (member === undefined || !member.outlet.encoding.startsWith('goim2')) break;
        member.outlet.accepts = ACCEPTS[each.pick % ACCEPTS.length];
        member.changed = true;
        topic.reaccept(member.outlet);
        break;
      }
      case 'trim':
        stage.log.trim(each.keep);
        break;
      case 'turn':
        await clock.turn();
        break;
      case 'fail':
        stage.log.failing++;
        break;
      case 'resync':
        pending.push(topic.resync());
        for (const tell of late.splice(0)) tell();
        break;
      case 'expire':
        topic.expire(clock.time);
        break;
      case 'fence':
        stage.fenced = !stage.fenced;
        if (!stage.fenced) pending.push(topic.resync());
        break;
      case 'pass':
        await clock.pass(each.ms);
        break;
    }
    // What a ring may hold, plus the segment or the entry that it is writing; a recovered ring the same.
    expect(topic.stats().ringBytes).toBeLessThanOrEqual((ringBytes + SEGMENT_BYTES) * 9);
    for (const { outlet } of members) expect(outlet.pendingBytes).toBeLessThanOrEqual(SEGMENT_BYTES);
    for (const [row, outlet] of topic.members.entries()) {
      expect(outlet.slots[outlet.topics.indexOf(topic)], 'an outlet does not know its row').toBe(row);
    }
  }

  stage.log.failing = 0;
  if (stage.fenced) {
    stage.fenced = false;
    pending.push(topic.resync());
  }
  // Nothing new comes: whoever can be written to must not wait for it.
  for (let round = 0; round < 6; round++) {
    for (const { outlet } of members) outlet.drain();
    await clock.pass(10_000);
  }
  for (const { outlet } of live())
    expect(topic.position(outlet), 'left behind until the next message').toEqual(topic.head);
  for (const tell of late.splice(0)) tell();
  pending.push(topic.resync());
  for (let round = 0; round < 6; round++) {
    for (const { outlet } of members) outlet.drain();
    await clock.pass(10_000);
  }
  await Promise.all(pending);

  const head = stage.log.head;
  expect(stage.pins.fallenBytes).toBe(0);
  expect(topic.head).toEqual(head);
  for (const member of members) {
    const at = check(stage, member);
    const { outlet, leftWith } = member;
    if (leftWith !== undefined) expect(outlet.got.length, 'something came after it left').toBe(leftWith);
    if (leftWith !== undefined || outlet.closed) {
      if (leftWith === undefined) expect(outlet.reason).toBe('lag_exceeded');
      continue;
    }
    expect(topic.position(outlet), 'it was not given everything').toEqual(head);
    expect(topic.lagBytes(outlet)).toBe(0);
    const rest: Got = { kind: 'entry', id: { epoch: 99, n: 1 } };
    if (compareIds(at, head) < 0) check(stage, { ...member, outlet: withMore(outlet, rest) });
  }
  for (const { outlet } of members) outlet.close();
  expect(topic.members).toEqual([]);
  expect(topic.stats().ringBytes).toBe(0);
  await clock.pass(10_000);
  expect(clock.idle, 'a topic without members and news rests').toBe(true);
}

/** The same member as if one more message had come: then everything before that must have been accounted for. */
function withMore(outlet: TestOutlet, more: Got): TestOutlet {
  return Object.assign(Object.create(outlet) as TestOutlet, { got: [...outlet.got, more] });
}

describe('a topic', () => {
  test('gives each member of a room everything after its join position in order, or a gap', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 200, size: 'max' }), (steps) =>
        play(steps, 'room:1' as LogName, 'gap'),
      ),
      { numRuns: 60 },
    );
  });

  test('filters `all` by what goim clients accept, and loses nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 200, size: 'max' }), (steps) =>
        play(steps, ALL, 'gap'),
      ),
      { numRuns: 60 },
    );
  });

  test('disconnects who lags too far, if that is the policy, and nobody else', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 200, size: 'max' }), (steps) =>
        play(steps, 'room:1' as LogName, 'disconnect'),
      ),
      { numRuns: 60 },
    );
  });

  test('holds what stalled members recover within one bound: the oldest go on after a gap, the newest get everything', async () => {
    const stage = new Stage(
      { ringBytes: 8_000, maxLagBytes: 1 << 20, ringAgeMs: 1 },
      { recoveredBytes: 12_000, pinnedBytes: 1 << 20 },
    );
    const { topic, clock } = stage;
    const outlets: TestOutlet[] = [];
    for (let round = 0; round < 6; round++) {
      // Each comes back after more than the live ring holds, and stalls in a ring of its own.
      const since = topic.head;
      for (let n = 0; n < 40; n++) {
        stage.push(80);
        await clock.pass(5);
      }
      const outlet = new TestOutlet(stage, 'native-tcp');
      outlet.stalled = true;
      await Promise.all([topic.joinAfter(outlet, since), clock.pass(50)]);
      outlets.push(outlet);
      expect(stage.recovered.bytes).toBeLessThanOrEqual(12_000);
    }
    expect(stage.recovered.evicted).toBeGreaterThan(0);
    for (let round = 0; round < 4; round++) {
      for (const outlet of outlets) outlet.drain();
      await clock.pass(1_000);
    }
    for (const outlet of outlets) expect(topic.position(outlet)).toEqual(topic.head);
    expect(outlets[0]?.got.some(({ kind }) => kind === 'gap')).toBe(true);
    await clock.pass(20_000);
    topic.expire(clock.monotonic());
    expect(stage.recovered.bytes).toBe(0);
  });

  test('gives a member that is up to date all that is due in one write, also over the end of a segment', async () => {
    const stage = new Stage(
      { ringBytes: 1 << 20, maxLagBytes: 8_000, lagPolicy: 'gap', ringAgeMs: 30_000, filteredRings: 2 },
      { yieldEvery: 3, pinnedBytes: 30_000, log: 'room:1' as LogName },
    );
    const { topic, clock } = stage;
    const outlets = Array.from({ length: 10 }, () => new TestOutlet(stage, 'plain-tcp'));
    for (const outlet of outlets) topic.join(outlet);
    for (let n = 0; n < 100; n++) topic.append(notificationOf(stage.log, stage.log.append(100)));
    await clock.pass(10_000);
    expect(topic.stats().ringBytes, 'more than the first segment').toBeGreaterThan(8_192);
    for (const outlet of outlets) {
      expect(outlet.got.length).toBe(100);
      expect(outlet.writes).toBe(1);
    }
  });
});
