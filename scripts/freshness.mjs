// Tells whether dist was built from the sources as they are now. It runs at every start in a checkout, so it loads
// nothing but node:fs and costs a few milliseconds; what builds is in build.mjs, loaded only when needed.

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');
export const DIST = join(ROOT, 'dist');
/** The file in dist that holds the fingerprint it was built from. */
export const FINGERPRINT = '.sources';

/** Number, sizes and times of all that the build reads: edits, additions, removals and checkouts all change it. */
export function fingerprint() {
  let count = 0;
  let size = 0;
  let newest = 0;
  let times = 0;
  const add = (path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return;
    count += 1;
    if (stat.isFile()) size += stat.size;
    newest = Math.max(newest, stat.mtimeMs);
    times = (times + stat.mtimeMs) % 1e12;
  };
  for (const file of ['package.json', 'tsconfig.json', 'tsconfig.base.json']) add(join(ROOT, file));
  for (const entry of readdirSync(join(ROOT, 'src'), { recursive: true })) add(join(ROOT, 'src', entry));
  return `${count} ${size} ${newest} ${times}`;
}

/** The fingerprint that dist was built from; undefined if there is no complete dist. */
export function builtFrom() {
  try {
    return readFileSync(join(DIST, FINGERPRINT), 'utf8');
  } catch {
    return undefined;
  }
}

/** Builds dist if it is missing or was built from other sources. Silent, unless somebody watches at a terminal. */
export async function ensureBuilt() {
  if (builtFrom() === fingerprint()) return;
  if (process.stderr.isTTY) process.stderr.write('Building imgo…\n');
  const { build } = await import('./build.mjs');
  await build({ strict: false });
}
