/**
 * The ring of one encoding of a topic (for `all` also of one set of goim's operations), and how an entry gets into it.
 * A lane that is recovered from the store (`next` is set) is read to its end once, then its readers go on in `next`.
 */
import { type Encoding, encodePush, encodeReply } from '../../protocol/dialect.js';
import { Op } from '../../protocol/frame.js';
import { type LogName, type MessageId, ZERO_ID } from '../../protocol/ids.js';
import { FLAG_EPHEMERAL, NATIVE_VER } from '../../protocol/native.js';
import { encodeGap } from '../../protocol/native-json.js';
import { EntryKind, Ring, type Selection } from './ring.js';

/** What a lane is appended from: a notification or an entry of the store. */
export interface LaneEntry {
  readonly id: MessageId;
  readonly payload: Uint8Array;
  readonly operation: number | undefined;
  /** Wall ms. */
  readonly acceptedAt?: number;
  /** The mark of a message that is traced; of entries of the store it is not known. */
  readonly trace?: string;
}

export class Lane extends Ring {
  readonly key: string;
  readonly encoding: Encoding;
  /** Only entries with these operations are in it; undefined: all. */
  readonly accepts: ReadonlySet<number> | undefined;
  /** Its readers filter for themselves: it serves the operation sets beyond the bound of lanes. */
  readonly mixed: boolean;
  /** Where readers go on after the end of this one. */
  readonly next: Lane | undefined;
  /** Outlets that are here, in a lane that leads here, or about to be. Without any the lane ends. */
  users = 0;
  /** Up to where its last gap goes: who reads from before that id does not get everything. */
  lastGap: MessageId = ZERO_ID;

  constructor(
    key: string,
    encoding: Encoding,
    after: MessageId,
    maxBytes: number,
    filter: { readonly accepts?: Iterable<number> | undefined; readonly mixed?: boolean } = {},
    next?: Lane,
  ) {
    super(after, maxBytes);
    this.key = key;
    this.encoding = encoding;
    this.accepts = filter.accepts === undefined ? undefined : new Set(filter.accepts);
    this.mixed = filter.mixed ?? false;
    this.next = next;
  }

  /** Encodes and appends an entry, if the lane's readers take it. */
  put(entry: LaneEntry, ephemeral: boolean, topic: Uint8Array, now: number): void {
    const operation = entry.operation ?? Op.PUSH;
    if (this.accepts !== undefined && !this.accepts.has(operation)) {
      if (!ephemeral) this.pass(entry.id);
      return;
    }
    const bytes = encodePush(this.encoding, entry, topic, ephemeral ? FLAG_EPHEMERAL : 0, Buffer.allocUnsafe);
    this.append(bytes, entry.id, ephemeral ? EntryKind.ephemeral : EntryKind.durable, operation, now);
  }

  /** A gap that concerns all readers. Returns false when they cannot be told. */
  putGap(log: LogName, after: MessageId, upTo: MessageId, now: number): boolean {
    this.lastGap = upTo;
    if (this.encoding !== 'native-tcp' && this.encoding !== 'native-ws') {
      this.pass(upTo);
      return false;
    }
    const transport = this.encoding === 'native-ws' ? 'ws' : 'tcp';
    const body = encodeGap({ log, after, upTo });
    this.append(encodeReply('native', transport, NATIVE_VER, Op.GAP, 0, body), upTo, EntryKind.gap, 0, now);
    return true;
  }
}

/** The key of a lane among a topic's. */
export function laneKey(encoding: Encoding, accepts: readonly number[] | undefined): string {
  return accepts === undefined ? encoding : `${encoding}|${[...accepts].sort((a, b) => a - b).join(',')}`;
}

/** What a reader of a lane takes when it is not up to date, or the lane is mixed. */
export function selectionOf(lane: Lane, accepts: readonly number[] | undefined, catchUp: boolean): Selection {
  return { accepts: lane.mixed ? accepts : undefined, ephemeral: !catchUp };
}
