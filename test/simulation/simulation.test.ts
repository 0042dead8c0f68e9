// A few hundred runs of the simulation, and the proof that it would notice: a rule that is known to lose messages does.

import { expect, test } from 'vitest';
import { run } from './run.js';

/** Runs take about 50 ms; `npm run simulate -- --seeds N` runs as many as one likes. */
const SEEDS = 150;

test('whatever crashes, pauses, reorders or is lost: what was accepted arrives, in order, once, or as a gap', async () => {
  const broken: string[] = [];
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { violations } = await run({ seed });
    if (violations.length > 0) broken.push(`npm run simulate -- --seed ${seed} --trace: ${violations[0]}`);
  }
  expect(broken).toEqual([]);
});

test('"the store refused the id, so it was applied" loses messages, and the simulation sees it', async () => {
  const lost: string[] = [];
  for (let seed = 1; seed <= 40 && lost.length === 0; seed++) {
    const { violations } = await run({ seed, rule: 'refused-is-applied' });
    lost.push(...violations.filter((line) => line.includes('never got') || line.includes('not in the store')));
  }
  expect(lost).not.toEqual([]);
});

test('a seed is a run: the same events, the same deliveries', async () => {
  expect(await run({ seed: 7 })).toEqual(await run({ seed: 7 }));
});
