// The try-it page in a browser, against real servers: by keyboard alone, in both colours and all widths, away and back, with
// hostile and huge messages, under a flood, with a server that goes away, with a key, and removed.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Browser, Page } from 'playwright-core';
import { call } from '../harness/pusher.js';
import { LAUNCHER, type RunningServer, startServer } from '../harness/server.js';
import { openPage, type Watched } from './chromium.js';

const run = promisify(execFile);
const ANY_PORTS = ['--http', '0', '--ws', '0', '--tcp', 'off'];
const HOSTILE = '</script><img src=x onerror="document.title=1"><script>document.title=2</script>';

/** Runs everything; throws where something is not as it should be. */
export async function checkTryIt(browser: Browser, folder: string): Promise<void> {
  const env = { XDG_STATE_HOME: join(folder, 'state') };
  const server = await startServer(['--memory', ...ANY_PORTS], env);
  try {
    // The ten seconds away pass while the rest goes on.
    const meanwhile = async () => {
      await checkKeyboard(browser, server, env);
      await checkLooks(browser, server);
      await checkBadInput(browser, server);
      await checkFlood(browser, server);
    };
    await Promise.all([checkAway(browser, server), meanwhile()]);
  } catch (error) {
    await server.end('SIGKILL');
    throw error;
  }
  await checkServerAway(browser, server, env);
  await checkProduction(browser, folder, env);
}

/** Everything that matters without a mouse: connect, a room, a push, a row opened, a command copied, which then works. */
async function checkKeyboard(browser: Browser, { ready }: RunningServer, env: NodeJS.ProcessEnv): Promise<void> {
  const permissions = ['clipboard-read', 'clipboard-write'];
  await using opened = await openPage(browser, `${ready.http}/`, {
    permissions,
    viewport: { width: 1280, height: 900 },
  });
  const { page } = opened;
  await tabTo(page, '#user');
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.type('ann');
  await page.keyboard.press('Enter');
  await stateOf(page, 'connected');
  await tabTo(page, '#room');
  await page.keyboard.type('keys');
  await page.keyboard.press('Enter');
  await page.locator('#rooms li', { hasText: 'keys' }).waitFor();
  await tabTo(page, '#message');
  await page.keyboard.press('ControlOrMeta+A');
  await page.keyboard.type('{"n":12345678901234567890}');
  await page.keyboard.press('ControlOrMeta+Enter');
  await page.locator('#outcome', { hasText: 'Delivered to 1 of 1 session' }).waitFor();
  await tabTo(page, '#tab-curl');
  await page.keyboard.press('ArrowRight');
  await tabTo(page, '#copy-command');
  await page.keyboard.press('Enter');
  await page.locator('#copy-command', { hasText: 'Copied' }).waitFor();
  const command: string = await page.evaluate('navigator.clipboard.readText()');
  const said = await run('/bin/sh', ['-c', command], { env: { ...process.env, ...env } });
  assert.match(said.stderr, /Delivered to 1 of 1 session/, command);
  const rows = page.locator('.message:has([data-log=you])');
  await rows.nth(1).waitFor();
  assert.deepEqual(await rows.locator('.payload').allTextContents(), Array(2).fill('{"n":12345678901234567890}'));
  await tabTo(page, '.message:has([data-log=you]) summary');
  await page.keyboard.press('Enter');
  await page.locator('.message details[open] pre', { hasText: '12345678901234567890' }).waitFor();
  for (const id of ['curl', 'fetch']) {
    await page.locator(`#tab-${id}`).click();
    await page.locator(`#copy-${id}`).click();
    assert.equal(await page.evaluate('navigator.clipboard.readText()'), await page.locator(`#${id}`).textContent());
  }
  quiet(opened, ready);
  ok('the try-it page works by keyboard alone, and the command that it copies works');
}

