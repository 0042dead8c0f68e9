// The browser of these checks: Chromium as Debian packages it, driven by playwright-core, which brings none of its own. What a
// page says on its console, asks the network for, or has refused by its policy is written down.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

/** Debian's name of the browser, or another one's. */
const CHROMIUM = process.env['CHROMIUM'] ?? 'chromium';

/** Starts it. */
export function startBrowser(): Promise<Browser> {
  const args = ['--no-sandbox', '--disable-gpu', '--disable-quic'];
  return chromium.launch({ executablePath: pathOf(CHROMIUM), args });
}

function pathOf(program: string): string {
  if (program.includes('/')) return program;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return join(folder, program);
    } catch {}
  }
  throw new Error(`there is no ${program} on the PATH`);
}

/** A page, and what it did. */
export interface Watched extends AsyncDisposable {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Errors on its console and thrown in it, violations of its policy. */
  readonly complaints: readonly string[];
  /** Every address that it asked for. */
  readonly asked: readonly string[];
}

/** Opens an address in a context of its own. */
export async function openPage(browser: Browser, url: string, options: BrowserContextOptions = {}): Promise<Watched> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  const asked: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => asked.push(request.url()));
  page.on('websocket', (socket) => asked.push(socket.url()));
  await page.goto(url);
  return {
    page,
    context,
    complaints,
    asked,
    // A browser that ended has closed it.
    [Symbol.asyncDispose]: () => context.close().catch(() => undefined),
  };
}
