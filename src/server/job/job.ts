// The job: takes accepted messages in order, applies them to the logs, looks up who reads them, tells the comets, and only
// then lets the queue commit. A job that dies anywhere repeats, and repetition is harmless: what was applied already is
// notified all the same, and comets drop what they have.

import type { Clock } from '../clock.js';
import type { EventHub } from '../observe/hub.js';
import type { TraceStore } from '../observe/traces.js';
import { EPHEMERAL_MAX_AGE_MS, type Queue, type QueueBatch, type RecordOutcome, type Seek } from '../queue/queue.js';
import type { NodeRecord, Registry } from '../router/registry.js';
import type { CometService } from '../rpc/services.js';
import type { Buckets, IdentifiedRecord } from '../store/buckets.js';
import { Applier } from './apply.js';
import { createJobCounters, type JobCounters } from './counters.js';
import { Audience } from './look-up.js';
import { Notifier } from './notify.js';
import { JobTraces } from './traces.js';

export interface JobOptions {
  readonly queue: Queue;
  readonly buckets: Buckets;
  readonly registry: Registry;
  /** The service of a live comet. Called for every frame to it: cheap, or cached by the caller. */
  readonly cometFor: (node: NodeRecord) => CometService;
  readonly clock: Clock;
  /** How long an acknowledgement of a comet is waited for; then it is marked to re-read. */
  readonly ackMs?: number;
  /** Per comet, unacknowledged. */
  readonly maxUnackedBytes?: number;
  /** Keeps what the store cannot, durably; called before such a record is skipped. */
  readonly deadLetter?: (record: IdentifiedRecord, cause: unknown) => Promise<void>;
  /** Who is told what is applied and notified, if anybody. */
  readonly hub?: EventHub | undefined;
  /** The cause of a batch that comes again; and that one was applied. */
  readonly onFailure?: (cause: unknown) => void;
  readonly onApplied?: () => void;
  /** Where steps of messages that are traced are noted. */
  readonly traces?: TraceStore;
}

export interface Job {
  /** Consumes until `signal` aborts and the last batch is done. */
  run(signal: AbortSignal): Promise<void>;
  readonly counters: Readonly<JobCounters>;
}

export function createJob(options: JobOptions): Job {
  const counters = createJobCounters();
  const { buckets, registry, cometFor, clock } = options;
  const traces = options.traces === undefined ? undefined : new JobTraces(options.traces);
  const applier = new Applier({ buckets, counters, deadLetter: options.deadLetter ?? (async () => undefined) });
  const notifier = new Notifier({
    registry,
    cometFor,
    clock,
    counters,
    traces,
    ackMs: options.ackMs ?? 1_000,
    hub: options.hub,
    maxUnackedBytes: options.maxUnackedBytes ?? 16 * 1024 * 1024,
  });
  const audience = new Audience({ buckets, registry, clock, counters, traces });
  /** Look-ups and sends of batches, one after the other, so that a comet hears of them in order. */
  let inOrder: Promise<unknown> = Promise.resolve();

  async function handle(batch: QueueBatch): Promise<Seek | undefined> {
    traces?.taken(batch);
    if (batch.ephemeral.length > 0) void tellEphemeral(batch);
    const applied = await applier.apply(batch).catch((cause: unknown) => {
      counters.applyFailures++;
      options.onFailure?.(cause);
      throw cause;
    });
    if (applied.kind === 'behind') {
      counters.behind++;
      // What comets were told, and the sessions that were registered, may be lost as well.
      for (const comet of await registry.comets()) await notifier.markResync(comet);
      applier.sought(applied);
      return applied.seek;
    }
    options.onApplied?.();
    batch.applied(applied.outcomes);
    traces?.applied(batch.records, applied.outcomes);
    countOutcomes(applied.outcomes);
    if (options.hub !== undefined && options.hub.wants !== 0) tellApplied(options.hub, batch.records, applied.outcomes);
    const turn = inOrder.then(async () => {
      const { frames, reread } = await audience.of(batch.records, applied.outcomes);
      // Sent before the next batch's look-up; acknowledged whenever it is.
      return { acknowledged: settled(notifier.tell(frames)), reread };
    });
    inOrder = turn.catch(() => undefined);
    const { acknowledged, reread } = await turn;
    for (const comet of reread) await notifier.markResync(comet);
    const failure = await acknowledged;
    if (failure !== undefined) throw failure.cause;
    return undefined;
  }

  async function tellEphemeral(batch: QueueBatch): Promise<void> {
    const freshFrom = clock.now() - EPHEMERAL_MAX_AGE_MS;
    const fresh = batch.ephemeral.filter((record) => record.acceptedAt >= freshFrom);
    for (const record of batch.ephemeral) if (record.acceptedAt < freshFrom) traces?.stale(record);
    counters.ephemeral += batch.ephemeral.length;
    counters.ephemeralStale += batch.ephemeral.length - fresh.length;
    try {
      notifier.tellOnce(await audience.ofEphemeral(fresh));
    } catch {
      counters.ephemeralFailed += fresh.length;
    }
  }

  function countOutcomes(outcomes: readonly { readonly kind: string }[]): void {
    for (const { kind } of outcomes) {
      if (kind === 'appended') counters.appended++;
      else if (kind === 'repeated') counters.repeated++;
      else if (kind === 'gone') counters.gone++;
      else if (kind !== 'poison') counters.notAppended++;
    }
  }

  return {
    counters,
    run: (signal) => options.queue.consume(handle, signal, (_partition, owned) => applier.assigned(owned)),
  };
}

function tellApplied(hub: EventHub, records: readonly IdentifiedRecord[], outcomes: readonly RecordOutcome[]): void {
  for (const [at, { log, payload }] of records.entries()) {
    const outcome = outcomes[at];
    if (outcome?.kind === 'appended') hub.applied(log, outcome.id, payload.byteLength);
  }
}

/** The cause of a rejection, or undefined: a promise that may be left alone for a while. */
function settled(promise: Promise<void>): Promise<{ readonly cause: unknown } | undefined> {
  return promise.then(
    () => undefined,
    (cause: unknown) => ({ cause }),
  );
}
