// The ring of a topic: bytes never change, entries never span, positions are found by id, memory is bounded.
import { describe, expect, test } from 'vitest';
import { compareIds, type MessageId, ZERO_ID } from '../../../src/protocol/ids.js';
import { EntryKind, INDEX_BYTES, Ring, SEGMENT_BYTES } from '../../../src/server/comet/ring.js';
import { fc } from '../../harness/property.js';

interface Model {
  readonly id: MessageId;
  readonly kind: EntryKind;
  readonly operation: number;
  readonly bytes: Buffer;
  readonly start: number;
}

const entry = fc.record({
  size: fc.oneof({ weight: 8, arbitrary: fc.integer({ min: 1, max: 300 }) }, fc.integer({ min: 1, max: 9_000 })),
  kind: fc.constantFrom(EntryKind.durable, EntryKind.durable, EntryKind.ephemeral),
  operation: fc.constantFrom(5, 1000, 1001),
  step: fc.integer({ min: 1, max: 3 }),
  epoch: fc.constantFrom(0, 0, 0, 0, 1),
});

function fill(
  entries: readonly { size: number; kind: EntryKind; operation: number; step: number; epoch: number }[],
  maxBytes: number,
) {
  const ring = new Ring({ epoch: 1, n: 0 }, maxBytes);
  const model: Model[] = [];
  let id: MessageId = { epoch: 1, n: 0 };
  for (const [at, { size, kind, operation, step, epoch }] of entries.entries()) {
    if (kind === EntryKind.durable)
      id = epoch > 0 ? { epoch: id.epoch + 1, n: step } : { epoch: id.epoch, n: id.n + step };
    const bytes = Buffer.alloc(size, at % 251);
    model.push({ id, kind, operation, bytes, start: ring.head });
    ring.append(bytes, kind === EntryKind.durable ? id : ZERO_ID, kind, operation, at);
    while (ring.overfull) ring.drop();
    const held = ring.segments.map((segment) => segment.buffer.length + segment.ends.length * INDEX_BYTES);
    expect(ring.bytes).toBe(held.reduce((sum, bytes) => sum + bytes, 0));
    expect(ring.bytes - (held.at(-1) ?? 0), 'all but the newest segment').toBeLessThanOrEqual(maxBytes);
  }
  return { ring, model };
}

