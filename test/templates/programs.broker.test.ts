// Templates in the programs that they are for. systemd takes the units; nginx, Caddy and HAProxy take the files, and a server
// behind each of them is reached as the page says: WebSocket in TLS, the API with a key, TCP.
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BrokerProcess } from '../brokers/process.js';
import { until } from '../harness/api.js';
import { freePorts } from '../harness/ports.js';
import { LAUNCHER, type RunningServer, startServer } from '../harness/server.js';
import { filesOf, read } from './files.js';
import { enter } from './legacy-client.js';

const folder = mkdtempSync(join(tmpdir(), 'imgo-programs-'));
const CERTIFICATE = join(folder, 'push.pem');
const KEY = join(folder, 'push.key');
const BOTH = join(folder, 'both.pem');
const API_KEY = 'imgo_k_of-a-test-that-nobody-else-knows-of-anywhere';
let server: RunningServer;

beforeAll(async () => {
  const subject = [
    '-subj',
    '/CN=push.example.com',
    '-addext',
    'subjectAltName=DNS:push.example.com,DNS:api.push.example.com',
  ];
  run('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '1',
    ...subject,
    '-out',
    CERTIFICATE,
    '-keyout',
    KEY,
  ]);
  writeFileSync(BOTH, readFileSync(CERTIFICATE, 'utf8') + readFileSync(KEY, 'utf8'));
  writeFileSync(join(folder, 'imgo.key'), API_KEY);
  const ports = ['--http', '0', '--ws', '0', '--tcp', '0'];
  server = await startServer(['--memory', '--key-file', join(folder, 'imgo.key'), ...ports], {
    XDG_STATE_HOME: folder,
  });
});
afterAll(async () => {
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

function run(program: string, args: readonly string[]): SpawnSyncReturns<string> {
  const done = spawnSync(program, args, { encoding: 'utf8', cwd: folder });
  if (done.error !== undefined) throw done.error;
  return done;
}

/** Writes a template with other words for those that belong to a machine; each has to be there. */
function adapted(file: string, words: readonly (readonly [string, string])[]): string {
  let text = read(file);
  for (const [from, to] of words) {
    expect(text).toContain(from);
    text = text.replaceAll(from, to);
  }
  const target = join(folder, file.replaceAll('/', '-'));
  writeFileSync(target, text);
  return target;
}

describe('systemd', () => {
  const unit = (file: string) => adapted(file, [['/opt/imgo/bin/imgo', LAUNCHER]]);

  it.each(filesOf('systemd/*.service'))('has nothing to say about %s', (file) => {
    const { status, stderr } = run('systemd-analyze', ['verify', unit(file)]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });

  it('would say so', () => {
    const file = join(folder, 'wrong.service');
    writeFileSync(file, read('systemd/imgo.service').replace('/opt/imgo/bin/imgo', LAUNCHER).replace('UMask', 'Umaks'));
    expect(run('systemd-analyze', ['verify', file]).stderr).toMatch(/Unknown key (name )?'Umaks'/);
  });

  it.each(filesOf('systemd/*.service'))('finds that %s exposes little', (file) => {
    // 2 of 10: what is left is the network, and memory that a compiler writes.
    const { status, stdout } = run('systemd-analyze', ['security', '--offline=true', '--threshold=20', unit(file)]);
    expect({ status, stdout: stdout.trim().split('\n').at(-1) }).toMatchObject({ status: 0 });
  });
});

it.each(filesOf('**/*.cfg'))('HAProxy takes %s', (file) => {
  const certificate = '/etc/ssl/imgo/push.example.com.both.pem';
  const words = read(file).includes(certificate) ? ([[certificate, BOTH]] as const) : [];
  const { status, stdout, stderr } = run('haproxy', ['-c', '-f', adapted(file, words)]);
  expect({ status, said: `${stdout}${stderr}` }).toMatchObject({
    status: 0,
    said: expect.not.stringMatching(/WARNING|ALERT/),
  });
});

interface Proxy {
  readonly https: number;
  readonly tcp?: number;
  readonly tcps?: number;
  readonly check: readonly string[];
  readonly start: readonly string[];
}

/** Where the server of the test is, in place of where a server is by itself. */
function behind(): readonly (readonly [string, string])[] {
  const { ws, http } = server.ready;
  return [
    ['127.0.0.1:8090', new URL(ws).host],
    ['127.0.0.1:7172', new URL(http).host],
  ];
}

const PROXIES: Readonly<Record<string, (ports: readonly number[]) => Proxy>> = {
  nginx: ([https = 0, tcp = 0]) => {
    const file = adapted('proxy/nginx.conf', [
      ['listen 443 ssl', `listen 127.0.0.1:${https} ssl`],
      ['listen 8081;', `listen 127.0.0.1:${tcp};`],
      ['/etc/ssl/imgo/push.example.com.pem', CERTIFICATE],
      ['/etc/ssl/imgo/push.example.com.key', KEY],
      // A test may not have as many descriptors.
      ['worker_rlimit_nofile 1048576', 'worker_rlimit_nofile 1024'],
      ['worker_connections 200000', 'worker_connections 512'],
      ['127.0.0.1:8080', server.ready.tcp],
      ...behind(),
    ]);
    const args = ['nginx', '-e', 'stderr', '-c', file];
    // One process: none outlives the test.
    const own = `daemon off; master_process off; pid ${join(folder, 'nginx.pid')};`;
    return { https, tcp, check: [...args, '-t', '-g', own], start: [...args, '-g', own] };
  },
  caddy: ([https = 0]) => {
    const tls = `{\n\ttls ${CERTIFICATE} ${KEY}\n`;
    const file = adapted('proxy/Caddyfile', [
      ['\npush.example.com {\n', `\npush.example.com:${https} ${tls}`],
      ['\napi.push.example.com {\n', `\napi.push.example.com:${https} ${tls}`],
      ...behind(),
    ]);
    writeFileSync(file, `{\n\tadmin off\n\tauto_https disable_redirects\n}\n${readFileSync(file, 'utf8')}`);
    const args = ['--adapter', 'caddyfile', '--config', file];
    return { https, check: ['caddy', 'validate', ...args], start: ['caddy', 'run', ...args] };
  },
  haproxy: ([https = 0, tcp = 0, tcps = 0]) => {
    const { port } = new URL(server.ready.http);
    const file = adapted('proxy/haproxy.cfg', [
      ['/etc/ssl/imgo/push.example.com.both.pem', BOTH],
      ['bind :443 ', `bind 127.0.0.1:${https} `],
      ['bind :8081', `bind 127.0.0.1:${tcp}`],
      ['bind :8443', `bind 127.0.0.1:${tcps}`],
      ['check port 7172', `check port ${port}`],
      ['maxconn 200000', 'maxconn 100'],
      ['127.0.0.1:8080', server.ready.tcp],
      ...behind(),
    ]);
    return { https, tcp, tcps, check: ['haproxy', '-c', '-f', file], start: ['haproxy', '-db', '-f', file] };
  },
};

describe.each(Object.keys(PROXIES))('%s in front', (name) => {
  it('takes its file, and hands on what clients and callers say', async () => {
    const proxy = PROXIES[name]?.(await freePorts(3));
    if (proxy === undefined) throw new Error(name);
    const [program = '', ...check] = proxy.check;
    const { status, stdout, stderr } = run(program, check);
    expect({ status, said: `${stdout}${stderr}` }).toMatchObject({ status: 0 });

    const { https, tcp, tcps, start } = proxy;
    const running = new BrokerProcess({ name, program, args: start.slice(1), port: https });
    await running.start();
    try {
      const { body } = await call(server.ready.http, '/v1/tokens', { user: '123' });
      const { token } = JSON.parse(body) as { readonly token: string };
      const text = JSON.stringify({ ver: 1, op: 7, seq: 1, body: token });
      using overWs = await enter({ at: `wss://push.example.com:${https}/sub`, auth: text });
      using overTcp = tcp === undefined ? undefined : await enter({ at: `127.0.0.1:${tcp}`, auth: token });
      using overTls = tcps === undefined ? undefined : await enter({ at: `127.0.0.1:${tcps}`, auth: token, tls: true });
      const api = `https://api.push.example.com:${https}`;
      const pushed = await call(api, '/v1/push', { to: { user: '123' }, message: { test: name } });
      expect(pushed).toMatchObject({ status: 200 });
      for (const client of [overWs, overTcp, overTls]) {
        if (client !== undefined) await until(`what was pushed, ${running.log()}`, () => client.got().includes(name));
      }
      const clients = `https://push.example.com:${https}`;
      expect((await call(clients, '/v1/push', { to: { user: '123' }, message: 1 })).status).toBe(404);
    } finally {
      await running.end('SIGTERM');
    }
  });
});

/** Posts JSON with the key; names of example.com are this machine's. */
function call(base: string, path: string, body: object): Promise<{ readonly status: number; readonly body: string }> {
  const headers = { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' };
  if (base.startsWith('http:')) return plain(`${base}${path}`, headers, body);
  return new Promise((resolve, reject) => {
    const { host, port } = new URL(base);
    const options = { host: '127.0.0.1', port, servername: host.split(':')[0], rejectUnauthorized: false };
    const asked = request({ ...options, method: 'POST', path, headers: { ...headers, host } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: text }));
    });
    asked.on('error', reject);
    asked.end(JSON.stringify(body));
  });
}

async function plain(url: string, headers: Readonly<Record<string, string>>, body: object) {
  const answer = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: answer.status, body: await answer.text() };
}
