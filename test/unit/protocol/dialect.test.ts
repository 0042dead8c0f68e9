// Which dialect a connection speaks (subprotocol, ver, message kind, body), and which encoding its pushes have.

import { describe, expect, it } from 'vitest';
import { type AuthContext, detectDialect, encodePush, encodingOf } from '../../../src/protocol/dialect.js';
import { encodeText } from '../../../src/protocol/text.js';
import { toHex } from './hex.js';

const GOIM = '{"mid":1}';
const auth = (carrier: AuthContext['carrier'], ver: number, body: string, subprotocol = false, goimListener = false) =>
  detectDialect({ carrier, ver, body: encodeText(body), subprotocol, goimListener });

describe('detectDialect', () => {
  it.each([
    ['tcp', 1, 'TOKEN', 'imgo'],
    ['tcp', 0, 'TOKEN', 'imgo'],
    ['tcp', 1, '123456', 'imgo'],
    ['tcp', 1, '{"key":"no mid"}', 'imgo'],
    ['tcp', 1, GOIM, 'goim2'],
    ['tcp', 2, '{"token":"t"}', 'native'],
    ['tcp', 2, GOIM, 'native'],
    ['text', 1, 'TOKEN', 'imgo'],
    ['text', 1, GOIM, 'imgo'],
    ['text', 2, 'TOKEN', 'dialect_mismatch'],
    ['binary', 1, 'TOKEN', 'goim1'],
    ['binary', 1, GOIM, 'goim2'],
    ['binary', 2, '{"token":"t"}', 'native'],
  ] as const)('%s, ver %i, %s: %s', (carrier, ver, body, dialect) => {
    expect(auth(carrier, ver, body)).toBe(dialect);
  });

  it('the subprotocol and the AUTH must agree', () => {
    expect(auth('binary', 2, '{"token":"t"}', true)).toBe('native');
    expect(auth('binary', 1, 'TOKEN', true)).toBe('dialect_mismatch');
    expect(auth('binary', 1, GOIM, true)).toBe('dialect_mismatch');
    expect(auth('text', 2, 'TOKEN', true)).toBe('dialect_mismatch');
  });

  it("goim's own listener speaks goim v2 only, and there mid may be absent", () => {
    expect(auth('tcp', 1, '{}', false, true)).toBe('goim2');
    expect(auth('binary', 1, GOIM, false, true)).toBe('goim2');
    expect(auth('tcp', 1, 'TOKEN', false, true)).toBe('dialect_mismatch');
    expect(auth('text', 1, GOIM, false, true)).toBe('dialect_mismatch');
  });
});

describe('encodings', () => {
  it('tcp imgo and tcp goim before v2 share one, all others are their own', () => {
    expect(encodingOf('imgo', 'tcp')).toBe('plain-tcp');
    expect(encodingOf('goim1', 'tcp')).toBe('plain-tcp');
    expect(encodingOf('goim2', 'tcp')).toBe('goim2-tcp');
    expect(encodingOf('native', 'tcp')).toBe('native-tcp');
    for (const dialect of ['imgo', 'goim1', 'goim2', 'native'] as const) {
      expect(encodingOf(dialect, 'ws')).toBe(`${dialect}-ws`);
    }
  });

  it('the operation of a push reaches goim v2 only; without one it is 5', () => {
    const entry = { id: { epoch: 1, n: 1 }, payload: encodeText('1') };
    const op = (bytes: Uint8Array, at: number) => toHex(bytes.slice(at, at + 4));
    for (const operation of [undefined, 1000]) {
      const goim = operation === 1000 ? '000003e8' : '00000005';
      expect(op(encodePush('goim2-tcp', { ...entry, operation }), 8)).toBe(goim);
      expect(op(encodePush('goim2-ws', { ...entry, operation }), 2 + 16 + 8)).toBe(goim);
      expect(op(encodePush('plain-tcp', { ...entry, operation }), 8)).toBe('00000005');
      expect(op(encodePush('goim1-ws', { ...entry, operation }), 2 + 8)).toBe('00000005');
      expect(op(encodePush('native-tcp', { ...entry, operation }), 8)).toBe('00000005');
    }
  });
});
