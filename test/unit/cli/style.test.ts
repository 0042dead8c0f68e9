// Lines that are wider than a terminal.

import { expect, test } from 'vitest';
import { fold } from '../../../src/cli/style.js';
import { fc } from '../../harness/property.js';

test('a line that fits stays as it is', () => {
  expect(fold('  server     1 cpu·s · 2 MiB in all', 80)).toEqual(['  server     1 cpu·s · 2 MiB in all']);
});

test('a wider one is broken between its items, and goes on below its words', () => {
  expect(fold('  server     273 cpu·s · 44.4 M deliveries/cpu·s · 5 KiB a session', 50)).toEqual([
    '  server     273 cpu·s · 44.4 M deliveries/cpu·s ·',
    '             5 KiB a session',
  ]);
  expect(fold('  latency    p50 17.1 s  p90 30.5 s  p99 37.4 s', 38)).toEqual([
    '  latency    p50 17.1 s  p90 30.5 s',
    '             p99 37.4 s',
  ]);
});

test('prose is broken between words', () => {
  expect(fold('▲ The harness was the bottleneck.', 20)).toEqual(['▲ The harness was', '  the bottleneck.']);
});

test('no word is lost or broken, whatever the line and the terminal', () => {
  const word = fc.stringMatching(/^[a-z·]{1,12}$/);
  const line = fc.tuple(word, fc.array(fc.tuple(fc.constantFrom(' ', '  ', '   '), word), { maxLength: 20 }));
  fc.assert(
    fc.property(line, fc.integer({ min: 20, max: 60 }), fc.boolean(), ([first, rest], width, labelled) => {
      const text = `${labelled ? '  label      ' : ''}${first}${rest.flat().join('')}`;
      const folded = fold(text, width);
      expect(folded.join(' ').split(/ +/).filter(Boolean)).toEqual(text.split(/ +/).filter(Boolean));
      if (width >= 40) for (const one of folded) expect(one.length).toBeLessThanOrEqual(width);
    }),
  );
});
