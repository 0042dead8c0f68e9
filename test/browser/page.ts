// A page in headless Chromium, driven over the DevTools protocol: enough to load a page and evaluate in it.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';

/** Debian's name of the browser. */
const CHROMIUM = process.env['CHROMIUM'] ?? 'chromium';

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-port=0',
];

interface Reply {
  readonly id?: number;
  readonly error?: { readonly message: string };
  readonly result?: {
    readonly result?: { readonly value?: unknown };
    readonly exceptionDetails?: { readonly exception?: { readonly description?: string }; readonly text: string };
    readonly targetId?: string;
    readonly sessionId?: string;
  };
}

export class Page {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #session: string | undefined;
  #calls = 0;

  private constructor(child: ChildProcess, folder: string, socket: WebSocket) {
    this.#child = child;
    this.#folder = folder;
    this.#socket = socket;
    socket.on('message', (data: Buffer) => {
      const reply = JSON.parse(data.toString('utf8')) as Reply;
      if (reply.id !== undefined) this.#waiting.get(reply.id)?.(reply);
    });
  }

  /** Starts a browser and opens a page. */
  static async open(url: string): Promise<Page> {
    const folder = mkdtempSync(join(tmpdir(), 'imgo-chromium-'));
    const child = spawn(CHROMIUM, [...FLAGS, `--user-data-dir=${folder}`], { stdio: ['ignore', 'ignore', 'pipe'] });
    const endpoint = await new Promise<string>((resolve, reject) => {
      let said = '';
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${CHROMIUM} ended (${code}):\n${said}`)));
      child.stderr?.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        const match = /DevTools listening on (ws:\S+)/.exec(said);
        if (match?.[1] !== undefined) resolve(match[1]);
      });
    });
    const socket = new WebSocket(endpoint);
    await new Promise((resolve, reject) => {
      socket.once('open', resolve);
      socket.once('error', reject);
    });
    const page = new Page(child, folder, socket);
    const { targetId } = await page.#call('Target.createTarget', { url });
    const { sessionId } = await page.#call('Target.attachToTarget', { targetId, flatten: true });
    page.#session = sessionId;
    await page.#loaded(url);
    return page;
  }

  async #loaded(url: string): Promise<void> {
    const probe = `document.readyState === 'complete' && location.href === ${JSON.stringify(url)}`;
    // While it loads, the context that would answer may be replaced.
    while ((await this.evaluate(probe).catch(() => false)) !== true) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** The value of an expression; a promise is awaited. @throws what the page threw */
  async evaluate(expression: string): Promise<unknown> {
    const result = await this.#call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    const { exceptionDetails: thrown } = result;
    if (thrown !== undefined) throw new Error(thrown.exception?.description ?? thrown.text);
    return result.result?.value;
  }

  async close(): Promise<void> {
    this.#socket.close();
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #call(method: string, params: object): Promise<NonNullable<Reply['result']>> {
    const id = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (reply) => {
        this.#waiting.delete(id);
        if (reply.error !== undefined) reject(new Error(`${method}: ${reply.error.message}`));
        else resolve(reply.result ?? {});
      });
      this.#socket.send(JSON.stringify({ id, method, params, ...(this.#session && { sessionId: this.#session }) }));
    });
  }
}
