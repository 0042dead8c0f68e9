// The commands as scripts use them: real processes through bin/imgo, no terminal. stdout is data, stderr the rest, the exit
// status says how it ended; what is wrong is told in one form; no secret and no payload is ever repeated.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startProbes } from '../../src/server/probes.js';
import { LAUNCHER, type RunningServer, startServer } from '../harness/server.js';

const folder = mkdtempSync(join(tmpdir(), 'imgo-cli-'));
const PORTS = ['--http', '0', '--ws', '0', '--tcp', '0'];

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Everything that any command printed, but what it was asked for: canaries must not be in it. */
let printed = '';

interface How {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** XDG_STATE_HOME; the server's own by default. */
  readonly state?: string;
  readonly cwd?: string;
}

function environment({ env = {}, state = join(folder, 'state') }: How): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env;
  return { PATH, HOME, LANG: 'C.UTF-8', XDG_STATE_HOME: state, ...env };
}

async function run(args: readonly string[], how: How = {}): Promise<Ran> {
  const child = spawn(LAUNCHER, args, { env: environment(how), cwd: how.cwd ?? folder });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdin.on('error', () => {});
  child.stdin.end(how.input ?? '');
  const [status] = (await once(child, 'close')) as [number | null];
  printed += stderr;
  return { status, stdout, stderr };
}

/** A line of a shell, with `imgo` for the launcher. */
async function shell(line: string, how: How = {}): Promise<Ran> {
  const script = line.replaceAll('imgo ', `'${LAUNCHER}' `);
  const child = spawn('/bin/sh', ['-c', script], { env: environment(how), cwd: folder });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, stdout, stderr };
}

function json(text: string): Record<string, unknown> {
  return JSON.parse(text) as Record<string, unknown>;
}

function lines(text: string): Record<string, unknown>[] {
  return text.split('\n').filter(Boolean).map(json);
}

let server: RunningServer;
let data = '';

beforeAll(async () => {
  data = join(folder, 'data');
  server = await startServer([...PORTS, '--data', data], { XDG_STATE_HOME: join(folder, 'state') });
});

afterAll(async () => {
  await server.end('SIGTERM');
  rmSync(folder, { recursive: true, force: true });
});

