// What a job notes of messages that are traced: taken from the queue, applied or why not, who is to be told, which comets
// acknowledged. Everything else passes by with one look at its record.

import { isZeroId, type LogName, type MessageId } from '../../protocol/ids.js';
import type { Marked, TraceStore } from '../observe/traces.js';
import type { QueueBatch, RecordOutcome } from '../queue/queue.js';
import type { NodeRecord } from '../router/registry.js';
import type { Notification } from '../rpc/services.js';

/** A record that may be marked; without an id when it is ephemeral. */
interface Noted {
  readonly log: LogName;
  readonly id?: MessageId;
  readonly trace?: string;
}

export class JobTraces {
  readonly #store: TraceStore;

  constructor(store: TraceStore) {
    this.#store = store;
  }

  /** A batch was handed out. */
  taken({ partition, records, ephemeral, attempt }: QueueBatch): void {
    for (const record of records) {
      if (record.trace === undefined) continue;
      this.#store.note(marked(record, record.trace), { step: 'taken', partition, offset: record.id.n, attempt });
    }
    for (const record of ephemeral) {
      if (record.trace === undefined) continue;
      this.#store.note(marked(record, record.trace), { step: 'taken', partition, attempt });
    }
  }

  /** It was applied, or not. */
  applied(records: QueueBatch['records'], outcomes: readonly RecordOutcome[]): void {
    for (const [index, record] of records.entries()) {
      if (record.trace === undefined) continue;
      const outcome = outcomes[index]?.kind ?? 'unknown';
      this.#store.note(marked(record, record.trace), { step: 'applied', outcome });
    }
  }

  /** An ephemeral record was too old to be told of. */
  stale(record: Noted): void {
    if (record.trace !== undefined) this.#store.note(marked(record, record.trace), { step: 'dropped', reason: 'old' });
  }

  /** Who is to be told of it. `sessions`: of a user's log, all that are registered, and those without a live comet. */
  lookedUp(
    record: Noted,
    mark: string,
    comets: readonly NodeRecord[],
    sessions?: { readonly all: number; readonly expired: number },
  ): void {
    this.#store.note(marked(record, mark), {
      step: 'looked_up',
      comets: comets.map(({ node }) => node),
      ...(sessions === undefined ? {} : { sessions: sessions.all }),
      ...(sessions === undefined || sessions.expired === 0 ? {} : { expired: sessions.expired }),
    });
  }

  /** A comet was told, or did not acknowledge. */
  notified(notifications: readonly Notification[], comet: string, ms: number, ok: boolean): void {
    for (const { log, id, trace } of notifications) {
      if (trace === undefined) continue;
      this.#store.note({ log, id: isZeroId(id) ? undefined : id, mark: trace }, { step: 'notified', comet, ms, ok });
    }
  }
}

function marked({ log, id }: Noted, mark: string): Marked {
  return { log, id, mark };
}
