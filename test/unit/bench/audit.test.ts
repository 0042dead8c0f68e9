// The audit against a model: connections that get what was accepted, less, more, or in another order.
import { expect, test } from 'vitest';
import { aimOf, membersOf, roomOf } from '../../../src/bench/aims.js';
import { audit as auditOf, type Received } from '../../../src/bench/audit.js';
import { Fate } from '../../../src/bench/clients.js';
import type { ReceiverSetup } from '../../../src/bench/messages.js';
import type { BenchMode } from '../../../src/bench/options.js';
import { factorOf, fingerprintOf } from '../../../src/bench/payload.js';
import { fc } from '../../harness/property.js';

const MODES: readonly BenchMode[] = ['room', 'user', 'all', 'mix'];

function setupOf(mode: BenchMode, more: Partial<ReceiverSetup> = {}): ReceiverSetup {
  return {
    mode,
    seed: 11,
    connections: 40,
    rooms: 3,
    dialect: 'imgo',
    transport: 'tcp',
    host: '127.0.0.1',
    port: 1,
    path: '/sub',
    addresses: [],
    first: 10,
    count: 20,
    userBase: 0,
    sizeBytes: 26,
    pushOp: 5,
    tellsPlace: true,
    ordered: mode !== 'mix',
    namesRoom: false,
    sources: [],
    sampleEvery: 4,
    dialsPerSecond: undefined,
    underWay: 1,
    mostUnderWay: 1,
    churn: 0,
    slow: 0,
    reconnect: false,
    reportMs: 1_000,
    turnMs: 0,
    ...more,
  };
}

/** Who is to get message n, said once more in the plain way. */
function isFor(setup: ReceiverSetup, n: number, index: number): boolean {
  const aim = aimOf(setup, n);
  const connection = setup.first + index;
  if (aim.kind === 'all') return true;
  return aim.kind === 'user' ? aim.index === connection : aim.index === roomOf(connection, setup.rooms);
}

/** What the connections of a process would have counted when these came. */
function received(
  setup: ReceiverSetup,
  sequences: readonly (readonly number[])[],
  fates: readonly number[] = [],
  broken: Received['broken'] = new Map(),
): Received {
  const fold = (mark: number, n: number) => (Math.imul(mark, factorOf(setup.ordered)) + fingerprintOf(n)) | 0;
  return {
    counts: Uint32Array.from(sequences, ({ length }) => length),
    marks: Int32Array.from(sequences, (numbers) => numbers.reduce(fold, 0)),
    fates: Uint8Array.from(sequences, (_, index) => Fate.OPENED | (fates[index] ?? 0)),
    sequences: new Map([...sequences.entries()].filter(([index]) => (setup.first + index) % setup.sampleEvery === 0)),
    broken,
  };
}

function audit(setup: ReceiverSetup, accepted: Uint32Array, unknown: Uint32Array, parts: Received) {
  // Message n is entry n of its log.
  const ids = { epochs: new Uint32Array(accepted.length).fill(1), ns: Float64Array.from(accepted) };
  return auditOf(setup, { accepted, unknown, ids }, parts);
}

const numbers = (to: number) => Uint32Array.from({ length: to }, (_, at) => at + 1);
const none = new Uint32Array(0);

test.each(MODES)('%s: what was accepted is what each connection is to have, and no more', (mode) => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 500 }), { maxLength: 80 }), (accepted) => {
      const setup = setupOf(mode);
      const whole = Array.from({ length: setup.count }, (_, index) => accepted.filter((n) => isFor(setup, n, index)));
      const found = audit(setup, Uint32Array.from(accepted), none, received(setup, whole));
      expect(found).toMatchObject({
        connections: 20,
        lost: 0,
        duplicates: 0,
        outOfOrder: 0,
        byNumber: 20,
        byPayload: 5,
      });
      expect(found.expected).toBe(whole.flat().length);
    }),
  );
});

test('one that is lost and one that comes twice do not make up for each other, on any connection', () => {
  const setup = setupOf('all');
  for (const index of [2, 3]) {
    const sequences = Array.from({ length: 20 }, () => [1, 2, 3, 4, 5, 6]);
    sequences[index] = [1, 2, 3, 3, 5, 6];
    const found = audit(setup, numbers(6), none, received(setup, sequences));
    // 12 is in the sample: there it is known what was wrong.
    if (index === 2) expect(found).toMatchObject({ lost: 1, duplicates: 1, outOfOrder: 0 });
    else expect(found).toMatchObject({ lost: 0, duplicates: 0, outOfOrder: 1 });
  }
});

