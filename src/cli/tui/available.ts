// Whether a view can be shown here. To be asked before React is loaded, which takes its form from the environment.

/**
 * True where both sides are a terminal that can more than lines. Then views may be loaded: React as it is for production,
 * whose other form checks more than it draws and keeps what it measures.
 */
export function canShowViews(): boolean {
  const terminal = process.env['TERM'] || 'dumb';
  if (process.stdin.isTTY !== true || process.stdout.isTTY !== true || terminal === 'dumb') return false;
  process.env['NODE_ENV'] ??= 'production';
  return true;
}
