// The server that a benchmark starts for itself, through the command line as a user would: free ports, nothing kept.

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ImgoError } from '../protocol/errors.js';
import { type MessageId, parseId } from '../protocol/ids.js';
import { processTree, usageOf } from './machine.js';

/** What `imgo serve` says when it is ready. */
interface Ready {
  readonly event: 'ready';
  readonly http: string;
  readonly tcp: string;
}

const TOKENS_A_CALL = 500;
const STOP_MS = 20_000;

/** A server of this run's own. */
export class Target {
  readonly tcp: { readonly host: string; readonly port: number };
  readonly #child: ChildProcess;
  readonly #http: URL;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });
  readonly #ended: Promise<void>;

  private constructor(child: ChildProcess, ended: Promise<void>, ready: Ready) {
    this.#child = child;
    this.#ended = ended;
    this.#http = new URL(ready.http);
    const { hostname, port } = new URL(`tcp://${ready.tcp}`);
    this.tcp = { host: hostname, port: Number(port) };
  }

  /** `launcher`: the path of the imgo command. Resolves when it takes connections. @throws ImgoError internal */
  static async start(launcher: string, workers: number): Promise<Target> {
    // Nothing of whoever runs it: no imgo.toml, no IMGO_* settings, no run file that other commands find.
    const folder = mkdtempSync(join(tmpdir(), 'imgo-bench-'));
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('IMGO_')));
    const free = ['--http', '0', '--ws', 'off', '--tcp', '0'];
    const args = [
      launcher,
      'serve',
      '--json',
      '--memory',
      '--log-level',
      'error',
      ...free,
      '--workers',
      String(workers),
    ];
    // A session of its own: Ctrl-C ends the run first, the run ends its server.
    const child = spawn(process.execPath, [...process.execArgv, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      cwd: folder,
      env: { ...env, XDG_STATE_HOME: folder },
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-2_000);
    });
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => {
        rmSync(folder, { recursive: true, force: true });
        resolve();
      });
    });
    const ready = await new Promise<Ready>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const event = JSON.parse(line) as { event?: string } & Ready;
        if (event.event === 'ready') resolve(event);
      });
      void ended.then(() => reject(new ImgoError('internal', { detail: `the server did not start: ${said.trim()}` })));
    });
    return new Target(child, ended, ready);
  }

  /** Resolves when the server is gone, wanted or not. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** A token for each of so many users. */
  async tokens(count: number): Promise<readonly string[]> {
    const tokens: string[] = [];
    while (tokens.length < count) {
      const more = Math.min(TOKENS_A_CALL, count - tokens.length);
      const users = Array.from({ length: more }, (_, at) => ({ user: `b${tokens.length + at}` }));
      const made = (await this.#post('/v1/tokens', JSON.stringify(users))) as readonly { readonly token: string }[];
      for (const { token } of made) tokens.push(token);
    }
    return tokens;
  }

  /** A message to the room that imgo's clients are in; its place in the log. Rejects when it was not accepted. */
  async push(n: number): Promise<MessageId> {
    const { id } = (await this.#post('/v1/push', `{"to":{"room":"1"},"message":{"test":${n}}}`)) as { id: string };
    const parsed = parseId(id);
    if (parsed === undefined) throw new Error(`no id: ${id}`);
    return parsed;
  }

  /** Of the server and its workers, so far and now. */
  usage(): { readonly cpuSeconds: number; readonly rssBytes: number } {
    return usageOf(processTree(this.#child.pid as number));
  }

  /** Flushes of all comets so far. */
  async flushes(): Promise<number> {
    const { items } = (await this.#call('GET', '/v1/nodes')) as {
      items: readonly { readonly comet: { readonly counters: Readonly<Record<string, number>> } | null }[];
    };
    return items.reduce((sum, { comet }) => sum + (comet?.counters['flushes'] ?? 0), 0);
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    this.#child.kill('SIGTERM');
    const patience = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await this.#ended;
    clearTimeout(patience);
  }

  #post(path: string, body: string): Promise<unknown> {
    return this.#call('POST', path, body);
  }

  #call(method: string, path: string, body = ''): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const { hostname: host, port } = this.#http;
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      const sent = request({ host, port, path, method, headers, agent: this.#agent }, (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(parts).toString();
          if (response.statusCode === 200) resolve(JSON.parse(text));
          else reject(new Error(`${method} ${path}: ${response.statusCode} ${text}`));
        });
      });
      sent.on('error', reject);
      sent.end(body);
    });
  }
}
