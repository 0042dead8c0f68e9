// A commit that finds no room for its pages is undone entirely. The file's size is limited for a process of its own: the
// write fails as on a full disk, and no rights are needed.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

const HOOKS = join(import.meta.dirname, '../../../scripts/typescript.mjs');
/** In blocks of 512 bytes, as `ulimit -f` of dash counts. */
const MOST_BLOCKS = 8_192;

test('a commit that finds no room is refused entirely, and pushes are accepted again when there is some', async () => {
  const path = mkdtempSync(join(process.env.IMGO_FULL_DISK ?? tmpdir(), 'imgo-full-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  const filler = join(import.meta.dirname, 'filler.ts');
  const command = `ulimit -f ${MOST_BLOCKS} && exec "$0" "$@"`;
  const args = ['-c', command, process.execPath, '--import', HOOKS, filler, path];
  const child = spawn('/bin/sh', args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let said = '';
  child.stderr?.on('data', (chunk) => {
    said += String(chunk);
  });
  const told = once(child, 'message').then(([message]) => message as Record<string, unknown>);
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the filler ended with ${code}: ${said}`);
  });
  const seen = await Promise.race([told, ended]);
  await ended.catch(() => undefined);
  const accepted = seen.accepted as number;
  expect(accepted).toBeGreaterThan(100);
  expect(seen).toMatchObject({ outcome: 'store_full', read: accepted, whole: true, mark: { n: accepted } });
  expect(seen).toMatchObject({ state: { head: { n: accepted }, messages: accepted, bytes: accepted * 8_192 } });
  expect(seen).toMatchObject({ trimmed: true, again: 'appended', kept: 1 + 5 + 1 });
});
