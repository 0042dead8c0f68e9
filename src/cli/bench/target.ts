// The running server that `--server` names, looked at before the run: that it is this machine's or meant, that it answers as
// imgo (or one of the originals) does, that the key may do what the run needs, and that a client gets in.

import type { BenchOptions, ServerAccess } from '../../bench/options.js';
import { connect } from '../../client/index.js';
import { ImgoError } from '../../protocol/errors.js';
import { parseJsonObject } from '../../protocol/text.js';
import { isLoopback } from '../../server/config.js';
import { Api } from '../api.js';
import type { Answer } from '../http.js';
import { mintToken } from '../listen/token.js';
import type { Output } from '../output.js';

/** What of the flags says where and how. */
export interface TargetFlags {
  readonly server: string;
  readonly clients?: readonly string[] | undefined;
  readonly 'key-file'?: string | undefined;
  readonly yes?: boolean | undefined;
}

type Kind = Pick<BenchOptions, 'transport' | 'dialect' | 'mode'>;

/** Where clients connect when no run file on this machine says it. */
const PORTS = { imgo: { tcp: 8080, ws: 8090 }, goim: { tcp: 3101, ws: 3102 } } as const;
const CONNECT_MS = 5_000;
/** Who is connected to see that it works; what is pushed to them is kept nowhere. */
const NOBODY = 'bench-preflight';

/** The server that flags name, not yet asked. @throws ImgoError usage, file_unreadable */
export function namedServer(flags: TargetFlags, output: Output): Api {
  const api = new Api({ server: flags.server, keyFile: flags['key-file'] }, output);
  const { clients } = flags;
  if (clients?.some((url) => !/^(tcp:\/\/[^/]+:\d+|ws:\/\/.+)$/.test(url)) === true) {
    throw new ImgoError('usage', {
      detail: '--clients wants tcp://HOST:PORT or ws://HOST:PORT/sub.',
      command: 'bench',
    });
  }
  if (api.server.url.startsWith('https:')) {
    throw new ImgoError('usage', { detail: 'A run speaks no TLS: name the server behind it.', command: 'bench' });
  }
  for (const url of [api.server.url, ...(clients ?? [])]) {
    const { hostname } = new URL(url);
    if (flags.yes === true || isLoopback(hostname)) continue;
    throw new ImgoError('usage', {
      detail: `A run loads ${hostname} as much as it can take: add --yes if it is there for that.`,
      command: 'bench',
    });
  }
  return api;
}

/**
 * Asks it what the run will ask.
 * @throws ImgoError unreachable, bad_answer, bench_no_clients, usage, and what the server says to the key
 */
export async function lookAtServer(
  api: Api,
  clients: readonly string[] | undefined,
  kind: Kind,
): Promise<ServerAccess> {
  const native = await answersAsImgo(api, kind);
  const { url, runFile } = api.server;
  const access: ServerAccess = {
    http: url,
    clients: clients ?? [clientsOf(api, kind, native)],
    key: api.key,
    native,
    pid: runFile?.pid,
  };
  if (native && kind.mode !== 'http') for (const address of access.clients) await letsIn(api, address, kind);
  if (native && kind.mode !== 'idle' && kind.mode !== 'connect') await takesPushes(api);
  return access;
}

/** false: it is one of the originals, whose own API has to do. */
async function answersAsImgo(api: Api, { dialect }: Kind): Promise<boolean> {
  const answer = await api.exchange({ path: '/v1/stats' });
  if (has(answer, 'totals')) return true;
  const error = api.errorOf(answer);
  if (error.code !== 'bad_answer' || dialect === 'native') throw error;
  const [path, field] = dialect === 'imgo' ? ['/1/count?type=server', 'ret'] : ['/goim/online/total', 'code'];
  const original = await api.exchange({ path }).catch(() => undefined);
  if (original !== undefined && has(original, field)) return false;
  throw error;
}

function has(answer: Answer, field: string): boolean {
  if (answer.status !== 200) return false;
  const object = parseJsonObject(answer.body.toString());
  return typeof object === 'object' && field in object;
}

function clientsOf(api: Api, { transport, dialect }: Kind, native: boolean): string {
  const { url, runFile } = api.server;
  if (runFile === undefined) {
    const { hostname } = new URL(url);
    const port = PORTS[dialect === 'goim' && !native ? 'goim' : 'imgo'][transport];
    return transport === 'tcp' ? `tcp://${hostname}:${port}` : `ws://${hostname}:${port}/sub`;
  }
  const address = transport === 'tcp' ? runFile.tcp && `tcp://${runFile.tcp}` : runFile.ws;
  if (address !== undefined) return address;
  throw new ImgoError('usage', {
    detail: `This server takes no clients over ${transport}: name those that do, --clients ${transport}://HOST:PORT for each.`,
    command: 'bench',
  });
}

/** One client, with a token of its own. */
async function letsIn(api: Api, url: string, { dialect, transport }: Kind): Promise<void> {
  const own = await mintToken(api, NOBODY, {});
  const entered = Promise.withResolvers<void>();
  const client = connect(
    {
      url,
      token: own.token,
      dialect: dialect === 'goim' ? 'goim2' : dialect,
      reconnect: false,
      connectTimeoutMs: CONNECT_MS,
      ...(dialect === 'goim' ? { goim: { mid: '0' } } : {}),
    },
    { message: () => {}, opened: () => entered.resolve() },
  );
  try {
    await Promise.race([
      entered.promise,
      client.ended.then(({ reason }) => {
        throw new ImgoError('bench_no_clients', { url, dialect, transport, detail: reason });
      }),
    ]);
  } finally {
    await client.close();
    await own.revoke();
  }
}

/** A push to nobody, kept nowhere: the key may push, and the queue takes it. */
async function takesPushes(api: Api): Promise<void> {
  const body = JSON.stringify({ to: { user: NOBODY }, message: 0, ttl: '0' });
  await api.call({ method: 'POST', path: '/v1/push', body });
}
