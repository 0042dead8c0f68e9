// Who may be at the other end of a link: whoever knows the key for what it says it is, and speaks the protocol; over TCP as it
// is on loopback, under TLS elsewhere.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import type { NodeId } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import type { Role } from '../../../src/server/router/registry.js';
import type { Peer } from '../../../src/server/rpc/admission.js';
import type { Channel } from '../../../src/server/rpc/channel.js';
import { DialledLink, reasonOf, splitAddress } from '../../../src/server/rpc/dial.js';
import { type CallerKeys, ClusterKey, type Dialled } from '../../../src/server/rpc/keys.js';
import { RpcListener } from '../../../src/server/rpc/listener.js';
import { LINK_VERSION, OLDEST_LINK_VERSION } from '../../../src/server/rpc/wire.js';

const PLAIN: Channel = { encrypt: 'remote', certificates: undefined };
const SECRET: Channel = { encrypt: 'always', certificates: undefined };
const key = ClusterKey.create(systemClock);
const C1: Dialled = { node: 'c1' as NodeId, incarnation: 5, roles: ['comet'] };
const L1: Dialled = { node: 'l1' as NodeId, incarnation: 2, roles: ['logic'] };

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

/** A node that tells whoever may ask what it is taken for. */
async function listening(own: Dialled, channel = PLAIN, keys: CallerKeys | Promise<CallerKeys> = key.callersOf(own)) {
  const logged: string[] = [];
  const listener = new RpcListener(
    {
      clock: systemClock,
      self: { node: own.node, role: own.roles[0] as Role },
      channel,
      silenceMs: 4_000,
      handlerFor: (peer) => async (method) => ({ method, peer }),
      log: { warn: (details) => void logged.push((details as { why: string }).why) },
    },
    Promise.resolve(keys),
  );
  await listener.listen('127.0.0.1', 0);
  undo.push(() => listener.close());
  return { address: listener.address, logged, listener };
}

function dialling(self: Peer, address: string, secret: Uint8Array, channel = PLAIN, to?: string) {
  const reasons: string[] = [];
  const link = new DialledLink({
    clock: systemClock,
    self,
    channel,
    address,
    key: secret,
    silenceMs: 4_000,
    deadlineMs: 5_000,
    ...(to === undefined ? {} : { to }),
    onDown: (error) => void reasons.push(error instanceof ImgoError ? String(error.details['why']) : String(error)),
  });
  undo.push(() => link.close());
  return { link, reasons };
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error: unknown) => (error instanceof ImgoError ? error.code : error),
  );

const JOB: Peer = { role: 'job', node: 'j1' };

