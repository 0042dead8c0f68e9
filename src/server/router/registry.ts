/**
 * The Registry contract: nodes and their leases, which comets have members of a room, which comets must resync.
 * (Which session is where lives in Buckets, because apply and look-up belong together.) Engines: memory, redis; proved by
 * test/conformance/registry.ts. Times are the registry's own; a node judges its lease by its own monotonic clock from the
 * moment it *sent* the renewal (delivery.md section 4, fencing).
 */
import type { NodeId, RoomId } from '../../protocol/ids.js';

export type Role = 'comet' | 'logic' | 'job';

/** What a live node says of itself: `draining` takes no new connections and sends away those that it has. */
export type NodeState = 'ok' | 'draining';

export interface NodeRecord {
  readonly node: NodeId;
  /** Grows with every join of the same node id; never reused. */
  readonly incarnation: number;
  readonly roles: readonly Role[];
  /** Where its RPC listens; '' in one process. */
  readonly address: string;
  readonly version: string;
  /** Wall ms. */
  readonly since: number;
  readonly state: NodeState | 'gone';
}

export interface Lease {
  readonly node: NodeId;
  readonly incarnation: number;
  /** How long a renewal holds, ms. */
  readonly holdsMs: number;
}

export type Renewal =
  /** `resync`: something was dropped for this node; re-read all heads, then call `resynced` with this number. */
  | { readonly kind: 'renewed'; readonly resync: number | undefined }
  /** The incarnation ended; join again. An expired one is never renewed. */
  | { readonly kind: 'expired' };

export interface Registry {
  join(node: Omit<NodeRecord, 'incarnation' | 'state'>): Promise<Lease>;
  /** `state`: what `nodes` shows from now on; 'ok' unless it is given, as after a join. */
  renew(lease: Lease, state?: NodeState): Promise<Renewal>;
  leave(lease: Lease): Promise<void>;
  /** All with a live lease, and those gone for less than a minute (state `gone`). */
  nodes(): Promise<readonly NodeRecord[]>;

  /** `seq` of the comet grows with every call; the highest per (room, comet) wins, older incarnations are ignored. */
  addRoom(lease: Lease, room: RoomId, seq: number): Promise<void>;
  removeRoom(lease: Lease, room: RoomId, seq: number): Promise<void>;
  /** Live comets with members of these rooms, in the order asked. */
  cometsOf(rooms: readonly RoomId[]): Promise<readonly (readonly NodeRecord[])[]>;
  /** All live comets. */
  comets(): Promise<readonly NodeRecord[]>;
  /** A page of room names that any live comet has members of. */
  rooms(page: { readonly after: RoomId | undefined; readonly limit: number }): Promise<readonly RoomId[]>;

  /** A notification for this comet was given up: it must re-read heads. */
  markResync(node: NodeId, incarnation: number): Promise<void>;
  resynced(lease: Lease, resync: number): Promise<void>;
}
