/**
 * The flight recorder of a comet: opened and closed sessions and gaps of the last minutes, always on. Packed into chunks
 * that begin small and are never rewritten; the oldest fall off by bytes and age, so that a quiet comet keeps next to nothing.
 * A record has no object of its own until somebody reads it.
 *
 *   length u16 | kind u8 | at f64 | session, user, device: u8 length + UTF-8 | what the kind has
 *   open:  dialect u8 | transport u8 | peer
 *   close: code u16 | openMs f64 | reason
 *   gap:   reason u8 | untold u8 | after, upTo: epoch u32 + n f64 | log
 */
import type { Dialect, Transport } from '../../protocol/dialect.js';
import { formatId, type MessageId } from '../../protocol/ids.js';
import type { Clock } from '../clock.js';
import type { CloseEvent, GapEvent, OpenEvent } from './events.js';
import { Kind, type Matcher } from './filter.js';
import type { Replay } from './watch.js';

/** Of whom; all undefined: of all members of a room. */
export interface Recorded {
  readonly session: string;
  readonly user: string | undefined;
  readonly device: string | undefined;
}

export const RECORDER_BYTES = 4 * 1024 * 1024;
/** What is older than this is let go, and no stream begins earlier, ms. */
export const RECORDED_MS = 15 * 60_000;
const FIRST_CHUNK_BYTES = 4 * 1024;
const CHUNK_BYTES = 64 * 1024;
/** Longer texts are cut; names and ids are not. */
const TEXT_BYTES = 255;
/** A record is never longer: numbers and four texts. */
const RECORD_BYTES = 64 + 4 * (TEXT_BYTES + 1);

const DIALECTS: readonly Dialect[] = ['imgo', 'goim1', 'goim2', 'native'];
const TRANSPORTS: readonly Transport[] = ['tcp', 'ws'];
const GAP_REASONS: readonly GapEvent['reason'][] = ['log', 'lag'];
const OPEN = 1;
const CLOSE = 2;
const GAP = 3;

interface Chunk {
  readonly buffer: Buffer;
  end: number;
  /** Wall ms of the last record. */
  lastAt: number;
}

