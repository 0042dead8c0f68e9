// The commands of the README and of docs/ do what the pages show.
import { describe, expect, it } from 'vitest';
import { Page, stepsOf } from './console.js';

const PAGES = [
  'README.md',
  'docs/benchmarking.md',
  'docs/client.md',
  'docs/configuration.md',
  'docs/http.md',
  'docs/migrating-from-imgo-and-goim.md',
  'docs/observing.md',
  'docs/operations.md',
];

describe('every command in the documentation runs as it stands', () => {
  it.each(PAGES)(
    '%s',
    async (name) => {
      const steps = stepsOf(name);
      expect(steps.length).toBeGreaterThan(0);
      await using page = new Page();
      for (const step of steps) await page.run(step);
      await page.finish();
    },
    180_000,
  );
});
