// What is asked to close while its open is under way does not come of it.

import { describe, expect, test } from 'vitest';
import type { SessionId, TokenId, UserId } from '../../../src/protocol/ids.js';
import { Opens } from '../../../src/server/comet/opens.js';
import type { DisconnectTarget, OpenReply } from '../../../src/server/rpc/services.js';

const reply = { session: 's1' as SessionId, user: 'u1' as UserId, token: 't1' as TokenId } as OpenReply;

const TARGETS: readonly DisconnectTarget[] = [
  { kind: 'session', session: 's1' as SessionId },
  { kind: 'user', user: 'u1' as UserId },
  { kind: 'token', token: 't1' as TokenId },
];

describe('opens under way', () => {
  test.each(TARGETS)('close for a $kind that was asked to close meanwhile', (target) => {
    const opens = new Opens();
    const ticket = opens.begin();
    opens.doom(target, 'token_revoked');
    expect(opens.end(ticket, reply)).toBe('token_revoked');
  });

  test('of somebody else go on', () => {
    const opens = new Opens();
    const ticket = opens.begin();
    opens.doom({ kind: 'session', session: 's2' as SessionId }, 'kicked');
    opens.doom({ kind: 'user', user: 'u2' as UserId }, 'kicked');
    opens.doom({ kind: 'token', token: 't2' as TokenId }, 'kicked');
    expect(opens.end(ticket, reply)).toBeUndefined();
  });

  test('that began afterwards go on', () => {
    const opens = new Opens();
    const before = opens.begin();
    opens.doom({ kind: 'user', user: 'u1' as UserId }, 'kicked');
    const after = opens.begin();
    expect(opens.end(after, reply)).toBeUndefined();
    expect(opens.end(before, reply)).toBe('kicked');
  });

  test('are remembered no longer than they last', () => {
    const opens = new Opens();
    const first = opens.begin();
    opens.doom({ kind: 'user', user: 'u1' as UserId }, 'kicked');
    opens.end(first, undefined);
    const second = opens.begin();
    opens.doom({ kind: 'user', user: 'u3' as UserId }, 'kicked');
    expect(opens.end(second, reply)).toBeUndefined();
  });

  test('all close when more was asked to close than is remembered; later ones go on', () => {
    const opens = new Opens();
    const before = [opens.begin(), opens.begin()];
    for (let n = 0; n <= 1_000; n++) opens.doom({ kind: 'session', session: `other${n}` as SessionId }, 'kicked');
    const after = opens.begin();
    expect(before.map((ticket) => opens.end(ticket, reply))).toEqual(['unavailable', 'unavailable']);
    expect(opens.end(after, reply)).toBeUndefined();
  });

  test('an anonymous session is not named by nobody', () => {
    const opens = new Opens();
    const ticket = opens.begin();
    opens.doom({ kind: 'session', session: 's2' as SessionId }, 'kicked');
    expect(opens.end(ticket, { ...reply, user: undefined, token: undefined })).toBeUndefined();
  });
});
