// Where a comet finds logics that a name stands for: a real DNS server says, and says something else later; links are real TCP.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NodeId } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import type { Channel } from '../../../src/server/rpc/channel.js';
import { splitAddress } from '../../../src/server/rpc/dial.js';
import { ClusterKey } from '../../../src/server/rpc/keys.js';
import { RpcListener } from '../../../src/server/rpc/listener.js';
import { Logics } from '../../../src/server/rpc/logics.js';
import { serve } from '../../../src/server/rpc/remote.js';
import { until } from '../../harness/api.js';
import { DnsServer } from '../../harness/dns.js';
import { freePort } from '../../harness/ports.js';

const PLAIN: Channel = { encrypt: 'remote', certificates: undefined };
const key = ClusterKey.create(systemClock);
const clock = systemClock;

let stack: AsyncDisposableStack;
let dns: DnsServer;
let port: number;
beforeEach(async () => {
  stack = new AsyncDisposableStack();
  dns = stack.use(await DnsServer.start());
  port = await freePort();
});
afterEach(() => stack.disposeAsync());

/** A logic on that address of this machine. It says that rooms have as many members as the number of its address. */
async function logicAt(host: string): Promise<RpcListener> {
  const members = Number(host.split(/[.:]/).at(-1));
  const self = { role: 'logic', node: `l${members}` } as const;
  const logic = { presence: async () => members };
  const listener: RpcListener = new RpcListener(
    {
      clock,
      self,
      channel: PLAIN,
      silenceMs: 4_000,
      handlerFor: () =>
        serve([
          { name: 'logic', methods: ['presence'], service: logic },
          {
            name: 'cluster',
            methods: ['welcome'],
            service: { welcome: async () => ({ logics: [listener.address], development: false }) },
          },
        ]),
      log: { warn: () => undefined },
    },
    Promise.resolve(key.callersOf({ node: self.node as NodeId, incarnation: 1, roles: ['logic'] })),
  );
  await listener.listen(host, port);
  stack.defer(() => listener.close());
  return listener;
}

/** A comet's view of them. */
function looking(): Logics {
  const logics = new Logics({
    clock,
    self: { role: 'comet', node: 'c1' },
    channel: PLAIN,
    key: key.dialling('comet', undefined),
    seeds: [`dns:logic.internal:${port}`],
    silenceMs: 4_000,
    onCallers: () => undefined,
    log: { warn: () => undefined },
    resolve: (name) => dns.resolve(name),
  });
  stack.defer(() => logics.stop());
  return logics;
}

const answerOf = (logics: Logics) => logics.logic.presence('r' as never);

test('of several addresses of the name one is dead: the one that answers is used', async () => {
  dns.addresses = ['127.0.0.12', '127.0.0.13', '::1'];
  await logicAt('127.0.0.13');
  const logics = looking();
  expect(await logics.start(AbortSignal.timeout(30_000))).toMatchObject({ development: false });
  for (let n = 0; n < 20; n++) expect(await answerOf(logics)).toBe(13);
});

test('the name moves to another address: so does the comet; the old one, gone, costs no call', async () => {
  dns.addresses = ['127.0.0.13'];
  const old = await logicAt('127.0.0.13');
  const logics = looking();
  await logics.start(AbortSignal.timeout(30_000));
  expect(await answerOf(logics)).toBe(13);
  dns.addresses = ['127.0.0.14'];
  await logicAt('127.0.0.14');
  const { asked } = dns;
  // An answer that was asked for after the change has come.
  await until('it asked again', () => dns.asked > asked + 3);
  await old.close();
  for (let n = 0; n < 20; n++) expect(await answerOf(logics)).toBe(14);
});

test('a name that nobody knows yet is asked for again, and an address of IPv6 is dialled as one', async () => {
  const logics = looking();
  const started = logics.start(AbortSignal.timeout(30_000));
  await until('it asked twice', () => dns.asked > 3);
  dns.addresses = ['::1'];
  const { address } = await logicAt('::1');
  expect(splitAddress(address)).toEqual({ host: '::1', port });
  expect(await started).toMatchObject({ logics: [`[::1]:${port}`] });
  expect(await answerOf(logics)).toBe(1);
});

test.each(['fail', 'silent'] as const)(
  'a DNS that does not work (%s) takes nothing away that is known',
  async (mode) => {
    dns.addresses = ['127.0.0.13'];
    await logicAt('127.0.0.13');
    const logics = looking();
    await logics.start(AbortSignal.timeout(30_000));
    dns.mode = mode;
    const { asked } = dns;
    await until('it asked twice', () => dns.asked > asked + 3);
    expect(await answerOf(logics)).toBe(13);
  },
);
