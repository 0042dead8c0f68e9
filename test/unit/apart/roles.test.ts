// Roles apart, over real TCP: what is pushed at one process reaches clients of another, whichever of them come and go.

import { connect as dial } from 'node:net';
import { expect, test } from 'vitest';
import { until } from '../../harness/api.js';
import { call } from '../../harness/pusher.js';
import { type Listening, Stage } from './stage.js';

test('a push that a logic accepts reaches a client of a comet in another process', async () => {
  await using stage = new Stage();
  await stage.start('l1', 'logic,job');
  await stage.start('c1', 'comet');
  const api = stage.api('l1');
  const { got } = await stage.listen(api, '7', 'c1');
  await api.push({ user: '7' }, 'mine');
  await api.push({ all: true }, 'all');
  await until('both', () => got.length === 2);
  expect(got.sort()).toEqual(['"all"', '"mine"']);
  const nodes = await stage.engines.registry.nodes();
  expect(nodes.map(({ node, roles, state }) => [node, roles, state])).toEqual([
    ['l1', ['logic', 'job'], 'ok'],
    ['c1', ['comet'], 'ok'],
  ]);
});

test.each(['remote', 'always'])('over IPv6 as well, with TLS for links: %s', async (encrypt) => {
  const listen = { 'cluster.rpc': '[::1]:0', 'listen.tcp': '[::1]:0', 'listen.ws': '[::1]:0' };
  await using stage = new Stage({ settings: { ...listen, 'cluster.encrypt': encrypt } });
  await stage.start('l1', 'logic,job', { 'listen.http': '[::1]:0' });
  await stage.start('c1', 'comet');
  const { got } = await stage.listen(stage.api('l1'), '7', 'c1');
  await stage.api('l1').push({ user: '7' }, 'six');
  await until('it', () => got.length === 1);
  const [logic, comet] = ['l1', 'c1'].map((name) => stage.servers.get(name)?.addresses);
  for (const address of [logic?.http, logic?.rpc, comet?.tcp, comet?.ws]) expect(address).toContain('[::1]:');
});

test('a logic that dies is invisible: another one keeps the comet’s lease and opens its sessions', async () => {
  await using stage = new Stage({ leaseMs: 3_000 });
  await stage.start('l1', 'logic,job');
  await stage.start('l2', 'logic');
  await stage.start('c1', 'comet');
  const before = await stage.listen(stage.api('l2'), '1', 'c1');
  const address = stage.servers.get('l2')?.addresses.rpc;
  await stage.stop('l2');
  const api = stage.api('l1');
  const after = await stage.listen(api, '2', 'c1');
  for (let n = 0; n < 20; n++) {
    await api.push({ user: '1' }, n);
    await api.push({ user: '2' }, n);
  }
  const all = Array.from({ length: 20 }, (_, n) => String(n));
  await until('all', () => before.got.length >= 20 && after.got.length >= 20);
  expect([before.got, after.got]).toEqual([all, all]);
  // Where one was, as settings or DNS would say.
  await stage.start('l3', 'logic', { 'cluster.rpc': address });
  await stage.stop('l1');
  const last = await stage.listen(stage.api('l3'), '3', 'c1');
  expect([before.opened(), after.opened(), last.opened()]).toEqual([1, 1, 1]);
  const [c1] = await stage.engines.registry.comets();
  expect(c1?.node).toBe('c1');
});

test('a node that is drained takes nobody and loses its clients, paced, until that is called off', async () => {
  await using stage = new Stage();
  await stage.start('l1', 'logic,job');
  await stage.start('c1', 'comet', { 'drain.reconnect': '20s,21s' });
  const api = stage.api('l1');
  const url = stage.servers.get('l1')?.addresses.http ?? '';
  const clients: Listening[] = [];
  for (let at = 0; at < 6; at++) clients.push(await stage.listen(api, `u${at}`, 'c1'));
  const drain = (method: string, node: string, body?: object) =>
    call(`${url}/v1/nodes/${node}/drain`, method, body && JSON.stringify(body));
  expect((await drain('POST', 'c9', {})).status).toBe(404);
  expect((await drain('POST', 'l1', {})).status).toBe(404);
  expect((await drain('POST', 'c1', { rate: 0 })).status).toBe(400);
  const begun = await drain('POST', 'c1', { rate: 1_000 });
  expect(JSON.parse(begun.body)).toMatchObject({ node: 'c1', draining: true });
  await until('all told', () => clients.every(({ closed }) => closed.length === 1));
  for (const { closed } of clients) {
    expect(closed[0]?.[0]).toBe(4001);
    expect(closed[0]?.[1]).toBeGreaterThanOrEqual(1_000);
  }
  const state = async () => (await stage.engines.registry.nodes()).find(({ node }) => node === 'c1')?.state;
  await until('draining', async () => (await state()) === 'draining');
  const tcp = Number(stage.servers.get('c1')?.addresses.tcp?.split(':')[1]);
  expect(await isTaken(tcp)).toBe(false);
  expect(JSON.parse((await drain('DELETE', 'c1')).body)).toEqual({ node: 'c1', draining: false, connections: 0 });
  await until('ok', async () => (await state()) === 'ok');
  expect(await isTaken(tcp)).toBe(true);
  await stage.listen(api, 'late', 'c1');
});

test('of two nodes with one name the newer has it; the older one ends and says why', async () => {
  await using stage = new Stage();
  await stage.start('l1', 'logic,job');
  const older = await stage.start('c1', 'comet');
  const { closed } = await stage.listen(stage.api('l1'), '1', 'c1');
  await stage.start('newer', 'comet', { 'cluster.node': 'c1' });
  await expect(older.failed).rejects.toMatchObject({ code: 'node_taken' });
  await until('told', () => closed.length > 0);
  expect(closed[0]?.[0]).toBe(4003);
  expect(stage.logged).toContain('another process has this node’s name');
  const fresh = await stage.listen(stage.api('l1'), '2', 'newer');
  await stage.api('l1').push({ user: '2' }, 'here');
  await until('it', () => fresh.got.length === 1);
});

test('every node is shown with what it says of itself', async () => {
  await using stage = new Stage();
  await stage.start('l1', 'logic,job');
  await stage.start('l2', 'logic');
  await stage.start('c1', 'comet');
  await stage.api('l1').push({ user: '1' }, 1);
  await stage.api('l2').push({ user: '1' }, 1);
  const url = stage.servers.get('l2')?.addresses.http;
  interface Item {
    readonly node: string;
    readonly report: { readonly push?: unknown; readonly job?: unknown; readonly problems: readonly string[] } | null;
    readonly comet: object | null;
  }
  await until('all three', async () => {
    const { items } = JSON.parse((await call(`${url}/v1/nodes`, 'GET', undefined)).body) as { items: readonly Item[] };
    const facts = items.map(({ node, report, comet }) => [
      node,
      report?.push !== undefined,
      report?.job !== undefined,
      comet !== null,
    ]);
    return (
      JSON.stringify(facts.sort()) ===
      JSON.stringify([
        ['c1', false, false, true],
        ['l1', true, true, false],
        ['l2', true, false, false],
      ])
    );
  });
  const stats = JSON.parse((await call(`${url}/v1/stats`, 'GET', undefined)).body) as { totals: { accepted: number } };
  expect(stats.totals.accepted, 'of both logics').toBe(2);
});

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = dial(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
