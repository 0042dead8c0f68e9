/** What a server sends to the clients of each dialect, over either transport: a push of this run, and the answer to AUTH. */
import { type Encoding, encodeAuthReply, encodePush } from '../../protocol/dialect.js';
import { encodeText } from '../../protocol/text.js';
import type { BenchDialect, BenchTransport } from '../options.js';
import { payloadOf } from '../payload.js';

/** Who is served. */
export interface Served {
  readonly dialect: BenchDialect;
  readonly transport: BenchTransport;
  readonly sizeBytes: number;
}

const ENCODINGS: Record<BenchDialect, Record<BenchTransport, Encoding>> = {
  imgo: { tcp: 'plain-tcp', ws: 'imgo-ws' },
  goim: { tcp: 'goim2-tcp', ws: 'goim2-ws' },
  native: { tcp: 'native-tcp', ws: 'native-ws' },
};

/** Message n as it is written to a socket. */
export function pushBytes({ dialect, transport, sizeBytes }: Served, n: number): Uint8Array {
  const entry = { id: { epoch: 1, n }, payload: encodeText(payloadOf(n, sizeBytes)) };
  return encodePush(ENCODINGS[dialect][transport], entry);
}

/** That a client is in; it says nothing more. */
export function authReplyBytes({ dialect, transport }: Served): Uint8Array {
  return encodeAuthReply(dialect === 'goim' ? 'goim2' : dialect, transport, 1, 1);
}
