// The commands as scripts use them: real processes through bin/imgo, no terminal. stdout is data, stderr the rest, the exit
// status says how it ended; what is wrong is told in one form; there is help for everything.
import { spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startProbes } from '../../src/server/probes.js';
import { CommandLine, json, PORTS } from '../harness/command-line.js';
import { startServer } from '../harness/server.js';

const imgo = new CommandLine();
const { folder, run } = imgo;

beforeAll(() => imgo.start());
afterAll(() => imgo.end());

describe('a command finds the server by itself', () => {
  it('from any folder, and says how it is', async () => {
    expect(await run(['status'], { cwd: tmpdir() })).toEqual({ status: 0, stdout: 'ok\n', stderr: '' });
    const { stdout } = await run(['status', '--json']);
    expect(json(stdout)).toMatchObject({
      verdict: 'ok',
      server: imgo.server.ready.http,
      mode: 'development',
      alerts: [],
    });
  });

  it('by a run file that only its owner reads, gone with the server', async () => {
    const state = join(folder, 'short-state');
    const short = await startServer([...PORTS, '--memory'], { XDG_STATE_HOME: state });
    const file = join(state, 'imgo', 'servers', `${short.ready.pid}.json`);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await short.end('SIGTERM')).toBe(0);
    expect(existsSync(file)).toBe(false);
    const { status, stderr } = await run(['status'], { state });
    expect(status).toBe(3);
    expect(stderr).toContain('no run file; IMGO_SERVER is not set.');
  });

  it('and asks which one, when several run', async () => {
    const other = await startServer([...PORTS, '--memory'], { XDG_STATE_HOME: join(folder, 'state') });
    try {
      const { status, stderr } = await run(['status']);
      expect(status).toBe(2);
      expect(stderr).toContain(imgo.server.ready.http);
      expect(stderr).toContain(other.ready.http);
      expect(stderr).toMatch(/several_servers · 2\n/);
      expect((await run(['--server', other.ready.http, 'status'])).status).toBe(0);
      expect((await run(['status'], { env: { IMGO_SERVER: other.ready.http } })).status).toBe(0);
    } finally {
      await other.end('SIGTERM');
    }
  });

  it('a server that was killed is not listed any more', async () => {
    const state = join(folder, 'killed-state');
    const killed = await startServer([...PORTS, '--memory'], { XDG_STATE_HOME: state });
    await killed.end('SIGKILL');
    expect((await run(['status'], { state })).stderr).toContain('no run file');
  });

  it('one that waits for what it needs is not ready, and says for what', async () => {
    const probes = await startProbes({ host: '127.0.0.1', port: 0 }, () => ['redis_unreachable'], { api: true });
    try {
      const { status, stdout, stderr } = await run(['--server', probes.address, 'status']);
      expect([status, stdout]).toEqual([1, 'not_ready\n']);
      expect(stderr).toContain('redis_unreachable');
    } finally {
      await probes.stop();
    }
  });
});

describe('without a server', () => {
  it.each([
    [['push', '--user', '1', '1']],
    [['listen', '--user', '1']],
    [['sessions']],
    [['rooms']],
    [['nodes']],
    [['kick', '--user', '1']],
    [['status']],
    [['token', 'create', '--user', '1']],
    [['key', 'list']],
    [['push', '--lines']],
  ])('%j says so: exit 3', async (args) => {
    const how = { state: join(folder, 'nobody'), input: '{"to":{"user":"1"},"message":1}\n' };
    const { status, stderr } = await run([...args, '--server', 'http://127.0.0.1:9'], how);
    expect([status, stderr]).toEqual([3, expect.stringContaining('No imgo server found.  unreachable · 3')]);
    expect(stderr).toContain('Tried http://127.0.0.1:9 (refused), which is from --server.');
  });

  it('status --wait waits for one, but not for ever', async () => {
    const { status } = await run(['status', '--wait', '300ms', '--server', 'http://127.0.0.1:9']);
    expect(status).toBe(3);
  });

  it('something else that answers is not taken for one', async () => {
    const other = createServer((socket) => {
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi'));
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(other.address() as { port: number }).port}`;
    const { status, stderr } = await run(['status', '--server', url]);
    expect([status, stderr]).toEqual([1, expect.stringContaining('bad_answer · 1')]);
    other.close();
  });
});

describe('help', () => {
  const commands =
    'serve,push,listen,bench,sessions,rooms,kick,status,nodes,doctor,explain,completion,config show,config check'
      .split(',')
      .concat(['token create', 'token list', 'token inspect', 'token revoke', 'key create', 'key list', 'key revoke']);

  it.each(commands)('of %s has its environment and examples to copy', async (command) => {
    const { status, stdout, stderr } = await run([...command.split(' '), '--help']);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('EXAMPLES');
    expect(stdout).toContain('IMGO_SERVER');
    expect(stdout).not.toMatch(/<%|undefined/);
  });

  it('names every command', async () => {
    const { stdout } = await run(['--help']);
    for (const command of commands) expect(stdout).toContain(command);
    expect((await run(['pussh'])).stderr).toContain('pussh is not a command. Did you mean push?');
  });

  it('completes commands and flags', async () => {
    const bash = (await run(['completion', 'bash'])).stdout;
    const script = `${bash}\nCOMP_WORDS=(imgo token cr); COMP_CWORD=2; _imgo; echo "\${COMPREPLY[*]}"; COMP_WORDS=(imgo key create --scope a); COMP_CWORD=4; _imgo; echo "\${COMPREPLY[*]}"`;
    const child = spawn('bash', ['-c', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let stdout = '';
    for await (const chunk of child.stdout) stdout += String(chunk);
    expect(stdout).toBe('create\nadmin\n');
    expect((await run(['completion', 'zsh'])).stdout).toMatch(/^#compdef imgo\n/);
    expect((await run(['completion', 'fish'])).stdout).toContain('complete -c imgo');
    expect((await run(['completion', 'tcsh'])).status).toBe(2);
  });

  it('explains codes', async () => {
    expect((await run(['explain', 'key_required'])).stdout).toContain('exit status 2');
    expect((await run(['explain', '4104'])).stdout).toContain('replaced');
  });
});

describe('doctor', () => {
  it('says of each check what is there, in JSON or in lines, and the status is the worst of them', async () => {
    const { status, stdout } = await run(['doctor', '--json', '--memory']);
    const found = JSON.parse(stdout) as { state: string; checks: { name: string; state: string; found: string }[] };
    expect(status).toBe({ ok: 0, warning: 1, error: 5 }[found.state]);
    const lines = await run(['doctor', '--memory']);
    for (const { name } of found.checks) expect(lines.stdout).toMatch(new RegExp(`^. ${name} `, 'm'));
  });

  it('a target that no machine holds is out of reach, and what it needs is there to paste', async () => {
    const { status, stdout } = await run(['doctor', '--target', '99M', '--workers', '1', '--memory']);
    expect(status).toBe(5);
    expect(stdout).toMatch(/^# \/etc\/sysctl\.d\/90-imgo\.conf, then sysctl --system:\n(?:[a-z0-9_.]+ = [0-9 ]+\n)+/m);
    expect(stdout).toMatch(/^\[Service\]\nLimitNOFILE=\d+$/m);
    expect((await run(['doctor', '--target', 'many'])).status).toBe(2);
  });
});
