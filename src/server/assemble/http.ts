// The HTTP API, where a logic runs in this process; elsewhere probes answer (probes.ts).

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import type { CometAddresses } from '../comet/listeners.js';
import type { Config, ListenerConfig } from '../config.js';
import type { LogicHttp, LogicHttpOptions } from '../logic/http.js';
import type { GoimNodes, LogicLogger, PushParts } from '../logic/options.js';
import type { Logic } from '../logic/sessions.js';
import type { Mode } from './mode.js';

export async function openHttp(
  config: Config,
  parts: PushParts &
    Pick<
      LogicHttpOptions,
      'metrics' | 'goimNodes' | 'origins' | 'reports' | 'self' | 'nodeFor' | 'problems' | 'hub' | 'watched'
    >,
  service: Logic,
  ws: () => string | undefined,
  { log, version, command }: { readonly log: LogicLogger; readonly version: string; readonly command?: string },
  mode: Mode,
): Promise<LogicHttp | undefined> {
  const { http, legacyHttp } = config.listen;
  if (http === undefined) return undefined;
  const { createLogicHttp } = await import('../logic/http.js');
  return createLogicHttp({
    ...parts,
    service,
    log,
    version,
    drain: config.drain,
    http: addressOf(http),
    legacyHttp: legacyHttp === undefined ? undefined : addressOf(legacyHttp),
    development: mode === 'development',
    tryIt: config.listen.tryIt ? { document: readPage, ws, command: command ?? 'imgo' } : undefined,
  });
}

/** The try-it page as the build left it. */
function readPage(): string {
  return readFileSync(new URL('../../page/page.html', import.meta.url), 'utf8');
}

/** Where goim's clients connect: their own port, which speaks both transports, else the normal ones (with a token). */
export function goimNodes(at: CometAddresses | undefined): GoimNodes | undefined {
  const tcp = at?.goim ?? at?.tcp;
  const ws = at?.goim ?? (at?.ws === undefined ? undefined : new URL(at.ws).host);
  const listening = tcp ?? ws;
  if (listening === undefined) return undefined;
  const { hostname: host } = new URL(`tcp://${listening}`);
  const portOf = (address: string | undefined) => Number(/\d+$/.exec(address ?? '')?.[0] ?? 0);
  const domain = host === '0.0.0.0' || host === '[::]' ? hostname() : host;
  return { domain, tcpPort: portOf(tcp), wsPort: portOf(ws), wssPort: 0 };
}

function addressOf({ host, port }: ListenerConfig): { readonly host: string; readonly port: number } {
  return { host, port };
}
