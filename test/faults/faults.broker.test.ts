// A short fault campaign in every run of broker tests; `npm run faults` is the long one.
import { expect, it } from 'vitest';
import { runScript } from '../harness/script.js';

const SHORT = [
  '--pushes',
  '10000',
  '--clients',
  '300',
  '--rate',
  '200',
  '--pause',
  '7',
  '--cut',
  '3',
  '--minutes',
  '4',
];

it('what was accepted reaches every device, or a gap does, whatever is killed, stopped or cut off meanwhile', async () => {
  const { status, output } = await runScript('test/faults/faults.ts', SHORT);
  expect(status, output).toBe(0);
  expect(output).toMatch(/ok: nothing accepted was lost/);
}, 300_000);
