// WebSocket framing as a server writes it (RFC 6455, section 5.2): FIN set, no mask, the length in 7, 16 or 64 bits.
// Written by hand so that a ring can hold entries complete with their header.

import { writeU16, writeU32 } from './bytes.js';
import { encodeText } from './text.js';

/** Opcodes of RFC 6455. */
export const WsOpcode = { TEXT: 1, BINARY: 2, CLOSE: 8, PING: 9, PONG: 10 } as const;

/** One of the values of `WsOpcode`. */
export type WsOpcodeValue = (typeof WsOpcode)[keyof typeof WsOpcode];

/** Bytes of the header before a payload of this many bytes: 2, 4 or 10. */
export function webSocketHeaderLength(payloadLength: number): number {
  if (payloadLength < 126) return 2;
  return payloadLength < 0x1_0000 ? 4 : 10;
}

/** Writes the header of one unfragmented, unmasked message and returns the offset after it. */
export function writeWebSocketHeader(
  target: Uint8Array,
  offset: number,
  opcode: WsOpcodeValue,
  payloadLength: number,
): number {
  target[offset] = 0x80 | opcode;
  if (payloadLength < 126) {
    target[offset + 1] = payloadLength;
    return offset + 2;
  }
  if (payloadLength < 0x1_0000) {
    target[offset + 1] = 126;
    writeU16(target, offset + 2, payloadLength);
    return offset + 4;
  }
  target[offset + 1] = 127;
  writeU32(target, offset + 2, Math.floor(payloadLength / 0x1_0000_0000));
  writeU32(target, offset + 6, payloadLength);
  return offset + 10;
}

/** The header alone. */
export function webSocketHeader(opcode: WsOpcodeValue, payloadLength: number): Uint8Array {
  const header = new Uint8Array(webSocketHeaderLength(payloadLength));
  writeWebSocketHeader(header, 0, opcode, payloadLength);
  return header;
}

/** Header and payload in one buffer. */
export function encodeWebSocket(opcode: WsOpcodeValue, payload: Uint8Array): Uint8Array {
  const message = new Uint8Array(webSocketHeaderLength(payload.length) + payload.length);
  message.set(payload, writeWebSocketHeader(message, 0, opcode, payload.length));
  return message;
}

/** A close message: code and reason, the reason cut at 123 bytes on a character's border. */
export function encodeWebSocketClose(code: number, reason: string): Uint8Array {
  let cut = encodeText(reason);
  if (cut.length > 123) {
    let end = 123;
    while (((cut[end] as number) & 0xc0) === 0x80) end--;
    cut = cut.subarray(0, end);
  }
  const payload = new Uint8Array(2 + cut.length);
  writeU16(payload, 0, code);
  payload.set(cut, 2);
  return encodeWebSocket(WsOpcode.CLOSE, payload);
}
