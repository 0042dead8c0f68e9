// Unit files and drop-ins as systemd reads them, as far as the tests of templates/systemd need: sections, keys that may stand
// several times, specifiers.
import { read } from './files.js';

export type Unit = ReadonlyMap<string, readonly string[]>;

/** Values by `Section.Key`, in order; an empty one takes back those before it. Throws at a line that is none. */
export function unitOf(file: string): Unit {
  const values = new Map<string, string[]>();
  let section = '';
  for (const line of read(file).split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const header = /^\[(\w+)\]$/.exec(line)?.[1];
    const [, key, value] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (header !== undefined) section = header;
    else if (key === undefined || value === undefined) throw new Error(`${file}: ${line}`);
    else if (value === '') values.set(`${section}.${key}`, []);
    else values.set(`${section}.${key}`, [...(values.get(`${section}.${key}`) ?? []), value]);
  }
  return values;
}

/** With what systemd would put in place of specifiers, for this instance on the host `web1`. */
export function specified(text: string, instance = '0'): string {
  const specifiers: Readonly<Record<string, string>> = {
    '%i': instance,
    '%H': 'web1',
    '%d': '/run/credentials',
    '%t': '/run',
  };
  return text.replaceAll(/%\w/g, (one) => {
    const value = specifiers[one];
    if (value === undefined) throw new Error(`${one} in ${text}`);
    return value;
  });
}

/** The environment that a unit gives. */
export function environmentOf(unit: Unit, instance = '0'): Readonly<Record<string, string>> {
  const pairs = (unit.get('Service.Environment') ?? []).flatMap((line) => specified(line, instance).split(' '));
  return Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]));
}
