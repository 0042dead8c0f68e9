/**
 * What members that join from a position need from before the live ring: read from the store into a ring that ends where the
 * live one begins. Those who come back together (a restart, a network that was away) share one read and one ring.
 */
import { compareIds, type LogName, type MessageId, maxId } from '../../protocol/ids.js';
import type { TopicContext } from './fan-out.js';
import { Lane } from './lane.js';

/** A recovered ring that nobody reads is kept this long for others who come back. */
const KEEP_MS = 5_000;
/** Reads of one recovery; beyond it the rest is a gap. */
const MAX_READS = 64;
/** Rounds in which somebody needs more than what others had asked for. */
const MAX_ROUNDS = 4;

interface Recovery {
  /** The earliest position asked for; fixed once reading has begun. */
  from: MessageId;
  begun: boolean;
  done: Promise<void>;
}

/** The topic whose history it is. */
export interface HistoryTopic {
  readonly log: LogName;
  readonly head: MessageId;
  readonly topicBytes: Uint8Array;
  /** Who reads this recovered ring loses its place. */
  surrender(lane: Lane): void;
}

export class History {
  readonly #topic: HistoryTopic;
  readonly #context: TopicContext;
  /** By the live lane that they lead to. */
  readonly #ready = new Map<Lane, { readonly lane: Lane; readonly at: number }>();
  readonly #recoveries = new Map<Lane, Recovery>();

  constructor(topic: HistoryTopic, context: TopicContext) {
    this.#topic = topic;
    this.#context = context;
  }

  /** A lane with everything between `since` and `live`, or the part that still exists. undefined: the store failed. */
  async before(live: Lane, since: MessageId): Promise<Lane | undefined> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const ready = this.#ready.get(live)?.lane;
      if (ready !== undefined && reaches(ready, since)) return ready;
      let recovery = this.#recoveries.get(live);
      if (recovery === undefined) {
        recovery = { from: since, begun: false, done: Promise.resolve() };
        this.#recoveries.set(live, recovery);
        recovery.done = this.#recover(live, recovery);
      } else if (!recovery.begun && compareIds(since, recovery.from) < 0) {
        recovery.from = since;
      }
      await recovery.done;
      const got = this.#ready.get(live)?.lane;
      if (got !== undefined && compareIds(recovery.from, since) <= 0 && got.offsetAfter(since) === undefined)
        return got;
      if (got === undefined) return undefined;
    }
    return this.#ready.get(live)?.lane;
  }

  /** A reader left this lane or went on to the live one. */
  left(lane: Lane): void {
    const { next } = lane;
    if (lane.readers === 0 && next !== undefined && this.#ready.get(next)?.lane !== lane) this.#drop(lane);
  }

  /** Lets go of what nobody reads. Returns the bytes that are kept. */
  expire(now: number): number {
    let kept = 0;
    for (const [live, { lane, at }] of this.#ready) {
      if (lane.readers === 0 && at + KEEP_MS <= now) this.forget(live);
      else kept += lane.bytes;
    }
    return kept;
  }

  /** The live lane has ended, or nobody reads what leads to it. */
  forget(live: Lane): void {
    const lane = this.#ready.get(live)?.lane;
    this.#ready.delete(live);
    if (lane !== undefined && lane.readers === 0) this.#drop(lane);
  }

  async #recover(live: Lane, recovery: Recovery): Promise<void> {
    const { clock, counters } = this.#context;
    await new Promise<void>((resolve) => clock.soon(resolve));
    recovery.begun = true;
    const lane = new Lane(live.key, live.encoding, recovery.from, this.#context.options.ringBytes, live, live);
    try {
      for (let reads = 0; reads < MAX_READS; reads++) {
        if (await this.#read(lane, recovery.from, reads)) break;
      }
      lane.target = lane.head;
      const old = this.#ready.get(live)?.lane;
      this.#ready.set(live, { lane, at: clock.monotonic() });
      if (old !== undefined && old.readers === 0) this.#drop(old);
      this.#context.recovered.add(lane, () => this.#giveUp(live, lane));
    } catch {
      counters.readErrors++;
      this.forget(live);
    } finally {
      this.#recoveries.delete(live);
    }
  }

  /** True when the lane meets the live one, or the store has no more. */
  async #read(lane: Lane, from: MessageId, reads: number): Promise<boolean> {
    const { clock, counters, options } = this.#context;
    const { log, topicBytes } = this.#topic;
    const after = reads === 0 ? from : lane.last;
    counters.reads++;
    const result = await this.#context.read(log, after, options.read);
    const now = clock.monotonic();
    const { head } = this.#topic;
    for (const item of result.items) {
      const id = item.kind === 'entry' ? item.entry.id : item.upTo;
      if (compareIds(id, lane.last) <= 0) continue;
      if (compareIds(id, head) > 0) return true;
      if (item.kind === 'entry') lane.put(item.entry, false, topicBytes, now);
      else lane.putGap(log, maxId(item.after, lane.last), item.upTo, now);
      while (lane.overfull) this.#dropOldest(lane);
    }
    const reached = compareIds(result.readTo, head) > 0 ? head : result.readTo;
    if (compareIds(reached, lane.last) > 0) lane.pass(reached);
    if (compareIds(result.readTo, result.head) >= 0) return true;
    return lane.next?.offsetAfter(lane.last) !== undefined;
  }

  #giveUp(live: Lane, lane: Lane): void {
    if (this.#ready.get(live)?.lane === lane) this.#ready.delete(live);
    this.#topic.surrender(lane);
    this.#drop(lane);
  }

  #dropOldest(lane: Lane): void {
    const segment = lane.drop();
    if (segment !== undefined) this.#context.pins.fell(segment);
  }

  #drop(lane: Lane): void {
    this.#context.recovered.remove(lane);
    while (lane.segments.length > 0) this.#dropOldest(lane);
  }
}

/** From `since` to the live ring without a hole. */
function reaches(lane: Lane, since: MessageId): boolean {
  return lane.offsetAfter(since) !== undefined && lane.next?.offsetAfter(lane.last) !== undefined;
}
