import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, connect } from '../../src/client/index.js';
import type { RoomId } from '../../src/protocol/ids.js';
import { runProgram } from '../harness/command.js';
import { type OnTerminal, onTerminal } from '../harness/pty.js';
import { LAUNCHER, type RunningServer, startServer } from '../harness/server.js';

const folder = mkdtempSync(join(tmpdir(), 'imgo-top-'));
const env = { XDG_STATE_HOME: folder, HOME: folder };
const PORTS = ['--memory', '--ws', '0', '--tcp', '0'];
const [ENTER, LEAVE] = ['\u001b[?1049h', '\u001b[?1049l'];
let server: RunningServer;
let client: Client;

beforeAll(async () => {
  server = await startServer([...PORTS, '--http', '0'], env);
  const { http, tcp } = server.ready;
  const body = JSON.stringify({ user: 'anna', rooms: ['lobby'] });
  const headers = { 'content-type': 'application/json' };
  const { token } = (await (await fetch(`${http}/v1/tokens`, { method: 'POST', headers, body })).json()) as {
    readonly token: string;
  };
  const opened = Promise.withResolvers<void>();
  client = connect(
    { url: `tcp://${tcp}`, token, rooms: ['lobby' as RoomId] },
    { message: () => {}, opened: () => opened.resolve() },
  );
  await opened.promise;
});
afterAll(async () => {
  await client.close();
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

const run = (program: string, args: readonly string[]) =>
  runProgram(program, args, { env: { ...process.env, LANG: 'C.UTF-8', ...env } });
const top = (...args: readonly string[]) => run(LAUNCHER, ['top', '--server', server.ready.http, ...args]);

describe('without a terminal', () => {
  it('--once prints all blocks as text, and no frames', async () => {
    const { status, stdout, stderr } = await top('--once', '--interval', '300ms');
    expect([status, stderr]).toEqual([0, '']);
    for (const text of ['CONNS', 'NODES 1', 'ROOMS 2', 'lobby', 'SLOWEST SESSIONS 1', 'anna']) {
      expect(stdout).toContain(text);
    }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
    expect(stdout).not.toMatch(/[\u001b─▸]/);
  });

  it('--json is an object a tick, whose counts only grow', async () => {
    const { status, stdout } = await run('/bin/sh', [
      '-c',
      `'${LAUNCHER}' top --server ${server.ready.http} --json --interval 200ms | head -3; exit 0`,
    ]);
    expect(status).toBe(0);
    const ticks = stdout
      .trim()
      .split('\n')
      .map((one) => JSON.parse(one));
    expect(ticks).toHaveLength(3);
    expect(ticks[0]).toMatchObject({
      totals: { connections: 1, sessions: 1, nodes: 1 },
      alerts: expect.any(Array),
      nodes: [{ state: 'ok', connections: 1 }],
      rooms: expect.arrayContaining([expect.objectContaining({ room: 'lobby', members: 1 })]),
      sessions: [{ user: 'anna', dialect: 'native' }],
    });
    for (const [at, tick] of ticks.entries()) {
      expect(Date.parse(tick.at)).toBeGreaterThan(at === 0 ? 0 : Date.parse(ticks[at - 1].at));
      expect(tick.totals.opened).toBeGreaterThanOrEqual(1);
    }
  });

  it('a reader that has gone ends it silently', async () => {
    const line = `set -o pipefail; '${LAUNCHER}' top --server ${server.ready.http} --interval 200ms | head -1`;
    const { status, stdout, stderr } = await run('/bin/bash', ['-c', line]);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^ imgo top/);
  });

  it.each([
    ['no server', ['--server', 'http://127.0.0.1:1'], 3, 'No imgo server found'],
    ['an order that there is not', ['--sort', 'conn', '--once'], 2, 'Did you mean conns?'],
    ['an interval too short', ['--interval', '10ms'], 2, 'at least 200ms'],
    ['a view that there is not', ['--view', 'everything'], 2, 'view'],
  ])('%s', async (_what, args, status, says) => {
    const told = await run(LAUNCHER, ['top', ...args]);
    expect(told.status).toBe(status);
    expect(told.stderr).toContain(says);
    expect(told.stdout).toBe('');
  });

  it('a key that is none', async () => {
    const [right, wrong] = [join(folder, 'right.key'), join(folder, 'wrong.key')] as const;
    writeFileSync(right, `k_${'a'.repeat(40)}\n`, { mode: 0o600 });
    writeFileSync(wrong, `k_${'b'.repeat(40)}\n`, { mode: 0o600 });
    const locked = await startServer([...PORTS, '--http', '0', '--key-file', right], env);
    const told = await run(LAUNCHER, ['top', '--server', locked.ready.http, '--key-file', wrong]);
    await locked.end('SIGTERM');
    expect([told.status, told.stdout]).toEqual([4, '']);
  });

  it('a server that is too old to know the call', async () => {
    const old = createServer((_request, response) => {
      response.writeHead(404, { 'content-type': 'application/problem+json' });
      response.end(JSON.stringify({ code: 'not_found', title: 'x', status: 404, detail: 'x' }));
    }).listen(0, '127.0.0.1');
    await once(old, 'listening');
    const told = await run(LAUNCHER, ['top', '--server', `http://127.0.0.1:${(old.address() as AddressInfo).port}`]);
    old.close();
    expect([told.status, told.stdout]).toEqual([5, '']);
    expect(told.stderr).toContain('server_too_old');
  });
});

/** It on a terminal of 100 x 30. */
class Terminal {
  readonly #program: OnTerminal;
  #from = 0;

  private constructor(program: OnTerminal) {
    this.#program = program;
  }

  static async start(http: string): Promise<Terminal> {
    const { PATH = '' } = process.env;
    const fixed = { PATH, LANG: 'C.UTF-8', TERM: 'xterm-256color', NO_COLOR: '1', ...env };
    const command = [LAUNCHER, 'top', '--server', http, '--interval', '300ms'];
    return new Terminal(await onTerminal(command, fixed, 100, 30));
  }

  get ended(): Promise<number> {
    return this.#program.ended;
  }

  /** All that was written. */
  get written(): string {
    return this.#program.written();
  }

  /** Resolves when this has been written since the last call. */
  async shows(pattern: RegExp): Promise<void> {
    const at = () => this.written.slice(this.#from).search(pattern);
    await expect.poll(at, { timeout: 20_000, interval: 50 }).toBeGreaterThanOrEqual(0);
    this.#from += at() + 1;
  }

  press(keys: string): void {
    this.#program.type(keys);
  }
}

describe('on a terminal', () => {
  it('t shows the frames of what is selected, and q comes back from there', async () => {
    const terminal = await Terminal.start(server.ready.http);
    await terminal.shows(/NODES 1/);
    terminal.press('4');
    await terminal.shows(/anna/);
    terminal.press('t');
    await terminal.shows(/imgo tail {2}session/);
    terminal.press('q');
    await terminal.shows(/SLOWEST SESSIONS/);
    terminal.press('q');
    expect(await terminal.ended).toBe(0);
  });

  it('takes a screen of its own, and gives it back at q', async () => {
    const terminal = await Terminal.start(server.ready.http);
    await terminal.shows(/NODES 1/);
    terminal.press('q');
    expect(await terminal.ended).toBe(0);
    expect(terminal.written).toContain(ENTER);
    expect(terminal.written).toContain(LEAVE);
  });

  it('drains a node from within, and calls that off', async () => {
    const other = await startServer([...PORTS, '--http', '0'], env);
    const terminal = await Terminal.start(other.ready.http);
    await terminal.shows(/NODES 1/);
    terminal.press('D');
    await terminal.shows(/y yes/);
    terminal.press('y');
    await terminal.shows(/the same: \S*imgo drain n-/);
    await terminal.shows(/draining/);
    const drained = async () => {
      const { items } = (await (await fetch(`${other.ready.http}/v1/nodes`)).json()) as {
        readonly items: readonly { readonly comet: { readonly draining: boolean } }[];
      };
      return items[0]?.comet.draining;
    };
    await expect.poll(drained).toBe(true);
    terminal.press('D');
    await terminal.shows(/take clients again\?/);
    terminal.press('y');
    await expect.poll(drained).toBe(false);
    terminal.press('q');
    await terminal.ended;
    await other.end('SIGTERM');
  });

  it('says that a server has gone, and goes on when it is back', async () => {
    const first = await startServer([...PORTS, '--http', '0'], env);
    const { http } = first.ready;
    const terminal = await Terminal.start(http);
    await terminal.shows(/● live/);
    await first.end('SIGKILL');
    await terminal.shows(/○ no answer for \d+s, retrying/);
    const second = await startServer([...PORTS, '--http', new URL(http).port], env);
    await terminal.shows(/● live/);
    terminal.press('q');
    expect(await terminal.ended).toBe(0);
    await second.end('SIGTERM');
  });

  it('Ctrl-C ends it with 130, and the terminal is as it was', async () => {
    const terminal = await Terminal.start(server.ready.http);
    await terminal.shows(/NODES 1/);
    terminal.press('\u0003');
    expect(await terminal.ended).toBe(130);
    expect(terminal.written).toContain(LEAVE);
  });
});
