// Settings of roles apart: what each role needs of the rest is told before anything starts, with the setting that is wrong.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import { isEmbedded, listeners } from '../../../src/server/config.js';
import { loadConfig } from '../../../src/server/config-load.js';

const folder = mkdtempSync(join(tmpdir(), 'imgo-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const load = (settings: Readonly<Record<string, unknown>>) =>
  loadConfig({
    env: {},
    flags: Object.entries(settings).map(([key, value]) => ({ key, value, where: `--${key}` })),
    folder,
  }).config;

const ENGINES = {
  'redis.url': 'redis://127.0.0.1:6379',
  'queue.engine': 'kafka',
  'queue.kafka.brokers': '127.0.0.1:9092',
};
const KEY = { 'cluster.key_file': 'cluster.key' };
const LOGIC = { 'cluster.logic': 'dns:logic:7173' };

/** The setting that is refused. */
function refused(settings: Readonly<Record<string, unknown>>): unknown {
  try {
    load(settings);
  } catch (error) {
    if (error instanceof ImgoError && error.code === 'config_invalid') return error.details['key'];
    throw error;
  }
  return undefined;
}

describe('roles apart', () => {
  it('take what each needs, and nothing of the others', () => {
    const comet = load({ role: 'comet', ...KEY, ...LOGIC });
    expect(comet.roles).toEqual(['comet']);
    expect(comet.cluster.keyFile).toBe(join(folder, 'cluster.key'));
    expect(comet.cluster.rpc).toEqual({ host: '127.0.0.1', port: 7_173, named: false });
    const logic = load({ role: 'logic', ...ENGINES, ...KEY, 'listen.legacy_http': 0 });
    expect(listeners(logic).map(([name]) => name)).toEqual(['http', 'legacy-http', 'rpc']);
    expect(listeners(comet).map(([name]) => name)).toEqual(['http', 'ws', 'tcp', 'rpc']);
    const all = load({ role: 'job,logic,comet', ...ENGINES, ...KEY });
    expect([all.roles, isEmbedded(all)]).toEqual([['comet', 'logic', 'job'], false]);
    expect(isEmbedded(load({}))).toBe(true);
  });

  it('never listen for each other on the address that clients use, unless that is named', () => {
    const settings = { role: 'comet', ...KEY, ...LOGIC, 'listen.host': '0.0.0.0' };
    expect(load(settings).cluster.rpc?.host).toBe('127.0.0.1');
    expect(load({ ...settings, 'cluster.rpc': '10.0.0.5:7173' }).cluster.rpc?.host).toBe('10.0.0.5');
  });

  it.each([
    ['a comet that knows no logic', { role: 'comet', ...KEY }, 'role'],
    ['a logic without a store', { role: 'logic', ...KEY }, 'role'],
    ['a job without a store', { role: 'job', ...KEY }, 'role'],
    ['a comet and a job without a logic', { role: 'comet,job', ...ENGINES, ...KEY }, 'role'],
    ['Redis without Kafka', { 'redis.url': 'redis://127.0.0.1', ...KEY }, 'redis.url'],
    ['Kafka without Redis', { 'queue.engine': 'kafka', 'queue.kafka.brokers': 'k:9092' }, 'queue.engine'],
    ['Kafka nowhere', { 'queue.engine': 'kafka', 'redis.url': 'redis://r', ...KEY }, 'queue.engine'],
    ['brokers for nothing', { 'queue.kafka.brokers': 'k:9092' }, 'queue.kafka.brokers'],
    ['no key', { role: 'comet', ...LOGIC }, 'role'],
    ['logics for who has one', { role: 'logic,comet', ...ENGINES, ...KEY, ...LOGIC }, 'cluster.logic'],
    ['nobody can dial', { role: 'comet', ...KEY, ...LOGIC, 'cluster.rpc': 'off' }, 'cluster.rpc'],
    ['half a certificate', { role: 'comet', ...KEY, ...LOGIC, 'cluster.tls.cert': 'c.pem' }, 'cluster.tls.cert'],
    ['workers', { role: 'comet', ...KEY, ...LOGIC, workers: 2 }, 'workers'],
    ['no role', { role: ' ' }, 'role'],
    ['another role', { role: 'router' }, 'role'],
    ['a URL of something else', { 'redis.url': 'http://127.0.0.1' }, 'redis.url'],
    ['a name that is a path', { 'cluster.node': 'a/b' }, 'cluster.node'],
    ['a wrong way round', { 'drain.reconnect': '30s,1s' }, 'drain.reconnect'],
  ])('refuse %s', (_what, settings, key) => {
    expect(refused(settings)).toBe(key);
  });
});
