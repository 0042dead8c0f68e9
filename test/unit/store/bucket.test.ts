// Which bucket a log is in is fixed for ever: typed in from an independent FNV-1a (and its published vectors).

import { describe, expect, test } from 'vitest';
import type { LogName } from '../../../src/protocol/ids.js';
import { bucketOf, fnv1a } from '../../../src/server/store/bucket.js';

describe('bucket', () => {
  test.each([
    ['', 0x811c9dc5],
    ['a', 0xe40c292c],
    ['foobar', 0xbf9cf968],
  ])('FNV-1a of %j is as published', (text, hash) => {
    expect(fnv1a(text)).toBe(hash);
  });

  test.each([
    ['all', 0x13254bc4, 964],
    ['user:1', 0x6d1a4acb, 715],
    ['user:123456', 0xf5e60a8f, 655],
    ['room:live://1000', 0x62975e0f, 527],
    ['user:日本', 0x3152d218, 536],
    ['user:é', 0x9c64b0f8, 248],
    ['room:😀', 0x49efbc8d, 141],
  ])('the bucket of %s never changes', (log, hash, bucket) => {
    expect(fnv1a(log)).toBe(hash);
    expect(bucketOf(log as LogName)).toBe(bucket);
  });

  test('users spread over all buckets evenly', () => {
    const counts = new Array<number>(1_024).fill(0);
    for (let id = 0; id < 102_400; id++)
      counts[bucketOf(`user:${id}` as LogName)] = (counts[bucketOf(`user:${id}` as LogName)] ?? 0) + 1;
    expect(Math.min(...counts)).toBeGreaterThan(40);
    expect(Math.max(...counts)).toBeLessThan(250);
  });
});
