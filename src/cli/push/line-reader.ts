// Splits a stream of bytes into lines, in groups as they arrive: a group goes out as soon as nothing more is there, so that
// a slow stream is not held back and a fast one makes full groups. A line that is too long is told, not kept.

/** A line without its end; `tooLong`: only its beginning is there. */
export interface InputLine {
  /** From 1. */
  readonly number: number;
  readonly bytes: Buffer;
  readonly tooLong: boolean;
}

/** The longest line: what one request may carry. */
export const MAX_LINE_BYTES = 1_048_576;
const GROUP_LINES = 2_000;
const GROUP_BYTES = 512 * 1024;
/** How long a group waits for more lines. */
const PATIENCE_MS = 3;

/** Groups of lines, in order; blank lines count, and are left out. */
export async function* lineGroups(input: AsyncIterable<Buffer>): AsyncGenerator<readonly InputLine[]> {
  let number = 0;
  let carried: Buffer[] = [];
  let carriedBytes = 0;
  let tooLong = false;
  let group: InputLine[] = [];
  let groupBytes = 0;

  const carry = (part: Buffer): void => {
    if (part.length === 0 || tooLong) return;
    if (carriedBytes + part.length > MAX_LINE_BYTES) tooLong = true;
    else {
      carried.push(part);
      carriedBytes += part.length;
    }
  };
  const endLine = (): void => {
    number += 1;
    const whole = carried.length === 1 ? (carried[0] as Buffer) : Buffer.concat(carried);
    const bytes = whole.at(-1) === 0x0d ? whole.subarray(0, -1) : whole;
    if (tooLong || bytes.some((byte) => byte > 0x20)) {
      group.push({ number, bytes, tooLong });
      groupBytes += bytes.length;
    }
    carried = [];
    carriedBytes = 0;
    tooLong = false;
  };

  const iterator = input[Symbol.asyncIterator]();
  let next = iterator.next();
  for (;;) {
    // Nothing more for the moment: what is there goes out.
    if (group.length > 0 && (await isLate(next))) {
      yield group;
      group = [];
      groupBytes = 0;
    }
    const { value: chunk, done } = await next;
    if (done === true) break;
    next = iterator.next();
    // Whoever stops reading here never awaits it.
    next.catch(() => {});
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end >= 0; end = chunk.indexOf(0x0a, from)) {
      carry(chunk.subarray(from, end));
      from = end + 1;
      endLine();
      if (group.length >= GROUP_LINES || groupBytes >= GROUP_BYTES) {
        yield group;
        group = [];
        groupBytes = 0;
      }
    }
    carry(chunk.subarray(from));
  }
  if (carriedBytes > 0 || tooLong) endLine();
  if (group.length > 0) yield group;
}

/** True when the promise has not settled after a moment. */
async function isLate(next: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, true);
  });
  const here = next.then(
    () => false,
    () => false,
  );
  try {
    return await Promise.race([here, late]);
  } finally {
    clearTimeout(timer);
  }
}
