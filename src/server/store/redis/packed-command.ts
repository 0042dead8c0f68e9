// A command of ioredis that is written in one pass. ioredis makes three pieces of each argument and measures every piece
// twice, as soon as one argument is a Buffer, which in scripts one always is: half of what a script costs its caller. Its time is
// kept by `Unanswered`: a timer of its own would take the time in which this process does not run for Redis's.

import { Command } from 'ioredis';

export class PackedCommand extends Command {
  /** Replies are Buffers. */
  constructor(name: string, args: readonly (string | number | Buffer)[]) {
    super(name, args as (string | number | Buffer)[], { replyEncoding: null });
  }

  override setTimeout(): void {}

  override toWritable(): Buffer {
    const pieces: (string | Buffer)[] = [];
    let text = `*${this.args.length + 1}\r\n$${this.name.length}\r\n${this.name}\r\n`;
    let bytes = 0;
    for (const arg of this.args as readonly (string | Buffer)[]) {
      if (typeof arg === 'string') {
        text += `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`;
        continue;
      }
      text += `$${arg.length}\r\n`;
      bytes += Buffer.byteLength(text) + arg.length;
      pieces.push(text, arg);
      text = '\r\n';
    }
    bytes += Buffer.byteLength(text);
    pieces.push(text);
    const packed = Buffer.allocUnsafe(bytes);
    let at = 0;
    for (const piece of pieces) {
      at += typeof piece === 'string' ? packed.write(piece, at) : piece.copy(packed, at);
    }
    return packed;
  }
}