test('lost, twice and out of order are counted where they are', () => {
  const setup = setupOf('room', { rooms: 1 });
  const sequences = Array.from({ length: 20 }, () => [1, 2, 3, 4]);
  sequences[0] = [1, 2];
  sequences[1] = [1, 2, 3, 4, 4];
  sequences[2] = [1, 3, 2, 4];
  sequences[5] = [2, 1, 3, 4];
  expect(audit(setup, numbers(4), none, received(setup, sequences))).toMatchObject({
    expected: 80,
    lost: 2,
    duplicates: 1,
    outOfOrder: 2,
  });
});

test('the order is that of the log, not that in which messages were offered', () => {
  const setup = setupOf('all');
  const sequences = Array.from({ length: 20 }, () => [2, 1, 3]);
  expect(audit(setup, Uint32Array.of(2, 1, 3), none, received(setup, sequences)).outOfOrder).toBe(0);
  expect(audit(setup, Uint32Array.of(1, 2, 3), none, received(setup, sequences)).outOfOrder).toBe(20);
});

test('where no place is told, the connections of the sample have to agree', () => {
  const setup = setupOf('all', { tellsPlace: false, ordered: false });
  const sequences = Array.from({ length: 20 }, () => [2, 1, 3]);
  expect(audit(setup, numbers(3), none, received(setup, sequences)).outOfOrder).toBe(0);
  sequences[10] = [1, 2, 3];
  expect(audit(setup, numbers(3), none, received(setup, sequences)).outOfOrder).toBe(1);
});

test('what nobody knows of may have come, or not', () => {
  const setup = setupOf('all');
  const sequences = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? [1, 2, 3] : [1, 3]));
  const found = audit(setup, Uint32Array.of(1, 3), Uint32Array.of(2), received(setup, sequences));
  expect(found).toMatchObject({ expected: 40, lost: 0, duplicates: 0, outOfOrder: 0, byNumber: 0 });
});

test('who was made to leave or to be slow is excused for what was missed, and it is counted apart', () => {
  const setup = setupOf('all');
  const sequences = Array.from({ length: 20 }, () => [1, 2, 3]);
  sequences[0] = [1];
  sequences[1] = [1, 2, 3, 3];
  sequences[2] = [1, 3];
  sequences[3] = [1, 2];
  const fates = [Fate.CHURNED, Fate.CHURNED | Fate.SLOW, Fate.SLOW, Fate.GAPPED];
  expect(audit(setup, numbers(3), none, received(setup, sequences, fates))).toMatchObject({
    lost: 1,
    lostInGaps: 1,
    duplicates: 0,
    excused: { churned: 2, slow: 1, missed: 3, repeated: 1 },
    byNumber: 17,
  });
});

const id = (n: number) => ({ epoch: 1, n });

test('who broke and was told what is gone has lost only the rest', () => {
  const setup = setupOf('all', { dialect: 'native' });
  const sequences = Array.from({ length: 20 }, () => [1, 2, 3, 4, 5, 6]);
  // Of the sample, of which each number is known, and not of it.
  for (const index of [2, 3]) sequences[index] = [1, 2, 6];
  sequences[4] = [1, 2, 3, 4, 5];
  const fates = [0, 0, Fate.BROKEN | Fate.GAPPED, Fate.BROKEN | Fate.GAPPED, Fate.BROKEN, Fate.BROKEN];
  const gaps = [
    { log: 'all', after: id(2), upTo: id(4) },
    { log: 'room', after: id(0), upTo: id(9) },
  ] as const;
  const away = [[1, 6]] as const;
  const broken = new Map([2, 3, 4, 5].map((index) => [index, { away, gaps: index < 4 ? gaps : [] }]));
  expect(audit(setup, numbers(6), none, received(setup, sequences, fates, broken))).toMatchObject({
    lost: 3,
    lostInGaps: 0,
    duplicates: 0,
    outOfOrder: 0,
    broken: { connections: 4, gapped: 4, missed: 0, lost: 3 },
    // All but those three that do not have all.
    byNumber: 17,
  });
});

