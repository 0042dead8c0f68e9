// What a read of a log returns: entries in id order, and a gap wherever something that existed cannot be delivered any
// more. A hole shows in `prev`, which every entry carries for ever, so no engine has to remember what it trimmed.

import { compareIds, isZeroId, type MessageId } from '../../protocol/ids.js';
import type { Entry, ReadItem, ReadLimit, ReadResult } from './buckets.js';
import { idBefore } from './retention.js';

export class ItemCollector {
  readonly #items: ReadItem[] = [];
  readonly #limit: ReadLimit;
  #last: MessageId;
  #entries = 0;
  #bytes = 0;
  #gapAfter: MessageId | undefined;

  /** `after`: where reading starts; `limit`: at least one entry is taken whatever its size. */
  constructor(after: MessageId, limit: ReadLimit) {
    this.#last = after;
    this.#limit = limit;
  }

  /** The next stored entry, in id order. False: no room, it was not taken and reading ends here. */
  entry(entry: Entry): boolean {
    const { length } = entry.payload;
    if (this.#entries > 0 && this.#bytes + length > this.#limit.bytes) return false;
    if (this.#entries >= Math.max(1, this.#limit.entries)) return false;
    this.#holeBefore(entry.id, entry.prev);
    this.#closeGap();
    this.#items.push({ kind: 'entry', entry });
    this.#last = entry.id;
    this.#entries += 1;
    this.#bytes += length;
    return true;
  }

  /** An entry that is there and cannot be delivered: expired or damaged. */
  lost(id: MessageId): void {
    this.#gapTo(id);
  }

  /** Everything stored was seen: what is missing up to the head is a gap. */
  end(head: MessageId): ReadResult {
    this.#gapTo(head);
    return this.result(head);
  }

  /** The limit was reached. */
  result(head: MessageId): ReadResult {
    this.#closeGap();
    return { items: this.#items, head, readTo: this.#last };
  }

  #holeBefore(id: MessageId, prev: MessageId): void {
    if (!isZeroId(prev)) {
      this.#gapTo(prev);
      return;
    }
    // The first entry of a log that is younger than the reader's position: an older life of the log was forgotten.
    if (!isZeroId(this.#last)) this.#gapTo(idBefore(id));
  }

  #gapTo(upTo: MessageId): void {
    if (compareIds(upTo, this.#last) <= 0) return;
    this.#gapAfter ??= this.#last;
    this.#last = upTo;
  }

  #closeGap(): void {
    if (this.#gapAfter === undefined) return;
    this.#items.push({ kind: 'gap', after: this.#gapAfter, upTo: this.#last });
    this.#gapAfter = undefined;
  }
}

/**
 * What a log that nobody knows returns to a reader with a position: a gap. `floor`: below every id that may still come,
 * not below any that was given out.
 */
export function readUnknown(after: MessageId, floor: MessageId): ReadResult {
  if (isZeroId(after)) return { items: [], head: after, readTo: after };
  const start = compareIds(after, floor) < 0 ? after : { epoch: 0, n: 0 };
  return { items: [{ kind: 'gap', after: start, upTo: floor }], head: floor, readTo: floor };
}
