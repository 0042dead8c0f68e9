// Types, format and lint, arrows and cycles, dead code: everything that can be told without running the program.
// All run side by side; only what failed is told. `npm run check`, and a part of `npm test`.

import { spawn } from 'node:child_process';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const bin = (name) => join(ROOT, 'node_modules/.bin', name);

const CHECKS = [
  ['types', bin('tsc'), '-p', 'tsconfig.test.json', '--pretty', 'false'],
  ['types without Node (protocol, client)', bin('tsc'), '-p', 'tsconfig.browser.json', '--pretty', 'false'],
  ['format and lint', bin('biome'), 'ci', '--colors=off', '--max-diagnostics=50', '.'],
  ['arrows and cycles', bin('depcruise'), '--config', '.dependency-cruiser.mjs', 'src', 'test'],
  ['dead exports and dependencies', bin('knip'), '--no-progress'],
];

/** Runs every check. Returns how many passed, and what those that failed said. */
export async function check() {
  const results = await Promise.all(CHECKS.map(([name, ...args]) => run(name, args)));
  const failed = results.filter(({ status }) => status !== 0);
  return {
    passed: results.length - failed.length,
    skipped: 0,
    failures: failed.map(({ name, output }) => ({ name, why: output.trim() })),
  };
}

function run(name, args) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => output.push(chunk));
    child.on('error', (error) => resolve({ name, status: 1, output: String(error) }));
    child.on('close', (status) => resolve({ name, status, output: Buffer.concat(output).toString() }));
  });
}

if (import.meta.main) {
  const { passed, failures } = await check();
  const told = failures.map(({ name, why }) => `\n✖ ${name}\n${why}\n`).join('');
  const names = failures.map(({ name }) => name).join(', ');
  process.stdout.write(
    `${told}${passed} checks passed, ${failures.length} failed${names === '' ? '' : `: ${names}`}\n`,
  );
  process.exitCode = failures.length > 0 ? 1 : 0;
}
