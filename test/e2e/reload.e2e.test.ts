// SIGHUP: a running server reads its settings again, keeps its connections, and is not disturbed by mistakes in them.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { call } from '../harness/pusher.js';
import { startServer } from '../harness/server.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imgo-reload-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`not seen: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

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
