// What the long campaigns of package.json say of themselves, and to a flag that is wrong: before they begin anything.
import { expect, test } from 'vitest';
import { runScript } from '../harness/script.js';

const CAMPAIGNS = {
  acceptance: 'test/acceptance/acceptance.ts',
  bench: 'test/bench/run.ts',
  crash: 'test/crash/crash.ts',
  faults: 'test/faults/faults.ts',
  fuzz: 'test/fuzz/protocol-fuzz.ts',
  hostile: 'test/hostile/hostile.ts',
  mutants: 'test/mutants/run.ts',
  simulate: 'test/simulation/simulate.ts',
} as const;

test.each(Object.entries(CAMPAIGNS))('npm run %s has a help', async (name, script) => {
  const { status, output } = await runScript(script, ['--help']);
  expect([status, output]).toEqual([0, expect.stringContaining(`npm run ${name}`)]);
});

test.each([
  ['an option that it does not have', ['--nope'], "Unknown option '--nope'"],
  ['a text where a number belongs', ['--seeds', 'many'], "--seeds takes a number, not 'many'"],
])('%s is named, with the help', async (_, args, what) => {
  const { status, output } = await runScript(CAMPAIGNS.simulate, args);
  expect(status).toBe(2);
  expect(output).toContain(what);
  expect(output).toContain('npm run simulate');
});
