// Starting and stopping a whole server: what a start that fails leaves behind, and who may reach a development server.

import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { openStore, type RunningServer, startServer } from '../../src/server/assemble.js';
import { type Clock, systemClock } from '../../src/server/clock.js';
import type { Config } from '../../src/server/config.js';
import { loadConfig } from '../../src/server/config-load.js';
import { importKey, revokeKey } from '../../src/server/logic/keys.js';

const undo: (() => Promise<unknown> | unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

function freshFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'imgo-assemble-'));
  undo.push(() => rmSync(folder, { recursive: true }));
  return folder;
}

function configOf(settings: Readonly<Record<string, unknown>>, folder = freshFolder()): Config {
  const ports = { 'listen.http': 0, 'listen.ws': 0, 'listen.tcp': 0, data: 'memory', 'store.reserve': 0 };
  const flags = Object.entries({ ...ports, ...settings }).map(([key, value]) => ({ key, value, where: key }));
  return loadConfig({ env: {}, flags, folder }).config;
}

const log = pino({ level: 'silent' });

async function start(config: Config, adminKey?: string): Promise<RunningServer> {
  const server = await startServer(config, { log, version: 'test', ...(adminKey === undefined ? {} : { adminKey }) });
  undo.push(() => server.stop());
  return server;
}

function upgradeStatus(ws: string, host: string, origin: string): Promise<number | undefined> {
  const { port } = new URL(ws);
  const headers = {
    Host: `${host}:${port}`,
    Origin: `${origin}:${port}`,
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port, path: '/sub', headers });
    call.on('upgrade', (response, socket) => {
      socket.destroy();
      resolve(response.statusCode);
    });
    call.on('response', (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    call.on('error', reject);
    call.end();
  });
}

test('in development a name that was made to point here does not reach the WebSocket, not even from its own page', async () => {
  const { addresses, mode } = await start(configOf({}));
  expect(mode).toBe('development');
  expect(await upgradeStatus(addresses.ws as string, 'evil.test', 'http://evil.test')).toBe(403);
  expect(await upgradeStatus(addresses.ws as string, 'localhost', 'http://localhost')).toBe(101);
  expect(await upgradeStatus(addresses.ws as string, '127.0.0.1', 'http://127.0.0.1')).toBe(101);
});

test('with a key any name may point here: a proxy stands before it', async () => {
  const { addresses, mode } = await start(configOf({}), 'imgo_k_of-a-test-that-is-long-enough');
  expect(mode).toBe('production');
  expect(await upgradeStatus(addresses.ws as string, 'push.test', 'http://push.test')).toBe(101);
});

test('what the job did is among the metrics', async () => {
  const { addresses } = await start(configOf({}));
  const text = await (await fetch(`${addresses.http}/metrics`)).text();
  expect(text).toContain('imgo_job_records_total{outcome="appended"} 0');
  expect(text).toContain('imgo_job_ephemeral_lost_total{reason="failed"} 0');
});

test('a start that fails for a port lets go of the data folder and of every other port', async () => {
  const holder = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => holder.once('listening', resolve));
  undo.push(() => new Promise((resolve) => holder.close(resolve)));
  const { port } = holder.address() as { port: number };
  const folder = freshFolder();
  const taken = configOf({ data: 'data', 'listen.ws': port }, folder);
  await expect(start(taken)).rejects.toMatchObject({ code: 'port_in_use', details: { listener: 'ws', port } });
  const server = await start(configOf({ data: 'data' }, folder));
  expect(server.addresses.tcp).toBeDefined();
});

test('a port that a server listens on is not shared with another one', async () => {
  const { addresses } = await start(configOf({}));
  const port = Number(new URL(`tcp://${addresses.tcp}`).port);
  const another = configOf({ 'listen.tcp': port, 'listen.ws': 'off' });
  await expect(start(another)).rejects.toMatchObject({ code: 'port_in_use', details: { listener: 'tcp', port } });
});

test.each(['tcp', 'ws', 'http'])('a start that fails for the port of %s leaves no timer that repeats', async (name) => {
  const holder = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => holder.once('listening', resolve));
  undo.push(() => new Promise((resolve) => holder.close(resolve)));
  const { port } = holder.address() as { port: number };
  const repeating = new Set<unknown>();
  const clock: Clock = {
    ...systemClock,
    every: (ms, run) => {
      const timer = systemClock.every(ms, run);
      repeating.add(timer);
      return timer;
    },
    clear: (timer) => {
      repeating.delete(timer);
      systemClock.clear(timer);
    },
  };
  const config = configOf({ data: 'data', [`listen.${name}`]: port });
  await expect(startServer(config, { log, version: 'test', clock })).rejects.toThrow();
  expect(repeating.size).toBe(0);
});

test('a key that was revoked does not start a server that would ask for none', async () => {
  const folder = freshFolder();
  const config = configOf({ data: 'data' }, folder);
  const key = 'imgo_k_of-a-test-that-is-long-enough';
  const store = await openStore(config, systemClock, 'test');
  const { id } = await importKey(store.credentials, systemClock, key, {
    name: '',
    scopes: ['admin'],
    ttlMs: undefined,
  });
  await revokeKey(store.credentials, systemClock, id);
  await store.close();
  await expect(start(config, key)).rejects.toMatchObject({ code: 'key_invalid' });
});
