// Raw logs of what a test's pushers and receivers saw: one JSON object a line, appended as it happens, judged afterwards
// by account.ts. Imports nothing from src: an account must not trust what it judges.
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { StringDecoder } from 'node:string_decoder';

/** What happened at a receiver. Ids are strings `epoch-n`. */
export type ReceiverLine =
  /** `to`: the address; `tookMs`: since it was dialled. */
  | { readonly ev: 'open'; readonly c: number; readonly who: string; readonly to: string; readonly tookMs: number }
  /** `log` is '' for the user's own log; legacy dialects know neither log nor id. */
  | {
      readonly ev: 'push';
      readonly c: number;
      readonly who: string;
      readonly log?: string;
      readonly id?: string;
      readonly flags?: number;
      readonly no: number;
      readonly hash: string;
    }
  | {
      readonly ev: 'gap';
      readonly c: number;
      readonly who: string;
      readonly log: string;
      readonly after: string;
      readonly upTo: string;
    }
  | { readonly ev: 'ack'; readonly c: number; readonly who: string; readonly id: string }
  /** `log`: `room:r` or `all`. */
  | { readonly ev: 'joined'; readonly c: number; readonly who: string; readonly log: string; readonly head: string }
  | { readonly ev: 'close'; readonly c: number; readonly who: string; readonly why: string };

/** What a pusher was told: accepted with ids, refused, or nothing it can rely on. */
export interface PusherLine {
  readonly no: number;
  readonly hash: string;
  /** `user:1`, `room:r`, `all`. */
  readonly to: string;
  readonly outcome: 'accepted' | 'refused' | 'unknown';
  /** Of one that was accepted and is kept. */
  readonly id?: string;
  /** With a ttl of 0: for those who are connected, and never kept. */
  readonly ephemeral?: true;
  /** Of the error, where it was refused. */
  readonly code?: string;
}

/** A line as it is read again: with when it was written, wall ms. */
export type Dated<Line> = Line & { readonly at: number };

/** Buffered writer; `flush` before the process may die. */
export class Journal<Line> {
  readonly #fd: number;
  #lines: string[] = [];

  constructor(path: string) {
    this.#fd = openSync(path, 'a');
  }

  /** Adds when it was. */
  write(line: Line): void {
    this.#lines.push(JSON.stringify({ ...line, at: Date.now() }));
    if (this.#lines.length >= 1_000) this.flush();
  }

  flush(): void {
    if (this.#lines.length === 0) return;
    writeSync(this.#fd, `${this.#lines.join('\n')}\n`);
    this.#lines = [];
  }

  close(): void {
    this.flush();
    closeSync(this.#fd);
  }
}

/** Piece by piece: a long campaign's journal is longer than a string may be. */
export function readJournal<Line>(path: string): Dated<Line>[] {
  const lines: Dated<Line>[] = [];
  const fd = openSync(path, 'r');
  try {
    const piece = Buffer.alloc(1 << 20);
    const decoder = new StringDecoder('utf8');
    let rest = '';
    for (let size = readSync(fd, piece); size > 0; size = readSync(fd, piece)) {
      const texts = (rest + decoder.write(piece.subarray(0, size))).split('\n');
      rest = texts.pop() ?? '';
      for (const text of texts) lines.push(JSON.parse(text) as Dated<Line>);
    }
    return lines;
  } finally {
    closeSync(fd);
  }
}

/** Which message a payload is: its number, and a hash that is the same however JSON was spaced. */
export function fingerprint(payload: string): { readonly no: number; readonly hash: string } {
  let no = -1;
  let canonical = payload;
  try {
    const value = JSON.parse(payload) as unknown;
    canonical = JSON.stringify(value);
    const number = typeof value === 'object' && value !== null ? (value as { no?: unknown }).no : undefined;
    if (typeof number === 'number') no = number;
    else if (Array.isArray(value) && typeof value[0] === 'number') no = value[0];
  } catch {
    // Not JSON: the text itself is hashed.
  }
  return { no, hash: createHash('sha1').update(canonical).digest('hex').slice(0, 12) };
}
