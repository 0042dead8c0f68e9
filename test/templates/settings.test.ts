// The settings in templates/ are those that there are: every file is loaded as a server loads it.
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { describe, expect, it } from 'vitest';
import { loadConfig, type ShownSetting, settingKeys } from '../../src/server/config-load.js';
import { CONFIG_TEMPLATE, configTemplate } from '../docs/config-template.js';
import { FOLDER, filesOf, read } from './files.js';

const load = (file: string) => loadConfig({ file, env: {}, flags: [], folder: '/' });

/** Units name the file with the key: systemd says where it is. */
const FROM_THE_UNIT = { key: 'cluster.key_file', value: '/run/credentials/key', where: 'unit' };

describe('every imgo.toml', () => {
  it.each(filesOf('**/*.toml'))('%s is valid', (file) => {
    const flags = file.startsWith('systemd/') ? [FROM_THE_UNIT] : [];
    const { settings } = loadConfig({ file: join(FOLDER, file), env: {}, flags, folder: '/' });
    expect(settings.length).toBeGreaterThan(0);
  });

  it.each(filesOf('**/*.toml'))('%s says nothing that is commented out and does not exist', (file) => {
    const uncommented = read(file).replaceAll(/^# ([\w.]+ = )/gm, '$1');
    const keys = new Set(settingKeys().keys());
    expect(leavesOf(parse(uncommented)).filter((key) => !keys.has(key))).toEqual([]);
  });
});

describe('the template with every setting', () => {
  it('is what the schema says (npm run docs writes it)', () => {
    expect(read(CONFIG_TEMPLATE.replace('templates/', ''))).toBe(configTemplate());
  });

  it('changes nothing as it is', () => {
    const { settings } = load(join(FOLDER, 'config/imgo.toml'));
    expect(settings.filter(({ origin }) => origin !== 'default')).toEqual([]);
  });

  it('has every setting, each with its default', () => {
    const values = parse(configTemplate().replaceAll(/^# ([\w.]+ = )/gm, '$1'));
    expect(leavesOf(values).sort()).toEqual([...settingKeys().keys()].sort());
    const flags = [...leaves(values)].map(([key, value]) => ({ key, value, where: 'template' }));
    const bare = (settings: readonly ShownSetting[]) => settings.map(({ key, value }) => [key, value]);
    const defaults = loadConfig({ env: {}, flags: [], folder: '/' });
    expect(bare(loadConfig({ env: {}, flags, folder: '/' }).settings)).toEqual(bare(defaults.settings));
  });
});

function leavesOf(table: object): string[] {
  return [...leaves(table)].map(([key]) => key);
}

function* leaves(table: object, prefix = ''): Generator<[string, unknown]> {
  for (const [name, value] of Object.entries(table)) {
    const key = prefix === '' ? name : `${prefix}.${name}`;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) yield* leaves(value, key);
    else yield [key, value];
  }
}
