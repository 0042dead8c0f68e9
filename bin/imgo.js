#!/usr/bin/env node
// The package's `imgo`, and the second half of the launcher bin/imgo. Everything up to `start` must parse and link on
// any Node since 18: no static import of project code, no named import that an older Node lacks. In a checkout it
// builds a missing or stale dist first; an installed package has neither sources nor build.

import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import nodeModule from 'node:module';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;
const PLATFORMS = ['linux-x64', 'linux-arm64'];
const ROOT = fileURLToPath(new URL('..', import.meta.url));

if (Number.parseInt(process.versions.node, 10) >= NEEDED) {
  await start();
} else {
  const bundled = bundledNode();
  if (bundled === undefined) refuse();
  else replaceBy(bundled);
}

/** The Node that npm installed as an optional dependency, wherever it was hoisted to. */
function bundledNode() {
  const require = nodeModule.createRequire(import.meta.url);
  for (const platform of PLATFORMS) {
    try {
      const found = require.resolve(`node-${platform}/bin/node`);
      if (existsSync(found)) return found;
    } catch {
      // Not installed: npm takes the one for this machine only.
    }
  }
  return undefined;
}

/** An older Node cannot exec: it runs the right one as its child, hands signals on, and ends as the child ended. */
function replaceBy(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2']) {
    try {
      process.on(signal, () => child.kill(signal));
    } catch {
      // A signal that this platform does not have.
    }
  }
  child.on('error', refuse);
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function refuse() {
  const platform = `${process.platform}-${process.arch}`;
  fail(2, {
    code: 'node_too_old',
    message: `imgo needs Node ${NEEDED}; this is ${process.versions.node} and the bundled one is not in node_modules.`,
    reason: PLATFORMS.includes(platform)
      ? 'npm leaves it out with --omit=optional.'
      : `There is none for ${platform}; it comes for ${PLATFORMS.join(' and ')}.`,
    advice: ['npm ci --include=optional', `install Node ${NEEDED}`],
  });
}

/** Prints an error in the form that every imgo error has, and sets the exit status. */
function fail(exit, error) {
  process.exitCode = exit;
  if (process.argv.includes('--json')) {
    process.stdout.write(`${JSON.stringify({ error })}\n`);
    return;
  }
  const advice = error.advice.map((step) => `  → ${step}\n`).join('');
  process.stderr.write(`✖ ${error.message}  ${error.code} · ${exit}\n  ${error.reason}\n${advice}`);
}

async function start() {
  process.env.IMGO_ARGV0 ||= 'imgo';
  try {
    if (existsSync(`${ROOT}src`)) {
      const { ensureBuilt } = await import('../scripts/freshness.mjs');
      await ensureBuilt();
      // Compiled code is kept with the build, never in a folder that other users can write to.
      nodeModule.enableCompileCache(`${realpathSync(`${ROOT}dist`)}/.cache`);
    }
    const { main } = await import('../dist/cli/main.js');
    await main(process.argv.slice(2));
  } catch (error) {
    if (error?.code === 'ERR_MODULE_NOT_FOUND' && !existsSync(`${ROOT}node_modules/@oclif`)) {
      fail(2, {
        code: 'not_installed',
        message: "imgo's packages are not installed.",
        reason: error.message,
        advice: ['npm ci'],
      });
    } else if (error?.code === 'build_failed') {
      fail(1, error.report);
    } else {
      throw error;
    }
  }
}
