// The settings of templates/from-imgo and from-goim serve old clients and callers as they are: a server with them, started as
// their pages say, takes what an old caller pushes and gives it to old clients. Ports are other ones here.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/server/config-load.js';
import { until } from '../harness/api.js';
import { LAUNCHER, type RunningServer, startServer } from '../harness/server.js';
import { FOLDER, read } from './files.js';
import { enter } from './legacy-client.js';

const TOKEN = 'a-token-that-imgo-knows';
const folder = mkdtempSync(join(tmpdir(), 'imgo-migrations-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function portsOf(template: string): Readonly<Record<string, number | undefined>> {
  const { listen } = loadConfig({ file: join(FOLDER, template, 'imgo.toml'), env: {}, flags: [], folder }).config;
  const { tcp, ws, goim, legacyHttp } = listen;
  return { tcp: tcp?.port, ws: ws?.port, goim: goim?.port, legacyHttp: legacyHttp?.port };
}

/** Its first key is made as the page says, and so is the server; only where it listens is this machine's affair. */
async function startAsTold(template: string, ports: readonly string[]): Promise<RunningServer> {
  const data = join(folder, template);
  const key = join(folder, `${template}.key`);
  const page = read(`${template}/README.md`);
  expect(page).toContain('imgo key create --scope admin --data .imgo --out imgo.key\n');
  expect(page).toContain('imgo serve --config imgo.toml --key-file imgo.key\n');
  const made = spawnSync(LAUNCHER, ['key', 'create', '--scope', 'admin', '--data', data, '--out', key], {
    env: { ...process.env, XDG_STATE_HOME: folder },
    encoding: 'utf8',
  });
  expect(made.stderr).toContain('May admin');
  const config = join(FOLDER, template, 'imgo.toml');
  const args = ['--config', config, '--key-file', key, '--data', data, '--host', '127.0.0.1', ...ports];
  return startServer(args, { XDG_STATE_HOME: folder, IMGO_STORE__RESERVE: '1MiB' });
}

async function call(url: string, body: string): Promise<unknown> {
  return (await fetch(url, { method: 'POST', body })).json();
}

describe('from-imgo', () => {
  it('is on the ports of imgo', () => {
    expect(portsOf('from-imgo')).toEqual({ tcp: 8080, ws: 8090, goim: undefined, legacyHttp: 7172 });
  });

  it('a caller without a key pushes, and clients over TCP and WebSocket receive it', async () => {
    const server = await startAsTold('from-imgo', ['--tcp', '0', '--ws', '0', '--http', '0', '--legacy-http', '0']);
    const { tcp, ws, legacyHttp = '', http } = server.ready;
    try {
      expect(await call(`${legacyHttp}/1/admin/token/new`, `uid=123&token=${TOKEN}&expire=0`)).toEqual({ ret: 1 });
      expect(await call(`${legacyHttp}/1/push?uid=123`, '{"early":1}')).toEqual({ ret: 1 });
      const missed = await fetch(`${legacyHttp}/1/msg/get?uid=123&token=${TOKEN}`);
      expect(await missed.json()).toMatchObject({ ret: 0, data: { msgs: [{ msg: { early: 1 } }] } });
      using overTcp = await enter({ at: tcp, auth: TOKEN });
      using overWs = await enter({ at: ws, auth: JSON.stringify({ ver: 1, op: 7, seq: 1, body: TOKEN }) });
      expect(await call(`${legacyHttp}/1/push?uid=123`, '{"test":1}')).toEqual({ ret: 1 });
      await until('over TCP', () => overTcp.got().includes('{"test":1}'));
      await until('over WebSocket', () => overWs.got().includes('{"test":1}'));
      expect((await fetch(`${http}/v1/nodes`)).status).toBe(401);
    } finally {
      await server.end('SIGTERM');
    }
  });
});

describe('from-goim', () => {
  it('is on the ports of goim', () => {
    expect(portsOf('from-goim')).toMatchObject({ goim: 3101, legacyHttp: 3111 });
    expect(read('from-goim/old-ports.cfg')).toMatch(/bind :3102\n {2}server \S+ 127\.0\.0\.1:3101/);
  });

  it('a caller without a key pushes, and clients over TCP and WebSocket of one port receive it', async () => {
    const ports = ['--goim', '0', '--tcp', '0', '--ws', '0', '--http', '0', '--legacy-http', '0'];
    const server = await startAsTold('from-goim', ports);
    const { goim = '', legacyHttp = '' } = server.ready;
    const auth = '{"mid":123,"key":"","room_id":"live://1000","platform":"web","accepts":[1000]}';
    try {
      using overTcp = await enter({ at: goim, auth });
      using overWs = await enter({ at: `ws://${goim}/sub`, auth });
      const pushed = await call(`${legacyHttp}/goim/push/mids?operation=1000&mids=123`, '{"test":1}');
      expect(pushed).toMatchObject({ code: 0 });
      await until('over TCP', () => overTcp.got().includes('{"test":1}'));
      await until('over WebSocket', () => overWs.got().includes('{"test":1}'));
    } finally {
      await server.end('SIGTERM');
    }
  });
});

it('the key that a page has made is one secret on one line', () => {
  expect(readFileSync(join(folder, 'from-imgo.key'), 'utf8')).toMatch(/^imgo_k_[\w-]{43}\n$/);
});
