// The units of templates/systemd start servers that the settings beside them allow, hardened alike, with nothing secret in a
// command line, and in the environment nothing but where a secret is. Whether systemd takes them: programs.broker.test.ts.
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { listeners } from '../../src/server/config.js';
import { configured, filesOf, read, wordsOf } from './files.js';
import { environmentOf, specified, type Unit, unitOf } from './units.js';

const UNITS = filesOf('systemd/*.service');
const FILES = Object.fromEntries(
  ['imgo', 'logic', 'job', 'comet'].map((name) => [`/etc/imgo/${name}.toml`, `systemd/${name}.toml`]),
);

function load(unit: Unit, instance = '0') {
  const [line = ''] = unit.get('Service.ExecStart') ?? [];
  const words = wordsOf(specified(line, instance)).map((word) => (word === '/opt/imgo/bin/imgo' ? 'imgo' : word));
  return configured(words, FILES, environmentOf(unit, instance));
}

describe.each(UNITS)('%s', (file) => {
  const unit = unitOf(file);

  it('starts a server that its settings allow', async () => {
    const { config } = await load(unit);
    const role = /imgo-(\w+)/.exec(file)?.[1];
    expect(config.roles).toEqual(role === undefined ? ['comet', 'logic', 'job'] : [role]);
    expect(config.cluster.node).toBe(
      role === undefined ? undefined : ({ comet: 'web1-comet-0' }[role] ?? `web1-${role}`),
    );
  });

  it('gets every secret as a credential', async () => {
    const { config } = await load(unit);
    const given = (unit.get('Service.LoadCredential') ?? []).map((one) => `/run/credentials/${one.split(':')[0]}`);
    const [line = ''] = unit.get('Service.ExecStart') ?? [];
    const wanted = [config.cluster.keyFile, /--key-file (\S+)/.exec(specified(line))?.[1]];
    expect(given.sort()).toEqual(wanted.filter((one) => one !== undefined).sort());
  });

  it('stops in the time that a server takes, with as many descriptors as there may be', async () => {
    const { config } = await load(unit);
    expect(Number(unit.get('Service.TimeoutStopSec')?.[0]) * 1_000).toBeGreaterThan(config.shutdownTimeoutMs + 2_000);
    expect(unit.get('Service.LimitNOFILE')).toEqual(['1048576']);
  });

  it('is hardened as the others are', () => {
    const hardening = (one: string) =>
      read(one).slice(read(one).indexOf('DynamicUser='), read(one).indexOf('[Install]'));
    expect(hardening(file)).toBe(hardening('systemd/imgo.service'));
    expect(hardening(file)).toContain('NoNewPrivileges=yes');
  });
});

it('roles of one machine, and several comets of it, each have ports of their own', async () => {
  const ports: number[] = [];
  const add = async (unit: Unit, instance: string) => {
    const { config } = await load(unit, instance);
    ports.push(...listeners(config).map(([, { port }]) => port), config.cluster.rpc?.port ?? 0);
  };
  await add(unitOf('systemd/imgo-logic.service'), '');
  await add(unitOf('systemd/imgo-job.service'), '');
  for (let comet = 0; comet < 10; comet++) await add(unitOf('systemd/imgo-comet@.service'), String(comet));
  expect(ports.length).toBeGreaterThanOrEqual(2 + 2 + 40);
  const byUse = new Set(ports);
  expect(byUse.size).toBe(2 + 2 + 40);
});

it('the kernel has every setting of it that is set', () => {
  const names = [...read('systemd/90-imgo.conf').matchAll(/^([\w.-]+) = \d/gm)].map(([, name = '']) => name);
  // What begins with a minus may be missing: it belongs to a module.
  const missing = names.filter(
    (name) => !name.startsWith('-') && !existsSync(`/proc/sys/${name.replaceAll('.', '/')}`),
  );
  expect(names.length).toBeGreaterThan(4);
  expect(missing).toEqual([]);
});