/** Ten seconds away: what is pushed meanwhile is kept, and comes in order, marked. Rooms resume. */
async function checkAway(browser: Browser, { ready }: RunningServer): Promise<void> {
  await using opened = await openPage(browser, `${ready.http}/`, { viewport: { width: 1600, height: 900 } });
  const { page } = opened;
  await connect(page, 'bob');
  await page.locator('#room').fill('live://1');
  await page.locator('#room').press('Enter');
  await page.locator('#rooms li', { hasText: 'live://1' }).waitFor();
  await page.locator('#push').click();
  await page.locator('#outcome', { hasText: 'Delivered to 1 of 1 session' }).waitFor();
  for (const to of ['room', 'all']) {
    await page.locator(`input[value=${to}]`).check({ force: true });
    await page.locator('#push').click();
    await page.locator(`.log[data-log=${to}]`).waitFor();
  }
  await page.locator('#ttl').selectOption('0');
  await page.locator('#push').click();
  await page.locator('[data-mark=ephemeral]').waitFor();
  await page.locator('.latency', { hasText: /m?s$/ }).first().waitFor();
  await page.locator('#offline').click();
  await stateOf(page, 'offline');
  await until(async () => {
    const { body } = await call(`${ready.http}/v1/users/bob/sessions`, 'GET', undefined);
    return (JSON.parse(body) as { items: unknown[] }).items.length === 0;
  });
  await post(ready.http, { to: { room: 'live://1' }, message: 'while away' });
  await page.locator('.note[data-kind=online]').waitFor({ timeout: 30_000 });
  await page.locator('[data-mark=kept]').nth(3).waitFor();
  const rows = await page.locator('.message:has([data-mark=kept]) .payload').allTextContents();
  const own = rows.filter((text) => text.includes('You were away'));
  assert.deepEqual(
    own,
    [1, 2, 3].map((n) => `{"text":"You were away","n":${n}}`),
  );
  assert.ok(rows.includes('"while away"'), 'the room resumes where it was');
  await page.locator('#tab-wire').click();
  await page.locator('.frame-row summary', { hasText: 'auth 7' }).last().click();
  await page.locator('.frame-row details[open]', { hasText: 'of the authentication' }).waitFor();
  await page.locator('#sessions td', { hasText: 'this page' }).waitFor();
  await page.locator('#all-rooms td', { hasText: 'live://1' }).waitFor();
  quiet(opened, ready);
  ok('what was pushed while the page was away arrives when it is back, in order and marked');
}

/** No width scrolls sideways, colours follow the system, who wants no motion gets none. */
async function checkLooks(browser: Browser, { ready }: RunningServer): Promise<void> {
  const papers = new Set<string>();
  for (const colorScheme of ['light', 'dark'] as const) {
    await using opened = await openPage(browser, `${ready.http}/`, { colorScheme, reducedMotion: 'reduce' });
    const { page } = opened;
    await connect(page, `looks-${colorScheme}`);
    await post(ready.http, { to: { user: `looks-${colorScheme}` }, message: 'x'.repeat(3_000) });
    await page.locator('.message summary').click();
    for (const tab of ['#tab-wire', '#tab-messages']) {
      await page.locator(tab).click();
      for (const width of [320, 360, 768, 1280, 1600]) {
        await page.setViewportSize({ width, height: 800 });
        const [needs, has] = await page.evaluate<number[]>('[document.documentElement.scrollWidth, innerWidth]');
        assert.ok(Number(needs) <= Number(has), `${colorScheme}, ${width} px, ${tab}: it needs ${needs}`);
      }
    }
    const moving = await page.evaluate('document.getAnimations().length');
    assert.equal(moving, 0, 'nothing moves for who wants no motion');
    papers.add(await page.evaluate('getComputedStyle(document.body).backgroundColor'));
    quiet(opened, ready);
  }
  assert.equal(papers.size, 2, 'light and dark differ');
  ok('the try-it page fits from 320 to 1600 px, light and dark');
}

