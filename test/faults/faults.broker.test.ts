// A short fault campaign in every run of broker tests; `npm run faults` is the long one.
import { expect, it } from 'vitest';
import { runScript } from '../harness/script.js';

const SIZE = ['--pushes', '10000', '--clients', '300', '--rate', '350', '--minutes', '4'];
const FAULTS = ['--rounds', '1', '--pause', '12', '--cut', '3', '--calm', '1', '--deaths', '0'];

it('what was accepted reaches every device, or a gap does, whatever is killed, stopped or cut off meanwhile', async () => {
  const { status, output } = await runScript('test/faults/faults.ts', [...SIZE, ...FAULTS]);
  expect(status, output).toBe(0);
  expect(output).toMatch(/ok: nothing accepted was lost/);
}, 300_000);
