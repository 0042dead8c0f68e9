// What every Buckets engine promises about live sessions: who is found by an apply, caps, replacement, and that a late
// registration or removal does not win over a newer one.

import { expect, test } from 'vitest';
import type { NodeId, SessionId, UserId } from '../../src/protocol/ids.js';
import { ALICE, type BucketsEngine, device, names, ROOM, Stage, user } from './buckets-stage.js';

const CAP = { cap: 2, onTooMany: 'replace-oldest' } as const;
const REJECT = { cap: 2, onTooMany: 'reject' } as const;

export function sessionsConformance(engine: BucketsEngine): void {
  const open = () => Stage.open(engine);
  const all = async (stage: Stage) => names(await stage.buckets.sessions({ after: undefined, limit: 100 }));

  test('an apply returns the live sessions of its user, and none for rooms', async () => {
    const stage = await open();
    const one = await stage.register(stage.session('one'));
    await stage.register(stage.session('two'));
    await stage.register(stage.session('bob', { user: user('bob') }));
    await stage.register(stage.session('nobody', { user: undefined }));
    const result = await stage.applyOne(stage.record(1));
    if (result.kind !== 'appended') throw new Error(result.kind);
    expect(names(result.sessions)).toEqual(['one', 'two']);
    expect(result.sessions).toContainEqual(one);
    expect(await stage.applyOne(stage.record(2, { log: ROOM }))).toMatchObject({ sessions: [] });
    const again = await stage.applyOne(stage.record(1));
    if (again.kind !== 'repeated') throw new Error(again.kind);
    expect(names(again.sessions)).toEqual(['one', 'two']);
  });

  test('who registers before an entry can be read is told of it, or reads it', async () => {
    const stage = await open();
    const applied = stage.applyOne(stage.record(1));
    const session = await stage.register(stage.session('racer'));
    const { head } = await stage.buckets.openCursor(session, undefined);
    const result = await applied;
    if (result.kind !== 'appended') throw new Error(result.kind);
    const told = result.sessions.some((one) => one.session === session.session);
    expect(told || head.n === 1).toBe(true);
  });

  test('sessions of several users are answered in the order asked', async () => {
    const stage = await open();
    await stage.register(stage.session('a'));
    await stage.register(stage.session('b', { user: user('bob') }));
    const found = await stage.buckets.sessionsOf([user('bob'), user('nobody'), ALICE]);
    expect(found.map(names)).toEqual([['b'], [], ['a']]);
  });

  test('registering again is idempotent and newer words win', async () => {
    const stage = await open();
    const first = await stage.register(stage.session('s', { peer: 'old' }));
    await stage.register({ ...first, seq: first.seq + 5, peer: 'new' });
    await stage.register(first);
    const [states] = await stage.buckets.sessionsOf([ALICE]);
    expect(states).toMatchObject([{ session: 's', peer: 'new', seq: first.seq + 5 }]);
  });

  test('a late removal does not win over a newer registration, nor a late registration over a removal', async () => {
    const stage = await open();
    const session = await stage.register(stage.session('s'));
    await stage.register({ ...session, seq: session.seq + 2 });
    await stage.buckets.unregister(session.session, ALICE, 1, session.seq + 1);
    expect(await all(stage)).toEqual(['s']);
    await stage.buckets.unregister(session.session, ALICE, 1, session.seq + 4);
    expect(await all(stage)).toEqual([]);
    await stage.register({ ...session, seq: session.seq + 3 });
    expect(await all(stage)).toEqual([]);
    await stage.register({ ...session, seq: session.seq + 5 });
    expect(await all(stage)).toEqual(['s']);
  });

  test('a removal that overtakes its registration is remembered', async () => {
    const stage = await open();
    const session = stage.session('s');
    await stage.buckets.unregister(session.session, ALICE, 1, session.seq + 1);
    await stage.register(session);
    expect(await all(stage)).toEqual([]);
  });

  test('an older incarnation of a comet is ignored', async () => {
    const stage = await open();
    const session = await stage.register(stage.session('s', { incarnation: 3 }));
    await stage.register({ ...session, incarnation: 2, seq: 999, peer: 'zombie' });
    await stage.register(stage.session('t', { incarnation: 2 }));
    await stage.buckets.unregister(session.session, ALICE, 2, 999);
    const [states] = await stage.buckets.sessionsOf([ALICE]);
    expect(states).toMatchObject([{ session: 's', incarnation: 3, peer: '127.0.0.1' }]);
  });

  test('one live session a device: the newer replaces the older, also of another comet', async () => {
    const stage = await open();
    const old = await stage.register(stage.session('old', { device: device('phone') }));
    const next = stage.session('new', { device: device('phone'), comet: 'c2' as NodeId });
    expect(await stage.buckets.register(next, CAP)).toEqual({ kind: 'registered', replaced: [old], evicted: [] });
    expect(await all(stage)).toEqual(['new']);
    expect(await stage.buckets.register(next, CAP)).toMatchObject({ replaced: [], evicted: [] });
    const other = stage.session('bob', { device: device('phone'), user: user('bob') });
    expect(await stage.buckets.register(other, CAP)).toMatchObject({ replaced: [] });
  });

  test('what an older session of the device says at its end does not hide what was sent', async () => {
    const stage = await open();
    await stage.push(3);
    const old = await stage.open('old', { device: device('phone') });
    const next = await stage.open('new', { device: device('phone') });
    await stage.close(next, stage.id(1));
    await stage.buckets.closeCursor(old, stage.id(3), true);
    await stage.buckets.flush();
    const third = await stage.register(stage.session('third', { device: device('phone') }));
    expect((await stage.buckets.openCursor(third, undefined)).sentBefore).toEqual(stage.id(3));
  });

  test('above the cap the oldest go, or the newest is rejected', async () => {
    const stage = await open();
    const first = await stage.register(stage.session('1'), 2);
    await stage.register(stage.session('2'), 2);
    const third = stage.session('3');
    expect(await stage.buckets.register(third, REJECT)).toEqual({ kind: 'too_many' });
    expect(await all(stage)).toEqual(['1', '2']);
    expect(await stage.buckets.register(third, CAP)).toEqual({ kind: 'registered', replaced: [], evicted: [first] });
    expect(await all(stage)).toEqual(['2', '3']);
    expect(await stage.buckets.register(stage.session('b', { user: user('bob') }), REJECT)).toMatchObject({
      kind: 'registered',
    });
  });

  test('a device that comes back does not count against itself, and who is in stays in', async () => {
    const stage = await open();
    await stage.register(stage.session('1', { device: device('a') }));
    const second = await stage.register(stage.session('2', { device: device('b') }));
    expect(await stage.buckets.register(stage.session('3', { device: device('a') }), REJECT)).toMatchObject({
      kind: 'registered',
      replaced: [{ session: '1' }],
      evicted: [],
    });
    expect(await stage.buckets.register({ ...second, seq: second.seq + 9 }, REJECT)).toMatchObject({
      kind: 'registered',
    });
  });

  test('sessions without a user have no cap and are found by id only', async () => {
    const stage = await open();
    for (const name of ['1', '2', '3']) {
      expect(await stage.buckets.register(stage.session(name, { user: undefined }), REJECT)).toMatchObject({
        kind: 'registered',
      });
    }
    expect(await all(stage)).toEqual(['1', '2', '3']);
    await stage.buckets.unregister('2' as SessionId, undefined, 1, 999);
    expect(await all(stage)).toEqual(['1', '3']);
  });

  test('a comet that is gone takes its sessions along, but not those of its next life', async () => {
    const stage = await open();
    const comet = 'gone' as NodeId;
    await stage.register(stage.session('1', { comet, incarnation: 1 }));
    await stage.register(stage.session('2', { comet, incarnation: 2 }));
    await stage.register(stage.session('3', { incarnation: 1 }));
    expect(await stage.buckets.dropComet(comet, 2)).toBe(1);
    expect(await all(stage)).toEqual(['2', '3']);
    await stage.register(stage.session('late', { comet, incarnation: 1 }));
    expect(await all(stage)).toEqual(['2', '3']);
    expect(await stage.buckets.dropComet(comet, 1), 'said late').toBe(0);
    expect(await all(stage)).toEqual(['2', '3']);
    expect(await stage.buckets.dropComet(comet, undefined)).toBe(1);
    expect(await stage.buckets.dropComet(comet, undefined)).toBe(0);
    expect(await all(stage)).toEqual(['3']);
  });

  test('a comet that is gone leaves its devices unclean', async () => {
    const stage = await open();
    await stage.push(2);
    for (const more of [{ device: device('phone') }, {}]) {
      const session = await stage.open('s', { comet: 'gone' as NodeId, ...more });
      await stage.buckets.dropComet('gone' as NodeId, undefined);
      const next = await stage.register({ ...session, session: 'next' as SessionId, comet: 'c' as NodeId });
      expect((await stage.buckets.openCursor(next, undefined)).sentBefore).toEqual(stage.id(2));
      await stage.close(next, stage.id(2));
    }
  });

  test('sessions are paged by id, narrowed by user and comet', async () => {
    const stage = await open();
    const ids = Array.from({ length: 25 }, (_, at) => `s${String(at * 7).padStart(3, '0')}`);
    for (const [at, id] of [...ids.entries()].reverse()) {
      const more = { user: user(at % 2 === 0 ? 'even' : 'odd'), comet: `c${at % 3}` as NodeId };
      await stage.register(stage.session(id, more), 100);
    }
    const seen: string[] = [];
    for (let after: SessionId | undefined; ; ) {
      const page = await stage.buckets.sessions({ after, limit: 10 });
      seen.push(...page.map((one) => one.session));
      after = page[page.length - 1]?.session;
      if (page.length < 10) break;
    }
    expect(seen).toEqual(ids);
    const narrow = await stage.buckets.sessions({
      after: undefined,
      limit: 99,
      user: user('odd'),
      comet: 'c0' as NodeId,
    });
    expect(narrow.map((one) => one.session)).toEqual(ids.filter((_, at) => at % 2 === 1 && at % 3 === 0));
  });

  test('sessions are found by what their ids begin with, for as long as they live', async () => {
    const stage = await open();
    const ids = ['k.a.2', 'k.a.1', 'k.ab.1', 'k.b.1', 's_a'];
    for (const id of ids) await stage.register(stage.session(id, { user: user(id) }), 100);
    const found = async (prefix: string, more: { readonly user?: UserId; readonly after?: SessionId } = {}) =>
      names(await stage.buckets.sessions({ after: undefined, limit: 9, prefix, ...more }));
    expect(await found('k.a.')).toEqual(['k.a.1', 'k.a.2']);
    expect(await found('k.a')).toEqual(['k.a.1', 'k.a.2', 'k.ab.1']);
    expect(await found('k.a.', { user: user('k.a.2') })).toEqual(['k.a.2']);
    expect(await found('k.a.', { after: 'k.a.1' as SessionId })).toEqual(['k.a.2']);
    expect(await found('k.c.')).toEqual([]);
    await stage.buckets.unregister('k.a.1' as SessionId, user('k.a.1'), 1, 1_000);
    expect(await found('k.a.')).toEqual(['k.a.2']);
    await stage.buckets.dropComet('comet' as NodeId, undefined);
    expect(await found('k.a.')).toEqual([]);
  });
}
