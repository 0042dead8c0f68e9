// Races that the simulation found, each by itself.

import { expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import { encodeFrame, Op } from '../../../src/protocol/frame.js';
import { compareIds, type DeviceId, type NodeId, type SessionId, type UserId } from '../../../src/protocol/ids.js';
import { NATIVE_VER } from '../../../src/protocol/native.js';
import { encodeNativeAuth, parseDisconnect } from '../../../src/protocol/native-json.js';
import type { Logic } from '../../../src/server/logic/sessions.js';
import type { DisconnectTarget, LogicService, OpenReply } from '../../../src/server/rpc/services.js';
import { Live } from './live.js';
import { Stage, TestOutlet } from './stage.js';

/** logic, whose answers to `open` are under way until `deliver`. */
class SlowAnswers {
  readonly opened: OpenReply[] = [];
  readonly #gate = Promise.withResolvers<void>();

  deliver(): void {
    this.#gate.resolve();
  }

  between(logic: Logic): LogicService {
    return new Proxy(logic, {
      get: (target, name) => {
        if (name === 'open') {
          return async (request: Parameters<Logic['open']>[0]) => {
            const reply = await target.open(request);
            this.opened.push(reply);
            await this.#gate.promise;
            return reply;
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }
}

test.each(['session', 'user', 'token'] as const)(
  'who is closed by %s while it opens does not come in',
  async (kind) => {
    const answers = new SlowAnswers();
    await using live = await Live.start({ between: (logic) => answers.between(logic) });
    const client = await live.tcp();
    const auth = encodeNativeAuth({ token: await live.token('u', 'phone') });
    client.send(encodeFrame(NATIVE_VER, Op.AUTH, 1, auth));
    await expect.poll(() => answers.opened.length).toBe(1);
    const { session, token } = answers.opened[0] as OpenReply;
    const targets: Record<typeof kind, DisconnectTarget> = {
      session: { kind: 'session', session },
      user: { kind: 'user', user: 'u' as UserId },
      token: { kind: 'token', token: token as NonNullable<typeof token> },
    };
    // The router knows the session; the comet does not yet.
    expect(await live.comet.service.disconnect(targets[kind], 'kicked')).toBe(0);
    answers.deliver();
    await client.end();
    expect(client.frames.map(({ op }) => op)).toEqual([Op.DISCONNECT]);
    expect(parseDisconnect(Buffer.from(client.frames[0]?.body ?? ''))).toMatchObject({ code: 4103 });
    await expect.poll(() => live.buckets.sessionsOf(['u' as UserId])).toEqual([[]]);
  },
);

test('a session that the router forgot while it opened is registered again, and has what came meanwhile', async () => {
  const answers = new SlowAnswers();
  await using live = await Live.start({ between: (logic) => answers.between(logic) });
  const client = await live.tcp();
  client.send(encodeFrame(NATIVE_VER, Op.AUTH, 1, encodeNativeAuth({ token: await live.token('u', 'phone') })));
  await expect.poll(() => answers.opened.length).toBe(1);
  const { session } = answers.opened[0] as OpenReply;
  await live.buckets.dropComet('c-1' as NodeId, undefined);
  await live.comet.service.resync();
  const missed = await live.push('u', '"missed"');
  answers.deliver();
  expect((await client.next(Op.PUSH)).body).toBe('"missed"');
  await expect
    .poll(async () => (await live.buckets.sessionsOf(['u' as UserId]))[0]?.map((one) => one.session))
    .toEqual([session]);
  const next = await live.push('u', '"next"');
  expect(await client.bodiesCount(2)).toEqual(['"missed"', '"next"']);
  expect(compareIds(next, missed)).toBeGreaterThan(0);
});

test('a session that registers again does not take the place of a newer one of its device', async () => {
  await using live = await Live.start();
  const older = await live.native({ token: await live.token('u', 'phone') });
  const [known] = await live.buckets.sessionsOf(['u' as UserId]);
  const handle = known?.[0] as OpenReply['handle'];
  // The same device has come back through another comet, which this one has not heard of.
  const newer = { ...handle, session: 'newer' as SessionId, comet: 'c-2' as never, since: handle.since + 1 };
  await live.buckets.register(newer, { cap: 8, onTooMany: 'replace-oldest' });
  await live.logic.reregister([{ ...handle, seq: handle.seq + 1 }]);
  const [sessions] = await live.buckets.sessionsOf(['u' as UserId]);
  expect(sessions?.map(({ session }) => session)).toEqual(['newer']);
  await older.end();
  expect(parseDisconnect(Buffer.from((await older.next(Op.DISCONNECT)).body))).toMatchObject({ code: 4104 });
});

test('a session that lost its place without being told has to come back', async () => {
  await using live = await Live.start();
  await live.native({ token: await live.token('u', 'phone') });
  await live.native({ token: await live.token('v', 'phone') });
  const handles = (await live.buckets.sessionsOf(['u' as UserId, 'v' as UserId])).flat();
  expect(await live.logic.revalidate(handles)).toEqual([]);
  // Another took its place, and the logic that was to tell its comet died.
  await live.buckets.unregister(handles[0]?.session as SessionId, 'u' as UserId, handles[0]?.incarnation ?? 0, 1e6);
  expect(await live.logic.revalidate(handles)).toEqual([{ session: handles[0]?.session, code: 'fenced' }]);
});

test('a registration that is still on its way does not bring back a session that has closed', async () => {
  await using live = await Live.start();
  const client = await live.native({ token: await live.token('u', 'phone') });
  const handles = (await live.buckets.sessionsOf(['u' as UserId])).flat();
  expect(handles).toHaveLength(1);
  client.destroy();
  await expect.poll(() => live.buckets.sessionsOf(['u' as UserId])).toEqual([[]]);
  await live.logic.reregister(handles);
  expect(await live.buckets.sessionsOf(['u' as UserId])).toEqual([[]]);
});

test('sessions of different devices, and anonymous ones, register again beside each other', async () => {
  await using live = await Live.start();
  await live.native({ token: await live.token('u', 'phone') });
  await live.native({ token: await live.token('u', 'web') });
  await live.native({ token: await live.token('u') });
  await live.native({ token: await live.token('u') });
  const [before] = await live.buckets.sessionsOf(['u' as UserId]);
  const handles = (before ?? []).map((state) => ({ ...state, seq: state.seq + 100 }));
  expect(handles.map(({ device }) => device).sort()).toEqual(['', '', 'phone' as DeviceId, 'web' as DeviceId]);
  await live.logic.reregister(handles);
  const [after] = await live.buckets.sessionsOf(['u' as UserId]);
  expect(after?.map(({ session }) => session).sort()).toEqual(handles.map(({ session }) => session).sort());
});

test('a member that is held when it comes back to a topic that was behind reads on when it resumes', async () => {
  const stage = new Stage();
  const ids = Array.from({ length: 6 }, () => stage.log.append(10).id);
  const [, , since] = ids;
  // The topic has heard of nothing yet; the member was told more by another comet.
  const outlet = new TestOutlet(stage, 'native-tcp');
  outlet.held = true;
  const joined = stage.topic.joinAfter(outlet, since as NonNullable<typeof since>);
  await stage.clock.pass(100);
  expect(await joined).toMatchObject({ recovered: true });
  expect(outlet.ids).toEqual([]);
  outlet.drain();
  await stage.clock.pass(100);
  expect(outlet.ids).toEqual(ids.slice(3).map(({ epoch, n }) => `${epoch}-${n}`));
});

test('an open that fails before anything was done, because the store is away, counts as failed', async () => {
  const between = (logic: Logic): LogicService =>
    new Proxy(logic, {
      get(target, name) {
        if (name === 'open') {
          return async () => {
            throw new ImgoError('redis_unreachable', { address: 'r', detail: 'away', untouched: 1 });
          };
        }
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  await using live = await Live.start({ between });
  const client = await live.tcp();
  client.send(encodeFrame(NATIVE_VER, Op.AUTH, 1, encodeNativeAuth({ token: await live.token('u', 'phone') })));
  await client.end();
  const { reasons } = await live.comet.service.stats();
  expect([reasons['failed_open'], reasons['refused_open']]).toEqual([1, undefined]);
});
