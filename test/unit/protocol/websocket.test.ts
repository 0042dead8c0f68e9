// WebSocket headers at every border of the length encoding.

import { describe, expect, it } from 'vitest';
import {
  encodeWebSocket,
  encodeWebSocketClose,
  WsOpcode,
  webSocketHeader,
  webSocketHeaderLength,
} from '../../../src/protocol/websocket.js';
import { hex, toHex } from './hex.js';

describe('a header', () => {
  it.each([
    [0, '82 00'],
    [1, '82 01'],
    [125, '82 7d'],
    [126, '82 7e 007e'],
    [65_535, '82 7e ffff'],
    [65_536, '82 7f 0000000000010000'],
    [2 ** 32 + 5, '82 7f 0000000100000005'],
  ])('for %i bytes', (length, digits) => {
    expect(toHex(webSocketHeader(WsOpcode.BINARY, length))).toBe(toHex(hex(digits)));
    expect(webSocketHeaderLength(length)).toBe(hex(digits).length);
  });

  it('stands before the payload', () => {
    expect(encodeWebSocket(WsOpcode.TEXT, hex('5b5d'))).toEqual(hex('81 02 5b5d'));
    expect(encodeWebSocket(WsOpcode.PONG, hex(''))).toEqual(hex('8a 00'));
    expect(encodeWebSocket(WsOpcode.BINARY, new Uint8Array(300).fill(7)).length).toBe(304);
  });
});

describe('a close', () => {
  it('carries code and reason', () => {
    expect(encodeWebSocketClose(4103, 'ok')).toEqual(hex('88 04 1007 6f6b'));
  });

  it('cuts a long reason at a character', () => {
    const close = encodeWebSocketClose(4000, 'é'.repeat(100));
    expect(close.length).toBe(2 + 2 + 122);
    expect(new TextDecoder('utf-8', { fatal: true }).decode(close.slice(4))).toBe('é'.repeat(61));
  });
});
