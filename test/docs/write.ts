// `npm run docs`: writes what is made from the code: tables in docs/, and the template with every setting.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CONFIG_TEMPLATE, configTemplate } from './config-template.js';
import { TABLES, withTables } from './tables.js';

for (const page of new Set(TABLES.map((table) => table.page))) {
  writeFileSync(fileURLToPath(new URL(`../../${page}`, import.meta.url)), withTables(page));
}
writeFileSync(fileURLToPath(new URL(`../../${CONFIG_TEMPLATE}`, import.meta.url)), configTemplate());
