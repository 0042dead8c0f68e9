// The nearest of some names, for "Did you mean …?". Words in another order count as the same name.

/** The name most like `wrong`, or undefined when none is like it. */
export function nearest(wrong: string, names: Iterable<string>): string | undefined {
  const given = wrong.toLowerCase().slice(0, 100);
  const sorted = sortWords(given);
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(given.length / 3)) + 1;
  for (const name of names) {
    const distance = Math.min(
      edits(given, name.toLowerCase()),
      edits(sorted, sortWords(name.toLowerCase())) + (sorted === given ? 0 : 0.5),
      name.toLowerCase().startsWith(given) ? 1 : Number.POSITIVE_INFINITY,
      endsAlike(given, name.toLowerCase()) ? 1.5 : Number.POSITIVE_INFINITY,
    );
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

function sortWords(name: string): string {
  return name
    .split(/[._-]+/)
    .sort()
    .join(' ');
}

/** `frame` for `limits.frame`, `server.http` for `listen.http`. */
function endsAlike(given: string, name: string): boolean {
  const last = given.split('.').at(-1) ?? '';
  return last.length > 2 && name.endsWith(`.${last}`);
}

/** Levenshtein's distance, with neighbours swapped counted once. */
function edits(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min((previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + cost);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) least = Math.min(least, (before[j - 2] ?? 0) + 1);
      current.push(least);
    }
    [before, previous] = [previous, current];
  }
  return previous[b.length] ?? 0;
}
