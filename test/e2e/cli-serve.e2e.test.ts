// `imgo serve` and its settings as scripts use them: when it refuses to start, what it says of itself.
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CommandLine, lines, PORTS } from '../harness/command-line.js';
import { startServer } from '../harness/server.js';

const imgo = new CommandLine();
const { begin, folder, run } = imgo;

beforeAll(() => imgo.start());
afterAll(() => imgo.end());

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
    const { status, stderr } = await run(['serve', ...PORTS, '--data', imgo.data]);
    expect([status, stderr]).toEqual([5, expect.stringContaining('data_locked · 5')]);
    expect(stderr).toContain(`pid ${imgo.server.ready.pid}`);
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
    imgo.heard(open.stderr());
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
    const child = begin(['serve', '--memory', '--json', ...PORTS], { state: join(folder, 'j') });
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
