// SIGHUP: a running server reads its settings again, keeps its connections, and is not disturbed by mistakes in them.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { connect, type Opened } from '../../src/client/index.js';
import type { RoomId } from '../../src/protocol/ids.js';
import { TestApi, until } from '../harness/api.js';
import { call } from '../harness/pusher.js';
import { startServer } from '../harness/server.js';
import { workersBelow } from '../harness/workers.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imgo-reload-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('a server takes over what it can of its settings, says what waits, and survives what is wrong', async () => {
  const file = join(folder, 'imgo.toml');
  const settings = (text: string): void => writeFileSync(file, text);
  settings('[limits]\npayload = "1KiB"\n');
  const server = await startServer(['--config', file, '--memory', '--http', '0', '--ws', '0', '--tcp', '0']);
  try {
    const { pid, http } = server.ready;
    const push = async (): Promise<number> => {
      const body = JSON.stringify({ to: { user: 'u' }, message: 'x'.repeat(2_000) });
      return (await call(`${http}/v1/push`, 'POST', body)).status;
    };
    expect(await push()).toBe(413);
    settings('[limits]\npayload = "4KiB"\nframe = "8KiB"\n');
    process.kill(pid, 'SIGHUP');
    await until('the new limit', async () => (await push()) === 200);
    expect(server.stderr()).toMatch(/"taken":\["limits\.payload"\]/);
    expect(server.stderr()).toMatch(/"waiting":\["limits\.frame"\].*next start/);
    settings('[limits]\npayload = "1KiB"\nfrane = "8KiB"\n');
    process.kill(pid, 'SIGHUP');
    await until('the mistake', () => server.stderr().includes('config_unknown'));
    expect(await push()).toBe(200);
    settings('[limits]\npayload = "1KiB"\n');
    process.kill(pid, 'SIGHUP');
    await until('the old limit', async () => (await push()) === 413);
  } finally {
    expect(await server.end('SIGTERM')).toBe(0);
  }
});

test('comets in processes of their own take over theirs, also one that starts later', async () => {
  const file = join(folder, 'imgo.toml');
  const settings = (rooms: number): void =>
    writeFileSync(file, `[limits]\nrooms_per_session = ${rooms}\n[rooms]\njoin = "open"\n`);
  settings(1);
  const ports = ['--http', '0', '--ws', '0', '--tcp', '0'];
  const server = await startServer(['--config', file, '--memory', '--workers', '2', ...ports], { TMPDIR: folder });
  const api = new TestApi(() => server.ready.http);
  try {
    /** How many of two rooms a new client gets. */
    const joined = async (): Promise<number> => {
      const opened = Promise.withResolvers<Opened>();
      const rooms = ['a', 'b'] as RoomId[];
      const client = connect(
        { url: `tcp://${server.ready.tcp}`, token: await api.token('u'), rooms },
        { message: () => undefined, opened: opened.resolve },
      );
      const states = [...(await opened.promise).rooms.values()];
      await client.close();
      return states.filter((state) => !('error' in state)).length;
    };
    const several = async (): Promise<readonly number[]> => {
      const seen: number[] = [];
      for (let at = 0; at < 16; at++) seen.push(await joined());
      return seen;
    };
    expect(new Set(await several())).toEqual(new Set([1]));
    settings(2);
    process.kill(server.ready.pid, 'SIGHUP');
    await until('the new limit in both', async () => (await several()).every((count) => count === 2));
    expect(server.stderr()).toMatch(/"taken":\["limits\.rooms_per_session"\]/);
    const before = workersBelow(folder);
    process.kill(before[0] as number, 'SIGKILL');
    await until('another worker', () => {
      const now = workersBelow(folder);
      return now.length === before.length && !now.includes(before[0] as number);
    });
    expect(new Set(await several())).toEqual(new Set([2]));
  } finally {
    expect(await server.end('SIGTERM')).toBe(0);
  }
});
