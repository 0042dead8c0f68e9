// `npm run screenshots`: the pictures of the try-it page in docs/images, taken anew: wide and light, narrow and dark. They are
// best with the fonts Inter and JetBrains Mono, and small by pngquant (Debian: fonts-inter, fonts-jetbrains-mono, pngquant).
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { startServer } from '../harness/server.js';
import { openPage, startBrowser } from './chromium.js';

const IMAGES = fileURLToPath(new URL('../../docs/images/', import.meta.url));
/** What a picture may weigh in the repository, bytes. */
const MOST = 150_000;

const SHOTS: readonly { readonly name: string; readonly options: BrowserContextOptions }[] = [
  { name: 'try-it-light', options: { viewport: { width: 1600, height: 1000 }, colorScheme: 'light' } },
  { name: 'try-it-dark-narrow', options: { viewport: { width: 360, height: 1000 }, colorScheme: 'dark' } },
];

/** Somebody who tries it out: pushes to oneself, a room, all; goes offline, and comes back to what was kept. */
async function use(page: Page): Promise<void> {
  await page.locator('#connect').click();
  await page.locator('#state[data-state=connected]').waitFor();
  await page.locator('#room').fill('live://1000');
  await page.locator('#room').press('Enter');
  await page.locator('#rooms li', { hasText: 'live://1000' }).waitFor();
  for (const [to, at] of ['user', 'user', 'room', 'all'].entries()) {
    await page.locator(`input[value=${at}]`).check({ force: true });
    await page.locator('#push').click();
    await page.locator('.message').nth(to).waitFor();
    await page.locator(`#outcome .title`, { hasText: `-${to + 1}` }).waitFor();
  }
  await page.locator('input[value=user]').check({ force: true });
  await page.locator('#offline').click();
  await page.locator('[data-mark=kept]').nth(2).waitFor();
  await page.locator('#push').click();
  await page.locator('#outcome', { hasText: 'Delivered to 1 of 1 session' }).waitFor();
  await page.locator('#sessions').scrollIntoViewIfNeeded();
  await page.locator('#all-rooms td', { hasText: 'live://1000' }).waitFor();
  await page.locator('#push-title').focus();
  await page.evaluate('document.activeElement.blur(), scrollTo(0, 0)');
}

async function shoot(browser: Browser, http: string, name: string, options: BrowserContextOptions): Promise<void> {
  await using opened = await openPage(browser, http, { ...options, reducedMotion: 'reduce' });
  const { page } = opened;
  await use(page);
  if (name.endsWith('narrow'))
    await page.evaluate(`scrollBy(0, document.querySelector('.push').getBoundingClientRect().top - 12)`);
  const path = join(IMAGES, `${name}.png`);
  // What a phone shows; on a desk the whole page.
  await page.screenshot({ path, fullPage: !name.endsWith('narrow') });
  spawnSync('pngquant', ['--force', '--strip', '--skip-if-larger', '--quality', '60-95', '--output', path, path]);
  const { size } = statSync(path);
  process.stdout.write(`docs/images/${name}.png: ${Math.round(size / 1_000)} KB\n`);
  if (size > MOST) throw new Error(`${name}.png is over ${MOST / 1_000} KB: install pngquant`);
}

mkdirSync(IMAGES, { recursive: true });
const state = join(tmpdir(), `imgo-screenshots-${process.pid}`);
const browser = await startBrowser();
try {
  for (const { name, options } of SHOTS) {
    const listen = ['--http', '0', '--ws', '0', '--tcp', 'off'];
    const server = await startServer(['--memory', ...listen], { XDG_STATE_HOME: state });
    await shoot(browser, `${server.ready.http}/`, name, options).finally(() => server.end('SIGTERM'));
  }
} finally {
  await browser.close();
  rmSync(state, { recursive: true, force: true });
}
