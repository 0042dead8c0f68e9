// templates/config/imgo.toml: every setting, commented out, with its default and what it does. `npm run docs` writes it; a test
// fails when it is not what the schema says.
import { envName, settingKeys } from '../../src/server/config-load.js';

export const CONFIG_TEMPLATE = 'templates/config/imgo.toml';

const HEAD = `# Every setting of imgo, with its default: a line counts once its # is gone. What is set later wins: this file, then the
# environment (${envName('limits.frame')} for limits.frame), then flags. "imgo config show" prints what counts, and why.`;

/** The file as it should be. */
export function configTemplate(): string {
  const lines = [HEAD];
  let section = '';
  for (const [key, { initial, unit, describe }] of settingKeys()) {
    const [first = '', ...rest] = key.split('.');
    const table = rest.length > 0 ? first : '';
    if (table !== section) lines.push('', `[${table}]`);
    section = table;
    const name = rest.length > 0 ? rest.join('.') : first;
    lines.push('', `# ${describe}`, `# (${unit.replaceAll(' | ', ', ')})`, `# ${name} = ${JSON.stringify(initial)}`);
  }
  return `${lines.join('\n')}\n`;
}
