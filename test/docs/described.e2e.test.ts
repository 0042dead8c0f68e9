// What docs/ lists is what a server has: its HTTP calls, its metrics.
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { METRICS } from '../../src/server/observe/metric-table.js';
import { type RunningServer, startServer } from '../harness/server.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'imgo-described-'));
const env = { XDG_STATE_HOME: folder, HOME: folder };
let server: RunningServer;

beforeAll(async () => {
  server = await startServer(['--memory', '--http', '0', '--ws', '0', '--tcp', '0'], env);
});
afterAll(async () => {
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

function page(name: string): string {
  return readFileSync(join(ROOT, 'docs', name), 'utf8');
}

describe('docs/http.md', () => {
  it('lists every call of /openapi.json, and no other', async () => {
    const api = (await (await fetch(`${server.ready.http}/openapi.json`)).json()) as {
      readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
    };
    const offered = Object.entries(api.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
    );
    const listed = [...page('http.md').matchAll(/^\| `((?:GET|POST|PUT|DELETE) [^`?]*)/gm)].map(([, call]) => call);
    expect(listed.toSorted()).toEqual(offered.filter((call) => !call.startsWith('HEAD ')).toSorted());
  });
});

describe('metrics', () => {
  const pages = [...globSync('docs/**/*.md', { cwd: ROOT }), ...globSync('templates/**/*.*', { cwd: ROOT })];
  const named = pages.flatMap((file) =>
    [...readFileSync(join(ROOT, file), 'utf8').matchAll(/\bimgo_(?!k_|t_|cluster_)[a-z0-9]+_[a-z0-9_]+/g)].map(
      ([name]) => ({ file, name }),
    ),
  );

  it('that pages and templates name are there', () => {
    expect(named.length).toBeGreaterThan(15);
    const known = (name: string) => name in METRICS || name.replace(/_(bucket|sum|count)$/, '') in METRICS;
    expect(named.filter(({ name }) => !known(name))).toEqual([]);
  });
});
