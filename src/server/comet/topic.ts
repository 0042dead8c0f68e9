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
import type { Notification, TopicStats } from '../rpc/services.js';
import { CatchUp } from './catch-up.js';
import type { TopicContext } from './fan-out.js';
import { History } from './history.js';
import { type Lane, type LaneEntry, selectionOf } from './lane.js';
import { Lanes } from './lanes.js';
import { LOST, Members } from './members.js';
import type { Joined, JoinedTopic, Outlet } from './outlet.js';
import { SEGMENT_BYTES } from './ring.js';
import { Told } from './told.js';
import { TopicGauge } from './topic-gauge.js';
import { Window } from './window.js';

export class Topic implements JoinedTopic {
  readonly log: LogName;
  /** What names the log in native pushes. */
  readonly topicBytes: Uint8Array;
  readonly members: readonly Outlet[];
  /** Everything up to here has been appended, or was before this topic. */
  head: MessageId;
  /** Members that the last sweep found held. */
  lagging = 0;
  closed = false;
  readonly gauge: TopicGauge;
  readonly #context: TopicContext;
  readonly #catchUp: CatchUp;
  readonly #history: History;
  readonly #rows: Members;
  readonly #lanes = new Lanes();
  /** After which id members that lost their place have had nothing. */
  readonly #lost = new Map<Outlet, MessageId>();
  /** Joining from a position: the ring or the store is being read for them, or they have not reached the sweep yet. */
  readonly #recovering = new Set<Outlet>();
  readonly #window: Window;
  readonly #told: Told;
  /** Rows below this are still to be visited. */
  #cursor = 0;
  #stepped = false;
  #passedOver = 0;

  constructor(log: LogName, head: MessageId, context: TopicContext) {
    this.log = log;
    this.head = head;
    this.topicBytes = topicBytes(log);
    this.#context = context;
    this.gauge = new TopicGauge(context);
    this.#rows = new Members(this);
    this.members = this.#rows.outlets;
    this.#told = new Told(this, context.observer, context.traces);
    this.#catchUp = new CatchUp(this, context);
    this.#history = new History(this, context);
    this.#window = new Window(context.clock, context.options.windowMs, () => this.#begin());
  }

  /** Adds a member at the head, which is returned. A member already is left where it stands. */
  join(outlet: Outlet): MessageId {
    if (this.#rows.row(outlet) < 0) {
      const lane = this.#laneFor(outlet);
      this.#place(outlet, lane, lane.head);
    }
    return this.head;
  }

