// What `serve` says when it takes connections: where everything is, and the two lines to try next. Only what is there.

import { execFile } from 'node:child_process';
import { ownName } from '../own-name.js';
import { isUnicode, localise } from '../style.js';
import type { Move } from './ports.js';

/** What the banner tells. */
export interface BannerFacts {
  readonly version: string;
  readonly mode: 'development' | 'production';
  readonly http: string | undefined;
  readonly ws: string | undefined;
  readonly tcp: string | undefined;
  readonly goim: string | undefined;
  readonly legacyHttp: string | undefined;
  /** Where other nodes reach it. */
  readonly rpc: string | undefined;
  /** There is a page at the HTTP address. */
  readonly tryIt: boolean;
  /** One of several processes; undefined: all is in this one. */
  readonly cluster: { readonly roles: readonly string[]; readonly node: string; readonly store: string } | undefined;
  /** As it was given; undefined: memory. */
  readonly data: string | undefined;
  readonly moves: readonly Move[];
  /** The Node that the shell would have found, where it is another one. */
  readonly otherNode: string | undefined;
  readonly readyMs: number;
}

/** The banner, with its line ends. */
export function banner(facts: BannerFacts): string {
  const { cluster } = facts;
  const mode =
    facts.mode === 'development' ? 'development: this machine only, no key' : 'production: every call needs a key';
  const node = `Node ${process.versions.node}${facts.otherNode === undefined ? '' : ` (bundled; yours is ${facts.otherNode})`}`;
  const rows: [string, string | undefined, string][] = [
    ['http', facts.http, whatHttpIs(facts)],
    ['ws', facts.ws, 'browsers; imgo and native clients'],
    ['tcp', facts.tcp, 'imgo and native clients'],
    ['goim', facts.goim, 'goim clients: their stated ids are trusted'],
    ['legacy', facts.legacyHttp, "imgo's and goim's callers, without a key"],
    ['rpc', facts.rpc, 'other nodes'],
    cluster !== undefined
      ? ['data', cluster.store === 'none' ? undefined : cluster.store, 'store and router']
      : facts.data === undefined
        ? ['data', 'memory', 'nothing survives the process']
        : ['data', `${facts.data.replace(/\/+$/, '')}/`, 'messages survive a restart; --memory keeps nothing'],
  ];
  const there = rows.filter((row): row is [string, string, string] => row[1] !== undefined);
  const width = Math.max(...there.map(([, where]) => where.length)) + 3;
  const what = cluster === undefined ? '' : ` · ${cluster.roles.join(', ')} ${cluster.node}`;
  const lines = [`imgo ${facts.version}${what} · ${mode} · ${node}`];
  for (const [name, where, what] of there) lines.push(`  ${name.padEnd(6)}  ${where.padEnd(width)}${what}`);
  for (const { listener, from, to, holder } of facts.moves) {
    lines.push(`${isUnicode() ? '▲' : '!'} ${listener} is on ${to}: ${holder} has ${from}.`);
  }
  if (
    facts.mode === 'development' &&
    cluster === undefined &&
    (facts.ws ?? facts.tcp) !== undefined &&
    facts.http !== undefined
  ) {
    lines.push(`Second terminal, same folder:   ${ownName()} listen --user 123456`);
    lines.push(`Third:                          ${ownName()} push --user 123456 '{"test":1}' --wait`);
  }
  lines.push(`Ready in ${(facts.readyMs / 1_000).toFixed(1)} s. Ctrl-C stops.`);
  return localise(`${lines.join('\n')}\n`);
}

function whatHttpIs({ cluster, tryIt }: BannerFacts): string {
  if (cluster !== undefined && !cluster.roles.includes('logic')) return 'probes';
  return tryIt ? 'API, metrics; open it in a browser to try it' : 'API, metrics';
}

/** The version of the Node on PATH, when this one is another, brought by the project. Never takes long, never fails. */
export function otherNode(): Promise<string | undefined> {
  if (!process.execPath.includes('node_modules')) return Promise.resolve(undefined);
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  execFile('node', ['--version'], { timeout: 1_000 }, (error, stdout) => {
    const version = /^v(\d+\.\d+\.\d+)\s*$/.exec(stdout)?.[1];
    resolve(error === null && version !== process.versions.node ? version : undefined);
  });
  return promise;
}
