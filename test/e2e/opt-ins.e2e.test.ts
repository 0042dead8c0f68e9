// What an operator opts in to, and whom it makes the server trust, is said at every start.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { until } from '../harness/api.js';
import { startServer } from '../harness/server.js';

const PORTS = ['--memory', '--http', '0', '--ws', '0', '--tcp', '0'];
const TRUST = /who they say they are|need no key|can be guessed/g;

it('listeners that trust their callers, and tokens that can be guessed, stand in the log', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'imgo-opt-ins-'));
  const env = { XDG_STATE_HOME: folder, IMGO_AUTH__WEAK_TOKENS: 'true' };
  try {
    const open = await startServer([...PORTS, '--goim', '0', '--legacy-http', '0'], env);
    try {
      await until('three warnings', () => new Set(open.stderr().match(TRUST)).size === 3);
    } finally {
      await open.end('SIGTERM');
    }
    const closed = await startServer(PORTS, { XDG_STATE_HOME: folder });
    await closed.end('SIGTERM');
    expect(closed.stderr()).not.toMatch(TRUST);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
