// Ports before the server starts: one that somebody named and that is taken is an error that names its holder; a default
// one moves, in development, to the next that is free, and that is said.

import { createServer } from 'node:net';
import { ImgoError } from '../../protocol/errors.js';
import { type Config, isLoopback, type ListenerConfig, listeners } from '../../server/config.js';
import { portHolder } from './port-holder.js';

/** A default port that was taken. */
export interface Move {
  readonly listener: string;
  readonly from: number;
  readonly to: number;
  readonly holder: string;
}

/** How far the next free port is looked for. */
const REACH = 50;

/** The configuration with free ports. @throws ImgoError port_in_use, listen_refused */
export async function settlePorts(
  config: Config,
): Promise<{ readonly config: Config; readonly moves: readonly Move[] }> {
  const moves: Move[] = [];
  const taken = new Set(listeners(config).map(([, { port }]) => port));
  for (const [name, { host, port, named }] of listeners(config)) {
    if (port === 0 || (await isFree(name, host, port))) continue;
    const holder = portHolder(port);
    const next = await nextFree(name, host, port, taken);
    if (named || !isLoopback(host) || next === undefined) throw inUse(name, host, port, holder, next);
    taken.add(next);
    moves.push({ listener: name, from: port, to: next, holder });
  }
  return { config: moved(config, moves), moves };
}

/** A port that is taken, told with who has it and what else there is. */
export function inUse(
  listener: string,
  host: string,
  port: number,
  holder: string,
  next: number | undefined,
): ImgoError {
  const uses = {
    http: 'the API',
    ws: 'WebSocket',
    tcp: 'TCP',
    goim: 'goim',
    'legacy-http': 'the keyless routes',
    rpc: 'other nodes',
  }[listener];
  return new ImgoError('port_in_use', {
    address: addressText(host, port),
    listener,
    holder,
    next: next ?? 0,
    name: uses,
  });
}

/** `127.0.0.1:8080`, `[::1]:8080`. */
export function addressText(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

async function nextFree(
  name: string,
  host: string,
  port: number,
  taken: ReadonlySet<number>,
): Promise<number | undefined> {
  for (let next = port + 1; next <= Math.min(port + REACH, 65_535); next++) {
    if (!taken.has(next) && (await isFree(name, host, next).catch(() => false))) return next;
  }
  return undefined;
}

/** Nobody listens there. @throws ImgoError listen_refused */
export function isFree(listener: string, host: string, port: number): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const probe = createServer();
  probe.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') return resolve(false);
    reject(
      new ImgoError(
        'listen_refused',
        { address: addressText(host, port), listener, detail: refusal(error.code) },
        { cause: error },
      ),
    );
  });
  probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(true)));
  return promise;
}

function refusal(code: string | undefined): string {
  if (code === 'EACCES') return 'ports below 1024 need privileges';
  if (code === 'EADDRNOTAVAIL') return 'no interface of this machine has that address';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'there is no such host';
  return code ?? 'unknown reason';
}

function moved(config: Config, moves: readonly Move[]): Config {
  const change = (name: string, value: ListenerConfig | undefined): ListenerConfig | undefined => {
    const move = moves.find(({ listener }) => listener === name);
    return value === undefined || move === undefined ? value : { ...value, port: move.to };
  };
  const { http, ws, tcp, goim, legacyHttp } = config.listen;
  return {
    ...config,
    listen: {
      ...config.listen,
      http: change('http', http),
      ws: change('ws', ws),
      tcp: change('tcp', tcp),
      goim: change('goim', goim),
      legacyHttp: change('legacy-http', legacyHttp),
    },
    cluster: { ...config.cluster, rpc: change('rpc', config.cluster.rpc) },
  };
}
