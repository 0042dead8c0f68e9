// What a comet counts: plain fields for the hot paths, a map by reason for what is dropped, refused or closed.
// Monotonic; names become metric names without prefix.

import type { FollowCounters } from './user-log.js';

/** The counters of one comet. */
export class Counters implements FollowCounters {
  accepted = 0;
  opened = 0;
  deliveries = 0;
  redelivered = 0;
  flushes = 0;
  bytesOut = 0;
  bytesIn = 0;
  framesIn = 0;
  heartbeats = 0;
  acks = 0;
  joins = 0;
  holds = 0;
  notifications = 0;
  ephemeral = 0;
  gaps = 0;
  gapsUntold = 0;
  filtered = 0;
  notifiedAgain = 0;
  reads = 0;
  readFailures = 0;
  readBehind = 0;
  fences = 0;
  resyncs = 0;
  readonly reasons: Record<string, number> = Object.create(null) as Record<string, number>;

  /** One more of this reason: `closed_…`, `refused_…`, `dropped_…`. */
  count(reason: string, by = 1): void {
    this.reasons[reason] = (this.reasons[reason] ?? 0) + by;
  }

  /** All fields by metric name. */
  snapshot(): Record<string, number> {
    const all: Record<string, number> = {};
    for (const [name, value] of Object.entries(this)) {
      if (typeof value === 'number') all[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)] = value;
    }
    return all;
  }
}
