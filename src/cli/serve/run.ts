// The life of a server under `serve`: ports settled, started, announced, stopped by a signal. Everything that other
// commands and scripts see of a start is here: the run file, the banner or the ready line, the exit status.

import type { Logger } from 'pino';
import { ImgoError } from '../../protocol/errors.js';
import type { RunningServer } from '../../server/assemble.js';
import { type Config, isEmbedded, listeners } from '../../server/config.js';
import type { LoadedConfig } from '../../server/config-load.js';
import { readPackage } from '../oclif.js';
import type { Output } from '../output.js';
import { asTyped, ownName } from '../own-name.js';
import { writeRunFile } from '../run-files.js';
import { onStarterGone } from '../starter.js';
import { localise } from '../style.js';
import { banner, otherNode } from './banner.js';
import { portHolder } from './port-holder.js';
import { inUse, type Move, settlePorts } from './ports.js';
import { reloadOnHangUp } from './reload.js';

/** What `serve` adds to the configuration. */
export interface ServeOptions {
  /** A bare key to import as admin. */
  readonly importKey: string | undefined;
  /** Where it was read from, for the run file. */
  readonly keyFile: string | undefined;
  /** Reads the settings again. */
  readonly load: () => Promise<LoadedConfig>;
}

/** Another program may take a port between the look and the start. */
const START_ATTEMPTS = 3;
const ALIVE_MS = 60_000;
/** What a graceful stop may take beyond its own limit before the process ends all the same. */
const STOP_GRACE_MS = 2_000;

/** Runs a server until a signal stops it. Resolves when it has stopped. */
export async function runServer(loaded: LoadedConfig, options: ServeOptions, output: Output): Promise<void> {
  const { config } = loaded;
  const begun = performance.timeOrigin;
  const theirNode = otherNode();
  const { reason: stopped, signal } = nextSignal();
  const { server, moves, log } = await start(config, options, signal);
  if (moves.length > 0 && server.mode === 'production') {
    await server.stop();
    const [move] = moves;
    if (move !== undefined) throw inUse(move.listener, config.listen.host, move.from, move.holder, move.to);
  }
  const removeRunFile = announceToCommands(config, server, options);
  if (!onTerminal()) reloadOnHangUp({ server, log, loaded, load: options.load });
  try {
    if (output.json) await output.object(readyLine(config, server));
    else if (!output.quiet) {
      const { tryIt } = config.listen;
      const facts = { ...server.addresses, mode: server.mode, moves, tryIt, version: readPackage().version };
      const data = config.data.kind === 'memory' ? undefined : config.data.shown;
      const cluster = isEmbedded(config)
        ? undefined
        : { roles: config.roles, node: server.node, store: dataOf(config) };
      process.stderr.write(
        banner({ ...facts, data, cluster, otherNode: await theirNode, readyMs: Date.now() - begun }),
      );
    }
    const reason = await Promise.race([stopped, server.failed]).catch(async (error: unknown) => {
      await stopWithin(server, config.shutdownTimeoutMs + STOP_GRACE_MS);
      throw error;
    });
    if (!output.json) output.note('Stopping: what was accepted is kept, clients are told. Ctrl-C again ends at once.');
    await stopWithin(server, config.shutdownTimeoutMs + STOP_GRACE_MS);
    if (output.json) await output.object({ event: 'stopped', reason });
    else output.note('Stopped.');
  } finally {
    removeRunFile?.();
  }
}

async function start(
  config: Config,
  options: ServeOptions,
  signal: AbortSignal,
): Promise<{ server: RunningServer; moves: readonly Move[]; log: Logger }> {
  const [{ startServer }, { createLog }] = await Promise.all([import('../../server/assemble.js'), import('./log.js')]);
  const { importKey: adminKey } = options;
  const startOptions = {
    log: createLog(config.log),
    version: readPackage().version,
    command: ownName(),
    signal,
    ...(adminKey === undefined ? {} : { adminKey }),
  };
  // The server's own timers keep no process: one that waits for what is away, with nothing else open, would end.
  const alive = setInterval(() => undefined, ALIVE_MS);
  try {
    for (let attempt = 1; ; attempt++) {
      const settled = await settlePorts(config);
      try {
        const server = await startServer(settled.config, startOptions);
        sayWhatIsTrusted(startOptions.log, settled.config, server);
        return { server, moves: settled.moves, log: startOptions.log };
      } catch (error) {
        const taken = addressInUse(error, settled.config);
        if (taken === undefined) throw error;
        if (attempt < START_ATTEMPTS) continue;
        throw inUse(taken.listener, taken.host, taken.port, portHolder(taken.port), taken.port + 1);
      }
    }
  } finally {
    clearInterval(alive);
  }
}

