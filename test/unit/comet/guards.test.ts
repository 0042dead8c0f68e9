// The small guards of a comet by themselves: origins and hosts, limits of connections and addresses, the fence, expiry.
import { expect, test } from 'vitest';
import { Op } from '../../../src/protocol/frame.js';
import { type Clock, systemClock } from '../../../src/server/clock.js';
import { Fence } from '../../../src/server/comet/fence.js';
import { AddressLimits, ConnectionLimit } from '../../../src/server/comet/limits.js';
import { hostAllowed, LOOPBACK_HOSTS, originAllowed } from '../../../src/server/comet/origins.js';
import { descriptorLimit, descriptorsInUse } from '../../../src/server/observe/process.js';
import { Live } from './live.js';
import { HandClock } from './stage.js';

test('origins: none, the same host on any port, and what is listed; nothing that cannot be parsed', () => {
  const same = ['same-host'];
  expect(originAllowed(undefined, 'a.test', same)).toBe(true);
  expect(originAllowed('https://a.test:8443', 'a.test:8090', same)).toBe(true);
  expect(originAllowed('https://A.test', 'a.TEST', same)).toBe(true);
  expect(originAllowed('https://b.test', 'a.test', same)).toBe(false);
  expect(originAllowed('https://a.test.evil', 'a.test', same)).toBe(false);
  expect(originAllowed('null', 'a.test', [...same, 'null'])).toBe(false);
  expect(originAllowed('garbage', 'a.test', same)).toBe(false);
  expect(originAllowed('https://b.test', undefined, same)).toBe(false);
  expect(originAllowed('https://b.test', 'a.test', ['https://b.test'])).toBe(true);
  expect(originAllowed('http://b.test', 'a.test', ['https://b.test'])).toBe(false);
  expect(originAllowed('https://b.test:444', 'a.test', ['https://b.test'])).toBe(false);
  expect(originAllowed('null', 'a.test', ['*'])).toBe(true);
  expect(originAllowed('chrome-extension://a', 'a.test', ['chrome-extension://a'])).toBe(true);
  expect(originAllowed('chrome-extension://b', 'a.test', ['chrome-extension://a'])).toBe(false);
});

test('hosts: a name that was made to point here is not one of ours', () => {
  expect(hostAllowed('anything', undefined)).toBe(true);
  for (const host of ['localhost:8090', '127.0.0.1', '127.0.0.9:1', '[::1]:8090'])
    expect(hostAllowed(host, LOOPBACK_HOSTS)).toBe(true);
  for (const host of ['evil.test', '127.0.0.1.evil.test', '127.evil.test', '', undefined, 'a b']) {
    expect(hostAllowed(host, LOOPBACK_HOSTS)).toBe(false);
  }
});

test('connections end where descriptors less the reserve and what others use end', () => {
  const limit = new ConnectionLimit(Number.POSITIVE_INFINITY, 256, 1_024);
  expect(limit.max).toBe(768);
  limit.measure(0);
  const others = descriptorsInUse();
  expect(Math.abs(limit.max - (768 - others))).toBeLessThan(20);
  expect(limit.reason).toBe('fd_limit');
  expect(new ConnectionLimit(10, 256, 1_024).reason).toBe('max_conns');
  expect(new ConnectionLimit(10, 256, 1_024).max).toBe(10);
  expect(descriptorLimit()).toBeGreaterThan(256);
});

test('addresses: so many at a time, so many a second, forgotten when nothing is left of them', () => {
  const clock = new HandClock();
  const limits = new AddressLimits({ conns: 3, rate: 2 }, clock);
  expect([limits.enter('a'), limits.enter('a'), limits.enter('a')]).toEqual([undefined, undefined, 'address_rate']);
  expect(limits.enter('b')).toBeUndefined();
  clock.time += 2_000;
  expect([limits.enter('a'), limits.enter('a')]).toEqual([undefined, 'address_conns']);
  limits.leave('a');
  expect(limits.enter('a')).toBeUndefined();
  for (let n = 0; n < 3; n++) limits.leave('a');
  clock.time += 2_000;
  limits.forget();
  expect(limits.size).toBe(1);
});

test('a fence closes before the lease ends, counts from sending, and stays closed while it is suspended', () => {
  const clock = new HandClock();
  const fence = new Fence(clock, 0);
  expect(fence.open).toBe(false);
  expect(fence.renewed(1, clock.time - 100, 1_000)).toBe(true);
  clock.time += 799;
  expect(fence.open).toBe(true);
  clock.time += 1;
  expect(fence.open).toBe(false);
  expect(fence.renewed(1, clock.time, 1_000)).toBe(false);
  expect(fence.renewed(1, clock.time - 900, 1_000)).toBe(false);
  expect(fence.open).toBe(true);
  fence.suspended = true;
  expect(fence.open).toBe(false);
});

test('a token that expires closes its session, and one revoked behind our back is found by the next check', async () => {
  const minutely: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    every: (ms, run) => (ms === 60_000 ? { timer: minutely.push(run) } : systemClock.every(ms, run)),
  };
  await using server = await Live.start({ clock });
  const brief = await server.native({ token: await server.token('u', 'a', [], 700) });
  const revoked = await server.native({ token: await server.token('v', 'b') });
  expect(JSON.parse((await brief.next(Op.DISCONNECT)).body).code).toBe(4101);
  await server.credentials.revokeTokens({ user: 'v' as never }, Date.now());
  for (const check of minutely) check();
  expect(JSON.parse((await revoked.next(Op.DISCONNECT)).body).code).toBe(4102);
});
