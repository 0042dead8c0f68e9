// The manifests of templates/kubernetes are valid by Kubernetes' own schemas, start servers that their settings allow, refer to
// secrets and hold none, and drain a comet before it stops.
import { describe, expect, it } from 'vitest';
import { readPackage } from '../../src/cli/oclif.js';
import { configured, filesOf, parsed, read, wordsOf, yaml } from './files.js';
import { kubernetesFaults } from './schemas.js';

interface Container {
  readonly name: string;
  readonly image: string;
  readonly args?: readonly string[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly lifecycle?: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

interface Pod {
  readonly terminationGracePeriodSeconds: number;
  readonly containers: readonly Container[];
  readonly volumes: readonly {
    readonly name: string;
    readonly configMap?: { readonly name: string };
    readonly secret?: { readonly secretName: string };
  }[];
}

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> } & Readonly<Record<string, unknown>>;
    readonly template: { readonly metadata: Manifest['metadata']; readonly spec: Pod };
    readonly podSelector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly scaleTargetRef: { readonly kind: string; readonly name: string };
  };
}

interface Kustomization {
  readonly resources: readonly string[];
  readonly images: readonly { readonly name: string; readonly newTag: string }[];
  readonly configMapGenerator: readonly { readonly name: string; readonly files: readonly string[] }[];
}

const kustomization = yaml('kubernetes/kustomization.yaml')[0] as Kustomization;
const manifests = kustomization.resources.flatMap((file) => yaml(`kubernetes/${file}`) as readonly Manifest[]);
const kinds = (kind: string) => manifests.filter((one) => one.kind === kind);
const workloads = [...kinds('Deployment'), ...kinds('StatefulSet')];

function podOf(role: string): Pod {
  const found = workloads.find(({ metadata }) => metadata.name === `imgo-${role}`);
  if (found === undefined) throw new Error(`no ${role}`);
  return found.spec.template.spec;
}

function loadRole(role: string) {
  const { containers, volumes } = podOf(role);
  const container = containers.find(({ name }) => name === role);
  const mount = container?.volumeMounts.find(({ name }) => name === 'settings');
  const map = volumes.find(({ name }) => name === 'settings')?.configMap?.name;
  const [, file] = kustomization.configMapGenerator.find(({ name }) => name === map)?.files[0]?.split('=') ?? [];
  const files = { [`${mount?.mountPath}/imgo.toml`]: `kubernetes/${file}` };
  return configured(['imgo', ...(container?.args ?? [])], files, { IMGO_CLUSTER__NODE: 'imgo-comet-0' });
}

describe('manifests', () => {
  it.each(manifests.map((one) => [one.kind, one.metadata.name, one] as const))(
    '%s %s is valid',
    (_kind, _name, one) => {
      expect(kubernetesFaults(one)).toEqual([]);
      expect(kubernetesFaults({ ...one, specc: {} })).not.toEqual([]);
    },
  );

  it('are all of the folder', () => {
    const all = filesOf('kubernetes/*.yaml').map((file) => file.replace('kubernetes/', ''));
    expect([...kustomization.resources, 'kustomization.yaml'].sort()).toEqual(all);
  });

  it('have a disruption budget for each workload, and a policy that names each', () => {
    const labels = workloads.map(({ spec }) => spec.template.metadata.labels);
    expect(kinds('PodDisruptionBudget').map(({ spec }) => spec.selector.matchLabels)).toEqual(
      expect.arrayContaining(labels),
    );
    const fenced = kinds('NetworkPolicy').map(({ spec }) => spec.podSelector.matchLabels);
    expect(fenced).toEqual(expect.arrayContaining([...labels, { app: 'imgo' }]));
    for (const { spec } of workloads) expect(spec.selector.matchLabels).toEqual(spec.template.metadata.labels);
  });

  it('hold no secret, and name the image once, with the version', () => {
    expect(kinds('Secret')).toEqual([]);
    const version = `${readPackage().version}`;
    expect(kustomization.images).toMatchObject([{ name: 'imgo', newTag: version }]);
    for (const { spec } of workloads) for (const { image } of spec.template.spec.containers) expect(image).toBe('imgo');
    const told = read('kubernetes/README.md').match(/--from-file=\S+/g) ?? [];
    const secrets = workloads.flatMap(({ spec }) => spec.template.spec.volumes.flatMap(({ secret }) => secret ?? []));
    for (const { secretName } of secrets) expect(read('kubernetes/README.md')).toContain(`generic ${secretName} `);
    // One each; logic's API key, and the key of the metrics for each role.
    expect(told.length).toBe(secrets.length + 1 + 3);
  });
});

describe.each(['logic', 'job', 'comet'])('%s', (role) => {
  it('is a server that its settings allow, on the ports that it names', async () => {
    const { config } = await loadRole(role);
    expect(config.roles).toEqual([role]);
    const ports = podOf(role).containers.find(({ name }) => name === role)?.ports ?? [];
    const named = Object.fromEntries(ports.map(({ name, containerPort }) => [name, containerPort]));
    const { http, tcp, ws } = config.listen;
    const all = { http: http?.port, rpc: config.cluster.rpc?.port, tcp: tcp?.port, ws: ws?.port };
    expect(named).toEqual(role === 'comet' ? all : { http: all.http, rpc: all.rpc });
    expect(config.cluster.rpc?.host).toBe('0.0.0.0');
  });
});

describe('a comet that ends', () => {
  const { containers, terminationGracePeriodSeconds } = podOf('comet');
  const commandOf = (name: string) =>
    containers.find((one) => one.name === name)?.lifecycle?.preStop.exec.command.join(' ') ?? '';

  it('is drained by a container that has the key for that, and waits for it', async () => {
    const drain = /imgo drain [^;]*/.exec(commandOf('drain'))?.[0] ?? '';
    expect((await parsed(wordsOf(drain))).command).toBe('drain');
    const keys = (name: string) => containers.find((one) => one.name === name)?.volumeMounts.map((mount) => mount.name);
    expect(keys('drain')).toContain('drain-key');
    expect(keys('comet')).not.toContain('drain-key');
    const flag = /\/\S+\/done/;
    expect(flag.exec(commandOf('comet'))?.[0]).toBe(flag.exec(commandOf('drain'))?.[0]);
  });

  it('has the time that the drain and the stop may take', async () => {
    const { config } = await loadRole('comet');
    const seconds = [...commandOf('comet').matchAll(/seq (\d+)/g), ...commandOf('drain').matchAll(/timeout (\d+)/g)];
    for (const [, given] of seconds)
      expect(terminationGracePeriodSeconds).toBeGreaterThan(Number(given) + config.shutdownTimeoutMs / 1_000);
    expect(seconds.length).toBe(2);
  });

  it('is one of as many as there are connections for', () => {
    const [scaler] = kinds('HorizontalPodAutoscaler');
    expect(scaler?.spec.scaleTargetRef).toMatchObject({ kind: 'StatefulSet', name: 'imgo-comet' });
    expect(read('kubernetes/comet.yaml')).toContain('name: imgo_connections');
    expect(read('kubernetes/README.md')).toContain('as: imgo_connections');
  });
});
