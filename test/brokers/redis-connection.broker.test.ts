// The connection to Redis: what is wrong with it is said in the words of the error table, and it comes back by itself.

import { createServer } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemClock } from '../../src/server/clock.js';
import { connectRedis, type RedisLink } from '../../src/server/store/redis/connect.js';
import { script } from '../../src/server/store/redis/script.js';
import { RedisWatch } from '../../src/server/store/redis/watch.js';
import { FaultProxy } from '../harness/fault-proxy.js';
import { freePort } from '../harness/ports.js';
import { type RedisServer, startRedis } from './redis.js';
import { uniquePrefix } from './shared.js';

const clock = systemClock;

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(() => stack.disposeAsync());

async function connect(url: string, more: { readonly connectForMs?: number; readonly password?: string } = {}) {
  return stack.use(await connectRedis({ url, clock, ...more }));
}

async function serve(config: readonly string[] = []): Promise<RedisServer> {
  return stack.use(await startRedis(config));
}

const ping = async (link: RedisLink) => String(await link.command('ping'));

describe('at the start', () => {
  test('a server that is not there is unreachable, after some tries', async () => {
    const port = await freePort();
    const failure = connect(`redis://127.0.0.1:${port}`, { connectForMs: 300 });
    await expect(failure).rejects.toMatchObject({
      code: 'redis_unreachable',
      message: expect.stringMatching(/^Redis at 127\.0\.0\.1:\d+ does not answer \(ECONNREFUSED, \d+ tries in/),
    });
  });

  test('one that comes a little later is waited for', async () => {
    const server = await serve();
    await server.process.end('SIGKILL');
    const connecting = connect(server.url, { connectForMs: 60_000 });
    await server.process.start();
    expect(await ping(await connecting)).toBe('PONG');
  });

  test('a missing or a wrong password is refused at once; the right one is not', async () => {
    const { url } = await serve(['requirepass secret']);
    await expect(connect(url)).rejects.toMatchObject({ code: 'redis_refused' });
    const wrong = connect(url, { password: 'wrong-one' });
    await expect(wrong).rejects.toMatchObject({ code: 'redis_refused' });
    await expect(wrong).rejects.not.toMatchObject({ message: expect.stringContaining('wrong-one') });
    expect(await ping(await connect(url.replace('://', '://:secret@')))).toBe('PONG');
    expect(await ping(await connect(url, { password: 'secret' }))).toBe('PONG');
  });

  test('a user that may not run scripts is refused when it is asked for', async () => {
    const { url } = await serve(['user weak on >pw ~* +@all -@scripting']);
    const link = await connect(url.replace('://', '://weak:pw@'));
    await expect(link.run(script('one-1', 'return 1'), [], [])).rejects.toMatchObject({ code: 'redis_refused' });
  });

  test('TLS to a server without it, and none to one with it', async () => {
    const { url } = await serve();
    await expect(connect(url.replace('redis:', 'rediss:'))).rejects.toMatchObject({ code: 'redis_tls' });
    const server = createServer({});
    server.on('tlsClientError', () => undefined);
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    stack.defer(() => void server.close());
    const { port } = server.address() as { port: number };
    await expect(connect(`redis://127.0.0.1:${port}`, { connectForMs: 2_000 })).rejects.toMatchObject({
      code: expect.stringMatching(/^redis_(tls|unreachable)$/),
    });
  });

  test('a server that is too old is unfit, and the error says which one will do', async () => {
    const server = await serve();
    const aged = (answer: Buffer): Buffer =>
      Buffer.from(answer.toString('latin1').replace(/redis_version:\d/, 'redis_version:5'), 'latin1');
    const proxy = stack.use(await FaultProxy.start({ target: server.process.port, rewrite: aged }));
    const link = await connect(`redis://127.0.0.1:${proxy.port}`);
    await expect(RedisWatch.start({ link, clock })).rejects.toMatchObject({
      code: 'redis_unfit',
      retryable: false,
      message: expect.stringMatching(/it is 5\.[\d.]+, and 6\.2 is the oldest that will do/),
    });
  });

  test('a server that may evict is unfit; one that writes nothing down is told of', async () => {
    const evicting = await connect((await serve(['maxmemory-policy allkeys-lru'])).url);
    await expect(RedisWatch.start({ link: evicting, clock })).rejects.toMatchObject({
      code: 'redis_unfit',
      message: expect.stringContaining('allkeys-lru'),
    });
    const forgetful = await connect((await serve(['appendonly no'])).url);
    using watch = await RedisWatch.start({ link: forgetful, clock });
    expect(watch.warnings).toEqual([expect.stringContaining('appendonly no')]);
    expect(watch.health()).toMatchObject({ writable: true, failure: undefined, usedBytes: expect.any(Number) });
  });
});

describe('while it runs', () => {
  test('a paused server does not hold a caller up, and is used again when it goes on', async () => {
    const server = await serve();
    const link = await connect(server.url);
    server.process.pause();
    await expect(link.command('ping')).rejects.toMatchObject({ code: 'redis_unreachable' });
    server.process.resume();
    await vi.waitFor(async () => expect(await ping(link)).toBe('PONG'), 30_000);
  });

  test('answers that lay here while this process did not run are answers', async () => {
    const link = await connect((await serve()).url);
    const asked = Array.from({ length: 100 }, () => ping(link));
    // What was asked goes out, and then nothing runs for twice as long as an answer is waited for.
    await new Promise((resolve) => setImmediate(resolve));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_000);
    expect(new Set(await Promise.all(asked))).toEqual(new Set(['PONG']));
  });

  test('what was under way when the connection broke fails, and is not sent again', async () => {
    const server = await serve();
    const proxy = stack.use(await FaultProxy.start({ target: server.process.port }));
    const link = await connect(`redis://127.0.0.1:${proxy.port}`);
    const key = uniquePrefix();
    const cut = proxy.cutAnswer((request) => request.includes('incr'));
    await expect(link.command('incr', key)).rejects.toMatchObject({ code: 'redis_unreachable' });
    await cut;
    await vi.waitFor(async () => expect(await ping(link)).toBe('PONG'), 30_000);
    expect(String(await link.command('get', key))).toBe('1');
  });

  test('without a connection a command fails at once, and the watch says so', async () => {
    const server = await serve();
    const link = await connect(server.url);
    using watch = await RedisWatch.start({ link, clock, everyMs: 60_000 });
    await server.process.end('SIGKILL');
    await vi.waitFor(() => expect(link.command('ping')).rejects.toMatchObject({ code: 'redis_unreachable' }), 30_000);
    await watch.look();
    expect(watch.health()).toMatchObject({ writable: false, failure: { code: 'redis_unreachable' } });
    await server.process.start();
    await vi.waitFor(async () => expect(await ping(link)).toBe('PONG'), 30_000);
    await watch.look();
    expect(watch.health()).toMatchObject({ writable: true, failure: undefined });
  });

  test('a server that was restarted has another lineage, which is told until it was heard', async () => {
    const server = await serve();
    const link = await connect(server.url);
    using watch = await RedisWatch.start({ link, clock, everyMs: 60_000 });
    const heard: string[] = [];
    let deaf = false;
    watch.onLineage(async (lineage) => {
      if (deaf) throw new Error('not now');
      heard.push(lineage);
    });
    await vi.waitFor(() => expect(heard).toHaveLength(1));
    await watch.look();
    expect(heard).toHaveLength(1);
    deaf = true;
    await server.process.restart();
    await vi.waitFor(async () => expect(await ping(link)).toBe('PONG'), 30_000);
    await watch.look();
    expect(heard).toHaveLength(1);
    deaf = false;
    await watch.look();
    await watch.look();
    expect(heard).toHaveLength(2);
    expect(heard[1]).not.toBe(heard[0]);
  });

  test('a script that the server has forgotten is sent again', async () => {
    const link = await connect((await serve()).url);
    const one = script('one-1', 'return redis.call("INCR", KEYS[1])');
    expect(await link.run(one, ['k'], [])).toBe(1);
    await link.command('script', 'flush');
    expect(await link.run(one, ['k'], [])).toBe(2);
    expect(await link.run(one, ['k'], [])).toBe(3);
  });

  test('memory that nears its bound has pushes refused before Redis refuses', async () => {
    const server = await serve(['maxmemory 20mb']);
    const link = await connect(server.url);
    using watch = await RedisWatch.start({ link, clock, everyMs: 60_000 });
    expect(watch.health()).toMatchObject({ writable: true });
    for (let at = 0; at < 18; at++) await link.command('set', `filler${at}`, Buffer.alloc(1_000_000));
    await watch.look();
    expect(watch.health()).toMatchObject({ writable: false, code: 'store_full', freeBytes: 0 });
    for (let at = 18; at < 20; at++)
      await link.command('set', `filler${at}`, Buffer.alloc(1_000_000)).catch(() => undefined);
    const write = link.run(script('write-1', 'return redis.call("SET", KEYS[1], ARGV[1])'), ['k'], [Buffer.alloc(1e6)]);
    await expect(write).rejects.toMatchObject({ code: 'store_full' });
    for (let at = 0; at < 10; at++) await link.command('del', `filler${at}`);
    await watch.look();
    expect(watch.health()).toMatchObject({ writable: true });
  });
});
