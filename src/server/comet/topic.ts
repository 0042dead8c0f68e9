/**
 * A log's live side in a comet (a room, or `all`): one ring per encoding and the members as parallel arrays (outlet, ring,
 * offset), swap-removed. A message is encoded once per ring; a sweep gives each member all that is due in one write of
 * shared memory. Every member gets what came after its join position, in order, or a gap that covers what it did not get.
 *
 *   members  [ A        B        C        D     ]       sweeps go from the end to the front: what a removal moves
 *   lanes    [ plain    plain    ws       plain ]       into a free slot was either visited already, or is visited
 *   offsets  [ 9120     4060     7712     9120  ]       again and finds nothing left to write
 */
import { ALL_LOG, compareIds, type LogName, type MessageId } from '../../protocol/ids.js';
import { topicBytes } from '../../protocol/native.js';
import type { Clock, Timer } from '../clock.js';
import type { Notification, TopicStats } from '../rpc/services.js';
import type { ReadLimit, ReadResult } from '../store/buckets.js';
import { CatchUp } from './catch-up.js';
import { Lane, type LaneEntry, laneKey, selectionOf } from './lane.js';
import type { Outlet } from './outlet.js';
import type { Pins } from './pins.js';
import type { Sweeper } from './sweep.js';

/** Knobs of all topics of a comet. */
export interface TopicOptions {
  /** Between the starts of two sweeps of a topic; 0 sends at once. */
  readonly windowMs: number;
  /** A member that was held and is this far behind loses its place. */
  readonly maxLagBytes: number;
  readonly lagPolicy: 'gap' | 'disconnect';
  /** Memory of one ring, index included. */
  readonly ringBytes: number;
  /** Entries that every member has are kept this long, for those who come back. */
  readonly ringAgeMs: number;
  /** Rings of `all` for distinct sets of goim's operations; members beyond it share one and filter for themselves. */
  readonly filteredRings: number;
  /** One read of the store. */
  readonly read: ReadLimit;
}

export const TOPIC_DEFAULTS: TopicOptions = {
  windowMs: 100,
  maxLagBytes: 1024 * 1024,
  lagPolicy: 'gap',
  ringBytes: 4 * 1024 * 1024,
  ringAgeMs: 30_000,
  filteredRings: 64,
  read: { entries: 1_000, bytes: 1024 * 1024 },
};

/** Monotonic, over all topics of a comet. */
export class FanOutCounters {
  /** Messages given to sockets. */
  deliveries = 0;
  /** Writes. */
  flushes = 0;
  bytes = 0;
  sweeps = 0;
  /** Gaps of members that lagged, told or not. */
  gapsLag = 0;
  /** Gaps of the log itself, for each member; and those whose client cannot be told. */
  gapsLog = 0;
  gapsUntold = 0;
  /** Ephemeral messages not given to a member because it was catching up. */
  ephemeralDropped = 0;
  /** Left out by goim's accepts. */
  filtered = 0;
  /** Notifications at or below the head. */
  duplicates = 0;
  /** Holes found by `prev`. */
  holes = 0;
  readErrors = 0;
  lagDisconnects = 0;
}

/** What the topics of a comet share. */
export interface TopicContext {
  readonly clock: Clock;
  readonly sweeper: Sweeper;
  readonly pins: Pins;
  readonly options: TopicOptions;
  readonly counters: FanOutCounters;
  read(log: LogName, after: MessageId, limit: ReadLimit): Promise<ReadResult>;
}

/** The offset of a member whose place fell off its ring. */
const LOST = -1;

export class Topic {
  readonly log: LogName;
  readonly members: Outlet[] = [];
  /** Everything up to here has been appended, or was before this topic. */
  head: MessageId;
  /** Members that the sweep which runs, or ran last, found held. */
  lagging = 0;
  /** How long the last sweep took. */
  sweepMs = 0;
  closed = false;

