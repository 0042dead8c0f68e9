// The tool that checks arrows and cycles must itself be seen to fail: it reads TypeScript through another parser, and
// a parser that finds no imports finds no violations either.

import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '../..');
const CRUISER = join(ROOT, 'node_modules/.bin/depcruise');
let copy = '';

beforeEach(async () => {
  copy = await mkdtemp(join(tmpdir(), 'imgo-architecture-'));
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  for (const file of ['.dependency-cruiser.mjs', 'package.json', 'tsconfig.json', 'tsconfig.base.json']) {
    await cp(join(ROOT, file), join(copy, file));
  }
  await plant('src/protocol/frame.ts', 'export const frame = 16;');
  await plant('src/server/start.ts', "import { frame } from '../protocol/frame.js';\nexport const start = frame;");
});

afterEach(() => rm(copy, { recursive: true, force: true }));

async function plant(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(copy, path)), { recursive: true });
  await writeFile(join(copy, path), `${text}\n`);
}

/** The names of the broken rules, each as `rule: from`. */
function violations(): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const args = [CRUISER, '--config', '.dependency-cruiser.mjs', '--output-type', 'json', 'src'];
    execFile(process.execPath, args, { cwd: copy, maxBuffer: 1 << 26 }, (_error, stdout, stderr) => {
      try {
        const { summary } = JSON.parse(stdout) as {
          summary: { violations: { rule: { name: string }; from: string }[] };
        };
        resolve(summary.violations.map(({ rule, from }) => `${rule.name}: ${from}`));
      } catch {
        reject(new Error(stderr || stdout));
      }
    });
  });
}

test('allowed imports pass', async () => {
  expect(await violations()).toEqual([]);
});

test.each([
  ['server-alone', 'src/server/comet/a.ts', "import '../../client/b.js';", 'src/client/b.ts'],
  [
    'server-alone',
    'src/server/comet/a.ts',
    "import type { B } from '../../cli/b.js';\nexport type A = B;",
    'src/cli/b.ts',
  ],
  [
    'server-alone',
    'src/server/a.ts',
    "export async function a() {\n  await using b = await import('../client/b.js');\n  return b;\n}",
    'src/client/b.ts',
  ],
  ['client-alone', 'src/client/a.ts', "import '../server/b.js';", 'src/server/b.ts'],
  ['bench-alone', 'src/bench/a.ts', "export const a = () => import('../server/b.js');", 'src/server/b.ts'],
  ['cli-below-commands', 'src/cli/a.ts', "import '../commands/b.js';", 'src/commands/b.ts'],
  ['protocol-is-the-bottom', 'src/protocol/a.ts', "import 'node:fs';", 'src/server/b.ts'],
  ['protocol-is-the-bottom', 'src/protocol/a.ts', "import '../server/b.js';", 'src/server/b.ts'],
  ['engines-only-in-assembly', 'src/server/logic/a.ts', "import '../store/lmdb.js';", 'src/server/store/lmdb.ts'],
  ['src-not-test', 'src/server/a.ts', "import '../../test/b.js';", 'test/b.ts'],
  ['unresolved', 'src/server/a.ts', "import './gone.js';", 'src/server/b.ts'],
])('%s is seen in %s: %s', async (rule, from, text, to) => {
  await plant(from, text);
  await plant(to, 'export interface B {\n  b: 1;\n}');
  expect(await violations()).toContain(`${rule}: ${from}`);
});

test('what the browser entry reaches through another file is seen', async () => {
  await plant('src/client/browser.ts', "import './a.js';");
  await plant('src/client/a.ts', "import 'node:net';");
  expect(await violations()).toEqual(['client-runs-in-a-browser: src/client/browser.ts']);
});

test('a cycle is seen, also one of types', async () => {
  await plant('src/server/a.ts', "import type { B } from './b.js';\nexport interface A {\n  b: B;\n}");
  await plant('src/server/b.ts', "import type { A } from './a.js';\nexport interface B {\n  a: A;\n}");
  expect(await violations()).toEqual(['no-cycle: src/server/a.ts']);
});
