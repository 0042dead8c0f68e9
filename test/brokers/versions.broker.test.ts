// Versions that follow each other work side by side, each role of one with each of the other, on real Kafka and Redis; one
// that is too far away is told so, and harms nobody.
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Client, connect } from '../../src/client/index.js';
import type { RoomId } from '../../src/protocol/ids.js';
import { ClusterNode, type Role } from '../faults/node.js';
import { TestApi, until } from '../harness/api.js';
import { freePorts } from '../harness/ports.js';
import { call } from '../harness/pusher.js';
import { otherVersion } from './other-versions.js';
import { sharedKafka, sharedRedis, uniquePrefix } from './shared.js';

const ROLES = ['logic', 'job', 'comet'] as const;
const VERSIONS = ['here', 'newer'] as const;

let folder: string;
/** By version and role: `newer-comet`. */
const nodes = new Map<string, ClusterNode>();
const clients: Client[] = [];
const node = (name: string): ClusterNode => nodes.get(name) as ClusterNode;
const apiOf = (logic: string) => new TestApi(() => node(logic).options.http);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'imgo-versions-test-'));
  mkdirSync(join(folder, 'state'));
  const keyFile = join(folder, 'cluster.key');
  writeFileSync(keyFile, `imgo_cluster_${randomBytes(32).toString('base64url')}\n`, { mode: 0o600 });
  const name = uniquePrefix();
  const brokers = [
    `[queue]\nengine = "kafka"\n[queue.kafka]\nbrokers = ${JSON.stringify(await sharedKafka())}`,
    `topic = "${name}"\ngroup = "${name}"\npartitions = 8`,
    `[redis]\nurl = "${await sharedRedis()}"\nprefix = "${name}"`,
  ];
  const launchers = { here: undefined, newer: otherVersion(folder, 'newer'), far: otherVersion(folder, 'far') };
  const logics: string[] = [];
  for (const role of ROLES) {
    for (const version of [...VERSIONS, ...(role === 'comet' ? (['far'] as const) : [])]) {
      const [http = 0, rpc = 0, tcp = 0] = await freePorts(3);
      if (role === 'logic') logics.push(`127.0.0.1:${rpc}`);
      const own = `${version}-${role}`;
      const settings = [
        `role = ["${role}"]`,
        'rooms.join = "open"',
        `[listen]\nhttp = ${http}\nws = "off"\ntcp = ${role === 'comet' ? tcp : '"off"'}`,
        `[cluster]\nnode = "${own}"\nkey_file = ${JSON.stringify(keyFile)}\nrpc = ${rpc}`,
        ...(role === 'comet' ? [`logic = ${JSON.stringify(logics)}`] : brokers),
      ];
      const at = { http: `http://127.0.0.1:${http}`, tcp: `127.0.0.1:${tcp}`, ws: '' };
      const made = new ClusterNode({ name: own, role: role as Role, settings, folder, ...at });
      made.launcher = launchers[version] ?? made.launcher;
      nodes.set(own, made);
    }
  }
  await node('here-logic').start();
  const apart = [...nodes.values()].filter(({ name: each }) => each !== 'here-logic' && each !== 'far-comet');
  await Promise.all(apart.map((each) => each.start()));
  // Eight processes and a Kafka on a machine that does other things.
}, 300_000);
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all([...nodes.values()].map((each) => each.end('SIGKILL')));
  rmSync(folder, { recursive: true, force: true });
});

async function listen(user: string, comet: string, logic: string) {
  const got: string[] = [];
  const opened = Promise.withResolvers<void>();
  const closed: string[] = [];
  const client = connect(
    {
      url: `tcp://${node(comet).options.tcp}`,
      token: await apiOf(logic).token(user),
      device: 'd',
      rooms: ['r' as RoomId],
    },
    {
      opened: () => opened.resolve(),
      message: ({ payload, redelivered }) => {
        const text = Buffer.from(payload).toString();
        if (!redelivered || !got.includes(text)) got.push(text);
      },
      closed: ({ reason }) => void closed.push(String(reason)),
    },
  );
  clients.push(client);
  await opened.promise;
  return { got, closed };
}

