/**
 * The steps in the life of a message that is traced, as nodes note them and `GET /v1/trace` shows them: accept, take, apply,
 * look up, notify, then what became of it at the comets. Readers ignore steps and fields that they do not know; steps and
 * fields are added, never renamed.
 */

/** A logic has it for good. `ms`: from a valid request to that. */
export interface AcceptedStep {
  readonly step: 'accepted';
  readonly ms: number;
  readonly bytes: number;
  /** 0: ephemeral. */
  readonly ttlMs: number;
  /** goim's; undefined is 5. */
  readonly operation?: number | undefined;
  /** Its idempotency key had been used: this is the first push under it. */
  readonly duplicate?: boolean | undefined;
}

/** A job has it from the queue. */
export interface TakenStep {
  readonly step: 'taken';
  readonly partition: number;
  /** In the partition; undefined: ephemeral. */
  readonly offset?: number | undefined;
  /** 1, and one more each time that it comes again. */
  readonly attempt: number;
}

/** It is in its log, or why it is not: `duplicate`, `mismatch`, `idempotency_full`, `gone`, `poison`. */
export interface AppliedStep {
  readonly step: 'applied';
  readonly outcome: string;
}

/** Who is to be told: live sessions of the user; for rooms and `all` only the comets that have members. */
export interface LookedUpStep {
  readonly step: 'looked_up';
  readonly sessions?: number | undefined;
  readonly comets: readonly string[];
  /** Sessions whose comet has no lease any more. */
  readonly expired?: number | undefined;
}

/** A comet has acknowledged the notification, or not. */
export interface NotifiedStep {
  readonly step: 'notified';
  readonly comet: string;
  readonly ms: number;
  readonly ok: boolean;
}

/** A comet has it: for so many sessions, or members. */
export interface ArrivedStep {
  readonly step: 'arrived';
  readonly sessions: number;
}

interface OfSession {
  readonly session: string;
  /** undefined: it names none. */
  readonly device?: string | undefined;
}

/** It was given to a session. */
export interface WrittenStep extends OfSession {
  readonly step: 'written';
  readonly redelivered?: boolean | undefined;
}

/** The kernel took it from the session's socket; `ms` after it was written. */
export interface DrainedStep extends OfSession {
  readonly step: 'drained';
  readonly ms: number;
}

/** The client acknowledged it; a legacy one took it, as `delivery.legacy_ack` counts that. `ms` after it was written. */
export interface AcknowledgedStep extends OfSession {
  readonly step: 'acknowledged';
  readonly by: 'client' | 'drain' | 'heartbeat';
  readonly ms?: number | undefined;
}

/** The session does not take this operation. */
export interface FilteredStep extends OfSession {
  readonly step: 'filtered';
  readonly operation: number;
}

/** The session was told, or could not be told, that it does not get it. */
export interface GapStep extends Partial<OfSession> {
  readonly step: 'gap';
  readonly after: string;
  readonly upTo: string;
  /** `log`: the log has it no more. `lag`: the session was too slow. */
  readonly reason: 'log' | 'lag';
  /** Members concerned, where it is not one session. */
  readonly members?: number | undefined;
}

/** Ephemeral, and not given: `catch_up` (the session was reading what it missed), `held` (its socket was full), `old`. */
export interface DroppedStep extends Partial<OfSession> {
  readonly step: 'dropped';
  readonly reason: 'catch_up' | 'held' | 'old';
}

/** The session ended before it had taken it. `reason`: a name of protocol/disconnect.ts, or `gone`. */
export interface ClosedStep extends OfSession {
  readonly step: 'closed';
  readonly reason: string;
  readonly written: boolean;
}

/** A sweep over the members of a room, or of all, as far as this message goes; at most one a sweep. */
export interface SweptStep {
  readonly step: 'swept';
  /** When it arrived. */
  readonly members: number;
  /** Of them: given it, and of those who the kernel took it from at once. */
  readonly written: number;
  readonly drained: number;
  /** Their socket is full: they get it when it drains, or a gap. */
  readonly held: number;
  readonly gaps: number;
  readonly filtered: number;
  /** Left since. */
  readonly left: number;
  /** Some of those who were given it, and of those who were not. */
  readonly sample: { readonly written: readonly string[]; readonly not: readonly string[] };
}

export type TraceStep =
  | AcceptedStep
  | TakenStep
  | AppliedStep
  | LookedUpStep
  | NotifiedStep
  | ArrivedStep
  | WrittenStep
  | DrainedStep
  | AcknowledgedStep
  | FilteredStep
  | GapStep
  | DroppedStep
  | ClosedStep
  | SweptStep;

export type StepName = TraceStep['step'];

/** In the order in which they follow from each other. */
export const STEPS: readonly StepName[] = [
  'accepted',
  'taken',
  'applied',
  'looked_up',
  'arrived',
  'written',
  'swept',
  'filtered',
  'dropped',
  'gap',
  'drained',
  'notified',
  'acknowledged',
  'closed',
];

/** A step with when it was noted: wall ms of its node. */
export type NotedStep = TraceStep & { readonly at: number };

/** What one node has noted of one message. */
export interface NodeTrace {
  readonly node: string;
  readonly mark: string;
  readonly steps: readonly NotedStep[];
  /** Steps that were not kept, because there were too many. */
  readonly more: number;
}
