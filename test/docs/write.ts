// `npm run docs`: writes the tables that are made from the code into docs/.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TABLES, withTables } from './tables.js';

for (const page of new Set(TABLES.map((table) => table.page))) {
  writeFileSync(fileURLToPath(new URL(`../../${page}`, import.meta.url)), withTables(page));
}
