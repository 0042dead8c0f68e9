// `npm run docs`: writes what is made from the code: tables in docs/, and templates that follow from it.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { alertRules, RULES } from './alert-rules.js';
import { CONFIG_TEMPLATE, configTemplate } from './config-template.js';
import { DASHBOARD, dashboard } from './dashboard.js';
import { TABLES, withTables } from './tables.js';

for (const page of new Set(TABLES.map((table) => table.page))) {
  writeFileSync(fileURLToPath(new URL(`../../${page}`, import.meta.url)), withTables(page));
}
const write = (file: string, text: string) =>
  writeFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), text);
write(CONFIG_TEMPLATE, configTemplate());
write(DASHBOARD, dashboard());
write(RULES, alertRules());
