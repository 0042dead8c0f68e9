// The first half of a job: gives a batch to the store, grouped by bucket, under the marks that this job last saw. A store
// that is behind a mark has lost writes: then nothing may be skipped, and the queue goes back. That the store knows an id
// already never counts as success by itself; only the mark says what is applied.

import { ImgoError } from '../../protocol/errors.js';
import { compareIds, type MessageId, maxId, ZERO_ID } from '../../protocol/ids.js';
import type { QueueBatch, RecordOutcome, Seek } from '../queue/queue.js';
import { bucketOf } from '../store/bucket.js';
import type { ApplyGroup, Buckets, GroupResult, IdentifiedRecord } from '../store/buckets.js';
import type { JobCounters } from './counters.js';

/** A batch that failed this often is applied record by record, to find the one that the store cannot keep. */
const ISOLATE_AFTER = 5;
/** How often one record alone has to fail, while the store otherwise works, to be put aside. */
const POISON_AFTER = 3;

export interface ApplierOptions {
  readonly buckets: Pick<Buckets, 'marks' | 'apply'>;
  readonly counters: JobCounters;
  /** Keeps a record that cannot be applied, durably, before it is skipped. */
  readonly deadLetter: (record: IdentifiedRecord, cause: unknown) => Promise<void>;
}

export type Applied = { readonly kind: 'applied'; readonly outcomes: readonly RecordOutcome[] } | Behind;

/** Writes were lost. */
export interface Behind {
  readonly kind: 'behind';
  readonly seek: Seek;
  /** By bucket: marks that turned out lower than seen. */
  readonly marks: ReadonlyMap<number, MessageId>;
}

interface Given {
  readonly results: readonly GroupResult[];
  /** Some bucket was. */
  readonly behind: Behind | undefined;
}

/** Records of one bucket, and where their results belong in the batch. */
interface Grouped {
  readonly records: IdentifiedRecord[];
  readonly positions: number[];
}

export class Applier {
  readonly #buckets: ApplierOptions['buckets'];
  readonly #counters: JobCounters;
  readonly #deadLetter: (record: IdentifiedRecord, cause: unknown) => Promise<void>;
  /** By bucket: the mark last seen. */
  readonly #seen = new Map<number, MessageId>();

  constructor(options: ApplierOptions) {
    this.#buckets = options.buckets;
    this.#counters = options.counters;
    this.#deadLetter = options.deadLetter;
  }

  /** Takes these buckets over: their marks count from now on. Resolves with the lowest. */
  async assigned(buckets: readonly number[]): Promise<MessageId> {
    const marks = await this.#buckets.marks(buckets);
    let lowest: MessageId | undefined;
    for (const [index, bucket] of buckets.entries()) {
      const mark = marks[index] ?? ZERO_ID;
      this.#seen.set(bucket, mark);
      if (lowest === undefined || compareIds(mark, lowest) < 0) lowest = mark;
    }
    return lowest ?? ZERO_ID;
  }

