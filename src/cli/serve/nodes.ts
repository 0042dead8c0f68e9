// `imgo serve --nodes N`: a whole small cluster on this machine, every node a process of its own, for trying it out. It makes
// the keys, tells comets where the logics are, starts again what dies (under its name, on its ports), and takes all with it
// when it stops: comets first, so that clients are told; logics last.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ImgoError } from '../../protocol/errors.js';
import { systemClock } from '../../server/clock.js';
import { readConfigFile } from '../../server/config-file.js';
import { ClusterKey } from '../../server/rpc/keys.js';
import { readPackage } from '../oclif.js';
import { type Output, renderTable } from '../output.js';
import { ownName } from '../own-name.js';
import { writeRunFile } from '../run-files.js';
import { reserveSecretFile } from '../secrets.js';
import { onStarterGone } from '../starter.js';
import { columns, localise } from '../style.js';
import { type ConfigFlagValues, settingsOf } from './config-flags.js';
import { NodeProcess, type NodeReady } from './node-process.js';

export interface NodesOptions {
  readonly comets: number;
  readonly flags: ConfigFlagValues;
  /** API key file, for the logics. */
  readonly keyFile: string | undefined;
  readonly stopMs: number;
}

/** Where they are looked for when nothing says otherwise. */
const LOCAL = { redis: 'redis://127.0.0.1:6379', kafka: '127.0.0.1:9092' };

/** Runs until a signal stops it. @throws ImgoError what the first node that cannot start says */
export async function runNodes(options: NodesOptions, output: Output): Promise<void> {
  const stopped = firstSignal();
  const cluster = new LocalCluster(options);
  let removeRunFile: (() => void) | undefined;
  try {
    const ready = await cluster.start(stopped.signal);
    removeRunFile = announce(ready, options.keyFile);
    if (output.json) await output.object({ event: 'ready', pid: process.pid, nodes: ready });
    else if (!output.quiet) process.stderr.write(text(ready));
    const reason = await stopped.reason;
    if (!output.json) output.note('Stopping: comets first, then what they need.');
    await cluster.stop();
    if (output.json) await output.object({ event: 'stopped', reason });
    else output.note('Stopped.');
  } finally {
    removeRunFile?.();
    await cluster.stop();
  }
}

class LocalCluster {
  readonly #options: NodesOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'imgo-nodes-'));
  readonly #nodes: NodeProcess[] = [];
  #stopping: Promise<void> | undefined;

  constructor(options: NodesOptions) {
    this.#options = options;
  }

