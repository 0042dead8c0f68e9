// The pages of docs/ say what the code says.
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { TABLES, withTables } from './tables.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

describe('links between pages', () => {
  it.each(['README.md', 'CHANGELOG.md', ...globSync('docs/**/*.md', { cwd: ROOT })])('%s', (page) => {
    const links = [...readFileSync(join(ROOT, page), 'utf8').matchAll(/\]\((?!https?:)([^)#]+)/g)];
    const broken = links.filter(([, to]) => !existsSync(join(ROOT, dirname(page), to ?? '')));
    expect(broken.map(([, to]) => to)).toEqual([]);
  });
});

describe('tables in docs that are made from the code', () => {
  it.each([...new Set(TABLES.map((table) => table.page))])('%s is current (npm run docs writes it)', (page) => {
    const text = readFileSync(fileURLToPath(new URL(`../../${page}`, import.meta.url)), 'utf8');
    expect(text).toBe(withTables(page));
  });
});
