// `imgo init` as scripts use it: what there is, what it would write, what it wrote; never over a file that is there, and all
// of a template or nothing.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TEMPLATES } from '../../src/cli/init/catalogue.js';
import { LAUNCHER } from '../harness/server.js';
import { filesOf, read } from './files.js';

const NAMES = TEMPLATES.map(({ name }) => name);
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'imgo-init-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function init(...args: readonly string[]) {
  const { PATH = '', HOME = '' } = process.env;
  const env = { PATH, HOME, LANG: 'C.UTF-8', XDG_STATE_HOME: folder };
  return spawnSync(LAUNCHER, ['init', ...args], { cwd: folder, env, encoding: 'utf8' });
}

const here = (under = '') => readdirSync(join(folder, under), { recursive: true }).map(String).sort();

describe('without a template', () => {
  it('lists what there is', () => {
    expect(init().stdout.trim().split('\n')).toEqual(NAMES);
    const items = init('--json').stdout.trim().split('\n');
    expect(items.map((line) => JSON.parse(line) as object)).toEqual(
      TEMPLATES.map(({ name, summary }) => ({ name, summary })),
    );
  });

  it('every template has files, and every folder is of one', () => {
    const parts = TEMPLATES.flatMap(({ from }) => from);
    const folders = new Set(filesOf('**/*').map((file) => file.split('/')[0]));
    expect([...folders].sort()).toEqual([...new Set(parts)].sort());
  });
});

describe.each(TEMPLATES)('$name', ({ name, from }) => {
  const sources = from.flatMap((part) => filesOf(`${part}/**/*`));

  it('is written as it is, and says what to do next', () => {
    const { status, stdout, stderr } = init(name);
    expect({ status, stderr }).toMatchObject({ status: 0, stderr: expect.stringMatching(/^Written\. Next:\n {2}→ /) });
    expect(stderr).not.toContain('DIR');
    const written = stdout.trim().split('\n');
    expect(written).toEqual(sources.map((file) => file.replace(/^[\w-]+/, name)).sort());
    for (const source of sources) {
      expect(readFileSync(join(folder, source.replace(/^[\w-]+/, name)), 'utf8')).toBe(read(source));
    }
  });
});

describe('what it writes over', () => {
  it('is nothing: the file is named, and no other is written', () => {
    mkdirSync(join(folder, 'deploy'));
    writeFileSync(join(folder, 'deploy/logic.toml'), 'mine');
    const { status, stdout, stderr } = init('systemd', 'deploy');
    expect({ status, stdout }).toEqual({ status: 5, stdout: '' });
    expect(stderr).toContain('deploy/logic.toml exists already.');
    expect(here('deploy')).toEqual(['logic.toml']);
    expect(readFileSync(join(folder, 'deploy/logic.toml'), 'utf8')).toBe('mine');
    expect(JSON.parse(init('systemd', 'deploy', '--json', '--dry-run').stdout)).toMatchObject({
      error: { code: 'file_exists' },
    });
  });

  it('is no link either, wherever it leads', () => {
    symlinkSync(join(folder, 'nowhere'), join(folder, 'imgo.toml'));
    expect(init('config', '.').status).toBe(5);
    expect(existsSync(join(folder, 'nowhere'))).toBe(false);
  });

  it('a second time is the first one’s files', () => {
    expect(init('config', '.').status).toBe(0);
    expect(init('config', '.')).toMatchObject({
      status: 5,
      stderr: expect.stringContaining('imgo.toml exists already.'),
    });
  });

  it('a folder that is a file is told, and nothing is written', () => {
    writeFileSync(join(folder, 'deploy'), '');
    const { status, stderr } = init('kubernetes', 'deploy');
    expect({ status, stderr }).toMatchObject({ status: 5, stderr: expect.stringContaining('file_unwritable') });
    expect(here()).toEqual(['deploy']);
  });
});

describe('--dry-run', () => {
  it('lists what would be written, and writes nothing', () => {
    const { status, stdout } = init('kubernetes', 'a/b', '--dry-run');
    expect(status).toBe(0);
    expect(stdout).toContain('a/b/comet.yaml\n');
    expect(here()).toEqual([]);
    expect(init('kubernetes', 'a/b').stdout).toBe(stdout);
  });

  it('is an object with --json', () => {
    expect(JSON.parse(init('config', '.', '--dry-run', '--json').stdout)).toEqual({
      template: 'config',
      folder: '.',
      dryRun: true,
      files: ['imgo.toml'],
      next: [expect.any(String), 'imgo config check --config ./imgo.toml'],
    });
  });
});

it('a name that no template has is told with the nearest that there is', () => {
  const { status, stderr } = init('kubernets');
  expect({ status, stderr }).toMatchObject({ status: 2, stderr: expect.stringContaining('Did you mean kubernetes?') });
});
