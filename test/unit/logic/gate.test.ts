// What a comet of another process may do: open sessions and act with what that returned, in its own name, and nothing else.

import { afterEach, beforeEach, expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import type { DeviceId, LogName, NodeId, RoomId, UserId } from '../../../src/protocol/ids.js';
import { ZERO_ID } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import { gateFor } from '../../../src/server/logic/gate.js';
import { ClusterKey } from '../../../src/server/rpc/keys.js';
import type { LinkHandler } from '../../../src/server/rpc/link.js';
import type { OpenReply, OpenRequest } from '../../../src/server/rpc/services.js';
import { packBody, unpackBody } from '../../../src/server/rpc/wire.js';
import { call } from '../../harness/pusher.js';
import { type Setup, setUp } from './setup.js';

const key = ClusterKey.create(systemClock);
const MINE = 'c1' as NodeId;
const LIMIT = { entries: 10, bytes: 10_000 };
let setup: Setup;
let token: string;

beforeEach(async () => {
  setup = await setUp();
  const { http } = setup.http.addresses();
  const { body } = await call(`${http}/v1/tokens`, 'POST', JSON.stringify({ user: '7', ttl: '1d' }));
  ({ token } = JSON.parse(body) as { token: string });
});
afterEach(() => setup[Symbol.asyncDispose]());

function gate(node = MINE, statedIdentities = false): LinkHandler {
  const welcome = async () => ({ logics: [], development: true });
  const { logic, registry: lease } = setup;
  const handler = gateFor({ logic, lease, key, welcome, statedIdentities }, node);
  // As it comes over the wire.
  return async (method, args) => unpackBody(packBody(await handler(method, unpackBody(packBody(args)) as unknown[])));
}

const request = (more: Partial<OpenRequest> = {}): OpenRequest => ({
  credential: { kind: 'token', token },
  comet: MINE,
  incarnation: 1,
  seq: 1,
  dialect: 'native',
  transport: 'tcp',
  peer: '127.0.0.1',
  device: undefined,
  cursor: undefined,
  rooms: undefined,
  ...more,
});
const open = async (ask: LinkHandler, more: Partial<OpenRequest> = {}) =>
  (await ask('logic.open', [request(more)])) as OpenReply;

const report = (handle: unknown) => ({ handle, upTo: { epoch: 1, n: 1 }, acknowledge: true });

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: unknown) => (error instanceof ImgoError ? error.code : error),
  );

test('a handle that an open returned works, under a later incarnation and number, too', async () => {
  const ask = gate();
  const { handle } = await open(ask);
  const later = { ...handle, incarnation: 9, seq: 9 };
  expect(await codeOf(ask('logic.read', ['user:7', ZERO_ID, LIMIT, handle]))).toBe('done');
  expect(await codeOf(ask('logic.reregister', [[later]]))).toBe('done');
  expect(await codeOf(ask('logic.report', [[report(later)]]))).toBe('done');
  expect(await codeOf(ask('logic.progress', [later, ZERO_ID, true]))).toBe('done');
  expect(await codeOf(ask('logic.close', [later, ZERO_ID, true]))).toBe('done');
});

test('a handle that was changed, made up, or is of another comet does not', async () => {
  const ask = gate();
  const { handle } = await open(ask);
  const changed = [
    { ...handle, user: '8' },
    { ...handle, session: 's_other' },
    { ...handle, token: undefined },
    { ...handle, device: 'phone' },
    { ...handle, seal: undefined },
    { ...handle, seal: ClusterKey.create(systemClock).seal('x') },
  ];
  for (const one of changed) {
    for (const [method, ...rest] of [
      ['logic.progress', ZERO_ID, true],
      ['logic.close', ZERO_ID, true],
      ['logic.authorizeJoin', 'r' as RoomId],
    ] as const) {
      expect(await codeOf(ask(method, [one, ...rest])), method).toBe('link_refused');
    }
    expect(await codeOf(ask('logic.reregister', [[handle, one]]))).toBe('link_refused');
    expect(await codeOf(ask('logic.report', [[report(one)]]))).toBe('link_refused');
    expect(await codeOf(ask('logic.read', ['user:7', ZERO_ID, LIMIT, one]))).toBe('link_refused');
  }
  expect(await codeOf(gate('c2' as NodeId)('logic.close', [handle, ZERO_ID, true]))).toBe('link_refused');
});