/** What was opted in to, and weakens who must prove what, stands in the log of every start. */
function sayWhatIsTrusted(log: Logger, config: Config, { addresses }: RunningServer): void {
  const { goim } = addresses;
  if (goim !== undefined) log.warn({ listener: goim }, 'clients of this listener are who they say they are');
  if (config.auth.weakTokens)
    log.warn({ setting: 'auth.weak_tokens' }, 'callers may choose tokens that can be guessed');
}

interface Taken {
  readonly listener: string;
  readonly host: string;
  readonly port: number;
}

/** Which listener the system refused, when that is what failed: the comet says so itself, HTTP throws the system's error. */
export function addressInUse(error: unknown, config: Config): Taken | undefined {
  if (error instanceof ImgoError && error.code === 'port_in_use') {
    const { listener, host, port } = error.details;
    return { listener: String(listener), host: String(host), port: Number(port) };
  }
  const { code, port } = error as NodeJS.ErrnoException & { readonly port?: number };
  if (code !== 'EADDRINUSE') return undefined;
  const [listener, { host }] = listeners(config).find(([, one]) => one.port === port) ?? [
    'http',
    { host: '127.0.0.1' },
  ];
  return { listener, host, port: port ?? 0 };
}

function readyLine(config: Config, server: RunningServer): object {
  const { http, ws, tcp, goim, legacyHttp, rpc } = server.addresses;
  const { pid } = process;
  const { node, mode } = server;
  const apart = isEmbedded(config) ? {} : { rpc, node };
  return {
    event: 'ready',
    pid,
    http,
    tcp,
    ws,
    goim,
    legacyHttp,
    data: dataOf(config),
    mode,
    roles: config.roles,
    ...apart,
  };
}

/** Where messages are: a folder, memory, or Redis without what is secret in its address; a comet keeps none. */
function dataOf({ data, redis, roles }: Config): string {
  if (redis !== undefined) return redis.url.replace(/\/\/[^@/]*@/, '//');
  if (roles.length === 1) return 'none';
  return data.kind === 'memory' ? 'memory' : data.folder;
}

function announceToCommands(config: Config, server: RunningServer, options: ServeOptions): (() => void) | undefined {
  const { http, ws, tcp, goim, legacyHttp } = server.addresses;
  // Commands talk to a logic; what answers HTTP elsewhere are probes.
  if (http === undefined || !config.roles.includes('logic')) return undefined;
  return writeRunFile({
    http,
    ...(ws === undefined ? {} : { ws }),
    ...(tcp === undefined ? {} : { tcp }),
    ...(goim === undefined ? {} : { goim }),
    ...(legacyHttp === undefined ? {} : { legacyHttp }),
    data: dataOf(config),
    mode: server.mode,
    version: readPackage().version,
    since: Date.now(),
    ...(options.keyFile === undefined ? {} : { keyFile: options.keyFile }),
  });
}

/** Somebody watches: when the terminal is gone, so is the server. */
function onTerminal(): boolean {
  return process.stdin.isTTY === true || process.stderr.isTTY === true;
}

/** The first signal that asks for a stop. A SIGINT after it ends the process at once. */
function nextSignal(): { readonly reason: Promise<string>; readonly signal: AbortSignal } {
  const aborter = new AbortController();
  const { promise, resolve } = Promise.withResolvers<string>();
  void promise.then(() => aborter.abort());
  let asked = false;
  const signals: readonly NodeJS.Signals[] = onTerminal() ? ['SIGINT', 'SIGTERM', 'SIGHUP'] : ['SIGINT', 'SIGTERM'];
  onStarterGone(() => resolve('disconnect'));
  // While it starts there is nothing to read again, and it must not end.
  process.on('SIGHUP', () => undefined);
  for (const signal of signals) {
    process.on(signal, () => {
      if (asked && signal === 'SIGINT') process.exit(130);
      asked = true;
      resolve(signal);
    });
  }
  return { reason: promise, signal: aborter.signal };
}

async function stopWithin(server: RunningServer, limitMs: number): Promise<void> {
  const late = setTimeout(() => {
    process.stderr.write(localise(asTyped('✖ The server did not stop in time.\n')));
    process.exit(1);
  }, limitMs);
  try {
    await server.stop();
  } catch (error) {
    throw error instanceof ImgoError ? error : new ImgoError('internal', {}, { cause: error });
  } finally {
    clearTimeout(late);
    // What a library still waits for, as a broker that is away, does not keep the process.
    setTimeout(() => process.exit(), STOP_GRACE_MS).unref();
  }
}
