// The wire, read and written by hand for the harness's receivers: deliberately a second implementation.

export interface Frame {
  readonly ver: number;
  readonly op: number;
  readonly seq: number;
  /** The bytes between offset 16 and the body: native pushes. */
  readonly extra: Buffer;
  readonly body: Buffer;
}

export function frame(ver: number, op: number, seq: number, body: Buffer | string = ''): Buffer {
  const bytes = Buffer.from(body);
  const header = Buffer.alloc(16);
  header.writeInt32BE(16 + bytes.length, 0);
  header.writeInt16BE(16, 4);
  header.writeInt16BE(ver, 6);
  header.writeInt32BE(op, 8);
  header.writeInt32BE(seq, 12);
  return Buffer.concat([header, bytes]);
}

/** Splits whole frames off the front; returns what is left. */
export function frames(bytes: Buffer, take: (frame: Frame) => void): Buffer {
  let at = 0;
  while (bytes.length - at >= 16) {
    const packLen = bytes.readInt32BE(at);
    const headerLen = bytes.readInt16BE(at + 4);
    if (packLen < 16 || headerLen < 16 || headerLen > packLen) throw new Error(`bad frame ${packLen}/${headerLen}`);
    if (bytes.length - at < packLen) break;
    take({
      ver: bytes.readInt16BE(at + 6),
      op: bytes.readInt32BE(at + 8),
      seq: bytes.readInt32BE(at + 12),
      extra: bytes.subarray(at + 16, at + headerLen),
      body: bytes.subarray(at + headerLen, at + packLen),
    });
    at += packLen;
  }
  return bytes.subarray(at);
}

export interface NativeHeader {
  readonly id: string;
  readonly flags: number;
  readonly topic: string;
}

export function nativeHeader(extra: Buffer): NativeHeader {
  const epoch = extra.readUInt32BE(0);
  const n = extra.readBigUInt64BE(4);
  const length = extra.readUInt16BE(14);
  return {
    id: `${epoch}-${n}`,
    flags: extra.readUInt16BE(12),
    topic: extra.subarray(16, 16 + length).toString('utf8'),
  };
}

export function ackBody(id: string): Buffer {
  const [epoch = '0', n = '0'] = id.split('-');
  const body = Buffer.alloc(12);
  body.writeUInt32BE(Number(epoch), 0);
  body.writeBigUInt64BE(BigInt(n), 4);
  return body;
}

/** Negative, 0, positive. */
export function compareIds(a: string, b: string): number {
  const [aEpoch = 0, aN = 0] = a.split('-').map(Number);
  const [bEpoch = 0, bN = 0] = b.split('-').map(Number);
  return aEpoch - bEpoch || aN - bN;
}
