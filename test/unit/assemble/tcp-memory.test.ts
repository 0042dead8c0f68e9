// A machine whose TCP buffers are short is told about: once, with the line to paste, and again when it is over.

import { expect, test } from 'vitest';
import { TcpMemory } from '../../../src/server/assemble/tcp-memory.js';
import { HandClock } from '../comet/stage.js';

test('pressure on TCP buffers is said once a minute with what to set, and its end is said', async () => {
  const clock = new HandClock();
  const said: { level: string; details: Record<string, unknown>; message: string }[] = [];
  const log = {
    warn: (details: object, message: string) => said.push({ level: 'warn', details: { ...details }, message }),
    info: (details: object, message: string) => said.push({ level: 'info', details: { ...details }, message }),
  };
  let pages = 1_000;
  const read = (path: string) =>
    path.endsWith('sockstat')
      ? `sockets: used 9\nTCP: inuse 4 orphan 0 tw 0 alloc 9 mem ${pages}\nUDP: inuse 1 mem 7\n`
      : '1000\t2000\t3000\n';
  const memory = new TcpMemory(clock, log as never, read);

  await clock.pass(10_000);
  expect(said).toEqual([]);
  expect(memory.pressed).toBe(false);

  pages = 2_560;
  await clock.pass(30_000);
  expect(memory.pressed).toBe(true);
  expect(said).toHaveLength(1);
  expect(said[0]?.message).toContain('take 10 MiB');
  expect(said[0]?.details).toMatchObject({ code: 'tcp_memory', used: 2_560 * 4_096, limit: 3_000 * 4_096 });
  expect(said[0]?.details.advice).toContain('sysctl -w net.ipv4.tcp_mem="3000 4500 6000"');
  await clock.pass(60_000);
  expect(said).toHaveLength(2);

  pages = 1_999;
  await clock.pass(5_000);
  expect(said.at(-1)).toMatchObject({ level: 'info', details: { code: 'tcp_memory' } });
  expect(memory.pressed).toBe(false);
  memory.stop();
});

test('a system that does not tell is never short', async () => {
  const clock = new HandClock();
  const memory = new TcpMemory(
    clock,
    { warn: () => expect.unreachable(), info: () => expect.unreachable() } as never,
    () => '',
  );
  await clock.pass(60_000);
  expect(memory.pressed).toBe(false);
  memory.stop();
});