describe('a link between processes', () => {
  test.each([
    ['plain on loopback', PLAIN],
    ['under TLS with the shared key', SECRET],
  ])('is there for who knows the key, and the other side knows the role: %s', async (_name, channel) => {
    const { address } = await listening(C1, channel);
    const { link } = dialling(JOB, address, key.dialling('job', C1), channel, 'c1');
    const calls = Array.from({ length: 100 }, (_, at) => link.call(`m${at}`, [Buffer.alloc(at * 100)]));
    expect(await Promise.all(calls)).toEqual(calls.map((_, at) => ({ method: `m${at}`, peer: JOB })));
  });

  test('under TLS with certificates of one authority, and with no other', async () => {
    const channel: Channel = { encrypt: 'always', certificates: certificate('ours') };
    const { address } = await listening(C1, channel);
    const secret = key.dialling('job', C1);
    const { link } = dialling(JOB, address, secret, channel, 'c1');
    expect(await link.call('m', [])).toEqual({ method: 'm', peer: JOB });
    const stranger = dialling(JOB, address, secret, { encrypt: 'always', certificates: certificate('theirs') }, 'c1');
    expect(await codeOf(stranger.link.call('m', []))).toBe('node_unreachable');
    const keyless = dialling(JOB, address, key.dialling('job', L1), channel, 'c1');
    expect(await codeOf(keyless.link.call('m', [])), 'a certificate is not a role').toBe('node_unreachable');
  });

  test.each([
    ['plain', PLAIN],
    ['TLS', SECRET],
  ])('is refused with the key of another cluster, and both say so: %s', async (_name, channel) => {
    const { address, logged } = await listening(C1, channel);
    const other = ClusterKey.create(systemClock);
    const { link, reasons } = dialling(JOB, address, other.dialling('job', C1), channel, 'c1');
    expect(await codeOf(link.call('m', []))).toBe('node_unreachable');
    await expect.poll(() => [reasons.length, logged.length]).toEqual([1, 1]);
    if (channel === PLAIN) expect([...reasons, ...logged].every((why) => /keys/.test(why))).toBe(true);
  });

  test('is refused to a comet that dials a comet, or that says it is a job', async () => {
    const { address, logged } = await listening(C1);
    const role = ClusterKey.parse(key.text('comet'));
    const comet = dialling({ role: 'comet', node: 'c2' }, address, role.dialling('comet', C1), PLAIN, 'c1');
    expect(await codeOf(comet.link.call('m', []))).toBe('node_unreachable');
    await expect.poll(() => logged).toEqual(['that role has no business there']);
    const own = key.callersOf({ ...C1, node: 'c2' as NodeId }).job as Uint8Array;
    const liar = dialling(JOB, address, own, PLAIN, 'c1');
    expect(await codeOf(liar.link.call('m', []))).toBe('node_unreachable');
    await expect.poll(() => liar.reasons.length).toBe(1);
  });

  test('is refused where another node, or an earlier incarnation, is meant', async () => {
    const { address } = await listening(C1);
    const moved = { ...C1, node: 'c9' as NodeId };
    const { link, reasons } = dialling(JOB, address, key.dialling('job', moved), PLAIN, 'c9');
    expect(await codeOf(link.call('m', []))).toBe('node_unreachable');
    expect(reasons).toEqual(['another node is at that address']);
    const earlier = dialling(JOB, address, key.dialling('job', { ...C1, incarnation: 4 }), PLAIN, 'c1');
    expect(await codeOf(earlier.link.call('m', []))).toBe('node_unreachable');
  });

  test('waits for the keys that come with the lease', async () => {
    const keys = Promise.withResolvers<CallerKeys>();
    const { address } = await listening(C1, PLAIN, keys.promise);
    const { link } = dialling(JOB, address, key.dialling('job', C1), PLAIN, 'c1');
    const call = link.call('m', []);
    keys.resolve(key.callersOf(C1));
    expect(await codeOf(call)).toBe('answered');
  });
});

/** What a side says first, with this range of versions; resolves with all that the other side says. */
async function speak(address: string, versions: readonly [number, number]): Promise<string> {
  const { host, port } = splitAddress(address);
  const socket: Socket = connect(port, host);
  undo.push(() => socket.destroy());
  socket.write(`${JSON.stringify({ versions, role: 'job', node: 'j1', nonce: 'x' })}\n`);
  let said = '';
  socket.on('data', (chunk) => {
    said += chunk.toString();
    if (said.split('\n').length > 2) socket.destroy();
  });
  await once(socket, 'close');
  return said;
}

