// Builds dist from src: compiles into a folder of its own, adds oclif's manifest, and lets the link `dist` point to it, under
// a lock. A command started meanwhile sees the old build or the new one, never half of one; and what runs keeps its build,
// whose modules it may load hours later: the last few stay. `--package` makes dist a folder, which npm can pack.
// Types are not checked here (`npm run check` does): a launcher has to be quick.

import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  lstatSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { builtFrom, DIST, FINGERPRINT, fingerprint, ROOT } from './freshness.mjs';

/** The file in dist that says that every command could be loaded. */
const STRICT = '.strict';
const LOCK = join(ROOT, 'dist.lock');
/** A lock older than this belongs to a build that died where its pid cannot be looked up. */
const LOCK_MAX_MS = 120_000;
/** Builds before the present one that stay, for processes that run them. */
const KEPT = 4;

/**
 * Builds dist unless another process has just done so. `strict`: a command that cannot be loaded fails the build;
 * otherwise it is left out with a warning. `folder`: dist becomes a folder rather than a link.
 * Throws an Error with code `build_failed` and a `report`.
 */
export async function build({ strict, folder = false }) {
  const release = await lock();
  const target = join(ROOT, `dist.${process.pid}`);
  try {
    const sources = fingerprint();
    if (!folder && builtFrom() === sources && (!strict || existsSync(join(DIST, STRICT)))) return;
    removeLeftovers();
    compile(target);
    copyPageFiles(target);
    await makePage(target);
    writeManifest(target, strict);
    if (strict) writeFileSync(join(target, STRICT), '');
    writeFileSync(join(target, FINGERPRINT), sources);
    if (folder) place(target);
    else pointTo(target);
    removeOldBuilds();
  } finally {
    rmSync(target, { recursive: true, force: true });
    release();
  }
}

/** What builds that were killed left behind; the lock says that none is running. */
function removeLeftovers() {
  for (const name of readdirSync(ROOT)) {
    if (/^dist\.\d/.test(name)) rmSync(join(ROOT, name), { recursive: true, force: true });
  }
}

function compile(target) {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  if (!existsSync(tsc)) {
    throw failure('dist is missing or older than src, and TypeScript is not installed.', 'npm ci --include=dev');
  }
  run([tsc, '-p', 'tsconfig.json', '--outDir', target, '--noCheck', '--pretty', 'false']);
}

/** What the bench report's page is made of is read as it stands: nothing compiles it. */
function copyPageFiles(target) {
  for (const name of readdirSync(join(ROOT, 'src'), { recursive: true })) {
    if (!name.startsWith('page/') && /\.(js|css)$/.test(name))
      copyFileSync(join(ROOT, 'src', name), join(target, name));
  }
}

/** The try-it page; its bundler is loaded here, because a launcher that has nothing to build has no need of it. */
async function makePage(target) {
  try {
    const { buildPage } = await import('./page.mjs');
    await buildPage(target);
  } catch (error) {
    throw failure(`The try-it page: ${error.message}`, 'npm ci --include=dev');
  }
}

function writeManifest(target, strict) {
  if (!existsSync(join(target, 'cli/oclif.js'))) return;
  run([join(import.meta.dirname, 'manifest.mjs'), target, strict ? 'strict' : 'lenient']);
}

function run(args) {
  const result = spawnSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' });
  const output = `${result.stdout ?? ''}${result.stderr ?? ''}`.trim();
  if (result.status !== 0) throw failure(output || String(result.error ?? result.signal), 'npm run check');
  if (output !== '') process.stderr.write(`${output}\n`);
}

function failure(reason, advice) {
  const report = {
    code: 'build_failed',
    message: 'imgo could not be built from its sources.',
    reason,
    advice: [advice],
  };
  return Object.assign(new Error(`${report.message}\n${reason}`), { code: 'build_failed', report });
}

/** The link is replaced in one step. */
function pointTo(target) {
  const name = buildName();
  renameSync(target, join(ROOT, name));
  const link = `${target}.link`;
  symlinkSync(name, link);
  // A folder, as packages have it, cannot be replaced by a link: launchers take its absence for "to be built", and wait.
  if (lstatSync(DIST, { throwIfNoEntry: false })?.isDirectory()) renameSync(DIST, join(ROOT, buildName()));
  renameSync(link, DIST);
}

function place(target) {
  if (lstatSync(DIST, { throwIfNoEntry: false })?.isDirectory()) renameSync(DIST, join(ROOT, buildName()));
  else rmSync(DIST, { force: true });
  renameSync(target, DIST);
}

let named = 0;

/** Sorts by age. */
function buildName() {
  named += 1;
  return `dist.b${String(Date.now()).padStart(15, '0')}-${process.pid}-${named}`;
}

function removeOldBuilds() {
  const builds = readdirSync(ROOT).filter((name) => name.startsWith('dist.b'));
  const old = builds
    .sort()
    .reverse()
    .slice(KEPT + 1);
  for (const name of old) rmSync(join(ROOT, name), { recursive: true, force: true });
}

/** Waits until no other build runs; a lock whose owner is gone is taken over. Returns the release. */
async function lock() {
  for (;;) {
    try {
      writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
      return () => rmSync(LOCK, { force: true });
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (isAbandoned()) rmSync(LOCK, { force: true });
    else await wait(50);
  }
}

function isAbandoned() {
  const stat = statSync(LOCK, { throwIfNoEntry: false });
  if (stat === undefined) return false;
  if (Date.now() - stat.mtimeMs > LOCK_MAX_MS) return true;
  try {
    const pid = Number(readFileSync(LOCK, 'utf8'));
    if (pid > 0) process.kill(pid, 0);
    return false;
  } catch (error) {
    return error.code === 'ESRCH';
  }
}

if (import.meta.main) {
  try {
    await build({ strict: true, folder: process.argv.includes('--package') });
  } catch (error) {
    if (error.code !== 'build_failed') throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
