// What `npm run mutants` needs to be true of its list, told without running it.

import { join } from 'node:path';
import { expect, test } from 'vitest';
import { collectMutants, faultOfTest, mutate } from '../../mutants/collect.js';

const ROOT = join(import.meta.dirname, '../../..');
const mutants = await collectMutants();

test('there are mutants, and no two have the same name in one file', () => {
  expect(mutants.length).toBeGreaterThan(50);
  const names = mutants.map(({ name, file }) => `${file}: ${name}`);
  expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([]);
});

test('each mutant finds its line exactly once', () => {
  const faults = mutants.flatMap((mutant) => {
    const made = mutate(ROOT, mutant);
    return 'fault' in made ? [`${mutant.name}: ${made.fault}`] : [];
  });
  expect(faults).toEqual([]);
});

test('each mutant names a test that exists', () => {
  expect(mutants.flatMap((mutant) => faultOfTest(ROOT, mutant) ?? [])).toEqual([]);
});
