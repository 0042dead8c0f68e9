// Where Redis is, as the setting says it: every form, and what is refused without showing a secret.

import { describe, expect, test } from 'vitest';
import { asRedisError } from '../../../src/server/store/redis/failures.js';
import { parseRedisUrl } from '../../../src/server/store/redis/url.js';

describe('an address of Redis', () => {
  test('one server', () => {
    expect(parseRedisUrl('redis://127.0.0.1:7000')).toEqual({
      kind: 'single',
      addresses: [{ host: '127.0.0.1', port: 7_000 }],
      name: undefined,
      db: 0,
      username: undefined,
      password: undefined,
      tls: false,
      shown: '127.0.0.1:7000',
    });
    expect(parseRedisUrl('rediss://u:p%40ss@[::1]/3')).toMatchObject({
      addresses: [{ host: '::1', port: 6_379 }],
      db: 3,
      username: 'u',
      password: 'p@ss',
      tls: true,
      shown: '[::1]:6379',
    });
    expect(parseRedisUrl('redis://:secret@r')).toMatchObject({
      username: undefined,
      password: 'secret',
      shown: 'r:6379',
    });
  });

  test('Sentinels and a cluster', () => {
    expect(parseRedisUrl('sentinel://:x@a,b:5/main/2')).toMatchObject({
      kind: 'sentinel',
      addresses: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 5 },
      ],
      name: 'main',
      db: 2,
      shown: 'a:26379,b:5/main',
    });
    expect(parseRedisUrl('clusters://a:1,b:2')).toMatchObject({ kind: 'cluster', tls: true, shown: 'a:1,b:2' });
  });

  test.each([
    'http://a',
    'redis://',
    'redis://a:0',
    'redis://a:99999',
    'redis://a,b',
    'redis://a/x',
    'redis://a?db=1',
    'sentinel://a',
    'cluster://a/0',
    'redis://u:50%@a',
  ])('%s is refused', (url) => {
    expect(() => parseRedisUrl(url)).toThrow(expect.objectContaining({ code: 'redis_url' }));
  });

  test('no message shows a password', () => {
    for (const url of ['redis://u:hunter2@a/x', 'redis://u:hunter2@a,b', 'redis://u:hunter2@a:0']) {
      expect(() => parseRedisUrl(url)).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining('hunter2') }),
      );
    }
  });
});

describe('what Redis says', () => {
  const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' });
  test.each([
    [reply("OOM command not allowed when used memory > 'maxmemory'."), 'store_full'],
    [reply('MISCONF Errors writing to the AOF file'), 'store_failed'],
    [reply('WRONGPASS invalid username-password pair'), 'redis_refused'],
    [reply('NOAUTH Authentication required.'), 'redis_refused'],
    [reply("READONLY You can't write against a read only replica."), 'redis_unreachable'],
    [reply('LOADING Redis is loading the dataset in memory'), 'redis_unreachable'],
    [new Error('Command timed out'), 'redis_unreachable'],
    [Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }), 'redis_unreachable'],
    [Object.assign(new Error('wrong version number'), { code: 'ERR_SSL_WRONG_VERSION_NUMBER' }), 'redis_tls'],
  ])('%s is %s', (error, code) => {
    expect(asRedisError(error, 'r:1')).toMatchObject({ code, cause: error });
  });

  test('a script that fails is a defect, which no repetition cures', () => {
    expect(asRedisError(reply('ERR user_script:1: attempt to index a nil value'), 'r:1')).toBeInstanceOf(TypeError);
  });
});
