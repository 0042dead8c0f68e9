// What bare sockets get of a run's messages: all of them, in order, also those that do not read for a while.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { play } from '../../../src/bench/bare/play.js';
import { now } from '../../../src/bench/now.js';
import { pushBytes } from '../../../src/bench/wire/served.js';

const served = { dialect: 'imgo', transport: 'tcp', sizeBytes: 26 } as const;
const all = 40;
const due = () => Buffer.concat(Array.from({ length: all }, (_, at) => pushBytes(served, at + 1)));
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0)) end();
});

/** Sockets of both ends. */
async function pairs(count: number): Promise<readonly (readonly [ours: Socket, theirs: Socket])[]> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => server.close());
  const found: (readonly [Socket, Socket])[] = [];
  for (let at = 0; at < count; at++) {
    const theirs = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [ours] = (await once(server, 'connection')) as [Socket];
    ends.push(
      () => ours.destroy(),
      () => theirs.destroy(),
    );
    found.push([ours, theirs]);
  }
  return found;
}

function received(socket: Socket): () => Buffer {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  return () => Buffer.concat(chunks);
}

it('gives every socket every message once, and waits for one that is still writing', async () => {
  const both = await pairs(3);
  const [busy] = both[0] as readonly [Socket, Socket];
  // More than its kernel takes while nobody reads.
  const before = Buffer.alloc(8 * 1024 * 1024, 1);
  busy.write(before);
  expect(busy.writableLength).toBeGreaterThan(0);
  const got = both.slice(1).map(([, theirs]) => received(theirs));
  play(
    both.map(([ours]) => ours),
    { served, startedAt: now(), everyMs: 2, all, windowMs: 10 },
    () => false,
  );
  for (const bytes of got) await expect.poll(() => bytes().equals(due())).toBe(true);
  const late = received((both[0] as readonly [Socket, Socket])[1]);
  await expect.poll(() => late().length).toBe(before.length + due().length);
  expect(late().subarray(before.length).equals(due())).toBe(true);
});

it('stops when it is told to', async () => {
  const [pair] = await pairs(1);
  const [ours, theirs] = pair as readonly [Socket, Socket];
  const got = received(theirs);
  let asked = 0;
  play([ours], { served, startedAt: now(), everyMs: 1, all: 1_000_000, windowMs: 5 }, () => ++asked > 3);
  await expect.poll(() => asked).toBe(4);
  await expect.poll(() => got().length).toBeGreaterThan(0);
  expect(due().subarray(0, 26).equals(got().subarray(0, 26))).toBe(true);
});