  /**
   * Resolves with the outcomes in the order of the batch's records, or with where to go back to; the caller tells the
   * comets and then calls `sought`. Rejects when the store refused the batch or its outcome is unknown.
   */
  async apply(batch: QueueBatch): Promise<Applied> {
    const grouped = group(batch.records);
    await this.#know([...grouped.keys(), ...(batch.commit?.buckets ?? [])]);
    if (batch.attempt > ISOLATE_AFTER) return notBeyond(batch, await this.#isolate(batch));
    const groups: ApplyGroup[] = [];
    for (const [bucket, { records }] of grouped) {
      const last = records.at(-1)?.id ?? ZERO_ID;
      groups.push(this.#group(bucket, records, batch.commit === undefined ? last : maxId(last, batch.commit.upTo)));
    }
    for (const bucket of batch.commit?.buckets ?? []) {
      if (!grouped.has(bucket)) groups.push(this.#group(bucket, [], batch.commit?.upTo ?? ZERO_ID));
    }
    const given = await this.#give(groups);
    if (given.behind !== undefined) return notBeyond(batch, given.behind);
    const outcomes: RecordOutcome[] = new Array(batch.records.length);
    for (const [at, { bucket }] of groups.entries()) {
      const positions = grouped.get(bucket)?.positions ?? [];
      for (const [index, position] of positions.entries()) outcomes[position] = outcomeOf(given.results[at], index);
    }
    return { kind: 'applied', outcomes };
  }

  /**
   * The comets were told, and the queue goes back: only from here on are the store's marks what was seen. Were they before,
   * a batch that is handed out again instead would be applied over the hole.
   */
  sought({ marks }: Behind): void {
    for (const [bucket, mark] of marks) this.#seen.set(bucket, mark);
  }

  #group(bucket: number, records: readonly IdentifiedRecord[], upTo: MessageId): ApplyGroup {
    return { bucket, lastSeen: this.#seen.get(bucket) ?? ZERO_ID, records, upTo };
  }

  /** Loads marks that were never seen. */
  async #know(buckets: readonly number[]): Promise<void> {
    const unknown = buckets.filter((bucket) => !this.#seen.has(bucket));
    if (unknown.length > 0) await this.assigned(unknown);
  }

  async #give(groups: readonly ApplyGroup[]): Promise<Given> {
    if (groups.length === 0) return { results: [], behind: undefined };
    const results = await this.#buckets.apply(groups);
    let to: MessageId | undefined;
    const marks = new Map<number, MessageId>();
    for (const [at, group] of groups.entries()) {
      const result = results[at];
      if (result === undefined) throw new ImgoError('internal', { detail: 'apply answered too few groups' });
      if (result.kind === 'behind') {
        marks.set(group.bucket, result.mark);
        if (to === undefined || compareIds(result.mark, to) < 0) to = result.mark;
      } else this.#seen.set(group.bucket, result.mark);
    }
    return { results, behind: to === undefined ? undefined : { kind: 'behind', seek: { kind: 'seek', to }, marks } };
  }

  /** One record after the other; what alone cannot be kept is put aside. */
  async #isolate(batch: QueueBatch): Promise<Applied> {
    const outcomes: RecordOutcome[] = [];
    for (const record of batch.records) {
      const outcome = await this.#alone(record);
      if (outcome.kind === 'behind') return outcome;
      outcomes.push(outcome);
    }
    const { upTo, buckets } = batch.commit ?? { upTo: ZERO_ID, buckets: [] };
    const given = await this.#give(buckets.map((bucket) => this.#group(bucket, [], upTo)));
    return given.behind ?? { kind: 'applied', outcomes };
  }

  async #alone(record: IdentifiedRecord): Promise<RecordOutcome | Behind> {
    const bucket = bucketOf(record.log);
    for (let attempt = 1; ; attempt++) {
      try {
        const given = await this.#give([this.#group(bucket, [record], record.id)]);
        return given.behind ?? outcomeOf(given.results[0], 0);
      } catch (cause) {
        if (!isDefect(cause)) throw cause;
        if (attempt >= POISON_AFTER) return this.#putAside(bucket, record, cause);
      }
    }
  }

  /** Skips a record: its bucket's mark moves over it. Rejects when it is the store that does not work. */
  async #putAside(bucket: number, record: IdentifiedRecord, cause: unknown): Promise<RecordOutcome | Behind> {
    await this.#deadLetter(record, cause);
    const given = await this.#give([this.#group(bucket, [], record.id)]);
    if (given.behind !== undefined) return given.behind;
    this.#counters.poison++;
    return { kind: 'poison' };
  }
}

/**
 * A queue only ever goes back. The mark that is behind may lie after this batch (it had been applied further before a job
 * died); going there would skip what other buckets have in between.
 */
function notBeyond(batch: QueueBatch, applied: Applied): Applied {
  const first = batch.records[0]?.id;
  const start = first === undefined ? batch.commit?.upTo : { epoch: first.epoch, n: first.n - 1 };
  if (applied.kind === 'applied' || start === undefined) return applied;
  return compareIds(applied.seek.to, start) <= 0 ? applied : { ...applied, seek: { kind: 'seek', to: start } };
}

/**
 * Something that repeating cannot cure: the code stumbles over the record itself. A store that is away, full or broken says
 * nothing about a record, however often it fails: a message that was accepted is not given up for that.
 */
function isDefect(cause: unknown): boolean {
  if (cause instanceof ImgoError) return !cause.retryable;
  return cause instanceof TypeError || cause instanceof RangeError;
}

function outcomeOf(result: GroupResult | undefined, index: number): RecordOutcome {
  const outcome = result?.kind === 'applied' ? result.results[index] : undefined;
  if (outcome === undefined) throw new ImgoError('internal', { detail: 'apply answered too few records' });
  return outcome;
}

function group(records: readonly IdentifiedRecord[]): Map<number, Grouped> {
  const groups = new Map<number, Grouped>();
  for (const [position, record] of records.entries()) {
    const bucket = bucketOf(record.log);
    let grouped = groups.get(bucket);
    if (grouped === undefined) {
      grouped = { records: [], positions: [] };
      groups.set(bucket, grouped);
    }
    grouped.records.push(record);
    grouped.positions.push(position);
  }
  return groups;
}
