// The registry of one process: nodes with leases, the comets of a room, who must resync. Nothing survives the process, so a
// new registry starts without nodes and every comet joins again. Bounded by the nodes and rooms that are live, plus what
// left them less than a minute ago.

import type { NodeId, RoomId } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import type { Lease, NodeRecord, NodeState, Registry } from './registry.js';

/** How long a node that is gone stays listed, and a removed membership guards against a late `add`. Milliseconds. */
const REMEMBER_MS = 60_000;

export interface MemoryRegistryOptions {
  readonly clock: Clock;
  /** How long a renewal holds. */
  readonly leaseMs: number;
}

interface Node {
  record: NodeRecord;
  /** Monotonic ms; the lease holds while it is in the future. */
  expiresAt: number;
  /** Left, or seen expired. */
  gone: boolean;
  /** The number that the comet has to answer with, while it has to re-read. */
  resync: number | undefined;
  readonly rooms: Set<RoomId>;
}

/** A comet's last word on a room. Kept for a while after `remove`, so that a late `add` does not win. */
interface Membership {
  readonly incarnation: number;
  readonly seq: number;
  readonly member: boolean;
}

interface Removed {
  readonly room: RoomId;
  readonly node: NodeId;
  readonly membership: Membership;
  readonly at: number;
}

export function createMemoryRegistry(options: MemoryRegistryOptions): Registry {
  return new MemoryRegistry(options);
}

class MemoryRegistry implements Registry {
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #nodes = new Map<NodeId, Node>();
  readonly #rooms = new Map<RoomId, Map<NodeId, Membership>>();
  /** Oldest first, from `#removedFrom` on. */
  #removed: Removed[] = [];
  #removedFrom = 0;
  #resyncs = 0;
  #sortedRooms: RoomId[] | undefined;
  /** The incarnation given last, over all nodes: a node that was forgotten does not get an old one again. */
  #incarnation = 0;

  constructor(options: MemoryRegistryOptions) {
    this.#clock = options.clock;
    this.#leaseMs = options.leaseMs;
  }

