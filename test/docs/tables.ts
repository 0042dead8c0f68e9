// The tables in docs/ that are made from the code: errors, settings, disconnects, dialects' limits. `npm run docs` writes them into
// the pages, between markers; a test fails when a page is not what the code says.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { UNITS } from '../../src/bench/assertions.js';
import { METRIC_NAMES, metricOf } from '../../src/bench/metrics.js';
import { DISCONNECT, type DisconnectRow } from '../../src/protocol/disconnect.js';
import type { ErrorRow } from '../../src/protocol/error-row.js';
import { ERRORS, type ErrorCode } from '../../src/protocol/error-table.js';
import { envName, settingKeys } from '../../src/server/config-load.js';
import { ALERT_CODES, alertRow } from '../../src/server/observe/alerts.js';
import { METRICS, type MetricRow } from '../../src/server/observe/metric-table.js';

const ROOT = new URL('../../', import.meta.url);

/** What stands between `<!-- NAME -->` and `<!-- end -->` in a page, by page and name. */
export const TABLES: readonly { readonly page: string; readonly name: string; readonly render: () => string }[] = [
  { page: 'docs/errors.md', name: 'errors', render: errors },
  { page: 'docs/errors.md', name: 'disconnects', render: disconnects },
  { page: 'docs/protocol.md', name: 'disconnects', render: disconnects },
  { page: 'docs/configuration.md', name: 'settings', render: settings },
  { page: 'docs/alerts.md', name: 'alerts', render: alerts },
  { page: 'docs/benchmarks/README.md', name: 'metrics', render: metrics },
  { page: 'docs/metrics.md', name: 'metrics', render: scraped },
];

/** The page as it should be. */
export function withTables(page: string): string {
  let text = readFileSync(fileURLToPath(new URL(page, ROOT)), 'utf8');
  for (const table of TABLES.filter((one) => one.page === page)) {
    const block = new RegExp(`(<!-- ${table.name}[^\\n]*-->\\n)[\\s\\S]*?(<!-- end -->)`);
    if (!block.test(text)) throw new Error(`${page} has no place for the table ${table.name}`);
    text = text.replace(block, (_all, before: string, after: string) => `${before}\n${table.render()}\n${after}`);
  }
  return text;
}

function errors(): string {
  const parts: string[] = [];
  for (const [code, row] of Object.entries(ERRORS) as [ErrorCode, ErrorRow][]) {
    const facts = [`exit ${row.exit}`];
    if (row.http !== 500 || code === 'internal') facts.push(`HTTP ${row.http}`);
    if (row.retryable) facts.push('may succeed when repeated');
    parts.push(
      `### ${code}`,
      '',
      `> ${plain(row.message)}`,
      '',
      `${row.meaning}${row.why ? ` ${plain(row.why)}` : ''}`,
      '',
    );
    for (const line of row.advice) parts.push(`- ${plain(line)}`);
    if (row.advice.length > 0) parts.push('');
    parts.push(facts.join(' · '), '');
  }
  return parts.join('\n');
}

/** A template as a person reads it. */
function plain(template: string): string {
  return template.replace(/[[\]]/g, '').replace(/\{(\w+)\}/g, (_all, name: string) => name.toUpperCase());
}

function alerts(): string {
  const parts: string[] = [];
  for (const code of ALERT_CODES) {
    const { severity, when, until, threshold, knob, advice } = alertRow(code);
    parts.push(`### ${code}`, '', `${severity}: ${when}. Taken back: ${until}.`, '');
    for (const text of advice) parts.push(`- ${text}`);
    const facts = [
      ...(knob === '' ? [] : [`turn \`${knob}\``]),
      ...(threshold === undefined ? [] : [`how much it takes: \`${threshold}\``]),
    ];
    if (facts.length > 0) parts.push('', facts.join(' · '));
    parts.push('');
  }
  return parts.join('\n');
}

function metrics(): string {
  const lines = [
    '| metric | what it is | units | ends a run with `!` | holds at the limit |',
    '| --- | --- | --- | --- | --- |',
  ];
  for (const name of METRIC_NAMES) {
    const { kind, meaning, ofSample, sound } = metricOf(name);
    const units = Object.keys(UNITS[kind]).filter((unit) => unit !== '');
    const yes = (is: boolean) => (is ? 'yes' : '');
    const cells = [`\`${name}\``, meaning, units.join(' '), yes(ofSample !== undefined), yes(sound)];
    lines.push(`| ${cells.join(' | ')} |`);
  }
  return lines.join('\n');
}

/** What Prometheus reads. */
function scraped(): string {
  const lines = ['| metric | type | node | what it is |', '| --- | --- | --- | --- |'];
  for (const [name, { type, of, help, labels = [] }] of Object.entries(METRICS) as [string, MetricRow][]) {
    const shown = labels.length === 0 ? name : `${name}{${labels.join(', ')}}`;
    lines.push(`| \`${shown}\` | ${type} | ${of} | ${help} |`);
  }
  return `${lines.join('\n')}\n`;
}

function disconnects(): string {
  const lines = ['| code | name | what the client is told | comes back |', '| --- | --- | --- | --- |'];
  for (const { code, name, reason, reconnect } of Object.values(DISCONNECT) as DisconnectRow[]) {
    const back = reconnect === false ? 'no' : `after ${reconnect.minMs / 1_000} to ${reconnect.maxMs / 1_000} s`;
    lines.push(`| ${code} | ${name} | ${reason} | ${back} |`);
  }
  return `${lines.join('\n')}\n`;
}

function settings(): string {
  const lines = ['| setting | default | value | what |', '| --- | --- | --- | --- |'];
  for (const [key, { initial, unit, describe }] of settingKeys()) {
    const cells = [`\`${key}\``, `\`${JSON.stringify(initial)}\``, unit.replaceAll('|', 'or'), describe];
    lines.push(`| ${cells.join(' | ')} |`);
  }
  lines.push(
    '',
    `The environment's name of a setting is made by one rule: \`limits.frame\` is \`${envName('limits.frame')}\`.`,
  );
  return `${lines.join('\n')}\n`;
}
