/**
 * The one way from logs to a client's socket. A session is an Outlet; its user log and the topics it is a member of are
 * sources that share it. The rule that bounds memory: nobody writes to an outlet that is held, so a stalled socket has at
 * most one pending write. When that write completes, the session asks its sources, user log first, to go on.
 */
import type { Encoding } from '../../protocol/dialect.js';
import type { LogName, MessageId, SessionId } from '../../protocol/ids.js';

/** A topic as its members know it (topic.ts). */
export interface JoinedTopic {
  readonly log: LogName;
  readonly members: readonly Outlet[];
  /** Nothing more is written to the outlet. */
  leave(outlet: Outlet): boolean;
  /** Its pending write completed: what it missed meanwhile is written. */
  resume(outlet: Outlet): void;
}

export interface Outlet {
  readonly session: SessionId;
  /** Which ring of a topic this client reads. */
  readonly encoding: Encoding;
  /** goim v2: the operations it takes from `all`; undefined takes every one. After a change: `topics.reaccept(outlet)`. */
  readonly accepts?: readonly number[] | undefined;
  /** A write has not completed yet (writableLength was not 0 right after it). Sources skip it; `resume` follows. */
  held: boolean;
  /** The socket is closing or gone; it has left all topics. */
  closed: boolean;
  /** Topics joined, and this member's index in each one's arrays: `topics[i].members[slots[i]] === this`. */
  readonly topics: JoinedTopic[];
  readonly slots: number[];
  /** Gives bytes (whole frames) to the socket. Afterwards `held` tells whether the kernel took all of them. */
  write(bytes: Uint8Array): void;
  /** A gap in a topic: tells a native client, counts it for the others (`gaps_untold`). */
  gap(topic: JoinedTopic, after: MessageId, upTo: MessageId): void;
  /** Closes with a code of protocol/disconnect.ts by name; leaves all topics first. */
  disconnect(reason: string): void;
}

/** Where a member that joined from a position stands. */
export interface Joined {
  readonly head: MessageId;
  /** Everything since the position follows; false: a gap comes first, or somewhere on the way. */
  readonly recovered: boolean;
}