  async start(signal: AbortSignal): Promise<readonly NodeReady[]> {
    const { comets, flags, keyFile } = this.#options;
    const key = ClusterKey.create(systemClock);
    for (const kind of ['cluster', 'comet', 'job'] as const) {
      reserveSecretFile(join(this.#folder, `${kind}.key`)).write(key.text(kind));
    }
    // Two of what clients do not see are enough to have one die.
    const others = Math.min(comets, 2);
    const apiKey = keyFile === undefined ? [] : ['--key-file', keyFile];
    const own = (role: string, at: number) => [
      ...['--role', role, '--rpc', '127.0.0.1:0', '--set', `cluster.node=${role}-${at}`],
      ...['--set', `cluster.key_file=${join(this.#folder, `${role === 'logic' ? 'cluster' : role}.key`)}`],
    ];
    // The first of each is where one server alone would be; others are anywhere.
    const free = (at: number, ...names: readonly string[]) => (at === 1 ? [] : names.flatMap((name) => [name, '0']));
    const engines = enginesOf(flags);
    const first = await this.#run([...own('logic', 1), ...engines, ...apiKey], signal);
    const rest = await Promise.all([
      ...range(2, others).map((at) => this.#run([...own('logic', at), ...engines, ...apiKey, '--http', '0'], signal)),
      ...range(1, others).map((at) => this.#run([...own('job', at), ...engines, '--http', '0'], signal)),
    ]);
    const logics = [first, ...rest].filter(({ roles }) => roles.includes('logic')).map(({ rpc }) => rpc);
    const addresses = ['--set', `cluster.logic=${logics.join(',')}`];
    const holders = await Promise.all(
      range(1, comets).map((at) =>
        this.#run([...own('comet', at), ...addresses, '--http', '0', ...free(at, '--tcp', '--ws')], signal),
      ),
    );
    return [first, ...rest, ...holders];
  }

  async #run(args: readonly string[], signal: AbortSignal): Promise<NodeReady> {
    if (signal.aborted) throw new ImgoError('interrupted');
    const node = new NodeProcess([...this.#common(), ...args], { XDG_STATE_HOME: this.#folder });
    this.#nodes.push(node);
    const onAbort = () => void this.stop();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await node.start();
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #common(): readonly string[] {
    const { flags } = this.#options;
    const settings = settingsOf({ ...flags, redis: undefined, kafka: undefined, role: undefined });
    const given = settings.flatMap(({ key, value }) => ['--set', `${key}=${String(value)}`]);
    return [...(flags.config === undefined ? [] : ['--config', flags.config]), ...given];
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    for (const role of ['comet', 'job', 'logic', undefined]) {
      const these = this.#nodes.filter(({ ready }) => role === undefined || ready?.roles.includes(role) === true);
      await Promise.all(these.map((node) => node.stop(this.#options.stopMs)));
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** What is given wins; then the settings file; then this machine's own. */
function enginesOf(flags: ConfigFlagValues): readonly string[] {
  const file = readConfigFile(flags.config ?? 'imgo.toml', flags.config !== undefined)?.values ?? {};
  const table = (name: string) => (file[name] ?? {}) as Readonly<Record<string, unknown>>;
  const { env } = process;
  const redis = flags.redis ?? env['IMGO_REDIS__URL'] ?? table('redis')['url'];
  const kafka = flags.kafka ?? env['IMGO_QUEUE__KAFKA__BROKERS'] ?? table('queue')['kafka'];
  return [
    ...(redis === undefined || flags.redis !== undefined ? ['--redis', flags.redis ?? LOCAL.redis] : []),
    ...(kafka === undefined || flags.kafka !== undefined ? ['--kafka', flags.kafka ?? LOCAL.kafka] : []),
  ];
}

function announce(ready: readonly NodeReady[], keyFile: string | undefined): (() => void) | undefined {
  const logic = ready.find(({ roles }) => roles.includes('logic'));
  const comet = ready.find(({ roles }) => roles.includes('comet'));
  if (logic?.http === undefined) return undefined;
  return writeRunFile({
    http: logic.http,
    ...(comet?.ws === undefined ? {} : { ws: comet.ws }),
    ...(comet?.tcp === undefined ? {} : { tcp: comet.tcp }),
    data: logic.data,
    mode: logic.mode,
    version: readPackage().version,
    since: Date.now(),
    ...(keyFile === undefined ? {} : { keyFile }),
  });
}

function text(ready: readonly NodeReady[]): string {
  const lines = renderTable(
    ready,
    [
      { title: 'node', value: ({ node }) => node },
      { title: 'pid', value: ({ pid }) => String(pid), right: true },
      { title: 'http', value: ({ http, roles }) => (roles.includes('logic') ? (http ?? '') : '') },
      { title: 'ws', value: ({ ws }) => ws ?? '' },
      { title: 'tcp', value: ({ tcp }) => tcp ?? '' },
      { title: 'other nodes', value: ({ rpc }) => rpc },
    ],
    columns(process.stderr),
  );
  const advice = `${ready.length} nodes run. Ctrl-C stops all. Second terminal: ${ownName()} nodes`;
  return localise(`imgo ${readPackage().version} · ${ready[0]?.data ?? ''}\n${lines.join('\n')}\n${advice}\n`);
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, at) => from + at);
}

function firstSignal(): { readonly signal: AbortSignal; readonly reason: Promise<string> } {
  const stopped = new AbortController();
  const { promise, resolve } = Promise.withResolvers<string>();
  const stop = (why: string): void => {
    stopped.abort();
    resolve(why);
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, stop);
  onStarterGone(() => stop('disconnect'));
  return { signal: stopped.signal, reason: promise };
}