  /**
   * Adds a member that has everything up to `since`; what came later is written to it from the next turn on, from the ring
   * or the store. undefined: it left or closed before it was placed. Never throws: when the store fails there is a gap.
   */
  async joinAfter(outlet: Outlet, since: MessageId): Promise<Joined | undefined> {
    if (this.#rows.row(outlet) >= 0) return { head: this.head, recovered: true };
    this.#recovering.add(outlet);
    const live = this.#laneFor(outlet);
    live.users++;
    let lane: Lane | undefined = live;
    if (compareIds(since, this.head) > 0) await this.resync();
    if (live.offsetAfter(since) === undefined) lane = await this.#history.before(live, since);
    const wanted = this.#recovering.has(outlet) && !outlet.closed && !this.closed;
    const place = wanted && this.#rows.row(outlet) < 0;
    if (place) this.#placeAfter(outlet, lane ?? live, since);
    this.#unuse(live);
    if (!wanted) {
      this.#recovering.delete(outlet);
      return undefined;
    }
    const from = lane ?? live;
    const complete = lane !== undefined && compareIds(since, this.head) <= 0 && from.offsetAfter(since) !== undefined;
    const gapless = compareIds(from.lastGap, since) <= 0 && compareIds(live.lastGap, since) <= 0;
    return { head: this.head, recovered: complete && gapless };
  }

  /** Removes a member; nothing is written to it any more. Returns false when it was none. */
  leave(outlet: Outlet): boolean {
    this.#recovering.delete(outlet);
    const lane = this.#rows.remove(outlet);
    if (lane === undefined) return false;
    this.#lost.delete(outlet);
    this.#leftLane(lane);
    this.#unuse(lane.next ?? lane);
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

  /**
   * Reads the store from the head on and goes on writing after a fence. Resolves when all that was durable at the call has
   * been appended, or the topic has closed.
   */
  async resync(): Promise<void> {
    await this.#catchUp.resync();
    this.#changed(this.#context.clock.monotonic());
  }

  /** A message that is next: it goes into the rings. */
  put(entry: LaneEntry, ephemeral: boolean): void {
    if (!ephemeral) this.head = entry.id;
    this.gauge.came(entry.acceptedAt);
    if (this.#lanes.size === 0) return;
    const now = this.#context.clock.monotonic();
    let bytes = 0;
    for (const lane of this.#lanes.values()) {
      bytes -= lane.head;
      lane.put(entry, ephemeral, this.topicBytes, now);
      bytes += lane.head;
      if (lane.overfull) this.#trim(lane);
    }
    this.#told.appended(entry, bytes);
    this.#changed(now);
  }

  /** What lies between is gone from the store before this comet read it: all members are told, in its place. */
  putGap(after: MessageId, upTo: MessageId): void {
    const { clock, counters } = this.#context;
    this.head = upTo;
    const now = clock.monotonic();
    this.#told.gap(after, upTo);
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

  /** Memory for those who came back is short: who still reads this ring goes on live, and is told what it did not get. */
  surrender(lane: Lane): void {
    this.#loseBefore(lane, Number.POSITIVE_INFINITY);
  }

  /** The socket took everything: what sweeps passed over meanwhile is written now. */
  resume(outlet: Outlet): void {
    this.#context.pins.release(outlet);
    const row = this.#rows.row(outlet);
    if (row < 0 || outlet.held || outlet.closed || this.#fenced()) return;
    const lane = this.#rows.lanes[row] as Lane;
    const offset = this.#rows.offsets[row] as number;
    if (offset >= lane.target && lane.next === undefined) return;
    const exempt = lane.next !== undefined || this.#recovering.has(outlet) || offset === LOST;
    if (!exempt && lane.head - offset > this.#context.options.maxLagBytes) {
      this.#lose(row, outlet, lane);
      if (this.members[row] !== outlet) return;
    }
    this.#told.writes();
    this.#flush(row, outlet, lane, true);
    this.#told.wrote();
  }

  /** The outlet's `accepts` changed: it goes on in the ring that fits, from the same place. */
  reaccept(outlet: Outlet): void {
    const row = this.#rows.row(outlet);
    if (row < 0 || this.log !== ALL_LOG) return;
    const old = this.#rows.lanes[row] as Lane;
    const lane = this.#laneFor(outlet);
    if (lane === (old.next ?? old)) return;
    if (!outlet.held && !this.#fenced()) {
      old.target = old.head;
      this.#told.writes();
      this.#flush(row, outlet, old, false);
      this.#told.wrote();
      if (this.members[row] !== outlet) return;
    }
    const at = this.#rows.lanes[row] as Lane;
    const after = this.position(outlet);
    const offset = lane.offsetAfter(after);
    if (offset === undefined) this.#lost.set(outlet, after);
    else this.#lost.delete(outlet);
    this.#rows.lanes[row] = lane;
    this.#rows.offsets[row] = offset ?? LOST;
    lane.readers++;
    lane.users++;
    this.#leftLane(at);
    this.#unuse(at.next ?? at);
  }

  /** A step of the sweep; called by the sweeper. */
  step(sockets: number): number {
    if (!this.#stepped) this.#firstStep();
    if (this.#fenced()) this.#cursor = 0;
    for (const lane of this.#lanes.values()) lane.target = lane.head;
    const { outlets, lanes } = this.#rows;
    let row = Math.min(this.#cursor, outlets.length);
    const stop = Math.max(0, row - sockets);
    const visits = row - stop;
    this.#told.writes();
    const before = this.#context.counters.deliveries;
    while (row > stop) {
      row--;
      const outlet = outlets[row] as Outlet;
      const lane = lanes[row] as Lane;
      if (this.#rows.offsets[row] === lane.target && lane.next === undefined) continue;
      if (outlet.held || outlet.closed) this.#passOver(row, outlet, lane);
      else this.#flush(row, outlet, lane, this.#recovering.size > 0 && this.#recovering.has(outlet));
      if (row > outlets.length) row = outlets.length;
    }
    this.#told.wrote();
    this.#cursor = row;
    this.gauge.stepped(before, visits < sockets || row === 0);
    if (visits >= sockets && row > 0) return sockets;
    this.#ended();
    return Math.min(visits, sockets - 1);
  }

  /** The id up to which this member has been given everything. */
  position(outlet: Outlet): MessageId {
    const row = this.#rows.row(outlet);
    if (row < 0) return this.head;
    const lane = this.#rows.lanes[row] as Lane;
    return this.#lost.get(outlet) ?? lane.idBefore(this.#rows.offsets[row] as number) ?? lane.after;
  }

  /** Bytes that this member has not been given. */
  lagBytes(outlet: Outlet): number {
    const row = this.#rows.row(outlet);
    if (row < 0) return 0;
    const lane = this.#rows.lanes[row] as Lane;
    const here = lane.head - Math.max(this.#rows.offsets[row] as number, lane.tail);
    return lane.next === undefined ? here : here + lane.next.head - lane.next.tail;
  }

  /** Ids of the entries that make up the last so many bytes given to this member; undefined where they are not alone there. */
  idsOf(outlet: Outlet, bytes: number): readonly (MessageId | undefined)[] | undefined {
    const row = this.#rows.row(outlet);
    if (row < 0) return undefined;
    return (this.#rows.lanes[row] as Lane).idsBefore(this.#rows.offsets[row] as number, bytes);
  }

  get sweepMs(): number {
    return this.#window.latestSweepMs(this.#context.clock.monotonic());
  }

  stats(): TopicStats {
    return this.gauge.stats(this, this.#lanes.values());
  }

  /** Lets go of ring memory that is old and that every member has; called every second or so. Returns the bytes kept. */
  expire(now: number): number {
    this.gauge.look(now);
    let kept = this.#history.expire(now);
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
    this.#window.stop();
    this.#catchUp.stop();
  }

  #laneFor(outlet: Outlet): Lane {
    return this.#lanes.of(outlet, this.log, this.head, this.#context.options);
  }

  #fenced(): boolean {
    return this.#context.mayWrite?.() === false;
  }

  #place(outlet: Outlet, lane: Lane, offset: number): void {
    this.#rows.add(outlet, lane, offset);
    lane.readers++;
    (lane.next ?? lane).users++;
  }

  #placeAfter(outlet: Outlet, lane: Lane, since: MessageId): void {
    const offset = compareIds(since, this.head) > 0 ? lane.head : lane.offsetAfter(since);
    this.#place(outlet, lane, offset ?? LOST);
    if (offset === undefined) this.#lost.set(outlet, since);
    this.#context.sweeper.start({
      step: () => {
        this.#recover(outlet);
        return 0;
      },
    });
  }

  /** The first writes of a member that joined from a position. */
  #recover(outlet: Outlet): void {
    const row = this.#rows.row(outlet);
    if (row < 0) return;
    const lane = this.#rows.lanes[row] as Lane;
    const live = lane.next ?? lane;
    // Also for one that is held: it goes up to here when it resumes, and no sweep may follow.
    live.target = live.head;
    if (outlet.held || outlet.closed || this.#fenced()) return;
    this.#told.writes();
    this.#flush(row, outlet, lane, true);
    this.#told.wrote();
  }

  /** Somebody reads this lane no more. */
  #leftLane(lane: Lane): void {
    lane.readers--;
    this.#history.left(lane);
  }

  /** A user of a live lane is gone; without any the ring ends. */
  #unuse(lane: Lane): void {
    if (--lane.users > 0) return;
    if (this.#lanes.get(lane.key) === lane) this.#lanes.delete(lane.key);
    this.#history.forget(lane);
    while (lane.segments.length > 0) this.#drop(lane);
  }

  /** The ring is over its bound: who still is in what falls loses its place. */
  #trim(lane: Lane): void {
    while (lane.overfull) {
      this.#loseBefore(lane, lane.segments[0]?.end ?? lane.head);
      this.#drop(lane);
    }
  }

  #loseBefore(lane: Lane, tail: number): void {
    const { outlets, lanes } = this.#rows;
    for (let row = outlets.length - 1; row >= 0; row--) {
      if (row >= outlets.length) row = outlets.length - 1;
      const offset = this.#rows.offsets[row] as number;
      if (lanes[row] === lane && offset < tail && offset !== LOST) this.#lose(row, outlets[row] as Outlet, lane);
    }
  }

  #drop(lane: Lane): void {
    const segment = lane.drop();
    if (segment !== undefined) this.#context.pins.fell(segment);
  }

  #expireLane(lane: Lane, before: number): void {
    const needed = this.#rows.lowest(lane);
    for (;;) {
      const [segment] = lane.segments;
      if (segment === undefined || segment.end > needed || segment.lastAppendAt > before) return;
      this.#drop(lane);
    }
  }

  /** The member's place is given up. A gap follows when its socket takes bytes again, or it is disconnected. */
  #lose(row: number, outlet: Outlet, lane: Lane): void {
    this.#lost.set(outlet, lane.idBefore(this.#rows.offsets[row] as number) ?? lane.after);
    this.#rows.offsets[row] = LOST;
    if (this.#context.options.lagPolicy !== 'disconnect' || !outlet.held) return;
    this.#context.counters.lagDisconnects++;
    outlet.disconnect('lag_exceeded');
  }

  #passOver(row: number, outlet: Outlet, lane: Lane): void {
    this.#passedOver++;
    const { lagPolicy, maxLagBytes } = this.#context.options;
    if (lagPolicy !== 'disconnect' || lane.next !== undefined || this.#recovering.has(outlet)) return;
    const offset = this.#rows.offsets[row] as number;
    if (offset !== LOST && lane.head - offset > maxLagBytes) this.#lose(row, outlet, lane);
  }

  /** Writes what is due to one member, until its socket holds. */
  #flush(row: number, outlet: Outlet, from: Lane, behind: boolean): void {
    const { counters, pins } = this.#context;
    let lane = from;
    let catchUp = behind || lane.next !== undefined;
    while (!outlet.held) {
      const offset = this.#rows.offsets[row] as number;
      if (offset < lane.tail) {
        this.#tellGap(row, outlet, lane);
        if (this.members[row] !== outlet) return;
        continue;
      }
      if (offset >= lane.target) {
        if (lane.next === undefined) {
          if (catchUp) this.#recovering.delete(outlet);
          return;
        }
        lane = this.#cross(row, outlet, lane);
        catchUp = true;
        continue;
      }
      const segment = lane.segmentAt(offset);
      let to = segment.end < lane.target ? segment.end : lane.target;
      let bytes: Buffer | undefined;
      if (lane.mixed || (catchUp && segment.ephemerals > 0)) {
        bytes = lane.select(segment, offset, to, selectionOf(lane, outlet.accepts, catchUp));
        counters.filtered += lane.leftOut;
        counters.ephemeralDropped += lane.leftOutEphemeral;
      } else if (to < lane.target && !catchUp && lane.target - offset <= SEGMENT_BYTES) {
        to = lane.target;
        bytes = lane.join(offset, to);
      } else {
        bytes = lane.view(segment, offset, to);
      }
      this.#rows.offsets[row] = to;
      if (bytes === undefined) continue;
      counters.flushes++;
      counters.deliveries += lane.entries;
      counters.bytes += bytes.length;
      outlet.write(bytes);
      if (this.members[row] !== outlet) return;
      if (outlet.held && bytes.buffer === segment.buffer.buffer) pins.hold(outlet, segment);
    }
  }

  /** From the end of a recovered ring into the live one. */
  #cross(row: number, outlet: Outlet, recovered: Lane): Lane {
    const lane = recovered.next as Lane;
    const offset = lane.offsetAfter(recovered.last);
    if (offset === undefined) this.#lost.set(outlet, recovered.last);
    this.#rows.offsets[row] = offset ?? LOST;
    this.#rows.lanes[row] = lane;
    lane.readers++;
    this.#leftLane(recovered);
    return lane;
  }

