// Links between roles, over real Unix sockets: calls end, in every case, and what is not a peer is told apart at once.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import { systemClock } from '../../../src/server/clock.js';
import { Link, type LinkHandler, type LinkOptions } from '../../../src/server/rpc/link.js';
import { serve, twin } from '../../../src/server/rpc/remote.js';
import {
  type LinkFrame,
  LinkKind,
  LinkReader,
  linkHeader,
  packBody,
  unpackBody,
} from '../../../src/server/rpc/wire.js';
import { fc } from '../../harness/property.js';

let folder: string;
const servers: Server[] = [];
const sockets: Socket[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imgo-link-'));
});

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  rmSync(folder, { recursive: true, force: true });
});

/** Two ends of a Unix socket. */
async function pair(): Promise<[Socket, Socket]> {
  const path = join(folder, `${sockets.length}.sock`);
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const accepted = once(server, 'connection');
  const near = connect(path);
  const [far] = (await accepted) as [Socket];
  sockets.push(near, far);
  return [near, far];
}

const nothing: LinkHandler = async () => undefined;

function linkOn(socket: Socket, node: string, handler = nothing, more: Partial<LinkOptions> = {}): Link {
  return new Link({ socket, clock: systemClock, hello: { node, role: 'comet' }, handler, ...more });
}

async function links(handler: LinkHandler, near: Partial<LinkOptions> = {}, far: Partial<LinkOptions> = {}) {
  const [a, b] = await pair();
  const link = linkOn(a, 'near', nothing, near);
  const other = linkOn(b, 'far', handler, far);
  await Promise.all([link.hello, other.hello]);
  return { link, other };
}

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'answered',
    (error: unknown) => (error instanceof ImgoError ? error.code : error),
  );

describe('a link', () => {
  test('carries calls both ways, with bytes, infinities and absences as they are', async () => {
    const [a, b] = await pair();
    const link = linkOn(a, 'near', async (method, args) => [method, ...args]);
    const other = linkOn(b, 'far', async (method, args) => ({ method, args }));
    expect(await link.hello).toEqual({ node: 'far', role: 'comet' });
    const args = [
      { id: { epoch: 1_790_000_000, n: 2 ** 45 + 1 }, none: undefined, nil: null, never: Number.POSITIVE_INFINITY },
      Buffer.from([0, 255, 128]),
      ['ü', ''],
    ];
    expect(await link.call('logic.open', args)).toEqual({ method: 'logic.open', args });
    expect(await other.call('comet.notify', [1])).toEqual(['comet.notify', 1]);
    link.close();
    expect(await other.ended).toBe('lost');
  });

  test('carries errors by code with their details; what has no code is internal', async () => {
    const { link } = await links(async (method) => {
      if (method === 'typed') throw new ImgoError('token_refused', { disconnect: 'token_revoked' });
      throw new Error('secret detail');
    });
    const typed = (await link.call('typed', []).catch((error: unknown) => error)) as ImgoError;
    expect([typed.code, typed.details.disconnect]).toEqual(['token_refused', 'token_revoked']);
    expect(await codeOf(link.call('other', []))).toBe('internal');
  });

  test('delivers calls in the order in which they were made, whatever they weigh and however their answers come', async () => {
    const seen: number[] = [];
    const { link } = await links(
      async (_method, [n]) => {
        seen.push(n as number);
        await new Promise((resolve) => setTimeout(resolve, (n as number) % 3));
        return n;
      },
      { creditBytes: 4_000 },
    );
    const calls = Array.from({ length: 200 }, (_, n) => link.call('x', [n, Buffer.alloc((n * 37) % 3_000)]));
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 200 }, (_, n) => n));
    expect(seen).toEqual(Array.from({ length: 200 }, (_, n) => n));
    expect(link.pendingBytes).toBe(0);
  });

  test('holds no more than its credit in flight and its bound waiting; beyond it a call is refused at once', async () => {
    let inside = 0;
    let most = 0;
    const gate = Promise.withResolvers<void>();
    const { link } = await links(
      async () => {
        most = Math.max(most, ++inside);
        await gate.promise;
        inside--;
      },
      { creditBytes: 10_000, waitingBytes: 20_000 },
    );
    const calls = Array.from({ length: 100 }, () => codeOf(link.call('x', [Buffer.alloc(1_000)])));
    await expect.poll(() => inside).toBe(7);
    expect(link.pendingBytes).toBeLessThanOrEqual(30_000);
    gate.resolve();
    const codes = await Promise.all(calls);
    expect(codes.filter((code) => code === 'overloaded').length).toBe(100 - 7 - 15);
    expect(codes.filter((code) => code === 'answered').length).toBe(22);
    expect(most).toBe(7);
    // A call beyond the whole credit goes alone.
    expect(await codeOf(link.call('x', [Buffer.alloc(50_000)]))).toBe('answered');
  });

  test('goes on with those behind when what waits for credit is given up, in their order', async () => {
    const began: number[] = [];
    const gate = Promise.withResolvers<void>();
    const handler: LinkHandler = async (_method, [n]) => {
      began.push(n as number);
      await gate.promise;
    };
    const { link } = await links(handler, { creditBytes: 600 });
    const call = (n: number, ms: number) => codeOf(link.call('x', [n], ms));
    const early = [1, 2].map((n) => call(n, 60_000));
    const hasty = Array.from({ length: 5_000 }, (_, at) => call(100 + at, 1));
    const late = [3, 4, 5].map((n) => call(n, 60_000));
    expect(new Set(await Promise.all(hasty))).toEqual(new Set(['node_unreachable']));
    gate.resolve();
    expect(new Set(await Promise.all([...early, ...late]))).toEqual(new Set(['answered']));
    expect([began, link.pendingBytes]).toEqual([[1, 2, 3, 4, 5], 0]);
  });

  test('ends a call whose answer does not come in time; the link goes on, and a late answer harms nobody', async () => {
    const late = Promise.withResolvers<string>();
    const { link } = await links(async (method) => (method === 'late' ? late.promise : 'here'));
    expect(await codeOf(link.call('late', [], 1))).toBe('node_unreachable');
    expect(link.pendingBytes).toBe(0);
    late.resolve('too late');
    expect(await link.call('now', [])).toBe('here');
  });

  test('that breaks ends all its calls, and takes none', async () => {
    const { link, other } = await links(() => new Promise(() => undefined));
    const calls = Array.from({ length: 10 }, () => codeOf(link.call('x', [])));
    other.close();
    expect(await Promise.all(calls)).toEqual(Array.from({ length: 10 }, () => 'node_unreachable'));
    expect(await link.ended).toBe('lost');
    expect(await codeOf(link.call('x', []))).toBe('node_unreachable');
  });

  test('to a side that hangs is broken, one to a side that is quiet is kept', async () => {
    const quiet = await links(nothing, { silenceMs: 300 }, { silenceMs: 300 });
    const [a, b] = await pair();
    b.pause();
    const hanging = linkOn(a, 'near', nothing, { silenceMs: 300 });
    expect(await hanging.ended).toBe('silent');
    await expect(hanging.hello).rejects.toMatchObject({ code: 'node_unreachable' });
    expect(await codeOf(quiet.link.call('x', []))).toBe('answered');
  });

  test.each([
    ['garbage', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'nonsense'],
    ['a length below the header', Buffer.alloc(13), 'nonsense'],
    ['a request before the hello', frame(LinkKind.request, 0, 1, ['x']), 'nonsense'],
    ['a hello that names nobody', frame(LinkKind.hello, 0, 0, { version: 1 }), 'nonsense'],
    ['a version that nobody speaks', frame(LinkKind.hello, 0, 0, { version: 0, node: 'n', role: 'r' }), 'version'],
    ['a sequence that does not begin', frame(LinkKind.hello, 1, 0, { version: 1, node: 'n', role: 'r' }), 'sequence'],
    [
      'two hellos',
      Buffer.concat([hello(), frame(LinkKind.hello, 1, 0, { version: 1, node: 'n', role: 'r' })]),
      'nonsense',
    ],
    ['a frame left out', Buffer.concat([hello(), frame(LinkKind.ping, 2, 0)]), 'sequence'],
    ['a frame twice', Buffer.concat([hello(), frame(LinkKind.ping, 1, 0), frame(LinkKind.ping, 1, 0)]), 'sequence'],
    ['a kind that nobody knows', Buffer.concat([hello(), frame(99, 1, 0)]), 'nonsense'],
    [
      'a request that is no MessagePack',
      Buffer.concat([hello(), raw(LinkKind.request, 1, 1, Buffer.from([0xc1]))]),
      'nonsense',
    ],
  ] as const)('is broken by %s', async (_name, bytes, end) => {
    const [a, b] = await pair();
    const link = linkOn(a, 'near');
    b.resume();
    b.write(bytes);
    expect(await link.ended).toBe(end);
  });
});

