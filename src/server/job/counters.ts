// What a job counts: monotonic, by name; the names are metric names without prefix.

export interface JobCounters {
  /** Records appended to a log. */
  appended: number;
  /** Records that were applied already: notified all the same. */
  repeated: number;
  /** Records whose idempotency key was used before, or could not be kept. */
  notAppended: number;
  /** Applied already, and trimmed or expired since. */
  gone: number;
  /** Put aside because the store cannot keep them. */
  poison: number;
  /** The store had lost writes, so the queue was sought back. */
  behind: number;
  /** Batches whose apply failed and which come again. */
  applyFailures: number;
  /** Frames to comets, and what was in them. */
  frames: number;
  notifications: number;
  acknowledged: number;
  /** A comet did not acknowledge in time or at all, and was marked to re-read. */
  resyncUnacknowledged: number;
  /** A comet had too much unacknowledged already, so nothing more was sent and it was marked to re-read. */
  resyncDropped: number;
  /** Sessions whose comet has no lease any more. */
  cometsExpired: number;
  ephemeral: number;
  ephemeralStale: number;
  /** Ephemeral records that could not be looked up or handed to a comet. */
  ephemeralFailed: number;
}

export function createJobCounters(): JobCounters {
  return {
    appended: 0,
    repeated: 0,
    notAppended: 0,
    gone: 0,
    poison: 0,
    behind: 0,
    applyFailures: 0,
    frames: 0,
    notifications: 0,
    acknowledged: 0,
    resyncUnacknowledged: 0,
    resyncDropped: 0,
    cometsExpired: 0,
    ephemeral: 0,
    ephemeralStale: 0,
    ephemeralFailed: 0,
  };
}
