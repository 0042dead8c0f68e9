// What broker tests need beyond Node: Java with Kafka's jars, redis-server, and the programs that templates are for. They come from Debian's packages where
// this is root; the jars come from Maven once and stay in the user's cache, never in the project.
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

const KAFKA_VERSION = '4.4.0';
const CACHE = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'imgo-brokers');
/** The jars of Kafka and all that they need; there once {@link provision} said that nothing is missing. */
export const KAFKA_JARS = join(CACHE, `kafka-${KAFKA_VERSION}`);
/** One download on a slow line; Maven gives up on a dead one by itself. */
const FETCH_MAX_MS = 600_000;

/** Where a program comes from. */
export interface Program {
  readonly program: string;
  /** Debian's packages. */
  readonly debian: string;
  readonly why: string;
}

const JAVA = { program: 'java', debian: 'default-jre-headless', why: 'runs Kafka (17 or newer)' };
const MAVEN = { program: 'mvn', debian: 'maven', why: "fetches Kafka's jars" };
const REDIS = { program: 'redis-server', debian: 'redis-server', why: 'is Redis' };
const SETPRIV = { program: 'setpriv', debian: 'util-linux', why: 'ends a broker with the tests that started it' };

/** What templates are for: their own tests try them in it. */
export const TEMPLATE_PROGRAMS: readonly Program[] = [
  { program: 'nginx', debian: 'nginx libnginx-mod-stream', why: 'is one of the proxies' },
  { program: 'haproxy', debian: 'haproxy', why: 'is one of the proxies' },
  { program: 'caddy', debian: 'caddy', why: 'is one of the proxies' },
  { program: 'openssl', debian: 'openssl', why: 'makes a certificate for them' },
  { program: 'systemd-analyze', debian: 'systemd', why: 'reads units' },
];

/** Installs and fetches what is not there; resolves to what is missing all the same, one line each with what to do. */
export async function provision(more: readonly Program[] = []): Promise<readonly string[]> {
  const fetched = existsSync(KAFKA_JARS);
  const needed: readonly Program[] = [JAVA, REDIS, SETPRIV, ...(fetched ? [] : [MAVEN]), ...more];
  const absent = needed.filter(({ program }) => !isInstalled(program));
  const said = absent.length > 0 ? await install(absent.flatMap(({ debian }) => debian.split(' '))) : '';
  const missing = absent
    .filter(({ program }) => !isInstalled(program))
    .map(({ program, debian, why }) => `${program} ${why}: install Debian's package ${debian} or its like${said}`);
  if (fetched || missing.length > 0) return missing;
  const failure = await fetchJars();
  return failure === undefined ? [] : [`Kafka ${KAFKA_VERSION} cannot be fetched by Maven:\n${failure}`];
}

function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Debian's packages, where this may install them. Resolves to what to add to a complaint. */
async function install(packages: readonly string[]): Promise<string> {
  if (process.getuid?.() !== 0 || !isInstalled('apt-get')) return ' (done by itself where this is root on Debian)';
  process.stderr.write(`Installing ${packages.join(', ')}\n`);
  const apt = ['-qq', '-o', 'DPkg::Lock::Timeout=120'];
  const updated = await run('apt-get', [...apt, 'update']);
  const installed = await run('apt-get', [...apt, 'install', '-y', '--no-install-recommends', ...packages]);
  return installed.status === 0 ? '' : `\n${lastLines(updated.output + installed.output)}`;
}

/** Into a folder of its own first: the cache holds all of the jars or none, whoever else fetches them now. */
async function fetchJars(): Promise<string | undefined> {
  process.stderr.write(`Fetching Kafka ${KAFKA_VERSION} into ${CACHE}\n`);
  await mkdir(CACHE, { recursive: true });
  const partial = await mkdtemp(join(CACHE, 'partial-'));
  try {
    const { status, output } = await run('mvn', [
      '-B',
      '-ntp',
      '-q',
      '-f',
      join(import.meta.dirname, 'pom.xml'),
      'dependency:copy-dependencies',
      `-Dkafka.version=${KAFKA_VERSION}`,
      '-DincludeScope=runtime',
      `-DoutputDirectory=${partial}`,
    ]);
    if (status !== 0) return lastLines(output);
    await rename(partial, KAFKA_JARS).catch((error: unknown) => {
      if (!existsSync(KAFKA_JARS)) throw error;
    });
    return undefined;
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

function run(program: string, args: readonly string[]): Promise<{ status: number | null; output: string }> {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: FETCH_MAX_MS,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, output }));
  });
}

function lastLines(output: string): string {
  return output.trim().split('\n').slice(-20).join('\n');
}

// `npm run provision`: what broker tests would do first.
if (import.meta.main) {
  for (const missing of await provision(TEMPLATE_PROGRAMS)) process.stdout.write(`Missing: ${missing}\n`);
}
