// What every Registry engine promises to nodes, jobs and logics. Run by one small file per engine.

import { expect, test } from 'vitest';
import type { NodeId, RoomId } from '../../src/protocol/ids.js';
import type { Lease, NodeRecord, Registry, Role } from '../../src/server/router/registry.js';

export interface RegistryEngine {
  /** A new, empty registry whose leases hold `leaseMs`. */
  create(leaseMs: number): Promise<Registry>;
  /** Lets this much time pass for the registry. */
  pass(ms: number): Promise<void>;
}

const LEASE_MS = 6_000;
const room = (name: string): RoomId => name as RoomId;

function node(name: string, roles: readonly Role[] = ['comet']): Omit<NodeRecord, 'incarnation' | 'state'> {
  return { node: name as NodeId, roles, address: `${name}:1`, version: '1', since: 1 };
}

function names(nodes: readonly NodeRecord[]): string[] {
  return nodes.map((entry) => entry.node).sort();
}

async function inRoom(registry: Registry, name: string): Promise<string[]> {
  const [comets] = await registry.cometsOf([room(name)]);
  return names(comets ?? []);
}

export function registryConformance(engine: RegistryEngine): void {
  const create = () => engine.create(LEASE_MS);

  test('a node is live from its join until its lease ends', async () => {
    const registry = await create();
    const lease = await registry.join(node('a'));
    expect(lease.holdsMs).toBe(LEASE_MS);
    await engine.pass(LEASE_MS - 1);
    expect(names(await registry.comets())).toEqual(['a']);
    await engine.pass(1);
    expect(await registry.comets()).toEqual([]);
  });

  test('a renewal holds as long as a join', async () => {
    const registry = await create();
    const lease = await registry.join(node('a'));
    for (let i = 0; i < 5; i++) {
      await engine.pass(LEASE_MS - 1);
      expect(await registry.renew(lease)).toEqual({ kind: 'renewed', resync: undefined });
    }
    expect(names(await registry.comets())).toEqual(['a']);
  });

  test('a node says with a renewal that it is being drained, and that it is not any more', async () => {
    const registry = await create();
    const lease = await registry.join(node('a'));
    const states = async () => (await registry.nodes()).map(({ state }) => state);
    expect(await states()).toEqual(['ok']);
    await registry.renew(lease, 'draining');
    expect(await states()).toEqual(['draining']);
    expect(names(await registry.comets()), 'it still holds those that it has').toEqual(['a']);
    await registry.renew(lease);
    expect(await states()).toEqual(['ok']);
    await registry.renew(lease, 'draining');
    await registry.join(node('a'));
    expect(await states(), 'another incarnation').toEqual(['ok']);
  });

  test('an incarnation that expired is never renewed', async () => {
    const registry = await create();
    const lease = await registry.join(node('a'));
    await engine.pass(LEASE_MS);
    expect(await registry.renew(lease)).toEqual({ kind: 'expired' });
    const next = await registry.join(node('a'));
    expect(next.incarnation).toBeGreaterThan(lease.incarnation);
    expect(await registry.renew(lease)).toEqual({ kind: 'expired' });
    expect(await registry.renew(next)).toMatchObject({ kind: 'renewed' });
  });

  test('a join of the same node ends the incarnation before it', async () => {
    const registry = await create();
    const first = await registry.join(node('a'));
    await registry.addRoom(first, room('r'), 1);
    const second = await registry.join(node('a'));
    expect(second.incarnation).toBeGreaterThan(first.incarnation);
    expect(await registry.renew(first)).toEqual({ kind: 'expired' });
    expect(await inRoom(registry, 'r')).toEqual([]);
    expect(await registry.rooms({ after: undefined, limit: 10 })).toEqual([]);
    const comets = await registry.comets();
    expect(comets.map(({ incarnation }) => incarnation)).toEqual([second.incarnation]);
  });

  test('an incarnation is never used twice, however long the node was away', async () => {
    const registry = await create();
    const seen = new Set<number>();
    for (let i = 0; i < 4; i++) {
      const lease = await registry.join(node('a'));
      expect(seen.has(lease.incarnation)).toBe(false);
      seen.add(lease.incarnation);
      await engine.pass(i % 2 === 0 ? LEASE_MS + 120_000 : 1);
    }
  });

  test('a node that left or expired is listed as gone for a minute', async () => {
    const registry = await create();
    const left = await registry.join(node('left'));
    await registry.join(node('expired', ['logic']));
    await registry.leave(left);
    const stateOf = async (name: string) => (await registry.nodes()).find((entry) => entry.node === name)?.state;
    expect(await stateOf('left')).toBe('gone');
    expect(await stateOf('expired')).toBe('ok');
    await engine.pass(LEASE_MS);
    expect(await stateOf('expired')).toBe('gone');
    await engine.pass(60_000);
    expect(await registry.nodes()).toEqual([]);
  });

  test('only comets are comets', async () => {
    const registry = await create();
    await registry.join(node('l', ['logic', 'job']));
    await registry.join(node('all', ['comet', 'logic', 'job']));
    expect(names(await registry.comets())).toEqual(['all']);
    expect(names(await registry.nodes())).toEqual(['all', 'l']);
  });

  test('rooms are answered in the order asked, with the live comets that have members', async () => {
    const registry = await create();
    const [a, b] = [await registry.join(node('a')), await registry.join(node('b'))];
    await registry.addRoom(a, room('x'), 1);
    await registry.addRoom(b, room('x'), 1);
    await registry.addRoom(b, room('y'), 2);
    const found = await registry.cometsOf([room('y'), room('nobody'), room('x')]);
    expect(found.map(names)).toEqual([['b'], [], ['a', 'b']]);
    await registry.leave(b);
    expect(await inRoom(registry, 'x')).toEqual(['a']);
    await engine.pass(LEASE_MS);
    expect(await inRoom(registry, 'x')).toEqual([]);
  });

  test('the highest sequence of a comet wins per room, in whatever order the calls come', async () => {
    const registry = await create();
    const lease = await registry.join(node('a'));
    await registry.addRoom(lease, room('r'), 3);
    await registry.removeRoom(lease, room('r'), 2);
    expect(await inRoom(registry, 'r')).toEqual(['a']);
    await registry.removeRoom(lease, room('r'), 4);
    await registry.addRoom(lease, room('r'), 3);
    expect(await inRoom(registry, 'r')).toEqual([]);
    await registry.addRoom(lease, room('r'), 5);
    expect(await inRoom(registry, 'r')).toEqual(['a']);
    await registry.addRoom(lease, room('other'), 1);
    expect(await inRoom(registry, 'other')).toEqual(['a']);
  });

  test('a removal that is older than the newest word is not remembered against it', async () => {
    const registry = await create();
    let lease = await registry.join(node('a'));
    let seq = 0;
    // Membership changes while the minute of the first removal runs out.
    await registry.addRoom(lease, room('r'), ++seq);
    await registry.removeRoom(lease, room('r'), ++seq);
    lease = await renewed(registry, lease, engine, 50_000);
    await registry.addRoom(lease, room('r'), ++seq);
    await registry.removeRoom(lease, room('r'), ++seq);
    lease = await renewed(registry, lease, engine, 15_000);
    await registry.addRoom(lease, room('r'), seq - 1);
    expect(await inRoom(registry, 'r')).toEqual([]);
    await registry.addRoom(lease, room('r'), ++seq);
    expect(await inRoom(registry, 'r')).toEqual(['a']);
  });

  test('what an older incarnation says of a room is ignored', async () => {
    const registry = await create();
    const older = await registry.join(node('a'));
    const newer = await registry.join(node('a'));
    await registry.addRoom(older, room('r'), 10);
    expect(await inRoom(registry, 'r')).toEqual([]);
    await registry.addRoom(newer, room('r'), 1);
    await registry.removeRoom(older, room('r'), 11);
    expect(await inRoom(registry, 'r')).toEqual(['a']);
  });

  test('rooms with members are listed page by page', async () => {
    const registry = await create();
    const lease = await registry.join(node('a'));
    const all = Array.from({ length: 25 }, (_, index) => `r${String(index).padStart(2, '0')}`);
    for (const [index, name] of [...all].reverse().entries()) await registry.addRoom(lease, room(name), index + 1);
    await registry.removeRoom(lease, room('r07'), 100);
    const listed: string[] = [];
    for (let after: RoomId | undefined; ; after = listed.at(-1) as RoomId) {
      const page = await registry.rooms({ after, limit: 10 });
      listed.push(...page);
      if (page.length < 10) break;
    }
    expect(listed).toEqual(all.filter((name) => name !== 'r07'));
    await registry.leave(lease);
    expect(await registry.rooms({ after: undefined, limit: 10 })).toEqual([]);
  });

  test('a comet is told to re-read until it answers with that number', async () => {
    const registry = await create();
    const lease = await registry.join(node('a'));
    await registry.markResync(lease.node, lease.incarnation);
    const first = await registry.renew(lease);
    expect(first).toMatchObject({ kind: 'renewed', resync: expect.any(Number) });
    expect(await registry.renew(lease)).toEqual(first);
    // Another notification is given up while the comet re-reads: the answer to the first does not clear it.
    await registry.markResync(lease.node, lease.incarnation);
    if (first.kind === 'renewed' && first.resync !== undefined) await registry.resynced(lease, first.resync);
    const second = await registry.renew(lease);
    expect(second).toMatchObject({ kind: 'renewed', resync: expect.any(Number) });
    expect(second).not.toEqual(first);
    if (second.kind === 'renewed' && second.resync !== undefined) await registry.resynced(lease, second.resync);
    expect(await registry.renew(lease)).toEqual({ kind: 'renewed', resync: undefined });
  });

  test('a mark concerns one incarnation', async () => {
    const registry = await create();
    const older = await registry.join(node('a'));
    const newer = await registry.join(node('a'));
    await registry.markResync(older.node, older.incarnation);
    await registry.markResync('nobody' as NodeId, 1);
    expect(await registry.renew(newer)).toEqual({ kind: 'renewed', resync: undefined });
  });
}

/** Lets time pass while the lease is renewed. */
async function renewed(registry: Registry, lease: Lease, engine: RegistryEngine, ms: number): Promise<Lease> {
  for (let left = ms; left > 0; left -= LEASE_MS / 2) {
    await engine.pass(Math.min(left, LEASE_MS / 2));
    await registry.renew(lease);
  }
  return lease;
}
