// The Compose files of templates/ are valid, start servers that their settings allow, and have nothing secret in them.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readPackage } from '../../src/cli/oclif.js';
import { configured, FOLDER, parsed, yaml } from './files.js';
import { composeFaults } from './schemas.js';

interface Service {
  readonly image: string;
  readonly build?: string;
  readonly command?: readonly string[];
  readonly configs?: readonly { readonly source: string; readonly target: string }[];
  readonly secrets?: readonly string[];
  readonly deploy?: { readonly replicas: number };
  readonly healthcheck?: { readonly test: readonly string[] };
  readonly depends_on?: readonly string[];
  readonly stop_grace_period?: string;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly configs: Readonly<Record<string, { readonly file: string }>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

function compose(template: string): Compose {
  return yaml(`${template}/compose.yaml`)[0] as Compose;
}

function loadService(template: string, { command = [], configs = [] }: Service) {
  const { configs: sources } = compose(template);
  const files = configs.map(({ source, target }) => [target, join(template, sources[source]?.file ?? '')]);
  return configured(['imgo', ...command], Object.fromEntries(files));
}

describe.each(['compose', 'compose-cluster'])('%s', (template) => {
  const { services, configs, secrets } = compose(template);
  const ours = Object.entries(services).filter(([, { image }]) => image.startsWith('imgo:'));

  it('is valid by the Compose Specification', () => {
    expect(composeFaults(compose(template))).toEqual([]);
    expect(composeFaults({ services: { imgo: { imagge: 'imgo' } } })).not.toEqual([]);
  });

  it('names files that it has, secrets that are files, and images with a version', () => {
    for (const { file } of Object.values(configs)) expect(existsSync(join(FOLDER, template, file))).toBe(true);
    for (const { file } of Object.values(secrets)) expect(file).toMatch(/^\.\/secrets\//);
    for (const { image } of Object.values(services)) expect(image).toMatch(/^[\w/]+:\d[\w.-]*$/);
    for (const [, { image }] of ours) expect(image).toBe(`imgo:${readPackage().version}`);
    for (const { depends_on = [] } of Object.values(services))
      expect(Object.keys(services)).toEqual(expect.arrayContaining([...depends_on]));
  });

  it.each(ours)('%s is a server that its settings allow, with the keys that it needs', async (_name, service) => {
    const { config } = await loadService(template, service);
    const { command = [] } = service;
    const named = [config.cluster.keyFile, command[command.indexOf('--key-file') + 1]];
    const wanted = named.filter((file) => file?.startsWith('/run/secrets/')).map((file) => file?.slice(13));
    expect([...(service.secrets ?? [])].sort()).toEqual(wanted.sort());
    expect(Number.parseInt(service.stop_grace_period ?? '', 10) * 1_000).toBeGreaterThan(config.shutdownTimeoutMs);
    for (const broker of config.kafka?.brokers ?? []) expect(Object.keys(services)).toContain(broker.split(':')[0]);
    if (service.healthcheck !== undefined) await parsed(service.healthcheck.test.slice(1));
  });
});

describe('compose-cluster', () => {
  it('has the roles that it is for, and a comet that knows no store', async () => {
    const { services } = compose('compose-cluster');
    const replicas = Object.entries(services).map(([name, { deploy }]) => [name, deploy?.replicas]);
    expect(Object.fromEntries(replicas)).toMatchObject({ logic: 2, job: 2, comet: 3 });
    for (const role of ['logic', 'job', 'comet']) {
      const { config } = await loadService('compose-cluster', services[role] as Service);
      expect(config.roles).toEqual([role]);
      expect(config.redis === undefined).toBe(role === 'comet');
      expect(config.cluster.rpc?.host).toBe('0.0.0.0');
    }
  });
});