test('of reports together those count that are this comet’s, and the others are told', async () => {
  const ask = gate();
  const { handle } = await open(ask, { device: 'phone' as DeviceId });
  const base = setup.http.addresses().http;
  await call(`${base}/v1/push`, 'POST', '{"to":{"user":"7"},"message":1}');
  const [before] = await setup.buckets.devices('7' as UserId);
  const head = (await setup.buckets.log('user:7' as LogName))?.head ?? ZERO_ID;
  const reports = [report({ ...handle, session: 's_other' }), { ...report(handle), upTo: head }];
  expect(await codeOf(ask('logic.report', [reports]))).toBe('link_refused');
  const [after] = await setup.buckets.devices('7' as UserId);
  expect(before?.cursor).not.toEqual(head);
  expect(after?.cursor).toEqual(head);
});

test('no log of a user is read without a session of that user', async () => {
  const ask = gate();
  const { handle } = await open(ask);
  const read = (log: string, ...more: unknown[]) =>
    codeOf(ask('logic.read', [log as LogName, ZERO_ID, LIMIT, ...more]));
  expect(await read('user:7')).toBe('link_refused');
  expect(await read('user:8', handle)).toBe('link_refused');
  expect(await read('room:r')).toBe('done');
  expect(await read('all')).toBe('done');
  expect(await codeOf(ask('logic.openTopic', [{ node: MINE, incarnation: 1, seq: 2 }, 'user:8']))).toBe('link_refused');
});

test('a comet speaks in its own name alone, and for no client’s word where that is not wanted', async () => {
  const ask = gate();
  const other = 'c2' as NodeId;
  const lease = { node: other, incarnation: 1, holdsMs: 1 };
  const record = { node: other, roles: ['logic'], address: '', version: '', since: 1 };
  for (const [method, ...args] of [
    ['logic.open', request({ comet: other })],
    ['logic.openTopic', lease, 'room:r'],
    ['logic.closeTopic', lease, 'room:r'],
    ['lease.join', record],
    ['lease.renew', lease],
    ['lease.leave', lease],
    ['lease.resynced', lease, 1],
    ['cluster.abandon', request({ comet: other })],
    ['cluster.callOff', other, 'n'],
  ] as const) {
    expect(await codeOf(ask(method, args)), method).toBe('link_refused');
  }
  const stated = request({ credential: { kind: 'stated', user: '7' as never, key: '' }, dialect: 'goim2' });
  expect(await codeOf(ask('logic.open', [stated]))).toBe('link_refused');
  expect(await codeOf(gate(MINE, true)('logic.open', [stated]))).toBe('done');
  for (const method of ['comet.notify', 'node.report', 'worker.stop', 'lease.markResync', 'logic.constructor']) {
    expect(await codeOf(ask(method, [])), method).toBe('internal');
  }
});

test('it joins as a comet whatever it says, and learns who may dial it: for its own incarnation', async () => {
  const joined = (await gate()('lease.join', [
    { node: MINE, roles: ['comet', 'logic', 'job'], address: 'a:1', version: '1', since: 1 },
  ])) as { readonly incarnation: number; readonly callers: Readonly<Record<string, Buffer>> };
  const own = { node: MINE, incarnation: joined.incarnation, roles: ['comet' as const] };
  expect(Object.keys(joined.callers).sort()).toEqual(['job', 'logic']);
  expect(Buffer.from(key.dialling('job', own)).equals(joined.callers['job'] as Buffer)).toBe(true);
  const record = (await setup.registry.nodes()).find(({ node }) => node === MINE);
  expect(record?.roles).toEqual(['comet']);
});

test('an open that is repeated, with another logic too, is one session; one that is abandoned is none', async () => {
  const first = await open(gate(), { nonce: 'n' });
  const again = await open(gate(), { nonce: 'n', seq: 2 });
  expect(again.session).toBe(first.session);
  const other = await open(gate('c2' as NodeId), { nonce: 'n', comet: 'c2' as NodeId });
  expect(other.session, 'of the comet').not.toBe(first.session);
  const left = async () => (await setup.buckets.sessionsOf(['7' as never])).flat().map(({ session }) => session);
  expect((await left()).sort()).toEqual([first.session, other.session].sort());
  await gate()('cluster.abandon', [request({ nonce: 'n', seq: 2 })]);
  expect(await left()).toEqual([other.session]);
});