async function get<T>(logic: string, path: string): Promise<T> {
  return JSON.parse((await call(`${node(logic).options.http}${path}`, 'GET', undefined)).body) as T;
}

interface Shown {
  readonly node: string;
  readonly version: string;
  readonly report: { readonly problems: readonly string[] } | null;
  readonly comet: object | null;
}

test.each([
  ['all of both', []],
  ['of the newer version logics and jobs', ['here-logic', 'here-job']],
  ['of the newer version comets', ['newer-logic', 'newer-job']],
] as const)('messages arrive in order, once, where there are %s', async (_what, away) => {
  await Promise.all(away.map((each) => node(each).end('SIGTERM')));
  const logics = ['here-logic', 'newer-logic'].filter((each) => !(away as readonly string[]).includes(each));
  const [logic = ''] = logics;
  const name = `${logic} alone ${away.length > 0}`.replaceAll(' ', '-');
  const comets = ['here-comet', 'newer-comet'];
  const listening = await Promise.all(comets.map((comet) => listen(`${name}-${comet}`, comet, logic)));
  const expected: string[] = [];
  for (let n = 0; n < 20; n++) {
    const api = apiOf(logics[n % logics.length] ?? '');
    for (const comet of comets) await api.push({ user: `${name}-${comet}` }, n);
    if (n % 5 === 0) await api.push({ room: 'r' }, `room ${n}`);
    expected.push(String(n), ...(n % 5 === 0 ? [`"room ${n}"`] : []));
  }
  for (const { got } of listening) {
    await until('all', () => got.length >= expected.length);
    const mine = (texts: readonly string[], room: boolean) => texts.filter((one) => one.startsWith('"room') === room);
    for (const room of [true, false]) expect(mine(got, room)).toEqual(mine(expected, room));
  }
  await Promise.all(away.map((each) => node(each).start()));
});

test.each(['here-logic', 'newer-logic'])('%s shows, traces and kicks on comets of both', async (logic) => {
  await until('all are shown', async () => {
    const { items } = await get<{ readonly items: readonly Shown[] }>(logic, '/v1/nodes');
    const known = items.filter(
      ({ report, comet }) => report !== null && report.problems.length === 0 && comet !== undefined,
    );
    return known.length === 6 && items.filter(({ comet }) => comet !== null).length === 2;
  });
  const { items } = await get<{ readonly items: readonly Shown[] }>(logic, '/v1/nodes');
  for (const { node: each, version } of items) expect(version === '0.2.0', each).toBe(each.startsWith('newer'));
  for (const comet of ['here-comet', 'newer-comet']) {
    const user = `kicked-${logic}-${comet}`;
    const { got, closed } = await listen(user, comet, logic);
    await apiOf(logic).push({ user }, 1);
    await until('it', () => got.length === 1);
    const { status } = await call(`${node(logic).options.http}/v1/users/${user}/sessions`, 'DELETE', undefined);
    expect(status).toBe(200);
    await until('kicked', () => closed.length > 0);
  }
});

test('what a newer comet asks for and a logic of before does not offer is an error of that call alone', async () => {
  await until('asked', () => node('newer-comet').log().includes('later: '));
  expect(node('newer-comet').log()).toContain('cluster.later is not offered here');
});

test('a comet that is too far away is refused: both ends log a code and both versions, and it waits', async () => {
  const far = node('far-comet');
  void far.start();
  await until('both said it', () => {
    const told = [far, node('here-logic')].map((each) => each.log());
    return told.every((log) => log.includes('link_refused') && log.includes('another version of the protocol'));
  });
  expect(far.log()).toMatch(/\(1(?: to 2)?, here 3 to 4\)/);
  const answer = await call(`${far.options.http}/readyz`, 'GET', undefined);
  expect([answer.status, JSON.parse(answer.body)]).toMatchObject([503, { reasons: ['logic_unreachable'] }]);
  expect(node('here-logic').log()).toContain('(3 to 4, here 1)');
  const { items } = await get<{ readonly items: readonly Shown[] }>('here-logic', '/v1/nodes');
  expect(items.map(({ node: each }) => each)).not.toContain('far-comet');
});
