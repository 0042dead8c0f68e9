// The registry in Redis, for roles apart: leases, rooms and marks as the memory engine keeps them, each call one script, in
// Redis's own time: clocks of nodes that differ change nothing. As durable as Redis is; after a failover nodes that it
// does not know any more join again, which is what they do with every lease that is over.

import { Unpackr } from 'msgpackr';
import type { NodeId, RoomId } from '../../protocol/ids.js';
import type { RedisLink } from '../store/redis/connect.js';
import type { Script } from '../store/redis/script.js';
import * as scripts from './redis/scripts.js';
import type { Lease, NodeRecord, NodeState, Registry, Renewal } from './registry.js';

export interface RedisRegistryOptions {
  readonly link: RedisLink;
  /** What all keys begin with: deployments that share a Redis have different ones. */
  readonly prefix: string;
  /** How long a renewal holds. */
  readonly leaseMs: number;
  /** For tests that let time pass: wall ms, in place of Redis's own time. */
  readonly now?: () => number;
}

/** The registry, and what only an engine that may lose writes has to be told. */
export interface RedisRegistry extends Registry {
  /**
   * Redis began another history (store/redis/watch.ts): every live comet is marked to re-read. Whoever says it first
   * marks them; repeated for the same history nothing happens. Resolves with how many were marked.
   */
  failedOver(history: string): Promise<number>;
}

/** [node, incarnation, state, record as JSON] */
type PackedNode = readonly [string, number, NodeRecord['state'], string];

/** Comets to one list: rooms that one script looks up, so that no other waits for long. */
const ROOMS_A_SCRIPT = 500;

const unpackr = new Unpackr({ int64AsType: 'number', useRecords: false });

export function createRedisRegistry(options: RedisRegistryOptions): RedisRegistry {
  return new RegistryInRedis(options);
}

class RegistryInRedis implements RedisRegistry {
  readonly #options: RedisRegistryOptions;
  readonly #keys: readonly string[];
  #asked: { readonly turn: number; readonly answer: Promise<readonly NodeRecord[]> } | undefined;
  /** As last answered. Most answers are the same. */
  #seen: { readonly packed: Buffer; readonly nodes: readonly NodeRecord[] } | undefined;

  constructor(options: RedisRegistryOptions) {
    this.#options = options;
    const names = ['nodes', 'count', 'rooms', 'held', 'words', 'removed'];
    this.#keys = names.map((name) => `${options.prefix}{registry}${name}`);
  }

  async join(node: Omit<NodeRecord, 'incarnation' | 'state'>): Promise<Lease> {
    const { leaseMs } = this.#options;
    const { node: name, roles, address, version, since } = node;
    const record = JSON.stringify({ roles, address, version, since });
    const incarnation = Number(await this.#run(scripts.JOIN, name, leaseMs, record));
    return { node: name, incarnation, holdsMs: leaseMs };
  }

  async renew({ node, incarnation }: Lease, state: NodeState = 'ok'): Promise<Renewal> {
    const resync = Number(await this.#run(scripts.RENEW, node, incarnation, this.#options.leaseMs, state));
    if (resync < 0) return { kind: 'expired' };
    return { kind: 'renewed', resync: resync === 0 ? undefined : resync };
  }

  async leave({ node, incarnation }: Lease): Promise<void> {
    await this.#run(scripts.LEAVE, node, incarnation);
  }

  /** A job asks for every batch, after it was applied: those that are answered together share a question. */
  nodes(): Promise<readonly NodeRecord[]> {
    const { turn } = this.#options.link;
    if (this.#asked?.turn !== turn) this.#asked = { turn, answer: this.#askNodes() };
    return this.#asked.answer;
  }

  async #askNodes(): Promise<readonly NodeRecord[]> {
    const packed = (await this.#run(scripts.NODES)) as Buffer;
    if (this.#seen?.packed.equals(packed) !== true) {
      const nodes: PackedNode[] = unpackr.unpack(packed);
      this.#seen = { packed, nodes: nodes.map(nodeOf).sort((a, b) => (a.node < b.node ? -1 : 1)) };
    }
    return this.#seen.nodes;
  }

  async addRoom(lease: Lease, room: RoomId, seq: number): Promise<void> {
    await this.#run(scripts.WORD, lease.node, lease.incarnation, room, seq, 1);
  }

  async removeRoom(lease: Lease, room: RoomId, seq: number): Promise<void> {
    await this.#run(scripts.WORD, lease.node, lease.incarnation, room, seq, 0);
  }

  async cometsOf(rooms: readonly RoomId[]): Promise<readonly (readonly NodeRecord[])[]> {
    const parts: Promise<readonly (readonly NodeRecord[])[]>[] = [];
    for (let at = 0; at < rooms.length; at += ROOMS_A_SCRIPT) {
      parts.push(this.#readers(rooms.slice(at, at + ROOMS_A_SCRIPT)));
    }
    return (await Promise.all(parts)).flat();
  }

  async comets(): Promise<readonly NodeRecord[]> {
    return (await this.nodes()).filter(({ state, roles }) => state !== 'gone' && roles.includes('comet'));
  }

  async rooms(page: { readonly after: RoomId | undefined; readonly limit: number }): Promise<readonly RoomId[]> {
    return unpackr.unpack((await this.#run(scripts.ROOMS, page.after ?? '', page.limit)) as Buffer);
  }

  async markResync(node: NodeId, incarnation: number): Promise<void> {
    await this.#run(scripts.MARK, node, incarnation);
  }

  async resynced({ node, incarnation }: Lease, resync: number): Promise<void> {
    await this.#run(scripts.RESYNCED, node, incarnation, resync);
  }

  async failedOver(history: string): Promise<number> {
    return Number(await this.#run(scripts.FAILED_OVER, history));
  }

  async #readers(rooms: readonly RoomId[]): Promise<readonly (readonly NodeRecord[])[]> {
    const packed = (await this.#run(scripts.READERS, ...rooms)) as Buffer;
    const [answer, nodes]: [(readonly string[])[], PackedNode[]] = unpackr.unpack(packed);
    const byName = new Map<string, NodeRecord>(nodes.map((node) => [node[0], nodeOf(node)]));
    return answer.map((comets) => comets.flatMap((name) => byName.get(name) ?? []));
  }

  #run(script: Script, ...args: readonly (string | number)[]): Promise<unknown> {
    return this.#options.link.run(script, this.#keys, [this.#options.now?.() ?? 0, ...args]);
  }
}

function nodeOf([node, incarnation, state, record]: PackedNode): NodeRecord {
  const { roles, address, version, since } = JSON.parse(record) as Omit<NodeRecord, 'node' | 'incarnation' | 'state'>;
  return { node: node as NodeId, incarnation, roles, address, version, since, state };
}
