// A short crash campaign in every test run; `npm run crash` is the long one.
import { expect, it } from 'vitest';
import { runScript } from '../harness/script.js';

it('what was accepted before a SIGKILL reaches every device after the restart, or a gap does', async () => {
  const { status, output } = await runScript('test/crash/crash.ts', ['--kills', '8', '--users', '12']);
  expect(status, output).toBe(0);
  expect(output).toMatch(/ok: nothing accepted was lost/);
}, 180_000);
