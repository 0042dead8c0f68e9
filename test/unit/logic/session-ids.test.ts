// Who has nothing but a session's id asks its comet, and the others only when that one does not know it.
import { expect, test } from 'vitest';
import type { NodeId, SessionId } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import { findSession } from '../../../src/server/logic/comets.js';
import { logicDefaults } from '../../../src/server/logic/options.js';
import { ID_BYTES, sessionId } from '../../../src/server/logic/session-ids.js';
import { createMemoryRegistry } from '../../../src/server/router/memory.js';
import type { CometService, SessionInfo } from '../../../src/server/rpc/services.js';

async function stage(nodes: readonly string[]) {
  const registry = createMemoryRegistry({ clock: systemClock, leaseMs: 60_000 });
  const held = new Map<SessionId, string>();
  const asked: string[] = [];
  for (const node of nodes) {
    await registry.join({ node: node as NodeId, roles: ['comet'], address: '', version: 'test', since: 0 });
  }
  const cometFor = (node: NodeId) =>
    ({
      async session(session: SessionId) {
        asked.push(node);
        return held.get(session) === node ? ({ session, comet: node } as SessionInfo) : undefined;
      },
    }) as CometService;
  const find = async (session: SessionId) => {
    asked.length = 0;
    return (await findSession({ registry, clock: systemClock, options: logicDefaults, cometFor }, session))?.comet;
  };
  return { held, asked, find };
}

const WORKERS = Array.from({ length: 8 }, (_, at) => `n-b17bdda4/${at + 1}`);

test.each(['s_', `k.${'0'.repeat(32)}.`])('a session %s… is asked for at its own comet alone', async (prefix) => {
  const { held, asked, find } = await stage(WORKERS);
  for (const node of WORKERS) {
    const session = sessionId(prefix, node as NodeId, systemClock.randomBytes(ID_BYTES));
    held.set(session, node);
    expect(await find(session)).toBe(node);
    expect(asked).toEqual([node]);
  }
});

test('one whose id says nothing of its comet is found all the same, and what nobody has is asked of each once', async () => {
  const { held, asked, find } = await stage(WORKERS);
  for (const id of ['s_0123456789abcdef', 's_-_-_-_-_-_-_-_-_', 's_x', '', 'ü']) {
    held.set(id as SessionId, 'n-b17bdda4/3');
    expect(await find(id as SessionId)).toBe('n-b17bdda4/3');
  }
  expect(await find('s_nothing' as SessionId)).toBeUndefined();
  expect([...asked].sort()).toEqual(WORKERS);
});

test('ids of one comet differ, and look as they always did', () => {
  const ids = Array.from({ length: 1_000 }, () => sessionId('s_', 'n' as NodeId, systemClock.randomBytes(ID_BYTES)));
  expect(new Set(ids).size).toBe(1_000);
  for (const id of ids) expect(id).toMatch(/^s_[\w-]{16}$/);
});
