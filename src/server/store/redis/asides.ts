/**
 * Records that the store cannot keep. A job notes one before its bucket's mark moves over it, on the same server, so whoever sees the
 * mark there sees the note.
 */

import { bucketOf } from '../bucket.js';
import type { IdentifiedRecord } from '../buckets.js';
import type { StoreContext } from './context.js';

/** Longer than anybody waits for an answer, and than the mark takes to move. Milliseconds. */
const KEPT_MS = 600_000;

/** What names a record. */
export type RecordName = Pick<IdentifiedRecord, 'log' | 'id'>;

export class Asides {
  readonly #context: StoreContext;

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /** This record is put aside. */
  async note({ log, id }: RecordName): Promise<void> {
    await this.#context.link.command('set', this.#context.asideKey(bucketOf(log), id), '1', 'px', KEPT_MS);
  }

  /** It was, lately. */
  async has({ log, id }: RecordName): Promise<boolean> {
    return (await this.#context.link.command('exists', this.#context.asideKey(bucketOf(log), id))) === 1;
  }
}