  readonly #context: TopicContext;
  readonly #topicBytes: Uint8Array;
  readonly #catchUp: CatchUp;
  readonly #places: Lane[] = [];
  readonly #lanes = new Map<string, Lane>();
  /** After which id members that lost their place have had nothing. */
  readonly #lost = new Map<Outlet, MessageId>();
  #offsets = new Float64Array(8);
  /** Entries ever appended, and as many of them as the running sweep began with. */
  #appended = 0;
  #sweepFrom = 0;
  #sweeping = false;
  #timer: Timer | undefined;
  #sweepAt = Number.NEGATIVE_INFINITY;
  /** Members below this index are still to be visited. */
  #cursor = 0;
  #stepped = false;
  #passedOver = 0;

  constructor(log: LogName, head: MessageId, context: TopicContext) {
    this.log = log;
    this.head = head;
    this.#context = context;
    this.#topicBytes = topicBytes(log);
    this.#catchUp = new CatchUp(this, context);
  }

  /** Adds a member at the head, which is returned. A member already is left where it stands. */
  join(outlet: Outlet): MessageId {
    if (!outlet.topics.includes(this)) {
      const lane = this.#laneFor(outlet);
      this.#place(outlet, lane, lane.head);
    }
    return this.head;
  }

  /** Removes a member; nothing is written to it any more. Returns false when it was none. */
  leave(outlet: Outlet): boolean {
    const k = outlet.topics.indexOf(this);
    if (k < 0) return false;
    const at = outlet.slots[k] as number;
    const last = this.members.length - 1;
    const lane = this.#places[at] as Lane;
    if (at !== last) {
      const moved = this.members[last] as Outlet;
      this.members[at] = moved;
      this.#places[at] = this.#places[last] as Lane;
      this.#offsets[at] = this.#offsets[last] as number;
      moved.slots[moved.topics.indexOf(this)] = at;
    }
    this.members.pop();
    this.#places.pop();
    const lastTopic = outlet.topics.pop() as Topic;
    const lastSlot = outlet.slots.pop() as number;
    if (lastTopic !== this) {
      outlet.topics[k] = lastTopic;
      outlet.slots[k] = lastSlot;
    }
    this.#lost.delete(outlet);
    this.#unuse(lane);
    return true;
  }