describe('versions', () => {
  test.each([
    ['the one after this', [LINK_VERSION, LINK_VERSION + 1], true],
    ['those before and this', [0, LINK_VERSION], true],
    ['only later ones', [LINK_VERSION + 1, LINK_VERSION + 2], false],
    ['only earlier ones', [0, 0], false],
  ] as const)('%s', async (_what, versions, fits) => {
    const { address, logged } = await listening(C1);
    const said = await speak(address, versions);
    expect(said.includes('"nonce"')).toBe(fits);
    if (fits) return;
    expect(JSON.parse(said)).toEqual({ refused: 'version', versions: [OLDEST_LINK_VERSION, LINK_VERSION] });
    const [oldest, newest] = versions;
    const spoken = oldest === newest ? `${newest}` : `${oldest} to ${newest}`;
    expect(logged).toEqual([`it speaks another version of the protocol between nodes (${spoken}, here 1)`]);
  });

  test.each([
    [
      'what it speaks, when it refuses',
      { refused: 'version', versions: [LINK_VERSION + 3, LINK_VERSION + 4] },
      '(4 to 5, here 1)',
    ],
    ['what it speaks, as if all were well', { versions: [5, 5], role: 'logic', node: 'l1', nonce: 'x' }, '(5, here 1)'],
    ['nothing, as versions before did', { refused: 'version' }, 'between nodes'],
  ])('who dials one that is too far away hears that, from one that says %s', async (_what, line, end) => {
    const server = createServer((socket) => void socket.on('error', () => undefined).end(`${JSON.stringify(line)}\n`));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    undo.push(() => server.close());
    const { port } = server.address() as { port: number };
    const { link, reasons } = dialling(JOB, `127.0.0.1:${port}`, key.dialling('job', L1), PLAIN, 'l1');
    const failure = await link.call('m', []).catch((error: unknown) => error as ImgoError);
    expect(failure).toMatchObject({ code: 'node_unreachable', cause: { code: 'link_refused' } });
    expect(reasonOf(failure)).toEqual({ code: 'link_refused', why: expect.stringContaining(end) });
    expect(reasons).toEqual([expect.stringMatching(/speaks another version/)]);
  });

  test('noise is hung up on, whatever it is', async () => {
    const { address, logged } = await listening(C1);
    const { host, port } = splitAddress(address);
    for (const noise of ['GET / HTTP/1.1\r\n\r\n', '{}\n', 'x'.repeat(5_000), '[]\n', 'null\n', '\n\n\n']) {
      const socket = connect(port, host);
      undo.push(() => socket.destroy());
      socket.write(noise);
      socket.resume();
      await once(socket, 'close');
    }
    expect(logged.every((why) => /not the protocol/.test(why))).toBe(true);
  });
});

describe('keys', () => {
  test('of a role do what the role may, and nothing else', () => {
    const [comet, job] = [ClusterKey.parse(key.text('comet')), ClusterKey.parse(key.text('job'))];
    expect(comet.dialling('comet', undefined)).toEqual(key.dialling('comet', undefined));
    expect(job.dialling('job', C1)).toEqual(key.dialling('job', C1));
    expect(() => comet.dialling('job', C1)).toThrow(ImgoError);
    expect(() => job.dialling('logic', C1)).toThrow(ImgoError);
    expect(() => job.dialling('comet', undefined)).toThrow(ImgoError);
    expect(() => comet.text('cluster')).toThrow(ImgoError);
    expect(() => job.text('comet')).toThrow(ImgoError);
    expect(() => comet.seal('x')).toThrow(ImgoError);
    expect([comet.suffices(['comet']), comet.suffices(['comet', 'job']), key.suffices(['comet', 'job'])]).toEqual([
      true,
      false,
      true,
    ]);
    expect(job.callersOf({ ...C1, roles: ['job'] })).toEqual(key.callersOf({ ...C1, roles: ['job'] }));
  });

  test.each(['', 'secret', `${key.text()}x`, key.text().slice(1), key.text().replace('cluster', 'logic')])(
    'are not made of %s',
    (text) => {
      expect(() => ClusterKey.parse(text)).toThrow(ImgoError);
    },
  );

  test('a seal is of one text', () => {
    const seal = key.seal('a');
    expect([key.isSealed('a', seal), key.isSealed('b', seal), key.isSealed('a', undefined)]).toEqual([
      true,
      false,
      false,
    ]);
    expect(ClusterKey.create(systemClock).isSealed('a', seal)).toBe(false);
  });
});

/** A certificate that an authority of its own signed: for tests alone, and good for a hundred years. */
function certificate(name: 'ours' | 'theirs') {
  const read = (what: string) => readFileSync(new URL(`./certificates/${name}.${what}.pem`, import.meta.url));
  return { cert: read('cert'), key: read('key'), ca: read('ca') };
}
