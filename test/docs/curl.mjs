// Stands in for curl on a machine that has none: the flags that the documentation uses, and nothing else.
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    silent: { type: 'boolean', short: 's' },
    header: { type: 'string', short: 'H', multiple: true, default: [] },
    data: { type: 'string', short: 'd' },
    'data-binary': { type: 'string' },
  },
});
const given = values['data-binary'] ?? values.data;
const body = given?.startsWith('@') ? readFileSync(given.slice(1)) : given;
const headers = { 'content-type': 'application/x-www-form-urlencoded' };
for (const header of values.header) {
  const [name = '', ...rest] = header.split(':');
  headers[name.toLowerCase()] = rest.join(':').trim();
}
const request = body === undefined ? {} : { method: 'POST', body, headers };
const answer = await fetch(positionals[0] ?? '', request);
process.stdout.write(Buffer.from(await answer.arrayBuffer()));