test('a gap that covers what is there nevertheless takes nothing from what is lost', () => {
  const setup = setupOf('all', { dialect: 'native' });
  const sequences = Array.from({ length: 20 }, () => [1, 2, 3]);
  sequences[2] = [1, 2];
  const broken = new Map([[2, { away: [], gaps: [{ log: 'all', after: id(0), upTo: id(2) }] as const }]]);
  expect(audit(setup, numbers(3), none, received(setup, sequences, [0, 0, Fate.BROKEN], broken))).toMatchObject({
    lost: 1,
    broken: { connections: 1, gapped: 0, lost: 1 },
  });
});

test.each(MODES)('%s: who broke and cannot resume missed what was sent meanwhile, and has lost the rest', (mode) => {
  const setup = setupOf(mode, { rooms: 2 });
  const due = Array.from({ length: 20 }, (_, index) => Array.from(numbers(200)).filter((n) => isFor(setup, n, index)));
  const gone = (index: number, n: number) => (n > 60 && n <= 90) || (index === 7 && n > 190);
  const parts = [6, 7].map((index) => [index, { away: [[55, 90]] as const, gaps: [] }] as const);
  const sequences = due.map((sent, index) => (index < 6 || index > 7 ? sent : sent.filter((n) => !gone(index, n))));
  const count = (of: (index: number, n: number) => boolean) =>
    [6, 7].reduce((sum, index) => sum + (due[index] ?? []).filter((n) => of(index, n)).length, 0);
  const lost = count((index, n) => index === 7 && n > 190);
  const fates = [0, 0, 0, 0, 0, 0, Fate.BROKEN, Fate.BROKEN];
  // What may be missed is a bound where single numbers are not known: four of its window came, and are not counted twice.
  const bound = (index: number) => (due[index] ?? []).filter((n) => n >= 55 && n <= 90).length;
  const found = audit(setup, numbers(200), none, received(setup, sequences, fates, new Map(parts)));
  expect(found.lost + found.broken.missed).toBe(count(gone));
  expect(found.broken).toMatchObject({ connections: 2, gapped: 0, lost: found.lost });
  expect(found.broken.missed).toBeLessThanOrEqual(bound(6) + bound(7));
  expect(found.lost).toBeLessThanOrEqual(lost);
  // 10 + 6 is of the sample: there the two are told apart exactly.
  const exact = received(setup, sequences, fates, new Map(parts));
  const all = audit({ ...setup, sampleEvery: 1 }, numbers(200), none, {
    ...exact,
    sequences: new Map(sequences.entries()),
  });
  expect([all.lost, all.broken.missed]).toEqual([lost, count(gone) - lost]);
});

test('who broke, resumed and has all is compared by its mark like the others', () => {
  const setup = setupOf('all', { dialect: 'native' });
  const sequences = Array.from({ length: 20 }, () => [1, 2, 3, 4]);
  sequences[3] = [1, 2, 2, 4];
  const fates = [0, 0, 0, Fate.BROKEN];
  const broken = new Map([[3, { away: [], gaps: [] }]]);
  expect(audit(setup, numbers(4), none, received(setup, sequences, fates, broken))).toMatchObject({
    lost: 0,
    outOfOrder: 1,
    byNumber: 20,
  });
});

test('who never came is to have nothing', () => {
  const setup = setupOf('all');
  const parts = received(
    setup,
    Array.from({ length: 20 }, () => [] as number[]),
  );
  parts.fates.fill(0);
  expect(audit(setup, numbers(9), none, parts)).toMatchObject({ connections: 0, expected: 0, lost: 0, byPayload: 0 });
});

test('aims: the same for the same seed, spread over all, everybody in one room', () => {
  const aiming = { mode: 'user', seed: 3, connections: 1_000, rooms: 1 } as const;
  const hits = new Uint32Array(1_000);
  for (let n = 1; n <= 20_000; n++) {
    const aim = aimOf(aiming, n);
    expect(aimOf(aiming, n)).toEqual(aim);
    if (aim.kind === 'user') hits[aim.index] = (hits[aim.index] as number) + 1;
  }
  expect(hits.every((times) => times > 0 && times < 60)).toBe(true);
  const other = Array.from({ length: 100 }, (_, n) => aimOf({ ...aiming, seed: 4 }, n + 1));
  expect(other).not.toEqual(Array.from({ length: 100 }, (_, n) => aimOf(aiming, n + 1)));
  const members = Array.from({ length: 7 }, (_, room) => membersOf(room, 40, 7));
  expect(members.reduce((sum, one) => sum + one, 0)).toBe(40);
  for (const [room, count] of members.entries()) {
    expect(Array.from({ length: 40 }, (_, one) => roomOf(one, 7)).filter((one) => one === room).length).toBe(count);
  }
});
