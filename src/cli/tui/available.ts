// Whether a view can be shown here. To be asked before React is loaded, which takes its form from the environment.

import { setFlagsFromString } from 'node:v8';

/**
 * True where both sides are a terminal that can more than lines. Then views may be loaded: React as it is for production,
 * whose other form checks more than it draws and keeps what it measures; and V8 with a heap as large as what is in it, as it
 * would rather grow than tidy up while events stream through it.
 */
export function canShowViews(): boolean {
  const terminal = process.env['TERM'] || 'dumb';
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true || terminal === 'dumb') return false;
  process.env['NODE_ENV'] ??= 'production';
  setFlagsFromString('--optimize-for-size');
  return true;
}
