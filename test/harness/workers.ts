// The worker processes of a server under test.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Those of the server whose TMPDIR is this: found by its private folder in their arguments. */
export function workersBelow(folder: string): readonly number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const words = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
      return words.some((word) => word.startsWith(join(folder, 'imgo-workers-'))) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });
}
