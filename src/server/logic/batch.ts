// A stream of pushes, one a line, and the stream of their results, one a line in the same order. Lines in flight are bounded
// in number and bytes, results that the client does not read stop the reading of its lines: a body of any size takes
// no more memory than the window.

import type { Readable, Writable } from 'node:stream';
import { asImgoError, ImgoError } from '../../protocol/errors.js';
import type { Clock } from '../clock.js';
import type { TraceParent } from '../observe/trace-parent.js';
import type { BatchCounts } from '../observe/traces.js';
import { type Acceptor, answerHead, NoneAccepted } from './accept.js';
import type { LogicOptions } from './options.js';
import { idempotencyKeyOf, type PushRequest, readPush } from './push-body.js';

/** Lines that were read and whose result is not written yet: number and bytes. */
const WINDOW_LINES = 8_192;
const WINDOW_BYTES = 4 * 1024 * 1024;
const NEWLINE = 0x0a;
const EMPTY = Buffer.alloc(0);

export interface BatchParts {
  readonly acceptor: Acceptor;
  readonly clock: Clock;
  readonly options: LogicOptions;
  /** The API key's id. */
  readonly scope: string;
  /** The request, where its caller is traced: lines that ask to be traced stand below it. */
  readonly parent: TraceParent | undefined;
  /** Of the whole batch: line N has the key `KEY/N`, so that the same body can be sent again. */
  readonly idempotencyKey: string | undefined;
  /** The server stops: what was read is answered, nothing more is read, and the answer ends. */
  readonly signal: AbortSignal;
}

/** Runs a batch. Resolves when the last result is written, or one of the two streams broke, with what came of it. */
export function runBatch(parts: BatchParts, input: Readable, output: Writable): Promise<BatchCounts> {
  return new Promise((resolve) => {
    new Batch(parts, input, output, resolve).start();
  });
}

interface Line {
  readonly bytes: number;
  result: string | undefined;
}

class Batch {
  readonly #parts: BatchParts;
  readonly #input: Readable;
  readonly #output: Writable;
  readonly #done: () => void;
  #refused = 0;
  readonly #stop = () => this.#cut();
  /** In order; those before `#first` are written. */
  #lines: Line[] = [];
  #first = 0;
  #windowBytes = 0;
  #count = 0;
  /** What was read and is not split yet. */
  #chunk: Buffer = EMPTY;
  #at = 0;
  /** The start of a line whose end has not come. */
  #carry: Buffer[] = [];
  #carryBytes = 0;
  /** Inside a line that is too long: everything up to its end is dropped. */
  #skipping = false;
  #ended = false;
  #blocked = false;
  #flushing = false;
  #over = false;