describe('remote services', () => {
  test('have the methods that are offered and no others', async () => {
    const service = {
      factor: 3,
      async times(n: number) {
        return n * this.factor;
      },
      async hidden() {
        return 'secret';
      },
    };
    const handler = serve([{ name: 'math', methods: ['times'], service }]);
    const { link } = await links(handler);
    const remote = twin<typeof service, 'times'>('math', ['times'], (method, args) => link.call(method, args));
    expect(await remote.times(14)).toBe(42);
    for (const method of ['math.hidden', 'math.factor', 'math.constructor', 'times', '__proto__', '']) {
      expect(await codeOf(link.call(method, [])), method).toBe('internal');
    }
  });
});

test('frames come out as they went in, at whatever places the stream is cut', () => {
  const bodies = fc.array(fc.record({ call: fc.nat(), size: fc.integer({ min: 0, max: 300 }) }), { minLength: 1 });
  fc.assert(
    fc.property(bodies, fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }), (frames, cuts) => {
      const stream = Buffer.concat(
        frames.map(({ call, size }, n) => raw(LinkKind.request, n, call, Buffer.alloc(size, n & 255))),
      );
      const reader = new LinkReader();
      const got: LinkFrame[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const size = cuts[turn % cuts.length] as number;
        const fault = reader.read(stream.subarray(at, at + size), (one) =>
          got.push({ ...one, body: Buffer.from(one.body) }),
        );
        expect(fault).toBeUndefined();
        at += size;
      }
      expect(got.map(({ call, sequence, body }) => [call, sequence, body.length])).toEqual(
        frames.map(({ call, size }, n) => [call, n, size]),
      );
      expect(got.every(({ body }, n) => body.every((byte) => byte === (n & 255)))).toBe(true);
    }),
  );
});

test('a frame beyond the bound is refused by its length alone', () => {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(0x7fffffff);
  expect(new LinkReader().read(header, () => expect.fail('a frame'))).toBe('too_long');
  expect(unpackBody(packBody({ a: 1 }))).toEqual({ a: 1 });
});

function raw(kind: number, sequence: number, call: number, body: Buffer): Buffer {
  return Buffer.concat([linkHeader(kind as LinkKind, sequence, call, body.length), body]);
}

function frame(kind: number, sequence: number, call: number, body?: unknown): Buffer {
  return raw(kind, sequence, call, body === undefined ? Buffer.alloc(0) : packBody(body));
}

function hello(): Buffer {
  return frame(LinkKind.hello, 0, 0, { version: 1, node: 'far', role: 'logic' });
}