export class FlightRecorder {
  readonly #clock: Clock;
  readonly #maxBytes: number;
  /** Oldest first. */
  #chunks: Chunk[] = [];
  #bytes = 0;
  #buffer: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(clock: Clock, maxBytes = RECORDER_BYTES) {
    this.#clock = clock;
    this.#maxBytes = maxBytes;
  }

  /** Memory that it holds. */
  get bytes(): number {
    return this.#bytes;
  }

  opened(who: Recorded, dialect: Dialect, transport: Transport, peer: string): void {
    const chunk = this.#begin(OPEN, who);
    this.#u8(DIALECTS.indexOf(dialect));
    this.#u8(TRANSPORTS.indexOf(transport));
    this.#text(peer);
    this.#end(chunk);
  }

  closed(who: Recorded, code: number, reason: string, openMs: number): void {
    const chunk = this.#begin(CLOSE, who);
    this.#at = this.#buffer.writeUInt16BE(code, this.#at);
    this.#f64(openMs);
    this.#text(reason);
    this.#end(chunk);
  }

  gap(
    who: Recorded | undefined,
    log: string,
    after: MessageId,
    upTo: MessageId,
    reason: number,
    untold: boolean,
  ): void {
    const chunk = this.#begin(GAP, who ?? NOBODY);
    this.#u8(reason);
    this.#u8(untold ? 1 : 0);
    this.#id(after);
    this.#id(upTo);
    this.#text(log);
    this.#end(chunk);
  }

  /** Lets go of what is too old. Cheap. */
  expire(): void {
    const before = this.#clock.now() - RECORDED_MS;
    while (this.#chunks[0] !== undefined && this.#chunks[0].lastAt < before) this.#drop();
  }

  /** What it has since then that is wanted, as lines. Memory that falls off meanwhile is held until it is read. */
  replay(matcher: Matcher, sinceMs: number, node: string): Replay {
    const since = this.#clock.now() - Math.min(sinceMs, RECORDED_MS);
    const chunks = this.#chunks.filter(({ lastAt }) => lastAt >= since).map(({ buffer, end }) => ({ buffer, end }));
    let chunk = chunks.shift();
    let at = 0;
    return {
      next(bytes) {
        // A chunk at most: what nobody wants must be decoded, too.
        if (chunk === undefined) return undefined;
        const lines: string[] = [];
        let left = bytes;
        while (at < chunk.end && left > 0) {
          const event = read(chunk.buffer, at, node);
          at += chunk.buffer.readUInt16BE(at);
          if (event.at < since || !wanted(matcher, event)) continue;
          const line = JSON.stringify(event);
          lines.push(line);
          left -= line.length;
        }
        if (at >= chunk.end) {
          chunk = chunks.shift();
          at = 0;
        }
        return { lines: lines.map((line) => `${line}\n`).join(''), count: lines.length };
      },
    };
  }

  #begin(kind: number, { session, user, device }: Recorded): Chunk {
    let chunk = this.#chunks.at(-1);
    if (chunk === undefined || chunk.end + RECORD_BYTES > chunk.buffer.length) chunk = this.#open(chunk);
    this.#buffer = chunk.buffer;
    this.#at = chunk.end + 2;
    this.#u8(kind);
    chunk.lastAt = this.#clock.now();
    this.#f64(chunk.lastAt);
    this.#text(session);
    this.#text(user ?? '');
    this.#text(device ?? '');
    return chunk;
  }

  #end(chunk: Chunk): void {
    chunk.buffer.writeUInt16BE(this.#at - chunk.end, chunk.end);
    chunk.end = this.#at;
  }

  #open(last: Chunk | undefined): Chunk {
    const size = last === undefined ? FIRST_CHUNK_BYTES : Math.min(last.buffer.length * 2, CHUNK_BYTES);
    while (this.#bytes + size > this.#maxBytes && this.#chunks.length > 0) this.#drop();
    const chunk = { buffer: Buffer.allocUnsafeSlow(size), end: 0, lastAt: 0 };
    this.#chunks.push(chunk);
    this.#bytes += size;
    return chunk;
  }

  #drop(): void {
    this.#bytes -= this.#chunks.shift()?.buffer.length ?? 0;
  }

  #u8(value: number): void {
    this.#buffer[this.#at++] = value;
  }

  #f64(value: number): void {
    this.#at = this.#buffer.writeDoubleBE(value, this.#at);
  }

  #id({ epoch, n }: MessageId): void {
    this.#at = this.#buffer.writeUInt32BE(epoch, this.#at);
    this.#f64(n);
  }

  #text(text: string): void {
    const bytes = this.#buffer.write(text, this.#at + 1, TEXT_BYTES, 'utf8');
    this.#buffer[this.#at] = bytes;
    this.#at += 1 + bytes;
  }
}

const NOBODY: Recorded = { session: '', user: undefined, device: undefined };

/** Rooms of a session are not recorded: of what is asked for by room, only the gaps of that room's log are known. */
function wanted(matcher: Matcher, event: OpenEvent | CloseEvent | GapEvent): boolean {
  if (!matcher.wants(Kind[event.event])) return false;
  if (event.session === undefined) return event.event === 'gap' && matcher.log(event.log);
  if (!matcher.identity(event.session, event.user)) return false;
  return matcher.rooms === undefined || (event.event === 'gap' && matcher.rooms.has(event.log));
}

function read(buffer: Buffer, start: number, node: string): OpenEvent | CloseEvent | GapEvent {
  let at = start + 3;
  const f64 = (): number => {
    at += 8;
    return buffer.readDoubleBE(at - 8);
  };
  const u8 = (): number => buffer[at++] as number;
  const text = (): string => {
    const bytes = u8();
    at += bytes;
    return buffer.toString('utf8', at - bytes, at);
  };
  const id = (): string => {
    at += 4;
    const epoch = buffer.readUInt32BE(at - 4);
    return formatId({ epoch, n: f64() });
  };
  const when = f64();
  const who = { session: text(), user: text() || undefined, device: text() || undefined };
  switch (buffer[start + 2]) {
    case OPEN: {
      const dialect = DIALECTS[u8()] as Dialect;
      const transport = TRANSPORTS[u8()] as Transport;
      return { event: 'open', at: when, node, ...who, dialect, transport, peer: text() };
    }
    case CLOSE: {
      at += 2;
      const code = buffer.readUInt16BE(at - 2);
      const openMs = f64();
      return { event: 'close', at: when, node, ...who, code, reason: text(), openMs };
    }
    default: {
      const reason = GAP_REASONS[u8()] as GapEvent['reason'];
      const untold = u8() === 1 ? true : undefined;
      const after = id();
      const upTo = id();
      const of = who.session === '' ? {} : who;
      return { event: 'gap', at: when, node, ...of, log: text(), after, upTo, reason, untold };
    }
  }
}
