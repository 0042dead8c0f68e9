// Settings: one schema, four sources, each value knows where it came from, and what is wrong is told with its place.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import { nearest } from '../../../src/protocol/nearest.js';
import { isLoopback, listeners } from '../../../src/server/config.js';
import { parseConfigFile } from '../../../src/server/config-file.js';
import { envName, type FlagSetting, loadConfig, settingKeys } from '../../../src/server/config-load.js';
import {
  formatDuration,
  formatRate,
  formatSize,
  parseDuration,
  parseRate,
  parseSize,
} from '../../../src/server/units.js';

const folder = mkdtempSync(join(tmpdir(), 'imgo-config-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'imgo.toml');

function load(toml: string, env: Record<string, string> = {}, flags: readonly FlagSetting[] = []) {
  writeFileSync(file, toml);
  return loadConfig({ file, env, flags, folder });
}

function failure(run: () => unknown): ImgoError {
  try {
    run();
  } catch (error) {
    if (error instanceof ImgoError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('settings', () => {
  it('are the documented ones without any source', () => {
    const { config, settings } = load('');
    expect(settings.every(({ origin }) => origin === 'default')).toBe(true);
    expect(config).toMatchObject({
      data: { kind: 'folder', shown: '.imgo', folder: join(folder, '.imgo') },
      shutdownTimeoutMs: 30_000,
      listen: { host: '127.0.0.1', goim: undefined, legacyHttp: undefined, origins: ['same-host'] },
      auth: { tokenTtlMs: 30 * 86_400_000, weakTokens: false },
      limits: { maxConns: 'auto', frameBytes: 65_536, payloadBytes: 65_536, sessionsPerUser: 8, inboundPerSecond: 50 },
      delivery: { keep: { messages: 1_000, bytes: 2 ** 20, ageMs: 7 * 86_400_000 }, newDevice: 'kept' },
      rooms: { join: 'token', keep: { messages: 1_000, ageMs: 3_600_000 } },
      legacy: { defaultRoom: '1' },
      fanout: { windowMs: 100, yieldEvery: 512, oneFramePerWrite: [] },
    });
    expect(listeners(config)).toEqual([
      ['http', { host: '127.0.0.1', port: 7_172, named: false }],
      ['ws', { host: '127.0.0.1', port: 8_090, named: false }],
      ['tcp', { host: '127.0.0.1', port: 8_080, named: false }],
    ]);
  });

  it('are taken from the file, over it the environment, over that the flags; each tells where it came from', () => {
    const toml = '[limits]\nframe = "16KiB"\npayload = "32KiB"\nsessions_per_user = 3\n';
    const env = { IMGO_LIMITS__FRAME: '8KiB', IMGO_LIMITS__SESSIONS_PER_USER: '4' };
    const { config, settings } = load(toml, env, [{ key: 'limits.sessions_per_user', value: '5', where: '--set' }]);
    expect(config.limits).toMatchObject({ payloadBytes: 32_768, frameBytes: 8_192, sessionsPerUser: 5 });
    const origins = Object.fromEntries(settings.map(({ key, origin }) => [key, origin]));
    expect(origins).toMatchObject({
      'limits.payload': `${file}:3`,
      'limits.frame': 'IMGO_LIMITS__FRAME',
      'limits.sessions_per_user': '--set',
      'limits.idle': 'default',
    });
  });

  it('print as they are written: what is printed reads back to the same', () => {
    const { settings } = load(
      '[listen]\nws = "[::1]:9"\ntcp = "off"\norigins = ["https://a.example"]\n[fanout]\none_frame_per_write = true',
    );
    const again = settings.map(({ key, value }) => `${key} = ${value}`).join('\n');
    const twice = load(again).settings;
    expect(twice.map(({ key, value }) => [key, value])).toEqual(settings.map(({ key, value }) => [key, value]));
  });

  it('have a name in the environment, a unit and a sentence each', () => {
    for (const [key, { describe: text, unit }] of settingKeys()) {
      expect(text, key).toMatch(/\.$/);
      expect(unit, key).not.toBe('');
      expect(envName(key), key).toMatch(/^IMGO_[A-Z0-9_]+$/);
    }
  });

  it.each([
    ['limits.max_lag', '[limits]\n\nmax_lag = 1', 3, 'limits.lag.max'],
    ['listen.hots', 'data = "x"\n[listen]\nhots = "a"', 3, 'listen.host'],
    ['limits.lag.mx', '[limits]\nlag = { mx = "1MiB" }', 2, 'limits.lag.max'],
    ['limts.frame', '\n[limts]\nframe = 1', 3, 'limits.frame'],
    ['limits.frme', 'limits.frme = 1', 1, 'limits.frame'],
  ])('that do not exist are refused with file, line and the nearest name: %s', (key, toml, line, near) => {
    const error = failure(() => load(toml));
    expect(error.code).toBe('config_unknown');
    expect(error.message).toBe(`${file}:${line}: ${key} is not a setting. Did you mean ${near}?`);
  });

  it('that do not exist are refused in the environment; what is not ours is ignored there', () => {
    const error = failure(() => load('', { IMGO_LIMITS__FRAEM: '1' }));
    expect(error.message).toContain('IMGO_LIMITS__FRAEM is not a setting. Did you mean IMGO_LIMITS__FRAME?');
    expect(load('', { IMGO_SERVICE_PORT: '1', IMGO_KEY: 'secret', OTHER__THING: '1' }).settings).toHaveLength(
      settingKeys().size,
    );
  });

  it.each([
    ['[limits]\nframe = "1 parsec"', 2, 'limits.frame must be a size'],
    ['[limits]\nframe = "1"', 2, 'limits.frame must be a size'],
    ['[limits]\nsessions_per_user = 0', 2, 'must be a whole number from 1'],
    ['[limits]\nsessions_per_user = 1.5', 2, 'must be a whole number'],
    ['[limits]\ndevices_per_user = 251', 2, 'must be a whole number from 1 to 250'],
    ['[limits]\non_too_many = "drop"', 2, 'must be one of "replace-oldest", "reject"'],
    ['[listen]\nhttp = 70000', 2, 'must be a port from 0 to 65535'],
    ['[listen]\nhttp = "a b:1"', 2, 'must be a port'],
    ['[listen]\norigins = ["not an origin"]', 2, 'must be a list of'],
    ['[auth]\nweak_tokens = "maybe"', 2, 'must be true or false'],
    ['shutdown_timeout = 30', 1, 'must be a duration such as'],
    ['limits = 1', 1, 'limits must be a table of settings'],
  ])('that are wrong are refused where they stand: %s', (toml, line, text) => {
    const error = failure(() => load(toml));
    expect(error.code).toBe('config_invalid');
    expect(error.message).toContain(`${file}:${line}: `);
    expect(error.message).toContain(text);
  });

  it('that contradict each other are refused', () => {
    const error = failure(() => load('[limits]\npayload = "2MiB"'));
    expect(error.message).toBe(`${file}:2: limits.payload must not be above delivery.keep.bytes, which is 1MiB.`);
  });

  it('cannot come from a file that is missing, a folder, not UTF-8 or not TOML', () => {
    const named = (path: string) => failure(() => loadConfig({ file: path, env: {}, flags: [], folder }));
    expect(named(join(folder, 'none.toml')).message).toContain('there is no such file');
    expect(named(folder).message).toContain('it is a folder');
    writeFileSync(file, Buffer.from([0xff, 0xfe]));
    expect(named(file).message).toContain('it is not UTF-8');
    const broken = failure(() => load('[limits]\nframe = [1'));
    expect(broken.code).toBe('config_unreadable');
    expect(broken.message).toContain(`${file}:2:`);
  });

  it('need no file when none was named', () => {
    const before = process.cwd();
    process.chdir(folder);
    rmSync(file, { force: true });
    try {
      expect(loadConfig({ env: {}, flags: [], folder }).file).toBeUndefined();
    } finally {
      process.chdir(before);
    }
  });

  it('find the line of a quoted and of a dotted key', () => {
    const found = parseConfigFile('f', '"data" = "x"\n[limits]\nlag.max = "1MiB"\nlag.policy = "gap"\n');
    expect(found.where('data')).toBe('f:1');
    expect(found.where('limits.lag.policy')).toBe('f:4');
    expect(found.where('limits.frame')).toBe('f:2');
  });
});

describe('units', () => {
  it.each([
    ['0', 0],
    ['250ms', 250],
    ['1.5h', 5_400_000],
    ['7d', 604_800_000],
    ['1w', 604_800_000],
  ])('a duration: %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
    expect(parseDuration(formatDuration(ms))).toBe(ms);
  });

  it.each([
    ['512', 512],
    ['64KiB', 65_536],
    ['1.5 MiB', 1_572_864],
    ['1kb', 1_000],
  ])('a size: %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
    expect(parseSize(formatSize(bytes))).toBe(bytes);
  });

  it('a rate', () => {
    expect([parseRate('50/s'), parseRate('60/m'), parseRate('0')]).toEqual([50, 1, 0]);
    expect(parseRate(formatRate(50))).toBe(50);
  });

  it.each(['', ' ', '-1s', '1', 's', '1e3s', '1.s', '1 s', 'NaNs', '9999999999999999d', '1s '])(
    'not a duration: "%s"',
    (text) => {
      expect(parseDuration(text)).toBeUndefined();
    },
  );

  it.each(['', '-1', '1 parsec', '0x10', '1kbb', 'KiB', '1..2MiB'])('not a size: "%s"', (text) => {
    expect(parseSize(text)).toBeUndefined();
  });
});

describe('loopback', () => {
  it.each(['127.0.0.1', '127.9.9.9', '::1', '[::1]', 'localhost'])('%s is this machine only', (host) => {
    expect(isLoopback(host)).toBe(true);
  });
  it.each(['0.0.0.0', '::', '10.0.0.1', '128.0.0.1', '127.0.0.1.example.com', 'localhost.example.com'])(
    '%s is not',
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});

describe('the nearest name', () => {
  it('is found through a slip, words in another order, and a missing section', () => {
    const names = ['limits.lag.max', 'limits.frame', 'listen.http', 'data'];
    expect(nearest('limits.max_lag', names)).toBe('limits.lag.max');
    expect(nearest('limits.farme', names)).toBe('limits.frame');
    expect(nearest('server.http', names)).toBe('listen.http');
    expect(nearest('entirely-else', names)).toBeUndefined();
  });
});
