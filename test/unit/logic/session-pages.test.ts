// Pages of sessions by what narrows them: from the store by id, from comets by node and id; a page never holds more than
// asked, and all pages together have each session once.
import { describe, expect, test } from 'vitest';
import type { NodeId, RoomId, SessionId, UserId } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import { pageBefore } from '../../../src/server/comet/roster.js';
import { logicDefaults } from '../../../src/server/logic/options.js';
import { sessionPage } from '../../../src/server/logic/session-pages.js';
import { createMemoryRegistry } from '../../../src/server/router/memory.js';
import type { SessionInfo } from '../../../src/server/rpc/services.js';
import type { SessionState } from '../../../src/server/store/buckets.js';
import { createMemoryBuckets } from '../../../src/server/store/memory.js';
import { bucketsOptions, RecordingComet } from './setup.js';

const ROOM = 'r' as RoomId;

/** A comet that has these sessions, each of which is in the room when its number is even. */
class HoldingComet extends RecordingComet {
  readonly held: SessionInfo[] = [];
  asked = 0;
  answers = true;
  /** It has pages of its sessions. */
  lists = true;

  override async sessionsOf(ids: readonly SessionId[] = []): Promise<readonly undefined[]> {
    this.asked++;
    if (!this.answers) throw new Error('it does not answer');
    return ids.map((id) => this.held.find(({ session }) => session === id)) as readonly undefined[];
  }

  override async sessionPage(room?: RoomId, after?: string, limit = 0): Promise<readonly SessionInfo[]> {
    this.asked++;
    if (!this.answers || !this.lists) throw new Error('not offered here');
    const fits = this.held.filter((one) => room === undefined || one.rooms.includes(room));
    return pageBefore(fits, after === undefined ? undefined : Number(after), limit, (one, row) => ({ ...one, row }));
  }
}

interface Filter {
  readonly user?: string;
  readonly node?: string;
  readonly room?: string;
}

async function stage(counts: readonly number[]) {
  const clock = systemClock;
  const buckets = createMemoryBuckets(bucketsOptions, clock);
  const registry = createMemoryRegistry({ clock, leaseMs: 60_000 });
  const comets = new Map<NodeId, HoldingComet>();
  let number = 0;
  for (const [at, count] of counts.entries()) {
    const node = `n/${at}` as NodeId;
    const comet = new HoldingComet(node);
    comets.set(node, comet);
    const lease = await registry.join({ node, roles: ['comet'], address: '', version: 'test', since: 0 });
    if (count > 0) await registry.addRoom(lease, ROOM, 1);
    for (let one = 0; one < count; one++) {
      number++;
      const session = `s_${String((number * 7_919) % 10_007).padStart(16, '0')}` as SessionId;
      const record = {
        session,
        user: `u${number % 3}` as UserId,
        device: '' as const,
        token: undefined,
        comet: node,
        incarnation: lease.incarnation,
        seq: number,
        dialect: 'native',
        transport: 'tcp' as const,
        peer: '',
        since: 0,
      };
      await buckets.register(record, { cap: 1_000, onTooMany: 'reject' });
      const [state] = await buckets.sessions({ after: undefined, limit: 1, prefix: session });
      const rooms = number % 2 === 0 ? [ROOM] : [];
      comet.held.push({
        ...(state as SessionState),
        sentTo: { epoch: 0, n: 0 },
        lagBytes: 0,
        rooms,
        state: 'streaming',
      });
    }
  }
  const parts = { buckets, registry, clock, options: logicDefaults, cometFor: (node: NodeId) => comets.get(node) };
  const page = ({ user, node, room }: Filter, limit: number, after?: string) =>
    sessionPage(parts, { user: user as UserId, node: node as NodeId, room: room as RoomId, after, limit });
  const all = async (filter: Filter, limit: number) => {
    const found: string[] = [];
    let after: string | undefined;
    let pages = 0;
    do {
      const { items, next } = await page(filter, limit, after);
      expect(items.length).toBeLessThanOrEqual(limit);
      found.push(...items.map(({ state }) => state.session));
      for (const { info } of items) expect(info?.lagBytes).toBe(0);
      after = next;
      pages++;
    } while (after !== undefined);
    return { found, pages };
  };
  return { comets, all, page };
}

describe('pages of sessions', () => {
  test.each([1, 3, 7, 100])('of %i together have each session once, whatever narrows them', async (limit) => {
    const { comets, all } = await stage([10, 0, 23, 5]);
    const held = [...comets.values()].flatMap((comet) => comet.held);
    const sorted = (list: readonly string[]) => [...list].sort();
    const where = (fits: (one: SessionInfo) => boolean) => sorted(held.filter(fits).map(({ session }) => session));
    const every = await all({}, limit);
    expect(every.found).toEqual(where(() => true));
    expect(sorted((await all({ node: 'n/2' }, limit)).found)).toEqual(where(({ comet }) => comet === 'n/2'));
    expect(sorted((await all({ room: 'r' }, limit)).found)).toEqual(where(({ rooms }) => rooms.length > 0));
    expect((await all({ user: 'u1' }, limit)).found).toEqual(where(({ user }) => user === 'u1'));
    expect(sorted((await all({ user: 'u1', node: 'n/0' }, limit)).found)).toEqual(
      where(({ user, comet }) => user === 'u1' && comet === 'n/0'),
    );
    expect(sorted((await all({ user: 'u2', room: 'r' }, limit)).found)).toEqual(
      where(({ user, rooms }) => user === 'u2' && rooms.length > 0),
    );
    expect((await all({ room: 'nobody' }, limit)).found).toEqual([]);
  });

  test('ask each comet once for all of its sessions of a page', async () => {
    const { comets, all } = await stage([40, 40]);
    await all({}, 100);
    expect([...comets.values()].map(({ asked }) => asked)).toEqual([1, 1]);
  });

  test('of a user in a room cost what the user has, however many are in the room', async () => {
    const { comets, all } = await stage([600]);
    const { found, pages } = await all({ user: 'u2', room: 'r' }, 50);
    expect(found).toHaveLength(100);
    const [comet] = comets.values();
    expect(comet?.asked).toBeLessThanOrEqual(pages);
    expect(pages).toBeLessThan(6);
  });

  test('of a node that is too old to list its own come from the store', async () => {
    const { comets, all } = await stage([10, 10]);
    for (const comet of comets.values()) comet.lists = false;
    const { found } = await all({ node: 'n/1' }, 4);
    expect(found).toHaveLength(10);
  });

  test.each(['room', 'user'] as const)('of a %s name the comets that do not answer', async (kind) => {
    const { comets, page } = await stage([4, 4, 4]);
    const silent = comets.get('n/1' as NodeId) ?? expect.fail('there is none');
    silent.answers = false;
    const filter = kind === 'room' ? { room: 'r' } : { user: 'u0', room: 'r' };
    const { items, missing } = await page(filter, 100);
    expect(missing).toEqual(['n/1']);
    expect(items.length).toBeGreaterThan(0);
    expect(items.map(({ state }) => state.comet)).not.toContain('n/1');
    silent.answers = true;
    expect(await page(filter, 100)).toMatchObject({ missing: [] });
  });

  test('of a node that is not there are an error that says so', async () => {
    const { all } = await stage([1]);
    await expect(all({ node: 'n/9' }, 10)).rejects.toMatchObject({ code: 'node_not_found' });
  });
});
