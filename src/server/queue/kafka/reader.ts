// Records of the topic as what they say. What cannot be read goes to the dead letters and blocks nobody. Ephemeral records are
// passed on once, and not at all when they are old.

import type { KafkaMessage } from 'kafkajs';
import type { Clock } from '../../clock.js';
import { EPHEMERAL_MAX_AGE_MS, type EphemeralRecord } from '../queue.js';
import { type Fetched, RECORD_OVERHEAD } from './claim.js';
import type { DeadLetters } from './dead-letters.js';
import { decodeParcel, NewerRecord, type Parcel } from './format.js';

export class RecordReader {
  /** Ephemeral records that were dropped, by reason. */
  readonly dropped: Record<string, number> = {};
  poison = 0;
  readonly #clock: Clock;
  readonly #deadLetters: DeadLetters;
  readonly #epoch: number;
  /** By partition: ephemeral records before this offset were handed out, or may have been. */
  readonly #ephemeralFrom = new Map<number, number>();

  constructor(parts: { readonly clock: Clock; readonly deadLetters: DeadLetters; readonly epoch: number }) {
    this.#clock = parts.clock;
    this.#deadLetters = parts.deadLetters;
    this.#epoch = parts.epoch;
  }

  ephemeralFrom(partition: number, offset: number): void {
    this.#ephemeralFrom.set(partition, offset);
  }

  /**
   * Those from offset `from` on. Resolves once what cannot be read is kept elsewhere.
   * @throws NewerRecord when the first is of a later version; those before one are returned
   */
  async read(partition: number, messages: readonly KafkaMessage[], from: number): Promise<readonly Fetched[]> {
    const read: Fetched[] = [];
    for (const { offset: text, value } of messages) {
      const offset = Number(text);
      if (offset < from) continue;
      let parcel: Parcel;
      try {
        parcel = decodeParcel(value ?? Buffer.alloc(0));
      } catch (error) {
        if (error instanceof NewerRecord) {
          if (read.length === 0) throw error;
          break;
        }
        this.poison++;
        await this.#deadLetters.keep({ partition, offset, value, cause: error });
        read.push({ offset, records: [], ephemeral: [], bytes: RECORD_OVERHEAD });
        continue;
      }
      read.push(parcel.ephemeral ? this.#ephemeral(partition, offset, parcel) : this.#durable(offset, parcel));
    }
    return read;
  }

  #durable(offset: number, parcel: Parcel): Fetched {
    const { logs, payload, operation, acceptedAt, expiresAt, idempotency, trace } = parcel;
    const id = { epoch: this.#epoch, n: offset };
    const shared = {
      id,
      payload,
      acceptedAt,
      expiresAt,
      ...(operation === undefined ? {} : { operation }),
      ...(idempotency === undefined ? {} : { idempotency }),
      ...(trace === undefined ? {} : { trace }),
    };
    const records = logs.map((log) => ({ log, ...shared }));
    return { offset, records, ephemeral: [], bytes: payload.byteLength + logs.length * RECORD_OVERHEAD };
  }

  #ephemeral(partition: number, offset: number, parcel: Parcel): Fetched {
    const { logs, payload, operation, acceptedAt, trace } = parcel;
    const nothing = { offset, records: [], ephemeral: [], bytes: RECORD_OVERHEAD };
    const from = this.#ephemeralFrom.get(partition) ?? 0;
    if (offset < from) return this.#drop(logs.length, 'ephemeral_moved', nothing);
    this.#ephemeralFrom.set(partition, offset + 1);
    if (acceptedAt < this.#clock.now() - EPHEMERAL_MAX_AGE_MS)
      return this.#drop(logs.length, 'ephemeral_stale', nothing);
    const shared = {
      payload,
      acceptedAt,
      ephemeral: true,
      ...(operation === undefined ? {} : { operation }),
      ...(trace === undefined ? {} : { trace }),
    } as const;
    const ephemeral: EphemeralRecord[] = logs.map((log) => ({ log, ...shared }));
    return { ...nothing, ephemeral, bytes: payload.byteLength + logs.length * RECORD_OVERHEAD };
  }

  #drop(count: number, reason: string, rest: Fetched): Fetched {
    this.dropped[reason] = (this.dropped[reason] ?? 0) + count;
    return rest;
  }
}
