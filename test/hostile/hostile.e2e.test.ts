// A short hostile campaign in every test run; `npm run hostile` is the long one.
import { expect, it } from 'vitest';
import { runScript } from '../harness/script.js';

it('hostile connections end as they deserve while good clients receive everything', async () => {
  const { status, output } = await runScript('test/hostile/hostile.ts', ['--connections', '300', '--rounds', '2']);
  expect(status, output).toBe(0);
}, 180_000);
