/** Links to other nodes, for jobs and logics that call them: one a node and incarnation, dialled when it is needed. */
import type { NodeId } from '../../protocol/ids.js';
import type { Clock, Timer } from '../clock.js';
import type { WatchService } from '../observe/hub.js';
import type { NodeRecord, Registry } from '../router/registry.js';
import type { Peer } from './admission.js';
import { SERVICE_CALLS } from './calls.js';
import type { Channel } from './channel.js';
import { DialledLink, reasonOf } from './dial.js';
import type { ClusterKey } from './keys.js';
import { twin } from './remote.js';
import type { CometService, NodeService } from './services.js';

export interface NodeLinksOptions {
  readonly clock: Clock;
  readonly self: Peer;
  readonly channel: Channel;
  readonly key: ClusterKey;
  readonly registry: Pick<Registry, 'nodes'>;
  readonly silenceMs: number;
  readonly log: { warn(details: object, message: string): void };
}

interface Linked {
  readonly incarnation: number;
  readonly address: string;
  readonly link: DialledLink;
  readonly comet: CometService;
  readonly node: NodeService;
  readonly events: WatchService;
}

const LOOK_MS = 500;
const DEADLINE_MS = 5_000;
const LOG_MS = 5_000;

export class NodeLinks {
  readonly #options: NodeLinksOptions;
  readonly #linked = new Map<NodeId, Linked>();
  /** As the registry said last. */
  #live = new Map<NodeId, NodeRecord>();
  #looking: Promise<void> | undefined;
  readonly #timer: Timer;
  #loggedAt = Number.NEGATIVE_INFINITY;

  constructor(options: NodeLinksOptions) {
    this.#options = options;
    this.#timer = options.clock.every(LOOK_MS, () => void this.look());
  }

  /** Live nodes, as the registry said a moment ago. */
  get live(): readonly NodeRecord[] {
    return [...this.#live.values()];
  }

  /** The comet of a record that the registry gave. Cheap once it is linked. */
  comet(record: NodeRecord): CometService {
    return this.#link(record).comet;
  }

  /** The comet of that name, if the registry has it. */
  cometNamed(node: NodeId): CometService | undefined {
    const record = this.#live.get(node);
    return record?.roles.includes('comet') === true ? this.comet(record) : undefined;
  }

  /** The same registry; what it answers is known here at once, not with the next look. */
  learning(registry: Registry): Registry {
    const learn = (records: readonly NodeRecord[]): void => {
      for (const record of records) {
        const known = this.#live.get(record.node);
        if (record.state !== 'gone' && (known?.incarnation ?? 0) < record.incarnation)
          this.#live.set(record.node, record);
      }
    };
    const learned = async (answer: Promise<readonly NodeRecord[]>) => {
      const records = await answer;
      learn(records);
      return records;
    };
    return {
      join: (node) => registry.join(node),
      renew: (lease, state) => registry.renew(lease, state),
      leave: (lease) => registry.leave(lease),
      nodes: () => learned(registry.nodes()),
      addRoom: (lease, room, seq) => registry.addRoom(lease, room, seq),
      removeRoom: (lease, room, seq) => registry.removeRoom(lease, room, seq),
      async cometsOf(rooms) {
        const found = await registry.cometsOf(rooms);
        for (const records of found) learn(records);
        return found;
      },
      comets: () => learned(registry.comets()),
      rooms: (page) => registry.rooms(page),
      markResync: (node, incarnation) => registry.markResync(node, incarnation),
      resynced: (lease, resync) => registry.resynced(lease, resync),
    };
  }

  /** What any node offers logics. */
  node(record: NodeRecord): NodeService {
    return this.#link(record).node;
  }

  /** Its events. */
  events(record: NodeRecord): WatchService {
    return this.#link(record).events;
  }

  /** Asks the registry now. Never rejects: what was known stays. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
    });
    return this.#looking;
  }

  stop(): void {
    this.#options.clock.clear(this.#timer);
    for (const { link } of this.#linked.values()) link.close();
  }

  async #look(): Promise<void> {
    const nodes = await this.#options.registry.nodes().catch(() => undefined);
    if (nodes === undefined) return;
    this.#live = new Map(nodes.filter(({ state }) => state !== 'gone').map((record) => [record.node, record]));
    for (const [node, { link }] of this.#linked) {
      if (this.#live.has(node)) continue;
      this.#linked.delete(node);
      link.close();
    }
  }

  #link(record: NodeRecord): Linked {
    const there = this.#linked.get(record.node);
    if (there !== undefined) {
      if (there.incarnation === record.incarnation && there.address === record.address) return there;
      // A process that took its lease anew is still the same one: what is under way may end.
      if (there.incarnation > record.incarnation) return there;
      this.#options.clock.after(DEADLINE_MS, () => there.link.close());
    }
    const { clock, self, channel, key, silenceMs } = this.#options;
    const { node, incarnation, address } = record;
    const link = new DialledLink({
      clock,
      self,
      channel,
      address,
      to: node,
      key: key.dialling(self.role, record),
      silenceMs,
      deadlineMs: DEADLINE_MS,
      onDown: (error) => this.#report(node, error),
    });
    const call = (method: string, args: readonly unknown[]) => link.call(method, args);
    const linked: Linked = {
      incarnation,
      address,
      link,
      comet: twin<CometService, keyof CometService>('comet', SERVICE_CALLS.comet, call),
      node: twin<NodeService, keyof NodeService>('node', SERVICE_CALLS.node, call),
      events: twin<WatchService, keyof WatchService>('events', SERVICE_CALLS.events, call),
    };
    this.#linked.set(node, linked);
    return linked;
  }

  #report(node: NodeId, error: unknown): void {
    const { clock, log } = this.#options;
    if (clock.monotonic() - this.#loggedAt < LOG_MS) return;
    this.#loggedAt = clock.monotonic();
    log.warn({ node, ...reasonOf(error) }, 'a node does not answer');
  }
}