describe('a command finds the server by itself', () => {
  it('from any folder, and says how it is', async () => {
    expect(await run(['status'], { cwd: tmpdir() })).toEqual({ status: 0, stdout: 'ok\n', stderr: '' });
    const { stdout } = await run(['status', '--json']);
    expect(json(stdout)).toMatchObject({ verdict: 'ok', server: server.ready.http, mode: 'development', alerts: [] });
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
      expect(stderr).toContain(server.ready.http);
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

describe('push', () => {
  it('prints a bare id, an object with --json, full names for several', async () => {
    const one = await run(['push', '--user', 'p1', '{"n":1}']);
    expect(one.status).toBe(0);
    expect(one.stdout).toMatch(/^\d+-\d+\n$/);
    expect(one.stderr).toContain('Accepted, on disk.');
    expect(json((await run(['push', '--user', 'p1', '--json', '1'])).stdout)).toEqual({
      log: 'user:p1',
      id: expect.stringMatching(/^\d+-\d+$/),
    });
    const two = await run(['push', '--user', 'p1', '--user', 'p2', '1']);
    expect(two.stdout).toMatch(/^user:p1@\d+-\d+\nuser:p2@\d+-\d+\n$/);
    const rooms = await run(['push', '--room', 'a://1', '--room', 'b', '1']);
    expect(rooms.stdout).toMatch(/^room:a:\/\/1@\d+-\d+\nroom:b@\d+-\d+\n$/);
    expect((await run(['push', '--all', '1', '-q'])).stderr).toBe('');
  });

  it('takes its message from stdin or a file, and sends its bytes', async () => {
    const big = '{"n":12345678901234567890}';
    await run(['push', '--user', 'p3', '-'], { input: `${big}\n` });
    writeFileSync(join(folder, 'm.json'), '{"file":true}');
    await run(['push', '--user', 'p3', '--file', 'm.json']);
    await run(['push', '--user', 'p3', '--text', 'grün "x"']);
    await run(['push', '--user', 'p3', '--base64', '/w==']);
    const { stdout } = await run(['listen', '--user', 'p3', '-n', '4', '--timeout', '20s']);
    expect(stdout).toContain(`"message":${big},`);
    expect(lines(stdout).map(({ message, base64 }) => message ?? base64)).toEqual([
      json(big),
      { file: true },
      'grün "x"',
      '/w==',
    ]);
  });

  it('says with --wait whether it was delivered; nobody there is no failure', async () => {
    const nobody = await run(['push', '--user', 'p4', '1', '--wait']);
    expect(nobody.status).toBe(0);
    expect(nobody.stderr).toMatch(/Nobody is online: kept for 7 d\./);
    const ephemeral = await run(['push', '--user', 'p4', '1', '--ttl', '0']);
    expect([ephemeral.status, ephemeral.stdout]).toEqual([0, '']);
  });

  it.each([
    [['push', '--user', '1'], 'usage'],
    [['push', '1'], 'invalid_target'],
    [['push', '--user', '1', '--all', '1'], 'invalid_target'],
    [['push', '--user', '1', 'not json'], 'not_json'],
    [['push', '--user', '1', '1', '--ttl', 'soon'], 'usage'],
    [['push', '--user', '1', '1', '--timeout', '5s'], 'usage'],
    [['push', '--user', '1', '1', '2'], 'usage'],
    [['push', '--user', '1', '1', '--usr', '2'], 'usage'],
    [['push', '--user', '1', '--file', '/no/such/file'], 'file_unreadable'],
    [['push', '--user', '1', '1', '--idempotency-key', 'a b'], 'idempotency_key_invalid'],
    [['push', '--lines', '--user', '1'], 'usage'],
    [['push', '--all', '1', '--server', 'http://push.invalid'], 'usage'],
    [['push', '--user', '1', '1', '--server', 'http://k3y@127.0.0.1'], 'usage'],
  ])('%j is a mistake of the caller: exit 2', async (args, code) => {
    const { status, stdout, stderr } = await run(args);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(new RegExp(`^✖ .* {2}${code} · 2\n`));
    expect(stderr).not.toContain('k3y');
    expect(stderr).not.toMatch(/\bat .*\.js:/);
  });

  it('tells a mistake as JSON on stdout where that was asked for', async () => {
    const { status, stdout, stderr } = await run(['push', '--user', '1', 'not json', '--json']);
    expect([status, stderr]).toEqual([2, '']);
    const error = { code: 'not_json', message: 'The message is not JSON.', advice: expect.any(Array) };
    expect(json(stdout)).toEqual({ error });
  });

  it('of a message that is too large says both sizes', async () => {
    const { status, stderr } = await run(['push', '--user', '1', '-'], { input: JSON.stringify('x'.repeat(70_000)) });
    expect(status).toBe(2);
    expect(stderr).toContain('The message has 70002 bytes; the limit is 65536.  payload_too_large · 2');
  });

  it('with --dry-run says whom it would reach, and pushes nothing', async () => {
    const dry = await run(['push', '--user', 'd1', '--user', 'd2', '{ "a":1 }', '--ttl', '5m', '--dry-run']);
    expect([dry.status, dry.stdout]).toEqual([0, 'user:d1  nobody is online\nuser:d2  nobody is online\n']);
    expect(dry.stderr).toBe('9 B to 0 sessions of 0 of 2 users on 0 nodes; kept for 5m.\nNothing was pushed.\n');
    const room = await run(['push', '--room', 'd', '1', '--dry-run', '--json']);
    expect(json(room.stdout)).toMatchObject({ counts: { sessions: 0, nodes: 0 }, targets: [{ log: 'room:d' }] });
    const wrong = await run(['push', '--user', 'd1', '1', '--ttl', '0', '--idempotency-key', 'é', '--dry-run']);
    expect(wrong.status).toBe(2);
    const trace = await run(['msg', 'user:d1@1-1']);
    expect([trace.status, trace.stderr]).toEqual([5, expect.stringContaining('message_not_found · 5')]);
  });

  it('with --trace prints what became of it, the verdict last; trace and msg print it again', async () => {
    const pushed = await run(['push', '--user', 't1', '1', '--trace']);
    const [id, title, ...steps] = pushed.stdout.trimEnd().split('\n');
    expect([pushed.status, id]).toEqual([0, expect.stringMatching(/^\d+-\d+$/)]);
    expect(title).toMatch(new RegExp(`^user:t1@${id} · 1 B · accepted .* · kept · until `));
    expect(steps.at(-1)).toBe('kept · no_session · nobody is online');
    expect(steps.map((line) => line.trim().split(/\s+/)[3])).toEqual([
      'accepted',
      'taken',
      'applied',
      'looked_up',
      expect.anything(),
    ]);
    const again = await run(['trace', `user:t1@${id}`, '--json']);
    expect(json(again.stdout)).toMatchObject({ verdict: { outcome: 'kept', reason: 'no_session' } });
    const message = await run(['msg', `user:t1@${id}`]);
    expect(message.stdout).toMatch(
      /^user:t1@\S+ · 1 B · accepted \S+ · kept · until .*left\)\n {2}0 sessions online\n/,
    );
    const hidden = await run(['msg', `user:t1@${id}`, '--payload']);
    expect([hidden.status, hidden.stderr]).toEqual([4, expect.stringContaining('payloads_hidden · 4')]);
    const gone = await run(['push', '--user', 't1', '1', '--ttl', '0', '--trace', '--json']);
    const [answer = {}, trace = {}] = lines(gone.stdout);
    expect(answer).toMatchObject({ id: null, trace: expect.stringMatching(/^[0-9a-f]{32}$/) });
    expect(trace).toMatchObject({ verdict: { outcome: 'lost', reason: 'ephemeral' } });
  });

  it('with --idempotency-key is one message however often', async () => {
    const once = await run(['push', '--user', 'p5', '1', '--idempotency-key', 'k']);
    const again = await run(['push', '--user', 'p5', '1', '--idempotency-key', 'k']);
    expect(again.stdout).toBe(once.stdout);
    const other = await run(['push', '--user', 'p5', '2', '--idempotency-key', 'k']);
    expect([other.status, other.stderr]).toEqual([5, expect.stringContaining('idempotency_mismatch · 5')]);
  });
});

describe('push --lines', () => {
  it('prints a result a line in order, and exits 6 when some failed', async () => {
    const input = [
      '{"to":{"user":"l1"},"message":1}',
      'no json',
      '',
      '{"to":{"user":"l1"},"message":2}',
      '{"to":{"nobody":1},"message":3}',
      '{"to":{"users":["l1","l2"]},"message":4}',
    ].join('\n');
    const { status, stdout, stderr } = await run(['push', '--lines'], { input });
    expect(status).toBe(6);
    const results = lines(stdout);
    expect(results).toHaveLength(5);
    expect(results.map(({ error }) => (error as { code: string } | undefined)?.code)).toEqual([
      undefined,
      'invalid_json',
      undefined,
      'unknown_field',
      undefined,
    ]);
    expect(results[1]).toMatchObject({ line: 2 });
    expect(stderr).toContain('2 of 5 were not accepted.');
  });

  it('takes thousands in order', async () => {
    const count = 5_000;
    const input = Array.from({ length: count }, (_, at) => `{"to":{"user":"l3"},"message":${at},"ttl":"1h"}\n`).join(
      '',
    );
    const { status, stdout } = await run(['push', '--lines', '--idempotency-key', 'auto', '-q'], { input });
    expect(status).toBe(0);
    const numbers = lines(stdout).map(({ id }) => Number(String(id).split('-')[1]));
    expect(numbers).toHaveLength(count);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  });

  it('ends quietly when nobody reads on', async () => {
    const one = `{"to":{"room":"l4"},"message":1}`;
    const { status, stdout, stderr } = await shell(`yes '${one}' | head -20000 | imgo push --lines -q | head -1`);
    expect([status, stderr]).toEqual([0, '']);
    expect(lines(stdout)).toHaveLength(1);
  });

  it('ends although its input stays open: when nobody answers, and by Ctrl-C with what was done so far', async () => {
    const open = async (args: readonly string[], until: 'stdout' | undefined) => {
      const child = spawn(LAUNCHER, ['push', '--lines', ...args], { env: environment({}) });
      let stderr = '';
      child.stderr.on('data', (chunk: Buffer) => {
        stderr += chunk.toString();
      });
      const ended = once(child, 'close');
      child.stdin.write('{"to":{"user":"l5"},"message":1}\n');
      if (until !== undefined) {
        await once(child.stdout, 'data');
        child.kill('SIGINT');
      }
      const [status] = (await ended) as [number];
      return { status, stderr };
    };
    const nobody = await open(['--server', 'http://127.0.0.1:9'], undefined);
    expect([nobody.status, nobody.stderr]).toEqual([3, expect.stringContaining('unreachable · 3')]);
    const stopped = await open([], 'stdout');
    expect([stopped.status, stopped.stderr]).toEqual([130, expect.stringMatching(/^1 line: 1 accepted .*\n$/)]);
  });

  it('with a key repeats the lines that may succeed later, and only those', async () => {
    const asked: unknown[][] = [];
    const later = { error: { code: 'overloaded', message: 'Not accepted.', advice: [], retryable: true } };
    const busy = createHttpServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      request.on('end', () => {
        const users = lines(body).map(({ to }) => (to as { user: string }).user);
        asked.push(users);
        const answer = users.map((user) =>
          user === 'b' && asked.length < 3 ? later : { log: `user:${user}`, id: '1-1' },
        );
        response.end(answer.map((one) => `${JSON.stringify(one)}\n`).join(''));
      });
    });
    await new Promise<void>((resolve) => busy.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(busy.address() as { port: number }).port}`;
    const input = ['a', 'b', 'c'].map((user) => `{"to":{"user":"${user}"},"message":1}\n`).join('');
    const keyed = await run(['push', '--lines', '--idempotency-key', 'auto', '--server', url], { input });
    expect(keyed.status).toBe(0);
    expect(asked).toEqual([['a', 'b', 'c'], ['b'], ['b']]);
    expect(lines(keyed.stdout).map(({ log }) => log)).toEqual(['user:a', 'user:b', 'user:c']);
    expect(keyed.stderr.match(/Trying again/g)).toHaveLength(1);
    asked.length = 0;
    const bare = await run(['push', '--lines', '--server', url], { input });
    expect([bare.status, asked.length]).toEqual([6, 1]);
    busy.close();
  });

  it('with a key outlives a restart of the server, without a loss and without a duplicate', async () => {
    const state = join(folder, 'restart-state');
    const store = join(folder, 'restart-data');
    const first = await startServer([...PORTS, '--data', store], { XDG_STATE_HOME: state });
    const port = new URL(first.ready.http).port;
    const child = spawn(LAUNCHER, ['push', '--lines', '--idempotency-key', 'auto', '--server', first.ready.http], {
      env: environment({ state }),
    });
    let results = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      results += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const send = (from: number, to: number) => {
      for (let at = from; at < to; at++) child.stdin.write(`{"to":{"user":"r"},"message":${at}}\n`);
    };
    const taken = async (count: number) => {
      while (lines(results).length < count) await once(child.stdout, 'data');
    };
    send(0, 100);
    await taken(100);
    await first.end('SIGKILL');
    send(100, 200);
    const second = await startServer(['--http', port, '--ws', '0', '--tcp', '0', '--data', store], {
      XDG_STATE_HOME: state,
    });
    child.stdin.end();
    const [status] = (await once(child, 'close')) as [number];
    expect([status, stderr]).toEqual([0, expect.stringContaining('200 lines: 200 accepted')]);
    const { stdout } = await run(['listen', '--user', 'r', '-n', '200', '--timeout', '20s'], { state });
    expect(lines(stdout).map(({ message }) => message)).toEqual(Array.from({ length: 200 }, (_, at) => at));
    await second.end('SIGTERM');
  });
});

describe('listen', () => {
  it('prints an object a line and tells the rest on stderr', async () => {
    await run(['push', '--user', 's1', '{"a":1}']);
    const { status, stdout, stderr } = await run(['listen', '--user', 's1', '-n', '1', '--timeout', '20s']);
    expect(status).toBe(0);
    expect(Object.keys(json(stdout))).toEqual(['log', 'id', 'message', 'redelivered', 'receivedAt']);
    expect(stderr).toBe('Listening as user s1. Ctrl-C stops.\n');
  });

  it('what was printed is taken; with --ack none it stays', async () => {
    for (const n of ['1', '2', '3']) await run(['push', '--user', 's2', n]);
    const first = async (...more: string[]) => {
      const { stdout } = await run(['listen', '--user', 's2', '-n', '1', '--timeout', '20s', ...more]);
      return json(stdout)['message'];
    };
    expect(await first('--ack', 'none')).toBe(1);
    expect(await first()).toBe(1);
    expect(await first('--transport', 'tcp')).toBe(2);
    const none = await run(['listen', '--user', 's2', '--from', 'new', '--timeout', '300ms']);
    expect([none.status, none.stdout]).toEqual([124, '']);
  });

  it('ends quietly when nobody reads on, and leaves no good token behind', async () => {
    await run(['push', '--user', 's3', '0']);
    const piped = shell('imgo listen --user s3 | head -1');
    // Only who writes finds out that nobody reads: lines that the pipe took before its reader left say nothing.
    let ended = false;
    void piped.finally(() => {
      ended = true;
    });
    for (let n = 1; !ended; n++) await run(['push', '--user', 's3', String(n)]);
    const { status, stdout, stderr } = await piped;
    expect(status).toBe(0);
    expect(lines(stdout)).toHaveLength(1);
    expect(stderr).not.toContain('✖');
    const { stdout: tokens } = await run(['token', 'list', '--user', 's3']);
    expect(lines(tokens).map(({ state }) => state)).toEqual(['revoked']);
  });

  it('Ctrl-C ends it: 130, and the token is revoked', async () => {
    const child = spawn(LAUNCHER, ['listen', '--user', 's4'], { env: environment({}) });
    child.stdout.resume();
    let stderr = '';
    for await (const chunk of child.stderr) {
      stderr += String(chunk);
      if (stderr.includes('Listening')) break;
    }
    const ended = once(child, 'exit');
    child.kill('SIGINT');
    expect((await ended)[0]).toBe(130);
    const { stdout: tokens } = await run(['token', 'list', '--user', 's4']);
    expect(lines(tokens).map(({ state }) => state)).toEqual(['revoked']);
  });

  it.each(['imgo', 'goim'] as const)('speaks %s, too', async (dialect) => {
    const user = dialect === 'goim' ? '51' : 's5';
    await run(['push', '--user', user, '{"d":1}']);
    const { status, stdout } = await run([
      'listen',
      '--user',
      user,
      '--dialect',
      dialect,
      '-n',
      '1',
      '--timeout',
      '20s',
    ]);
    expect([status, json(stdout)['message']]).toEqual([0, { d: 1 }]);
  });

  it('hears its rooms', async () => {
    const child = spawn(LAUNCHER, ['listen', '--user', 's6', '--room', 'live://7', '-n', '1', '--timeout', '20s'], {
      env: environment({}),
    });
    let stdout = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    const ended = once(child, 'close');
    await once(child.stderr, 'data');
    await run(['push', '--room', 'live://7', '"hi"']);
    expect((await ended)[0]).toBe(0);
    expect(json(stdout)).toMatchObject({ log: 'room:live://7', message: 'hi' });
  });

  it('a token that is not good is refused: exit 4', async () => {
    const { status, stderr } = await run(['listen', '--token-file', '-'], { input: 'imgo_t_c4n4ry-not-good\n' });
    expect([status, stderr]).toEqual([4, expect.stringContaining('token_refused · 4')]);
    expect((await run(['listen'])).status).toBe(2);
    expect((await run(['listen', '--user', '1', '--from', 'here'])).stderr).toContain('invalid_id · 2');
  });
});

describe('tokens', () => {
  it('are printed bare, or as one object; a life of one is told in its states', async () => {
    const bare = await run([
      'token',
      'create',
      '--user',
      't1',
      '--ttl',
      '1h',
      '--device',
      'phone',
      '--room',
      'a',
      '--room',
      'b*',
    ]);
    expect(bare.stdout).toMatch(/^imgo_t_[\w-]{43}\n$/);
    const inspect = await run(['token', 'inspect', '-'], { input: bare.stdout });
    expect(json(inspect.stdout)).toMatchObject({ user: 't1', device: 'phone', rooms: ['a', 'b*'], state: 'valid' });
    const made = json((await run(['token', 'create', '--user', 't1', '--json'])).stdout);
    expect(Object.keys(made)).toEqual(['id', 'token', 'user', 'device', 'rooms', 'expires']);
    const revoked = await run(['token', 'revoke', String(made['id'])]);
    expect([revoked.status, revoked.stdout]).toEqual([0, `${String(made['id'])}\n`]);
    const listed = lines((await run(['token', 'list', '--user', 't1'])).stdout);
    expect(listed.map(({ state }) => state).sort()).toEqual(['revoked', 'valid']);
    expect(JSON.stringify(listed)).not.toContain(bare.stdout.trim());
    const again = await run(['token', 'inspect'], { env: { IMGO_TOKEN: String(made['token']) } });
    expect(json(again.stdout)['state']).toBe('revoked');
  });

  it('are made for many at once', async () => {
    const { stdout, status } = await run(['token', 'create', '--users-file', '-'], { input: 'm1\nm2\n\nm3\n' });
    expect(status).toBe(0);
    expect(lines(stdout).map(({ user }) => user)).toEqual(['m1', 'm2', 'm3']);
  });

  it('that do not exist cannot be revoked', async () => {
    expect((await run(['token', 'revoke', 't_none'])).status).toBe(5);
    expect((await run(['token', 'revoke'])).status).toBe(2);
  });
});

describe('who is there', () => {
  it('is listed, counted in rooms, and can be sent away', async () => {
    const child = spawn(LAUNCHER, ['listen', '--user', 'w1', '--room', 'w', '--no-reconnect'], {
      env: environment({}),
    });
    child.stdout.resume();
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const ended = once(child, 'close');
    while (!stderr.includes('Listening')) await once(child.stderr, 'data');
    const [session] = lines((await run(['sessions', '--user', 'w1'])).stdout);
    expect(session).toMatchObject({ user: 'w1', dialect: 'native', rooms: ['w'] });
    expect(lines((await run(['rooms'])).stdout)).toContainEqual({ room: 'w', members: 1 });
    expect(json((await run(['rooms', 'w'])).stdout)).toMatchObject({ room: 'w', members: 1 });
    expect((await run(['kick', String(session?.['session'])])).stdout).toBe('1\n');
    expect((await ended)[0]).toBe(4);
    expect(stderr).toContain('closed by an administrator');
    expect((await run(['kick', '--user', 'w1'])).stdout).toBe('0\n');
    expect((await run(['kick', 's_0123456789abcdef'])).status).toBe(5);
    expect(lines((await run(['nodes'])).stdout)).toHaveLength(1);
  });
});

describe('keys', () => {
  it('end development; then every call needs one with the right scope', async () => {
    const state = join(folder, 'key-state');
    const how = { state };
    const store = join(folder, 'key-data');
    const out = join(folder, 'admin.key');
    // Before there is a server: straight into the data folder.
    const made = await run(['key', 'create', '--scope', 'admin', '--data', store, '--out', out], how);
    expect([made.status, made.stdout]).toEqual([0, expect.stringMatching(/^k_[\w-]+\n$/)]);
    expect(statSync(out).mode & 0o777).toBe(0o600);
    const secret = readFileSync(out, 'utf8').trim();
    expect(made.stderr).not.toContain(secret);
    expect((await run(['key', 'create', '--scope', 'admin', '--data', store, '--out', out], how)).status).toBe(5);

    // A caller's key in the environment is not this server's: it stays a development server.
    const other = await startServer([...PORTS, '--memory'], { XDG_STATE_HOME: state, IMGO_KEY: 'imgo_k_c4n4ry-other' });
    expect((await run(['push', '--user', '1', '1'], how)).status).toBe(0);
    expect(await other.end('SIGTERM')).toBe(0);

    const guarded = await startServer([...PORTS, '--data', store], { XDG_STATE_HOME: state });
    try {
      const missing = await run(['push', '--user', '1', '1'], how);
      expect([missing.status, missing.stderr]).toEqual([4, expect.stringContaining('key_missing · 4')]);
      expect((await run(['push', '--user', '1', '1', '--key-file', out], how)).status).toBe(0);
      expect((await run(['push', '--user', '1', '1'], { ...how, env: { IMGO_KEY: secret } })).status).toBe(0);
      expect((await run(['push', '--user', '1', '1', '--key-file', '-'], { ...how, input: secret })).status).toBe(0);
      const wrong = await run(['push', '--user', '1', '1'], { ...how, env: { IMGO_KEY: 'imgo_k_c4n4ry-wrong' } });
      expect([wrong.status, wrong.stderr]).toEqual([4, expect.stringContaining('key_invalid · 4')]);

      const push = await run(['key', 'create', '--scope', 'push', '--name', 'shop', '--key-file', out], how);
      const narrow = { ...how, env: { IMGO_KEY: push.stdout.trim() } };
      expect((await run(['push', '--user', '1', '1'], narrow)).status).toBe(0);
      const scope = await run(['sessions'], narrow);
      expect([scope.status, scope.stderr]).toEqual([4, expect.stringContaining('scope_missing · 4')]);
      expect((await run(['status'], narrow)).stdout).toBe('ok\n');
      const list = lines((await run(['key', 'list', '--key-file', out], how)).stdout);
      expect(list.map(({ name }) => name).sort()).toEqual(['', 'shop']);
      expect(JSON.stringify(list)).not.toContain(push.stdout.trim());
      const id = String(list.find(({ name }) => name === 'shop')?.['id']);
      expect((await run(['key', 'revoke', id, '--key-file', out], how)).status).toBe(0);
      // A key is believed for up to a second after it was looked up.
      let after = await run(['push', '--user', '1', '1'], narrow);
      for (let tries = 0; after.status === 0 && tries < 50; tries++)
        after = await run(['push', '--user', '1', '1'], narrow);
      expect(after.stderr).toContain('key_invalid · 4');
      expect(
        (await run(['key', 'create', '--scope', 'admin', '--data', store], { state: join(folder, 'none') })).stderr,
      ).toContain('data_locked · 5');
    } finally {
      await guarded.end('SIGTERM');
    }
    for (const text of [guarded.stderr(), printed]) expect(text).not.toContain(secret);
  });
});

describe('serve refuses to start', () => {
  let holder: Server;
  let port = 0;
  beforeAll(async () => {
    holder = createServer();
    await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
    port = (holder.address() as { port: number }).port;
  });
  afterAll(() => holder.close());

  it('on a port that was named and is taken, and tells who has it', async () => {
    const { status, stdout, stderr } = await run([
      'serve',
      '--memory',
      '--http',
      '0',
      '--ws',
      '0',
      '--tcp',
      String(port),
    ]);
    expect([status, stdout]).toEqual([5, '']);
    expect(stderr).toContain(`✖ Cannot listen on 127.0.0.1:${port} (tcp): `);
    expect(stderr).toContain(`(pid ${process.pid}) does.`);
    expect(stderr).toContain('port_in_use · 5');
  });

  it('on a data folder that another has, and leaves that one alone', async () => {
    const { status, stderr } = await run(['serve', ...PORTS, '--data', data]);
    expect([status, stderr]).toEqual([5, expect.stringContaining('data_locked · 5')]);
    expect(stderr).toContain(`pid ${server.ready.pid}`);
    expect((await run(['status'])).stdout).toBe('ok\n');
  });

  it('off loopback without a key', async () => {
    const { status, stderr } = await run(['serve', '--memory', '--host', '0.0.0.0', ...PORTS]);
    expect([status, stderr]).toEqual([2, expect.stringContaining('Refusing to listen on 0.0.0.0 without an API key.')]);
    expect(stderr).toContain('key_required · 2');
    expect(stderr).toContain('key create --scope admin --out imgo.key, then --key-file imgo.key');
  });

  it('off loopback with one it starts', async () => {
    const key = join(folder, 'given.key');
    writeFileSync(key, 'c4n4ry-0123456789abcdef0123456789\n');
    const state = join(folder, 'open-state');
    const open = await startServer(['--memory', '--host', '0.0.0.0', ...PORTS, '--key-file', key], {
      XDG_STATE_HOME: state,
    });
    const url = open.ready.http.replace('0.0.0.0', '127.0.0.1');
    expect((await run(['push', '--user', '1', '1', '--server', url], { state })).status).toBe(4);
    expect((await run(['push', '--user', '1', '1', '--server', url, '--key-file', key], { state })).status).toBe(0);
    // By itself, with the key that the run file names.
    expect((await run(['push', '--user', '1', '1'], { state })).status).toBe(0);
    expect(readFileSync(join(state, 'imgo', 'servers', `${open.ready.pid}.json`), 'utf8')).not.toContain('c4n4ry');
    await open.end('SIGTERM');
    printed += open.stderr();
  });

  it.each([
    [
      '[limits]\nmax_lag = 1\n',
      'config_unknown',
      'imgo.toml:2: limits.max_lag is not a setting. Did you mean limits.lag.max?',
    ],
    ['[limits]\nframe = "big"\n', 'config_invalid', 'imgo.toml:2: limits.frame must be a size'],
    ['[limits\n', 'config_unreadable', 'Cannot read imgo.toml:1:'],
  ])('with a configuration that is wrong: %j', async (toml, code, text) => {
    const cwd = join(folder, code);
    mkdirSync(cwd, { recursive: true });
    writeFileSync(join(cwd, 'imgo.toml'), toml);
    for (const args of [
      ['serve', '--memory', ...PORTS],
      ['config', 'check'],
      ['config', 'show'],
    ]) {
      const { status, stdout, stderr } = await run(args, { cwd });
      expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining(text)]);
      expect(stderr).toContain(`${code} · 2`);
    }
  });

  it.each([
    [['serve', '--config', '/no/such.toml'], 'config_unreadable'],
    [['serve', '--set', 'limits.frame'], 'usage'],
    [['serve', '--set', 'limits.frmae=1KiB'], 'config_unknown'],
    [['serve', '--tcp', '99999'], 'config_invalid'],
    [['serve', '--data', 'x', '--memory'], 'usage'],
    [['serve', '--key-file', '/no/such.key'], 'file_unreadable'],
    [['serve', 'extra'], 'usage'],
  ])('%j: exit 2', async (args, code) => {
    const { status, stderr } = await run(args);
    expect([status, stderr]).toEqual([2, expect.stringContaining(`${code} · 2`)]);
  });
});

describe('serve', () => {
  it('says as JSON where it is, and why it stopped', async () => {
    const child = spawn(LAUNCHER, ['serve', '--memory', '--json', ...PORTS], {
      env: environment({ state: join(folder, 'j') }),
    });
    let stdout = '';
    const [first] = (await once(child.stdout, 'data')) as [Buffer];
    stdout += first.toString();
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.kill('SIGTERM');
    const [status] = (await once(child, 'close')) as [number];
    expect(status).toBe(0);
    const [ready, stopped] = lines(stdout);
    expect(ready).toMatchObject({ event: 'ready', pid: child.pid, data: 'memory', mode: 'development' });
    expect(ready?.['http']).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(ready?.['ws']).toMatch(/^ws:\/\/127\.0\.0\.1:\d+\/sub$/);
    expect(ready?.['tcp']).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(stopped).toEqual({ event: 'stopped', reason: 'SIGTERM' });
  });

  it('--check starts nothing', async () => {
    const { status, stderr } = await run(['serve', '--check', ...PORTS, '--data', join(folder, 'unmade')]);
    expect([status, stderr]).toEqual([0, 'Settings and ports are fine.\n']);
    expect(existsSync(join(folder, 'unmade'))).toBe(false);
  });
});

describe('config', () => {
  it('show prints every setting with its origin', async () => {
    const { stdout, status } = await run(['config', 'show', '--set', 'fanout.window=1s'], {
      env: { IMGO_LIMITS__FRAME: '8KiB' },
    });
    expect(status).toBe(0);
    expect(stdout).toContain('fanout.window = "1s"  # --set\n');
    expect(stdout).toContain('limits.frame = "8KiB"  # IMGO_LIMITS__FRAME\n');
    expect(stdout).toContain('listen.http = 7172  # default\n');
    const objects = lines((await run(['config', 'show', '--json'])).stdout);
    expect(objects.find(({ key }) => key === 'data')).toMatchObject({
      key: 'data',
      value: '".imgo"',
      origin: 'default',
      env: 'IMGO_DATA',
    });
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

it('no output repeats a secret or a payload', async () => {
  await run(['push', '--user', 'c', '"c4n4ry-payload"', '-v', '--wait']);
  await run(['push', '--user', 'c', 'c4n4ry-payload']);
  await run(['push', '--user', 'c', '--lines', 'c4n4ry-payload']);
  await run(['token', 'inspect', '-', '-v'], { input: 'c4n4ry-token' });
  await run(['token', 'revoke', 'c4n4ry-token']);
  await run(['kick', 'c4n4ry-token']);
  await run(['key', 'revoke', 'c4n4ry-key']);
  await run(['push', '--user', 'c', '1', '--key', 'c4n4ry-key']);
  await run(['push', '--user', 'c', '1', '--token=c4n4ry-token']);
  await run(['status', '-v'], { env: { IMGO_KEY: 'c4n4ry-key' } });
  await run(['push', '--lines', '-v'], { input: '{"to":{"user":"c"},"message":c4n4ry}\n' });
  expect(printed.split('\n').filter((line) => line.includes('c4n4ry'))).toEqual([]);
  expect(server.stderr()).not.toContain('c4n4ry');
});
