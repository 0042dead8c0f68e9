// Tokens and keys from the command line; no secret and no payload is ever repeated.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CANARY, CommandLine, json, lines, PORTS } from '../harness/command-line.js';
import { startServer } from '../harness/server.js';

const imgo = new CommandLine();
const { folder, run } = imgo;

beforeAll(() => imgo.start());
afterAll(() => imgo.end());

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
    for (const text of [guarded.stderr(), imgo.said]) expect(text).not.toContain(secret);
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
  expect(imgo.said.split('\n').filter((line) => line.includes(CANARY))).toEqual([]);
  expect(imgo.server.stderr()).not.toContain(CANARY);
});