describe('a ring', () => {
  test('gives back exactly what was appended, from every offset, and copes with any sizes', () => {
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 200, size: 'max' }),
        fc.integer({ min: 4_096, max: 60_000 }),
        (entries, max) => {
          const { ring, model } = fill(entries, max);
          const kept = model.filter(({ start }) => start >= ring.tail);
          expect(Buffer.concat(kept.map(({ bytes }) => bytes)).length).toBe(ring.head - ring.tail);
          for (const [at, { start, bytes }] of kept.entries()) {
            const segment = ring.segmentAt(start);
            expect(segment.end, 'an entry spans two segments').toBeGreaterThanOrEqual(start + bytes.length);
            expect(ring.view(segment, start, start + bytes.length).equals(bytes)).toBe(true);
            expect(ring.entries).toBe(1);
            const rest = ring.view(segment, start, segment.end);
            expect(rest.equals(Buffer.concat(kept.slice(at, at + ring.entries).map((each) => each.bytes)))).toBe(true);
            expect(ring.view(segment, start, segment.end), 'one view for all who ask the same').toBe(rest);
          }
        },
      ),
    );
  });

  test('finds the place after any id, and the id before any place', () => {
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 200, size: 'max' }),
        fc.integer({ min: 4_096, max: 60_000 }),
        (entries, max) => {
          const { ring, model } = fill(entries, max);
          const ids = [{ epoch: 1, n: 0 }, ...model.map(({ id }) => id)];
          for (const given of ids.flatMap((id) => [
            id,
            { epoch: id.epoch, n: id.n + 1 },
            { epoch: id.epoch, n: Math.max(0, id.n - 1) },
          ])) {
            const next = model.find(({ id, kind }) => kind === EntryKind.durable && compareIds(id, given) > 0);
            const offset = ring.offsetAfter(given);
            if (compareIds(given, ring.after) < 0) expect(offset).toBeUndefined();
            else expect(offset).toBe(next?.start ?? ring.head);
          }
          const gone = model.filter(({ start }) => start < ring.tail).at(-1);
          if (gone !== undefined) expect(ring.after).toEqual(gone.id);
          for (const [at, { start }] of model.entries()) {
            const before = at === 0 ? { epoch: 1, n: 0 } : (model[at - 1] as Model).id;
            if (start < ring.tail) expect(ring.idBefore(start)).toBeUndefined();
            else expect(ring.idBefore(start)).toEqual(before);
          }
          expect(ring.idBefore(ring.head)).toEqual(model.at(-1)?.id);
        },
      ),
    );
  });

  test('a selection leaves out what its reader does not take, and counts it', () => {
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 60, size: 'max' }),
        fc.subarray([5, 1000, 1001]),
        fc.boolean(),
        (entries, accepts, all) => {
          const { ring, model } = fill(entries, 1 << 20);
          const selection = { accepts, ephemeral: all };
          for (const segment of ring.segments) {
            const inside = model.filter(({ start }) => start >= segment.base && start < segment.end);
            const wanted = inside.filter(
              ({ kind, operation }) => accepts.includes(operation) && (all || kind === EntryKind.durable),
            );
            const bytes = ring.select(segment, segment.base, segment.end, selection);
            expect(bytes ?? Buffer.alloc(0)).toEqual(Buffer.concat(wanted.map((each) => each.bytes)));
            expect(ring.entries).toBe(wanted.length);
            expect(ring.leftOut + ring.leftOutEphemeral).toBe(inside.length - wanted.length);
          }
        },
      ),
    );
  });

  test('memory that was given to a socket never changes, whatever is appended or falls', () => {
    fc.assert(
      fc.property(fc.array(entry, { minLength: 2, maxLength: 200, size: 'max' }), (entries) => {
        const ring = new Ring(ZERO_ID, 8_192);
        const given: { view: Buffer; copy: Buffer }[] = [];
        let n = 0;
        for (const { size } of entries) {
          const from = ring.head;
          ring.append(Buffer.alloc(size, n), { epoch: 1, n: ++n }, EntryKind.durable, 5, n);
          const segment = ring.segmentAt(Math.max(from, ring.tail));
          const view = ring.view(segment, Math.max(from, ring.tail), ring.head);
          given.push({ view, copy: Buffer.from(view) });
          while (ring.overfull) ring.drop();
        }
        for (const { view, copy } of given) expect(view.equals(copy)).toBe(true);
      }),
    );
  });

  test('joins what spans segments into one object for all who ask the same, until the sweep has ended', () => {
    const ring = new Ring(ZERO_ID, 1 << 20);
    const entries = Array.from({ length: 300 }, (_, n) => Buffer.alloc(20 + (n % 7), n));
    entries.forEach((bytes, n) => {
      ring.append(bytes, { epoch: 1, n: n + 1 }, EntryKind.durable, 5, 0);
    });
    expect(ring.segments.length).toBe(2);
    const all = Buffer.concat(entries);
    const joined = ring.join(0, ring.head);
    expect(joined.equals(all)).toBe(true);
    expect(ring.entries).toBe(300);
    expect(ring.join(0, ring.head)).toBe(joined);
    expect(ring.join(20, ring.head).equals(all.subarray(20))).toBe(true);
    expect(ring.entries).toBe(299);
    const again = ring.join(0, ring.head);
    ring.swept();
    expect(ring.join(0, ring.head), 'kept for nobody').not.toBe(again);
  });

  test('a quiet ring is small, a busy one has segments of 64 KiB, and a larger entry has one of its own', () => {
    const ring = new Ring(ZERO_ID, 1 << 20);
    ring.append(Buffer.alloc(30), { epoch: 1, n: 1 }, EntryKind.durable, 5, 0);
    expect(ring.bytes).toBeLessThan(5_000);
    for (let n = 2; n < 3_000; n++) ring.append(Buffer.alloc(100), { epoch: 1, n }, EntryKind.durable, 5, 0);
    expect(ring.segments.at(-1)?.buffer.length).toBe(SEGMENT_BYTES);
    ring.append(Buffer.alloc(100_000), { epoch: 1, n: 3_000 }, EntryKind.durable, 5, 0);
    expect(ring.segments.at(-1)?.buffer.length).toBe(100_000);
  });
});
