// What a store counts: every drop by its reason. Names are metric names without prefix.

import type { TrimReason } from './retention.js';

export type CounterName =
  | `trimmed_${TrimReason}`
  | 'appended'
  | 'repeated'
  | 'duplicates'
  | 'behind'
  | 'devices_forgotten'
  | 'logs_forgotten'
  | 'idempotency_expired'
  | 'damaged_entries'
  | 'refused_full'
  | 'opened_unrecorded'
  | 'refused_broken'
  | 'commits'
  | 'commits_failed';

export class Counters {
  readonly #values: Record<string, number> = {};

  add(name: CounterName, by = 1): void {
    this.#values[name] = (this.#values[name] ?? 0) + by;
  }

  all(): Readonly<Record<string, number>> {
    return { ...this.#values };
  }
}
