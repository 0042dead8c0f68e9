// `npm run check:browser`: the client library as it is built, loaded as modules by headless Chromium (Debian's package),
// against a real server: messages while connected, while away, in a room, the acknowledgement, and a foreign page refused;
// the try-it page; and the report of a bench run.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { call } from '../harness/pusher.js';
import { startServer } from '../harness/server.js';
import { openPage, startBrowser } from './chromium.js';
import { checkReport } from './report.js';
import { checkTryIt } from './try-it.js';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'imgo-browser-'));

/** Serves dist, and an empty page. */
const files = createServer((request, response) => {
  const path = normalize(new URL(request.url ?? '/', 'http://localhost').pathname);
  if (path === '/') {
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>imgo</title>');
    return;
  }
  try {
    response.setHeader('content-type', 'text/javascript').end(readFileSync(join(DIST, path)));
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise<void>((resolve) => files.listen(0, '127.0.0.1', () => resolve()));
const { port } = files.address() as AddressInfo;

const listen = ['--http', '0', '--ws', '0', '--tcp', 'off'];
const origin = `http://127.0.0.1:${port}`;
const state = { XDG_STATE_HOME: join(folder, 'state') };
const server = await startServer(['--data', join(folder, 'data'), ...listen, '--origin', origin], state);
const { http, ws } = server.ready;
const post = async (path: string, body: object): Promise<Record<string, unknown>> => {
  const answer = await call(http + path, 'POST', JSON.stringify(body));
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body) as Record<string, unknown>;
};

const browser = await startBrowser();
try {
  await checkReport(browser, folder);
  await checkTryIt(browser, folder);
  await using opened = await openPage(browser, `${origin}/`);
  const { page } = opened;
  const { token } = await post('/v1/tokens', { user: 'b', rooms: ['live'] });
  await page.evaluate(`(async () => {
    const { connectWebSocket } = await import('/client/browser.js');
    window.got = [];
    window.start = (more) => new Promise((resolve) => {
      window.client = connectWebSocket({ url: ${JSON.stringify(ws)}, token: ${JSON.stringify(token)}, device: 'tab', ...more }, {
        message: (message) => { got.push([message.log, new TextDecoder().decode(message.payload), message.redelivered]); },
        opened: resolve,
        closed: (why) => resolve(why),
      });
    });
    window.until = async (count) => { while (got.length < count) await new Promise((next) => setTimeout(next, 10)); return got; };
    await start({ rooms: ['live'] });
  })()`);
  const { delivery } = (await post('/v1/push?wait=5s', { to: { user: 'b' }, message: { n: 1 } })) as {
    delivery: { delivered: number };
  };
  assert.equal(delivery.delivered, 1, 'the page acknowledged');
  await post('/v1/push', { to: { room: 'live' }, message: 'goal ⚽' });
  assert.deepEqual(await page.evaluate('until(2)'), [
    ['user:b', '{"n":1}', false],
    ['room:live', '"goal ⚽"', false],
  ]);
  await page.evaluate('client.close()');
  await post('/v1/push', { to: { user: 'b' }, message: { n: 2 } });
  await page.evaluate('start({})');
  assert.deepEqual(await page.evaluate('until(3).then((all) => all[2])'), ['user:b', '{"n":2}', false]);
  process.stdout.write('ok: the client runs in Chromium: delivery, acknowledgement, room, kept while away\n');

  // The same page under a name that the server does not allow.
  await using other = await openPage(browser, `${origin.replace('127.0.0.1', 'localhost')}/`);
  const foreign = await other.page.evaluate(`new Promise((resolve) => {
    const socket = new WebSocket(${JSON.stringify(ws)});
    socket.onopen = () => resolve('open');
    socket.onclose = () => resolve('refused');
  })`);
  assert.equal(foreign, 'refused');
  process.stdout.write('ok: a page of another origin is refused\n');
} finally {
  await browser.close();
  await server.end('SIGTERM');
  files.close();
  rmSync(folder, { recursive: true, force: true });
}
