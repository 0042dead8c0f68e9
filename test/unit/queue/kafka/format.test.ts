// Records in the topic: their bytes are a contract between versions, so they are spelled out; what others wrote is refused.
import { describe, expect, test } from 'vitest';
import { type LogName, roomLog, userLog } from '../../../../src/protocol/ids.js';
import {
  decodeParcel,
  emptyBytes,
  encodeParcel,
  logBytes,
  NewerRecord,
  type Parcel,
} from '../../../../src/server/queue/kafka/format.js';
import { fc } from '../../../harness/property.js';

const logs = fc.oneof(
  fc.constant('all' as LogName),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).map((name) => userLog(name as never)),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).map((name) => roomLog(name as never)),
);
const text = fc.string({ unit: 'grapheme', maxLength: 30 });
const parcels: fc.Arbitrary<Parcel> = fc.record({
  logs: fc.array(logs, { minLength: 1, maxLength: 200 }),
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  operation: fc.option(fc.integer({ min: 0, max: 0xffff_ffff }), { nil: undefined }),
  acceptedAt: fc.integer({ min: 0, max: 2 ** 47 }),
  expiresAt: fc.integer({ min: 2 ** 47, max: 2 ** 48 }),
  idempotency: fc.option(fc.record({ scope: text, key: text, bodyHash: text }), { nil: undefined }),
  ephemeral: fc.boolean(),
  trace: fc.option(
    fc.uint8Array({ minLength: 16, maxLength: 16 }).map((mark) => Buffer.from(mark).toString('hex')),
    {
      nil: undefined,
    },
  ),
});

const plain: Parcel = {
  logs: ['user:7' as LogName, 'room:é' as LogName, 'all' as LogName],
  payload: Buffer.from('hi'),
  operation: undefined,
  acceptedAt: 0x0102_0304_0506,
  expiresAt: 0x0102_0304_0507,
  idempotency: undefined,
  ephemeral: false,
};
const PLAIN = 'c1 01 00 010203040506 000000000001 03 05 37 0a c3a9 00 00 6869';

const hex = (bytes: Buffer): string => bytes.toString('hex');
const bytes = (spelled: string): Buffer => Buffer.from(spelled.replaceAll(' ', ''), 'hex');

describe('a record', () => {
  test('has these bytes', () => {
    expect(hex(encodeParcel(plain))).toBe(hex(bytes(PLAIN)));
    const keyed = {
      ...plain,
      logs: ['user:7' as LogName],
      operation: 1000,
      idempotency: { scope: 's', key: 'k', bodyHash: 'h' },
      ephemeral: true,
    };
    const spelled = 'c1 01 07 010203040506 000000000001 01 05 37 000003e8 01 73 01 6b 01 68 00 6869';
    expect(hex(encodeParcel(keyed))).toBe(hex(bytes(spelled)));
  });

  test('reads as it was written, and takes no more room than it was said to', () => {
    fc.assert(
      fc.property(parcels, (parcel) => {
        const encoded = encodeParcel(parcel);
        expect(decodeParcel(encoded)).toEqual(parcel);
        const most = parcel.logs.reduce((sum, log) => sum + logBytes(log), emptyBytes(parcel));
        expect(encoded.byteLength).toBeLessThanOrEqual(most);
      }),
    );
  });

  test('of a later version is read, its extensions skipped, unless it says that it must not be', () => {
    expect(decodeParcel(bytes(PLAIN.replace('00 6869', '03 ffffff 6869')))).toEqual(plain);
    expect(() => decodeParcel(bytes(PLAIN.replace('c1 01', 'c1 02')))).toThrow(NewerRecord);
  });

  test('that is traced has its mark among the extensions, where a reader that does not know it passes over it', () => {
    const mark = 'ab'.repeat(16);
    const spelled = PLAIN.replace('00 6869', `12 0110${mark} 6869`);
    expect(hex(encodeParcel({ ...plain, trace: mark }))).toBe(hex(bytes(spelled)));
    // Behind one of a later version.
    expect(decodeParcel(bytes(PLAIN.replace('00 6869', `15 0901ff 0110${mark} 6869`))).trace).toBe(mark);
    // What is no extension at all is nothing.
    expect(decodeParcel(bytes(PLAIN.replace('00 6869', '02 01ff 6869'))).trace).toBeUndefined();
  });

  test('that is cut short, or that somebody else wrote, is refused and reads nothing beyond its end', () => {
    const whole = bytes(PLAIN);
    for (let length = 0; length < whole.length - 2; length++) {
      expect(() => decodeParcel(whole.subarray(0, length)), `${length} bytes`).toThrow();
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (random) => {
        try {
          expect(decodeParcel(Buffer.from(random)).logs.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error instanceof RangeError || error instanceof TypeError || error instanceof NewerRecord).toBe(true);
        }
      }),
    );
  });
});
