// What one partition has to send, in order: pushes become parcels, and parcels batches. A push joins the parcels at the end
// of the line that carry the same payload (one push to many users), each of which has one log of a bucket at most; so
// nothing overtakes anything within its log.

import type { LogName } from '../../../protocol/ids.js';
import { bucketOf } from '../../store/bucket.js';
import type { PushRecord } from '../../store/buckets.js';
import type { EphemeralRecord } from '../queue.js';
import { emptyBytes, encodeParcel, logBytes, type Parcel } from './format.js';
import { RECORD_OVERHEAD } from './wire.js';

/** A parcel of several logs is split here, bytes. */
const SPLIT_BYTES = 512 * 1024;
/** The reading client groups the records of a fetch in quadratic time. */
const MAX_RECORDS = 1_000;

/** Who waits for the outcome of one push. */
export interface Waiter {
  /** Of the record, in its partition. */
  readonly appended: (offset: number) => void;
  readonly failed: (error: Error) => void;
  readonly bytes: number;
  /** Monotonic ms. */
  readonly since: number;
}

export interface OutgoingParcel extends Parcel {
  readonly logs: LogName[];
  readonly waiters: Waiter[];
  bytes: number;
}

/** Parcels of one payload, one behind the other. */
interface Run {
  readonly payload: Uint8Array;
  readonly first: PushRecord | EphemeralRecord;
  readonly parcels: OutgoingParcel[];
  /** By bucket: in how many of the parcels, from the first on, it has a log. */
  readonly used: Map<number, number>;
}

export class Outbox {
  #parcels: OutgoingParcel[] = [];
  #run: Run | undefined;

  get empty(): boolean {
    return this.#parcels.length === 0;
  }

  /** Monotonic ms of the push that waits longest. */
  get since(): number | undefined {
    return this.#parcels[0]?.waiters[0]?.since;
  }

  add(record: PushRecord | EphemeralRecord, waiter: Waiter): void {
    const bucket = bucketOf(record.log);
    const run = this.#runFor(record);
    const index = run.used.get(bucket) ?? 0;
    const more = logBytes(record.log);
    let parcel = run.parcels[index];
    if (parcel === undefined || parcel.bytes + more > SPLIT_BYTES) {
      parcel = parcelOf(record);
      this.#parcels.push(parcel);
      // A full one ends the run: what comes next stands behind it.
      if (index < run.parcels.length) this.#run = { ...run, parcels: [parcel], used: new Map([[bucket, 1]]) };
      else {
        run.parcels.push(parcel);
        run.used.set(bucket, index + 1);
      }
    } else run.used.set(bucket, index + 1);
    parcel.logs.push(record.log);
    parcel.waiters.push(waiter);
    parcel.bytes += more;
  }

  /** The next parcels, as many as fit a batch of `maxBytes`; at least one. Undefined: nothing waits. */
  take(maxBytes: number): { readonly values: Buffer[]; readonly parcels: readonly OutgoingParcel[] } | undefined {
    if (this.#parcels.length === 0) return undefined;
    const values: Buffer[] = [];
    let bytes = 0;
    for (const parcel of this.#parcels) {
      if (values.length === MAX_RECORDS) break;
      if (values.length > 0 && bytes + parcel.bytes > maxBytes) break;
      const value = encodeParcel(parcel);
      values.push(value);
      bytes += value.byteLength + RECORD_OVERHEAD;
    }
    const parcels = this.#parcels.slice(0, values.length);
    this.#parcels = this.#parcels.slice(values.length);
    this.#run = undefined;
    return { values, parcels };
  }

  /** Takes out the pushes that have waited since before `before`. Parcels are in order of time. */
  overdue(before: number): readonly Waiter[] {
    let count = 0;
    while ((this.#parcels[count]?.waiters[0]?.since ?? before) < before) count++;
    if (count === 0) return [];
    this.#run = undefined;
    return this.#parcels.splice(0, count).flatMap(({ waiters }) => waiters);
  }

  #runFor(record: PushRecord | EphemeralRecord): Run {
    const run = this.#run;
    if (run !== undefined && run.payload === record.payload && alike(run.first, record)) return run;
    this.#run = { payload: record.payload, first: record, parcels: [], used: new Map() };
    return this.#run;
  }
}

/** Bytes that one push alone takes in a batch, at most. */
export function aloneBytes(record: PushRecord | EphemeralRecord): number {
  return emptyBytes(parcelOf(record)) + logBytes(record.log) + RECORD_OVERHEAD;
}

/** The same push to another log: accepted in the same moment, or a few milliseconds later. */
function alike(a: PushRecord | EphemeralRecord, b: PushRecord | EphemeralRecord): boolean {
  if (a.trace !== b.trace) return false;
  if ('ephemeral' in a || 'ephemeral' in b) return 'ephemeral' in a && 'ephemeral' in b && a.operation === b.operation;
  return (
    a.operation === b.operation &&
    a.expiresAt - a.acceptedAt === b.expiresAt - b.acceptedAt &&
    a.idempotency?.key === b.idempotency?.key &&
    a.idempotency?.scope === b.idempotency?.scope &&
    a.idempotency?.bodyHash === b.idempotency?.bodyHash
  );
}

function parcelOf(record: PushRecord | EphemeralRecord): OutgoingParcel {
  const { payload, operation, acceptedAt, trace } = record;
  const ephemeral = 'ephemeral' in record;
  const idempotency = ephemeral ? undefined : record.idempotency;
  const expiresAt = ephemeral ? acceptedAt : record.expiresAt;
  const parcel = { payload, operation, acceptedAt, expiresAt, idempotency, ephemeral, trace };
  return { ...parcel, logs: [], waiters: [], bytes: emptyBytes(parcel) + RECORD_OVERHEAD };
}
