/**
 * Frames between roles. All integers are big-endian; `length` counts what follows it; `sequence` starts at 0 in each
 * direction and grows by one, so that a frame that is missing or comes twice is seen and ends the link.
 *
 *   length u32 | kind u8 | sequence u32 | call u32 | body: MessagePack, payloads as opaque bytes
 */
// Not the whole package: its native part costs every worker 4 MB and more time than it saves on bodies this small.
import { Packr } from 'msgpackr/pack';
import { Unpackr } from 'msgpackr/unpack';

/** What is spoken. A link speaks the lower one of its two sides' versions; this program speaks those from the oldest on. */
export const LINK_VERSION = 1;
export const OLDEST_LINK_VERSION = 1;

export const LinkKind = { hello: 1, request: 2, reply: 3, error: 4, ping: 5, pong: 6 } as const;
export type LinkKind = (typeof LinkKind)[keyof typeof LinkKind];

/** Bytes before the body, the length itself included. */
export const LINK_HEADER_BYTES = 13;
/** The longest body. A batch of notifications is far below it. */
export const MAX_LINK_BODY = 16 * 1024 * 1024;

/** One frame as it was read. The body is valid as long as it is held. */
export interface LinkFrame {
  readonly kind: number;
  readonly sequence: number;
  readonly call: number;
  readonly body: Buffer;
}

/** Why a peer's bytes are no frames. */
export type LinkFault = 'too_short' | 'too_long';

const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });

/** The MessagePack of a value: plain objects, arrays, strings, numbers, bytes, null and undefined. */
export function packBody(value: unknown): Buffer {
  return packr.pack(value);
}

/** @throws Error when the bytes are no MessagePack */
export function unpackBody(body: Uint8Array): unknown {
  return unpackr.unpack(body);
}

/** What stands before a body. */
export function linkHeader(kind: LinkKind, sequence: number, call: number, bodyBytes: number): Buffer {
  const header = Buffer.allocUnsafe(LINK_HEADER_BYTES);
  header.writeUInt32BE(LINK_HEADER_BYTES - 4 + bodyBytes, 0);
  header[4] = kind;
  header.writeUInt32BE(sequence, 5);
  header.writeUInt32BE(call, 9);
  return header;
}

/** Cuts a stream into frames. What is complete in one chunk is not copied; what is held is at most one frame and a chunk. */
export class LinkReader {
  #chunks: Buffer[] = [];
  #held = 0;
  /** Bytes that the frame at hand needs, its length field included; as far as they are known. */
  #needed = 4;

  /** The frames that are complete now. A fault ends the stream: nothing after it can be read. */
  read(chunk: Buffer, each: (frame: LinkFrame) => void): LinkFault | undefined {
    this.#chunks.push(chunk);
    this.#held += chunk.length;
    while (this.#held >= this.#needed) {
      const bytes = this.#joined();
      let at = 0;
      for (;;) {
        const left = bytes.length - at;
        if (left < 4) {
          this.#needed = 4;
          break;
        }
        const length = bytes.readUInt32BE(at);
        if (length < LINK_HEADER_BYTES - 4) return 'too_short';
        if (length > MAX_LINK_BODY + LINK_HEADER_BYTES) return 'too_long';
        this.#needed = 4 + length;
        if (left < this.#needed) break;
        const end = at + this.#needed;
        each({
          kind: bytes[at + 4] as number,
          sequence: bytes.readUInt32BE(at + 5),
          call: bytes.readUInt32BE(at + 9),
          body: bytes.subarray(at + LINK_HEADER_BYTES, end),
        });
        at = end;
      }
      this.#chunks = at === bytes.length ? [] : [bytes.subarray(at)];
      this.#held = bytes.length - at;
    }
    return undefined;
  }

  #joined(): Buffer {
    const [only] = this.#chunks;
    return this.#chunks.length === 1 && only !== undefined ? only : Buffer.concat(this.#chunks);
  }
}