/** What cannot be sent is said beside it; what arrives is text, and cut where it is long. */
async function checkBadInput(browser: Browser, { ready }: RunningServer): Promise<void> {
  await using opened = await openPage(browser, `${ready.http}/`);
  const { page } = opened;
  await page.locator('#user').fill('x'.repeat(129));
  await page.locator('#connect').click();
  await page.locator('#user-problem', { hasText: '1 to 128 bytes' }).waitFor();
  assert.equal(await page.locator('#state').getAttribute('data-state'), 'idle');
  await connect(page, 'carol');
  await page.locator('#message').fill('{"a":1,\n  b}');
  await page.locator('#message-state', { hasText: 'line 2, column 3' }).waitFor();
  assert.ok(await page.locator('#push').isDisabled());
  await page.locator('#message').fill(JSON.stringify('x'.repeat(65_536)));
  await page.locator('#message-state', { hasText: 'too large' }).waitFor();
  await page.locator('#message').fill(JSON.stringify(HOSTILE));
  await page.locator('#push').click();
  await page.locator('.message .payload', { hasText: 'onerror' }).waitFor();
  await post(ready.http, { to: { user: 'carol' }, message: 'y'.repeat(60_000) });
  const long = page.locator('.message', { hasText: 'yyy' });
  await long.locator('summary').click();
  await long.locator('.hint', { hasText: 'The first 16 KiB of 58.6 KiB' }).waitFor();
  assert.ok(((await long.textContent()) ?? '').length < 20_000);
  assert.equal(await page.title(), 'imgo: try it');
  await page.locator('#room').fill('r'.repeat(129));
  await page.locator('#room').press('Enter');
  await page.locator('#room-problem', { hasText: '1 to 128 bytes' }).waitFor();
  await page.locator('input[value=user]').check({ force: true });
  await page.locator('#dry-run').click();
  await page.locator('#outcome', { hasText: 'It would reach 1 session on 1 node' }).waitFor();
  quiet(opened, ready);

  // A token that may join nothing, made by the page's own origin; and one that is none.
  const { token } = await post(ready.http, { user: 'dora' }, '/v1/tokens');
  await page.locator('#connect').click();
  await page.locator('.more summary').click();
  await page.locator('#token').fill(String(token));
  await connect(page, 'dora');
  await page.locator('#room').fill('closed');
  await page.locator('#room').press('Enter');
  await page.locator('#rooms li[data-refused=true]', { hasText: 'join_refused' }).waitFor();
  await page.locator('#connect').click();
  await page.locator('#token').fill('nonsense');
  await page.locator('#connect').click();
  await stateOf(page, 'refused');
  await page.locator('#errors', { hasText: 'token_refused' }).waitFor();
  ok('what is wrong is said beside it, and a hostile message stays a text');
}

/** Thousands of messages at once: the last one is there, the list stays short, the page answers. */
async function checkFlood(browser: Browser, { ready }: RunningServer): Promise<void> {
  await using opened = await openPage(browser, `${ready.http}/`);
  const { page } = opened;
  await connect(page, 'flood');
  await page.locator('#room').fill('flood');
  await page.locator('#room').press('Enter');
  await page.locator('#rooms li', { hasText: 'flood' }).waitFor();
  const lines = Array.from({ length: 5_000 }, (_, n) => JSON.stringify({ to: { room: 'flood' }, message: { n } }));
  await call(`${ready.http}/v1/push/batch`, 'POST', lines.join('\n'));
  await page.locator('.payload', { hasText: '{"n":4999}' }).waitFor();
  const rows = await page.locator('#messages > li').count();
  assert.ok(rows <= 250, `${rows} rows`);
  assert.equal(await page.locator('#message-count').textContent(), '5,000', 'all are counted');
  await page.locator('#clear').click();
  assert.equal(await page.locator('#messages > li').count(), 0);
  quiet(opened, ready);
  ok('a flood leaves the try-it page short, and with the newest');
}

/** The server stops, and comes back having forgotten everything: the page says so, and is connected again by itself. */
async function checkServerAway(browser: Browser, server: RunningServer, env: NodeJS.ProcessEnv): Promise<void> {
  const { http, ws } = server.ready;
  await using opened = await openPage(browser, `${http}/`);
  const { page } = opened;
  try {
    await connect(page, 'eve');
  } finally {
    await server.end('SIGTERM');
  }
  await stateOf(page, 'waiting');
  await page.locator('#push').click();
  await page.locator('#outcome[data-kind=bad]', { hasText: 'does not answer' }).waitFor();
  const ports = ['--http', new URL(http).port, '--ws', new URL(ws).port, '--tcp', 'off'];
  const again = await startServer(['--memory', ...ports], env);
  try {
    await stateOf(page, 'connected');
    await page.locator('#push').click();
    await page.locator('#outcome[data-kind=good]', { hasText: 'Delivered to 1 of 1' }).waitFor();
    ok('the try-it page says that the server is gone, and comes back with it');
  } finally {
    await again.end('SIGTERM');
  }
}

