// The pages of docs/ say what the code says.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { TABLES, withTables } from './tables.js';

describe('tables in docs that are made from the code', () => {
  it.each([...new Set(TABLES.map((table) => table.page))])('%s is current (npm run docs writes it)', (page) => {
    const text = readFileSync(fileURLToPath(new URL(`../../${page}`, import.meta.url)), 'utf8');
    expect(text).toBe(withTables(page));
  });
});
