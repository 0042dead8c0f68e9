// All mutants of the project: every array that a *.mutants.ts in this folder exports.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mutant } from './mutant.js';

export async function collectMutants(): Promise<readonly Mutant[]> {
  const found: Mutant[] = [];
  for (const name of readdirSync(import.meta.dirname).sort()) {
    if (!name.endsWith('.mutants.ts')) continue;
    const module = (await import(join(import.meta.dirname, name))) as Record<string, unknown>;
    for (const value of Object.values(module)) if (Array.isArray(value)) found.push(...(value as Mutant[]));
  }
  return found;
}

/** The source with the mutation, or why it cannot be made. */
export function mutate(root: string, mutant: Mutant): { readonly source: string } | { readonly fault: string } {
  const path = join(root, mutant.file);
  if (!existsSync(path)) return { fault: `there is no ${mutant.file}` };
  const source = readFileSync(path, 'utf8');
  const parts = source.split(mutant.find);
  if (parts.length !== 2) return { fault: `${parts.length - 1} places in ${mutant.file} match, not 1` };
  const mutated = parts.join(mutant.replace);
  return mutated === source ? { fault: 'nothing is changed' } : { source: mutated };
}

/** Why the test that is to catch a mutant cannot, as far as its source tells. */
export function faultOfTest(root: string, { expect }: Mutant): string | undefined {
  const path = join(root, expect.file);
  if (!existsSync(path)) return `there is no ${expect.file}`;
  if (expect.test === undefined) return undefined;
  // The name may be in a suite that the file imports.
  const named = sourcesOf(path).some((source) => source.includes(expect.test ?? ''));
  return named ? undefined : `${expect.file} has no test named like "${expect.test}"`;
}

/** A test file and the suites that it imports, and theirs; not what is under src. */
function sourcesOf(path: string, seen = new Set<string>()): readonly string[] {
  if (seen.has(path) || !existsSync(path)) return [];
  seen.add(path);
  const source = readFileSync(path, 'utf8');
  const imports = [...source.matchAll(/from '(\.{1,2}\/[^']+)\.js'/g)].map(([, name]) =>
    join(path, '..', `${name}.ts`),
  );
  return [source, ...imports.filter((each) => !each.includes('/src/')).flatMap((each) => sourcesOf(each, seen))];
}
