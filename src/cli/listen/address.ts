// Where clients connect to: what the server's run file says, or the default ports beside its HTTP address; or the address
// itself, when --server is one.

import { ImgoError } from '../../protocol/errors.js';
import { readRunFiles } from '../run-files.js';
import { chooseServer } from '../server-choice.js';

const DEFAULT_PORTS = { ws: 8090, tcp: 8080 } as const;

/** A URL for the client library. @throws ImgoError usage, several_servers */
export function clientUrl(server: string | undefined, transport: 'ws' | 'tcp' | undefined): string {
  if (isClientUrl(server)) return server;
  const { url, runFile } = chooseServer(server);
  const file = runFile ?? readRunFiles().find(({ http }) => http === url);
  const { hostname, protocol } = new URL(url);
  const addresses = {
    ws: file === undefined ? `${protocol === 'https:' ? 'wss' : 'ws'}://${hostname}:${DEFAULT_PORTS.ws}/sub` : file.ws,
    tcp: file === undefined ? `tcp://${hostname}:${DEFAULT_PORTS.tcp}` : file.tcp && `tcp://${file.tcp}`,
  };
  const found = transport === undefined ? (addresses.ws ?? addresses.tcp) : addresses[transport];
  if (found !== undefined) return found;
  const detail =
    transport === undefined ? 'This server takes no clients: ws and tcp are off.' : `This server has ${transport} off.`;
  throw new ImgoError('usage', { detail, command: 'listen' });
}

/** `ws://…`, `wss://…` or `tcp://…`. */
export function isClientUrl(server: string | undefined): server is string {
  return server !== undefined && /^(wss?|tcp):\/\//i.test(server);
}