  constructor(parts: BatchParts, input: Readable, output: Writable, done: (counts: BatchCounts) => void) {
    this.#parts = parts;
    this.#input = input;
    this.#output = output;
    this.#done = () => {
      parts.signal.removeEventListener('abort', this.#stop);
      done({ lines: this.#count, refused: this.#refused });
    };
  }

  start(): void {
    this.#parts.signal.addEventListener('abort', this.#stop);
    this.#output.on('drain', () => {
      this.#blocked = false;
      this.#flush();
    });
    this.#output.on('close', () => this.#finish());
    this.#output.on('error', () => this.#finish());
    this.#input.on('error', () => this.#finish());
    this.#input.on('close', () => {
      if (!this.#ended) this.#finish();
    });
    this.#input.on('end', () => {
      this.#ended = true;
      this.#pump();
    });
    this.#input.on('data', (chunk: Buffer) => {
      if (this.#ended) return;
      this.#chunk = chunk;
      this.#at = 0;
      this.#pump();
    });
  }

  /** Splits what was read for as long as the window is open; then asks for more, or waits. */
  #pump(): void {
    while (!this.#over && this.#open()) {
      const end = this.#chunk.indexOf(NEWLINE, this.#at);
      if (end < 0) break;
      this.#part(this.#chunk.subarray(this.#at, end));
      this.#at = end + 1;
      this.#endLine();
    }
    if (this.#over) return;
    if (!this.#open()) {
      this.#input.pause();
      return;
    }
    if (this.#at < this.#chunk.length) this.#part(this.#chunk.subarray(this.#at));
    this.#chunk = EMPTY;
    this.#at = 0;
    if (!this.#ended) {
      this.#input.resume();
      return;
    }
    if (this.#carryBytes > 0 || this.#skipping) this.#endLine();
    if (this.#first === this.#lines.length && !this.#blocked) {
      this.#over = true;
      this.#output.end(this.#done);
    } else this.#scheduleFlush();
  }

  #open(): boolean {
    return this.#lines.length - this.#first < WINDOW_LINES && this.#windowBytes < WINDOW_BYTES;
  }

  #part(bytes: Buffer): void {
    if (this.#skipping || bytes.length === 0) return;
    this.#carryBytes += bytes.length;
    if (this.#carryBytes > this.#parts.options.requestBytes) {
      this.#skipping = true;
      this.#carry = [];
      return;
    }
    this.#carry.push(bytes);
  }

  #endLine(): void {
    const bytes = this.#carryBytes;
    const line = this.#carry.length === 1 ? (this.#carry[0] as Buffer) : Buffer.concat(this.#carry);
    const skipped = this.#skipping;
    this.#carry = [];
    this.#carryBytes = 0;
    this.#skipping = false;
    if (skipped) {
      this.#refuse(new ImgoError('request_too_large', { limit: this.#parts.options.requestBytes }), bytes);
    } else if (!isBlank(line)) this.#push(line);
  }

  #push(line: Buffer): void {
    const { acceptor, options, scope, idempotencyKey, parent } = this.#parts;
    let push: PushRequest;
    try {
      push = readPush(line, options);
      if (idempotencyKey !== undefined) push = this.#keyed(push, idempotencyKey);
      if (push.trace === true && parent !== undefined) push = { ...push, parent };
    } catch (error) {
      this.#refuse(asImgoError(error), line.length);
      return;
    }
    const slot = this.#add(line.length);
    acceptor.push(push, scope).then(
      (answer) => this.#settle(slot, `${answerHead(answer)}}\n`),
      (error: unknown) => {
        this.#refused++;
        this.#settle(slot, errorLine(asImgoError(error)));
      },
    );
  }

  #keyed(push: PushRequest, key: string): PushRequest {
    if (push.idempotencyKey !== undefined) return push;
    return { ...push, idempotencyKey: idempotencyKeyOf(`${key}/${this.#count}`) };
  }

  #refuse(error: ImgoError, bytes: number): void {
    this.#refused++;
    this.#settle(this.#add(Math.min(bytes, WINDOW_BYTES)), errorLine(this.#parts.acceptor.refused(error)));
  }

  #add(bytes: number): Line {
    const line: Line = { bytes, result: undefined };
    this.#lines.push(line);
    this.#windowBytes += bytes;
    this.#count++;
    return line;
  }

  #settle(line: Line, result: string): void {
    line.result = result;
    this.#scheduleFlush();
  }

  /** Once a turn: results of one group commit leave in one write. */
  #scheduleFlush(): void {
    if (this.#flushing || this.#over) return;
    this.#flushing = true;
    this.#parts.clock.soon(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#blocked || this.#over) return;
    let text = '';
    for (; this.#first < this.#lines.length; this.#first++) {
      const line = this.#lines[this.#first] as Line;
      if (line.result === undefined) break;
      text += line.result;
      this.#windowBytes -= line.bytes;
    }
    if (this.#first > WINDOW_LINES || this.#first === this.#lines.length) {
      this.#lines = this.#lines.slice(this.#first);
      this.#first = 0;
    }
    if (text !== '' && !this.#output.write(text)) this.#blocked = true;
    this.#pump();
  }

  /** As if the body ended here, without the line that is not whole. */
  #cut(): void {
    if (this.#over) return;
    this.#ended = true;
    this.#chunk = EMPTY;
    this.#at = 0;
    this.#carry = [];
    this.#carryBytes = 0;
    this.#skipping = false;
    this.#input.resume();
    this.#pump();
  }

  /** One of the two sides is gone: what is in flight is accepted or not, but nobody hears of it. */
  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#input.resume();
    this.#output.destroy();
    this.#done();
  }
}

function isBlank(line: Buffer): boolean {
  if (line.length > 8) return false;
  return line.every((byte) => byte === 0x20 || byte === 0x0d || byte === 0x09);
}

function errorLine(error: ImgoError): string {
  const { code, message, reason, advice, retryable } = error;
  const errors = error instanceof NoneAccepted ? { errors: Object.fromEntries(error.errors) } : {};
  const why = reason === undefined ? {} : { reason };
  return `${JSON.stringify({ error: { code, message, ...why, advice, retryable }, ...errors })}\n`;
}
