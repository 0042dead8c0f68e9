// What docs/ lists is what a server has: its HTTP calls, its metrics.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../src/client/index.js';
import { type RunningServer, startServer } from '../harness/server.js';

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
  return readFileSync(fileURLToPath(new URL(`../../docs/${name}`, import.meta.url)), 'utf8');
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

describe('docs/operations.md', () => {
  it('names metrics that there are', async () => {
    const { http, ws, tcp } = server.ready;
    const json = { 'content-type': 'application/json' };
    await fetch(`${http}/v1/push`, { method: 'POST', headers: json, body: '{' });
    await fetch(ws.replace('ws:', 'http:').replace('/sub', '/nothing'));
    const made = await fetch(`${http}/v1/tokens`, { method: 'POST', headers: json, body: '{"user":"1"}' });
    const { token } = (await made.json()) as { readonly token: string };
    const opened = Promise.withResolvers<void>();
    const client = connect({ url: `tcp://${tcp}`, token }, { message: () => {}, opened: () => opened.resolve() });
    await opened.promise;
    const text = await (await fetch(`${http}/metrics`)).text();
    await client.close();
    const named = [...page('operations.md').matchAll(/`(imgo_[a-z0-9_]+)/g)].map(([, name]) => name as string);
    expect(named.length).toBeGreaterThan(15);
    for (const name of named) expect(text).toMatch(new RegExp(`^${name}(_bucket)?[ {]`, 'm'));
  });
});