  /** A member that lost its place goes on where the sweep is, and is told what it did not get. */
  #tellGap(row: number, outlet: Outlet, lane: Lane): void {
    const offset = lane.next === undefined ? Math.max(lane.target, lane.tail) : lane.tail;
    const upTo = lane.idBefore(offset) ?? lane.after;
    const after = this.#lost.get(outlet) ?? upTo;
    this.#lost.delete(outlet);
    this.#rows.offsets[row] = offset;
    if (compareIds(after, upTo) >= 0) return;
    this.#context.counters.gapsLag++;
    this.gauge.gaps++;
    if (this.#context.traces?.any === true) this.#context.traces.memberGap(this, outlet, after, upTo);
    outlet.gap(this, after, upTo);
  }

  #changed(now: number): void {
    this.#window.changed(now, this.members.length > 0);
  }

  #begin(): void {
    this.#stepped = false;
    this.#context.sweeper.start(this);
  }

  #firstStep(): void {
    this.#stepped = true;
    this.#cursor = this.members.length;
    this.#passedOver = 0;
    this.#window.began();
  }

  #ended(): void {
    this.lagging = this.#passedOver;
    this.#context.counters.sweeps++;
    for (const lane of this.#lanes.values()) lane.swept();
    this.#window.ended(this.members.length > 0);
    this.#told.swept(this.#window.sweepMs, this.lagging);
  }
}