/** With keys it asks for one, and keeps it to itself; and it can be removed. */
async function checkProduction(browser: Browser, folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const data = ['--data', join(folder, 'production')];
  const file = join(folder, 'page.key');
  const scopes = ['token', 'push', 'read'].flatMap((scope) => ['--scope', scope]);
  await run(LAUNCHER, ['key', 'create', ...scopes, ...data, '--out', file], { env: { ...process.env, ...env } });
  const key = readFileSync(file, 'utf8').trim();
  const server = await startServer([...data, ...ANY_PORTS], env);
  try {
    await using opened = await openPage(browser, `${server.ready.http}/`);
    const { page, asked } = opened;
    await page.locator('#connect').click();
    await stateOf(page, 'refused');
    await page.locator('#state-more', { hasText: 'key_missing' }).waitFor();
    await page.locator('#key').fill(key);
    await connect(page, 'frank');
    await page.locator('input[value=all]').check({ force: true });
    await page.locator('#push').click();
    await page.locator('#push', { hasText: 'Yes, push to everybody' }).click();
    await page.locator('.log[data-log=all]').waitFor();
    assert.match((await page.locator('#curl').textContent()) ?? '', /Authorization: Bearer \$IMGO_KEY/);
    const kept = await page.evaluate('JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])');
    const shown = `${kept}${await page.evaluate('document.documentElement.outerHTML')}${asked.join()}`;
    assert.ok(!shown.includes(key), 'the key is nowhere but in memory');
    ok('with API keys the try-it page asks for one, and keeps it to itself');
  } finally {
    await server.end('SIGTERM');
  }
  const without = await startServer(['--memory', ...ANY_PORTS, '--set', 'listen.tryit=false'], env);
  try {
    const answer = await fetch(`${without.ready.http}/`, { headers: { accept: 'text/html' } });
    assert.deepEqual([answer.status, ((await answer.json()) as { code: string }).code], [404, 'not_found']);
    ok('listen.tryit = false removes the try-it page');
  } finally {
    await without.end('SIGTERM');
  }
}

async function connect(page: Page, user: string): Promise<void> {
  await page.locator('#user').fill(user);
  await page.locator('#connect').click();
  await stateOf(page, 'connected');
}

function stateOf(page: Page, state: string): Promise<void> {
  return page.locator(`#state[data-state=${state}]`).waitFor({ timeout: 60_000 });
}

/** Presses the tab key until the focus is there. */
async function tabTo(page: Page, selector: string): Promise<void> {
  for (let presses = 0; presses < 80; presses++) {
    if (await page.evaluate(`document.activeElement?.matches(${JSON.stringify(selector)})`)) return;
    await page.keyboard.press('Tab');
  }
  assert.fail(`the tab key does not reach ${selector}`);
}

/** It complained of nothing, and asked nobody but its server. */
function quiet({ complaints, asked }: Watched, { http, ws }: RunningServer['ready']): void {
  assert.deepEqual(complaints, []);
  const hosts = new Set(asked.filter((url) => !url.startsWith('data:')).map((url) => new URL(url).host));
  assert.deepEqual([...hosts].sort(), [new URL(http).host, new URL(ws).host].sort());
}

async function post(http: string, body: object, path = '/v1/push'): Promise<Record<string, unknown>> {
  const answer = await call(http + path, 'POST', JSON.stringify(body));
  assert.equal(answer.status, 200, answer.body);
  return JSON.parse(answer.body) as Record<string, unknown>;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await new Promise((next) => setTimeout(next, 20));
}

function ok(what: string): void {
  process.stdout.write(`ok: ${what}\n`);
}