  /** Takes a message: appended in its place, dropped when known, and when it shows a hole the store is read first. */
  append(notification: Notification): void {
    if (notification.ephemeral) {
      if (this.#catchUp.active) this.#context.counters.ephemeralDropped += this.members.length;
      else this.put(notification, true);
    } else if (compareIds(notification.id, this.head) <= 0) {
      this.#context.counters.duplicates++;
    } else if (compareIds(notification.prev, this.head) > 0) {
      this.#context.counters.holes++;
      this.#catchUp.want(notification.id);
    } else {
      this.put(notification, false);
    }
  }

  /** Reads the store from the head on. Resolves when all that was durable at the call has been appended. */
  resync(): Promise<void> {
    return this.#catchUp.resync();
  }

  /** A message that is next: it goes into the rings. */
  put(entry: LaneEntry, ephemeral: boolean): void {
    if (!ephemeral) this.head = entry.id;
    if (this.#lanes.size === 0) return;
    const now = this.#context.clock.monotonic();
    for (const lane of this.#lanes.values()) {
      lane.put(entry, ephemeral, this.#topicBytes, now);
      if (lane.overfull) this.#trim(lane);
    }
    this.#changed(now);
  }

  /** What lies between is gone from the store before this comet read it: all members are told, in its place. */
  putGap(after: MessageId, upTo: MessageId): void {
    const { clock, counters } = this.#context;
    this.head = upTo;
    const now = clock.monotonic();
    for (const lane of this.#lanes.values()) {
      counters.gapsLog += lane.users;
      if (!lane.putGap(this.log, after, upTo, now)) counters.gapsUntold += lane.users;
      if (lane.overfull) this.#trim(lane);
    }
    this.#changed(now);
  }

  /** The store was read up to here: nothing is missing before it. */
  reached(id: MessageId): void {
    if (compareIds(id, this.head) <= 0) return;
    this.head = id;
    for (const lane of this.#lanes.values()) lane.pass(id);
  }

  /** The socket took everything: what sweeps passed over meanwhile is written now. */
  resume(outlet: Outlet): void {
    this.#context.pins.release(outlet);
    const k = outlet.topics.indexOf(this);
    if (k < 0 || outlet.held || outlet.closed) return;
    const at = outlet.slots[k] as number;
    const lane = this.#places[at] as Lane;
    const offset = this.#offsets[at] as number;
    if (offset >= lane.target && lane.next === undefined) return;
    if (offset !== LOST && lane.next === undefined && lane.head - offset > this.#context.options.maxLagBytes) {
      this.#lose(at, outlet, lane);
      if (this.members[at] !== outlet) return;
    }
    this.#flush(at, outlet, lane, true);
  }

  /** The outlet's `accepts` changed: it goes on in the ring that fits, from the same place. */
  reaccept(outlet: Outlet): void {
    const k = outlet.topics.indexOf(this);
    if (k < 0 || this.log !== ALL_LOG) return;
    const at = outlet.slots[k] as number;
    const old = this.#places[at] as Lane;
    const lane = this.#laneFor(outlet);
    if (lane === old) return;
    if (!outlet.held) {
      old.target = old.head;
      this.#flush(at, outlet, old, false);
      if (this.members[at] !== outlet) return;
    }
    const after = this.#lost.get(outlet) ?? old.idBefore(this.#offsets[at] as number) ?? old.after;
    const offset = lane.offsetAfter(after);
    if (offset === undefined) this.#lost.set(outlet, after);
    else this.#lost.delete(outlet);
    lane.users++;
    lane.readers++;
    old.readers--;
    this.#places[at] = lane;
    this.#offsets[at] = offset ?? LOST;
    this.#unuse(old, false);
  }

  /** A step of the sweep; called by the sweeper. */
  step(sockets: number): number {
    if (!this.#stepped) this.#firstStep();
    for (const lane of this.#lanes.values()) lane.target = lane.head;
    const { members } = this;
    let at = Math.min(this.#cursor, members.length);
    const stop = Math.max(0, at - sockets);
    const began = at;
    while (at > stop) {
      at--;
      const outlet = members[at] as Outlet;
      const lane = this.#places[at] as Lane;
      if (this.#offsets[at] === lane.target && lane.next === undefined) continue;
      if (outlet.held || outlet.closed) this.#passOver(at, outlet, lane);
      else this.#flush(at, outlet, lane, false);
      if (at > members.length) at = members.length;
    }
    this.#cursor = at;
    if (began - stop >= sockets && at > 0) return sockets;
    this.#ended();
    return Math.min(began - stop, sockets - 1);
  }

  /** The id up to which this member has been given everything. */
  position(outlet: Outlet): MessageId {
    const at = this.#slot(outlet);
    if (at < 0) return this.head;
    const lane = this.#places[at] as Lane;
    return this.#lost.get(outlet) ?? lane.idBefore(this.#offsets[at] as number) ?? lane.after;
  }

  /** Bytes that this member has not been given. */
  lagBytes(outlet: Outlet): number {
    const at = this.#slot(outlet);
    if (at < 0) return 0;
    const lane = this.#places[at] as Lane;
    return lane.head - Math.max(this.#offsets[at] as number, lane.tail);
  }

  stats(): TopicStats {
    let ringBytes = 0;
    for (const lane of this.#lanes.values()) ringBytes += lane.bytes;
    const { log, lagging, sweepMs } = this;
    return { log, members: this.members.length, lagging, windowMs: this.#context.options.windowMs, sweepMs, ringBytes };
  }

  /** Lets go of ring memory that is old and that every member has. Returns how much is kept. */
  expire(now: number): number {
    let kept = 0;
    const before = now - this.#context.options.ringAgeMs;
    for (const lane of this.#lanes.values()) {
      const [oldest] = lane.segments;
      if (oldest !== undefined && oldest.lastAppendAt <= before) this.#expireLane(lane, before);
      kept += lane.bytes;
    }
    return kept;
  }

  /** Ends: no timer, no further sweep. Members must have left. */
  close(): void {
    this.closed = true;
    this.#context.clock.clear(this.#timer);
    this.#timer = undefined;
    this.#catchUp.stop();
  }

  #slot(outlet: Outlet): number {
    const k = outlet.topics.indexOf(this);
    return k < 0 ? -1 : (outlet.slots[k] as number);
  }

  #laneFor(outlet: Outlet): Lane {
    const { encoding } = outlet;
    const accepts = this.log === ALL_LOG ? outlet.accepts : undefined;
    const key = laneKey(encoding, accepts);
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    const { filteredRings, ringBytes } = this.#context.options;
    if (accepts === undefined || this.#filteredLanes() < filteredRings) {
      return this.#addLane(new Lane(key, encoding, this.head, ringBytes, { accepts }));
    }
    const mixed = `${encoding}|*`;
    return this.#lanes.get(mixed) ?? this.#addLane(new Lane(mixed, encoding, this.head, ringBytes, { mixed: true }));
  }

  #addLane(lane: Lane): Lane {
    this.#lanes.set(lane.key, lane);
    return lane;
  }

  #filteredLanes(): number {
    let count = 0;
    for (const lane of this.#lanes.values()) if (lane.accepts !== undefined) count++;
    return count;
  }

  #place(outlet: Outlet, lane: Lane, offset: number): void {
    const at = this.members.length;
    if (at === this.#offsets.length) {
      const grown = new Float64Array(at * 2);
      grown.set(this.#offsets);
      this.#offsets = grown;
    }
    this.members.push(outlet);
    this.#places.push(lane);
    this.#offsets[at] = offset;
    outlet.topics.push(this);
    outlet.slots.push(at);
    lane.readers++;
    (lane.next ?? lane).users++;
  }

  /** A user of the lane is gone; without any the ring ends. */
  #unuse(lane: Lane, reader = true): void {
    if (reader) lane.readers--;
    const home = lane.next ?? lane;
    if (--home.users > 0) return;
    if (this.#lanes.get(home.key) === home) this.#lanes.delete(home.key);
    for (let segment = home.drop(); segment !== undefined; segment = home.drop()) this.#context.pins.fell(segment);
  }

  /** The ring is over its bound: who still is in what falls loses its place. */
  #trim(lane: Lane): void {
    while (lane.overfull) {
      const tail = lane.segments[0]?.end ?? lane.head;
      for (let at = this.members.length - 1; at >= 0; at--) {
        if (this.#places[at] !== lane) continue;
        const offset = this.#offsets[at] as number;
        if (offset < tail && offset !== LOST) this.#lose(at, this.members[at] as Outlet, lane);
        if (at > this.members.length) at = this.members.length;
      }
      this.#drop(lane);
    }
  }

  #drop(lane: Lane): void {
    const segment = lane.drop();
    if (segment !== undefined) this.#context.pins.fell(segment);
  }

  #expireLane(lane: Lane, before: number): void {
    let needed = lane.head;
    for (let at = 0; at < this.members.length; at++) {
      const offset = this.#offsets[at] as number;
      if (this.#places[at] === lane && offset !== LOST && offset < needed) needed = offset;
    }
    for (;;) {
      const [segment] = lane.segments;
      if (segment === undefined || segment.end > needed || segment.lastAppendAt > before) return;
      this.#drop(lane);
    }
  }

  /** The member's place is given up. A gap follows when its socket takes bytes again, or it is disconnected. */
  #lose(at: number, outlet: Outlet, lane: Lane): void {
    this.#lost.set(outlet, lane.idBefore(this.#offsets[at] as number) ?? lane.after);
    this.#offsets[at] = LOST;
    if (this.#context.options.lagPolicy !== 'disconnect' || !outlet.held) return;
    this.#context.counters.lagDisconnects++;
    outlet.disconnect('lag_exceeded');
  }

  #passOver(at: number, outlet: Outlet, lane: Lane): void {
    this.#passedOver++;
    const { lagPolicy, maxLagBytes } = this.#context.options;
    if (lagPolicy !== 'disconnect' || lane.next !== undefined) return;
    const offset = this.#offsets[at] as number;
    if (offset !== LOST && lane.head - offset > maxLagBytes) this.#lose(at, outlet, lane);
  }

  /** Writes what is due to one member, until its socket holds. */
  #flush(at: number, outlet: Outlet, from: Lane, behind: boolean): void {
    const { counters, pins } = this.#context;
    let lane = from;
    let catchUp = behind || lane.next !== undefined;
    while (!outlet.held) {
      const offset = this.#offsets[at] as number;
      if (offset < lane.tail) {
        this.#tellGap(at, outlet, lane);
        if (this.members[at] !== outlet) return;
        continue;
      }
      if (offset >= lane.target) {
        if (lane.next === undefined) return;
        lane = this.#cross(at, outlet, lane);
        catchUp = true;
        continue;
      }
      const segment = lane.segmentAt(offset);
      const to = segment.end < lane.target ? segment.end : lane.target;
      this.#offsets[at] = to;
      let bytes: Buffer | undefined;
      if (lane.mixed || (catchUp && segment.ephemerals > 0)) {
        bytes = lane.select(segment, offset, to, selectionOf(lane, outlet.accepts, catchUp));
        counters.filtered += lane.leftOut;
        counters.ephemeralDropped += lane.leftOutEphemeral;
        if (bytes === undefined) continue;
      } else {
        bytes = lane.view(segment, offset, to);
      }
      counters.flushes++;
      counters.deliveries += lane.entries;
      counters.bytes += bytes.length;
      outlet.write(bytes);
      if (this.members[at] !== outlet) return;
      if (outlet.held && bytes.buffer === segment.buffer.buffer) pins.hold(outlet, segment);
    }
  }

  /** From the end of a recovered ring into the live one. */
  #cross(at: number, outlet: Outlet, recovered: Lane): Lane {
    const lane = recovered.next as Lane;
    const offset = lane.offsetAfter(recovered.last);
    if (offset === undefined) this.#lost.set(outlet, recovered.last);
    this.#offsets[at] = offset ?? LOST;
    this.#places[at] = lane;
    recovered.readers--;
    lane.readers++;
    return lane;
  }

  /** A member that lost its place goes on where the sweep is, and is told what it did not get. */
  #tellGap(at: number, outlet: Outlet, lane: Lane): void {
    const offset = Math.max(lane.target, lane.tail);
    const upTo = lane.idBefore(offset) ?? lane.after;
    const after = this.#lost.get(outlet) ?? upTo;
    this.#lost.delete(outlet);
    this.#offsets[at] = offset;
    if (compareIds(after, upTo) >= 0) return;
    this.#context.counters.gapsLag++;
    outlet.gap(this, after, upTo);
  }

  #changed(now: number): void {
    this.#appended++;
    if (this.#sweeping || this.closed || this.#timer !== undefined || this.members.length === 0) return;
    this.#schedule(now);
  }

  #schedule(now: number): void {
    const wait = this.#sweepAt + this.#context.options.windowMs - now;
    if (wait > 0) this.#timer = this.#context.clock.after(wait, () => this.#begin());
    else this.#begin();
  }

  #begin(): void {
    this.#timer = undefined;
    if (this.closed) return;
    this.#sweeping = true;
    this.#stepped = false;
    this.#context.sweeper.start(this);
  }

  #firstStep(): void {
    this.#stepped = true;
    this.#sweepAt = this.#context.clock.monotonic();
    this.#sweepFrom = this.#appended;
    this.#cursor = this.members.length;
    this.#passedOver = 0;
  }

  #ended(): void {
    const now = this.#context.clock.monotonic();
    this.#sweeping = false;
    this.sweepMs = now - this.#sweepAt;
    this.lagging = this.#passedOver;
    this.#context.counters.sweeps++;
    if (this.#appended !== this.#sweepFrom && this.members.length > 0 && !this.closed) this.#schedule(now);
  }
}
