// Pushes and gaps between the socket and the application's handler: one at a time, in order of arrival, bounded in bytes.
// What the application has taken moves the positions from which a later connection resumes, and is acknowledged.
import { compareIds, type LogName, type MessageId, type UserId, userLog } from '../protocol/ids.js';
import type { Gap } from '../protocol/native-json.js';
import type { ClientHandlers, Message } from './options.js';
import type { ReceivedPush } from './receiver.js';

type Item = { readonly bytes: number; readonly message?: Message; readonly gap?: Gap };

/** What an item costs beside its payload. */
const ITEM_BYTES = 256;

/** Reads above this stop until half of it is handled. */
export interface InboxLimits {
  readonly maxPendingBytes: number;
  full(): void;
  roomy(): void;
  /** A handler threw: the message was not taken. */
  failed(error: unknown): void;
}

export class Inbox {
  readonly #handlers: ClientHandlers;
  readonly #limits: InboxLimits;
  readonly #taken: (upTo: MessageId) => void;
  readonly #positions = new Map<LogName, MessageId>();
  #items: Item[] = [];
  #bytes = 0;
  #busy = false;
  #full = false;
  #own: LogName | undefined;
  #idle: (() => void)[] = [];

  /** `taken` is called when the application is done with everything of the user's log up to an id. */
  constructor(handlers: ClientHandlers, limits: InboxLimits, taken: (upTo: MessageId) => void) {
    this.#handlers = handlers;
    this.#limits = limits;
    this.#taken = taken;
  }

  /** Which user's log is `own`; known from the reply to AUTH. */
  setUser(user: UserId): void {
    this.#own = userLog(user);
  }

  push(push: ReceivedPush, receivedAt: number): void {
    const { payload, id, redelivered, ephemeral, operation } = push;
    const log = push.log ?? this.#own;
    this.#add({
      bytes: ITEM_BYTES + payload.length,
      message: { log, id, payload, redelivered, ephemeral, operation, receivedAt },
    });
  }

  gap(gap: Gap): void {
    this.#add({ bytes: ITEM_BYTES, gap });
  }

  /** Waiting items of a connection that ended are dropped: the next one reads them again from the position. */
  clear(): void {
    this.#items = [];
    this.#bytes = 0;
    this.#full = false;
  }

  /** Resolves when no handler is at work. */
  idle(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** The application has taken everything of the user's own log up to here. */
  ownPosition(): MessageId | undefined {
    return this.#own === undefined ? undefined : this.#positions.get(this.#own);
  }

  /** Where a later connection resumes in a log; undefined: nothing is known of it. */
  position(log: LogName): MessageId | undefined {
    return this.#positions.get(log);
  }

  /** Reading starts here, even where it once was further: the application asked for it. */
  startAt(log: LogName, id: MessageId): void {
    this.#positions.set(log, id);
  }

  /** A room was left. */
  forget(log: LogName): void {
    this.#positions.delete(log);
  }

  #add(item: Item): void {
    if (!this.#busy && this.#items.length === 0) {
      this.#handle(item);
      return;
    }
    this.#items.push(item);
    this.#bytes += item.bytes;
    if (!this.#full && this.#bytes > this.#limits.maxPendingBytes) {
      this.#full = true;
      this.#limits.full();
    }
  }

  #handle(item: Item): void {
    try {
      if (item.gap !== undefined) {
        this.#handlers.gap?.(item.gap);
        this.#done(item.gap.log, item.gap.upTo);
        return;
      }
      const message = item.message as Message;
      const result = this.#handlers.message(message);
      // Without types a handler may return anything, as `list.push` does.
      if (typeof result?.then !== 'function') {
        this.#done(message.log, message.id);
        return;
      }
      this.#busy = true;
      result.then(
        () => {
          this.#busy = false;
          this.#done(message.log, message.id);
          this.#rested();
          this.#next();
        },
        (error: unknown) => {
          this.#busy = false;
          this.#rested();
          this.#limits.failed(error);
        },
      );
    } catch (error) {
      this.#limits.failed(error);
    }
  }

  #rested(): void {
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #next(): void {
    while (!this.#busy) {
      const item = this.#items.shift();
      if (item === undefined) break;
      this.#bytes -= item.bytes;
      this.#handle(item);
    }
    if (this.#full && this.#bytes <= this.#limits.maxPendingBytes / 2) {
      this.#full = false;
      this.#limits.roomy();
    }
  }

  #done(log: LogName | undefined, id: MessageId | undefined): void {
    if (log === undefined || id === undefined) return;
    this.#advance(log, id);
    if (log === this.#own) this.#taken(id);
  }

  #advance(log: LogName, id: MessageId): void {
    const known = this.#positions.get(log);
    if (known === undefined || compareIds(known, id) < 0) this.#positions.set(log, id);
  }
}
