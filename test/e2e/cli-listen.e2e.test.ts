// `imgo listen` in a pipe, and who is there while somebody listens.
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CommandLine, json, lines } from '../harness/command-line.js';

const imgo = new CommandLine();
const { begin, run, shell } = imgo;

beforeAll(() => imgo.start());
afterAll(() => imgo.end());

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
    const child = begin(['listen', '--user', 's4']);
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
    const child = begin(['listen', '--user', 's6', '--room', 'live://7', '-n', '1', '--timeout', '20s']);
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

describe('who is there', () => {
  it('is listed, counted in rooms, and can be sent away', async () => {
    const child = begin(['listen', '--user', 'w1', '--room', 'w', '--no-reconnect']);
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
