// The view of `tail` on a pseudo-terminal: it takes a screen of its own, and gives the terminal back whatever ends it.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OnTerminal, onTerminal } from '../harness/pty.js';
import { LAUNCHER, type RunningServer, startServer } from '../harness/server.js';

const ENTER = '\u001b[?1049h';
const LEAVE = '\u001b[?1049l';
const SHOW_CURSOR = '\u001b[?25h';
const folder = mkdtempSync(join(tmpdir(), 'imgo-tail-view-'));
let server: RunningServer;

beforeAll(async () => {
  server = await startServer(['--memory', '--http', '0', '--ws', '0', '--tcp', '0'], { XDG_STATE_HOME: folder });
});

afterAll(async () => {
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

async function tail(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}): Promise<OnTerminal> {
  const { PATH = '', HOME = '' } = process.env;
  const fixed = { PATH, HOME, LANG: 'C.UTF-8', TERM: 'xterm-256color', XDG_STATE_HOME: folder };
  return await onTerminal([LAUNCHER, 'tail', '--user', '1', ...args], { ...fixed, ...env });
}

/** Whatever is drawn comes before the other screen is left; after it stands nothing but what an error says. */
function expectRestored(written: string): void {
  expect(written.split(ENTER)).toHaveLength(2);
  const after = written.slice(written.lastIndexOf(LEAVE));
  expect(after).toContain(SHOW_CURSOR);
  expect(after).not.toContain('\u001b[?25l');
  expect(after).not.toContain('imgo tail');
  expect(written).not.toMatch(/\n\s+at .*(js|ts):\d+/);
}

describe('the terminal is given back', () => {
  it.each([
    ['q', 0],
    ['\u0003', 130],
  ])('after the key %j', async (key, status) => {
    const program = await tail();
    await program.writes('has no session now');
    program.type(key);
    expect(await program.ended).toBe(status);
    expectRestored(program.written());
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('after %s', async (signal) => {
    const program = await tail();
    await program.writes('● live');
    program.kill(signal);
    expect(await program.ended).toBe(130);
    expectRestored(program.written());
  });

  it('after the time is over, which is said below', async () => {
    const program = await tail(['--timeout', '2s']);
    expect(await program.ended).toBe(124);
    expectRestored(program.written());
    expect(program.written().slice(program.written().lastIndexOf(LEAVE))).toContain('timeout');
  });

  it('after an exception that nobody caught, which is told as an error and without a trace', async () => {
    // Once the view is there to be left.
    const bug =
      'const timer=setInterval(()=>{if(process.listenerCount("uncaughtException")===0)return;' +
      'clearInterval(timer);throw new Error("a bug")},100)';
    const program = await tail([], { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(bug)}` });
    expect(await program.ended).toBe(1);
    expectRestored(program.written());
    expect(program.written().slice(program.written().lastIndexOf(LEAVE))).toContain('internal');
  });

  it('and the program ends when the terminal is taken away', async () => {
    const program = await tail();
    await program.writes('● live');
    program.hangUp();
    await program.ended;
    expect(program.written()).not.toMatch(/\n\s+at .*(js|ts):\d+/);
  });
});

describe('what cannot be watched is told as always', () => {
  it('no server', async () => {
    const program = await tail(['--server', 'http://127.0.0.1:1']);
    expect(await program.ended).toBe(3);
    expect(program.written()).toContain('unreachable');
    expectRestored(program.written());
  });

  it('a server that is too old', async () => {
    const old = createServer((_request, response) => {
      const problem = {
        type: 'urn:imgo:error:not_found',
        title: 'There is nothing there.',
        status: 404,
        code: 'not_found',
      };
      response.writeHead(404, { 'content-type': 'application/problem+json' }).end(JSON.stringify(problem));
    });
    await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve));
    const { port } = old.address() as AddressInfo;
    const program = await tail(['--server', `http://127.0.0.1:${port}`]);
    expect(await program.ended).toBe(5);
    expect(program.written()).toContain('server_too_old');
    expectRestored(program.written());
    old.close();
  });

  it('a terminal of 20 x 5 has one line, and q', async () => {
    const { PATH = '', HOME = '' } = process.env;
    const env = { PATH, HOME, LANG: 'C.UTF-8', TERM: 'xterm', XDG_STATE_HOME: folder };
    const program = await onTerminal([LAUNCHER, 'tail', '--user', '1'], env, 20, 5);
    await program.writes('needs 40 x 8; q ends');
    program.type('q');
    expect(await program.ended).toBe(0);
    expectRestored(program.written());
  });

  it('a terminal that can only lines gets lines', async () => {
    const program = await tail(['--timeout', '2s'], { TERM: 'dumb' });
    expect(await program.ended).toBe(124);
    expect(program.written()).toContain('watching');
    expect(program.written()).not.toContain(ENTER);
  });
});