  async join(node: Omit<NodeRecord, 'incarnation' | 'state'>): Promise<Lease> {
    this.#sweep();
    // Wall time in front: a new registry (a restarted process) gives higher incarnations than its predecessor did.
    this.#incarnation = Math.max(this.#incarnation + 1, Math.floor(this.#clock.now()));
    const older = this.#nodes.get(node.node);
    if (older !== undefined) this.#end(older);
    const incarnation = this.#incarnation;
    this.#nodes.set(node.node, {
      record: { ...node, incarnation, state: 'ok' },
      expiresAt: this.#clock.monotonic() + this.#leaseMs,
      gone: false,
      resync: undefined,
      rooms: new Set(),
    });
    return { node: node.node, incarnation, holdsMs: this.#leaseMs };
  }

  async renew(lease: Lease, state: NodeState = 'ok') {
    const node = this.#live(lease.node, lease.incarnation);
    if (node === undefined) return { kind: 'expired' as const };
    node.expiresAt = this.#clock.monotonic() + this.#leaseMs;
    if (node.record.state !== state) node.record = { ...node.record, state };
    return { kind: 'renewed' as const, resync: node.resync };
  }

  async leave(lease: Lease): Promise<void> {
    const node = this.#live(lease.node, lease.incarnation);
    if (node !== undefined) this.#end(node);
  }

  async nodes(): Promise<readonly NodeRecord[]> {
    this.#sweep();
    return [...this.#nodes.values()].map((node) => (node.gone ? { ...node.record, state: 'gone' } : node.record));
  }

  async addRoom(lease: Lease, room: RoomId, seq: number): Promise<void> {
    this.#room(lease, room, seq, true);
  }

  async removeRoom(lease: Lease, room: RoomId, seq: number): Promise<void> {
    this.#room(lease, room, seq, false);
  }

  async cometsOf(rooms: readonly RoomId[]): Promise<readonly (readonly NodeRecord[])[]> {
    this.#sweep();
    return rooms.map((room) => {
      const found: NodeRecord[] = [];
      for (const [id, membership] of this.#rooms.get(room) ?? []) {
        const node = membership.member ? this.#live(id, membership.incarnation) : undefined;
        if (node !== undefined) found.push(node.record);
      }
      return found;
    });
  }

  async comets(): Promise<readonly NodeRecord[]> {
    this.#sweep();
    const found: NodeRecord[] = [];
    for (const node of this.#nodes.values()) {
      if (!node.gone && node.record.roles.includes('comet')) found.push(node.record);
    }
    return found;
  }

  async rooms(page: { readonly after: RoomId | undefined; readonly limit: number }): Promise<readonly RoomId[]> {
    this.#sweep();
    this.#sortedRooms ??= [...this.#rooms]
      .filter(([, comets]) => someMember(comets))
      .map(([room]) => room)
      .sort();
    const { after, limit } = page;
    const from = after === undefined ? 0 : firstAfter(this.#sortedRooms, after);
    return this.#sortedRooms.slice(from, from + limit);
  }

  async markResync(node: NodeId, incarnation: number): Promise<void> {
    const found = this.#live(node, incarnation);
    // A number of its own each time: an answer to an earlier mark does not clear a later one.
    if (found !== undefined) found.resync = ++this.#resyncs;
  }

  async resynced(lease: Lease, resync: number): Promise<void> {
    const node = this.#live(lease.node, lease.incarnation);
    if (node !== undefined && node.resync === resync) node.resync = undefined;
  }

  /** The node, if this is its incarnation and its lease holds. */
  #live(id: NodeId, incarnation: number): Node | undefined {
    const node = this.#nodes.get(id);
    if (node === undefined || node.gone || node.record.incarnation !== incarnation) return undefined;
    if (node.expiresAt > this.#clock.monotonic()) return node;
    this.#end(node);
    return undefined;
  }

  #room(lease: Lease, room: RoomId, seq: number, member: boolean): void {
    this.#sweep();
    const node = this.#live(lease.node, lease.incarnation);
    if (node === undefined) return;
    const comets = this.#rooms.get(room) ?? new Map<NodeId, Membership>();
    const known = comets.get(lease.node);
    if (known !== undefined && known.incarnation === lease.incarnation && known.seq >= seq) return;
    const membership = { incarnation: lease.incarnation, seq, member };
    comets.set(lease.node, membership);
    this.#rooms.set(room, comets);
    if (member) node.rooms.add(room);
    else {
      node.rooms.delete(room);
      this.#removed.push({ room, node: lease.node, membership, at: this.#clock.monotonic() });
    }
    if (known?.member !== member) this.#sortedRooms = undefined;
  }

  /** The incarnation is over: it is in no room any more. */
  #end(node: Node): void {
    node.gone = true;
    node.resync = undefined;
    node.expiresAt = this.#clock.monotonic();
    for (const room of node.rooms) this.#forget(room, node.record.node);
    node.rooms.clear();
  }

  #forget(room: RoomId, node: NodeId): void {
    const comets = this.#rooms.get(room);
    if (comets === undefined) return;
    comets.delete(node);
    if (comets.size === 0) this.#rooms.delete(room);
    this.#sortedRooms = undefined;
  }

  /** Ends leases that ran out; forgets what was remembered long enough. */
  #sweep(): void {
    const now = this.#clock.monotonic();
    for (const [id, node] of this.#nodes) {
      if (!node.gone && node.expiresAt <= now) this.#end(node);
      if (node.gone && node.expiresAt + REMEMBER_MS <= now) this.#nodes.delete(id);
    }
    for (;;) {
      const oldest = this.#removed[this.#removedFrom];
      if (oldest === undefined || oldest.at + REMEMBER_MS > now) break;
      this.#removedFrom++;
      // Only if that removal is still the last word.
      if (this.#rooms.get(oldest.room)?.get(oldest.node) === oldest.membership) this.#forget(oldest.room, oldest.node);
    }
    if (this.#removedFrom * 2 > this.#removed.length) {
      this.#removed = this.#removed.slice(this.#removedFrom);
      this.#removedFrom = 0;
    }
  }
}

function someMember(comets: ReadonlyMap<NodeId, Membership>): boolean {
  for (const membership of comets.values()) if (membership.member) return true;
  return false;
}

/** Index of the first name after `after` in a sorted list. */
function firstAfter(sorted: readonly RoomId[], after: RoomId): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const name = sorted[middle];
    if (name !== undefined && name <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}
