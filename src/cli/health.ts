// One verdict on a server: does it answer, is it ready, is anything wrong; exit status 0, 1 or 3.

import { setTimeout as wait } from 'node:timers/promises';
import { asImgoError, ImgoError } from '../protocol/errors.js';
import { formatDuration } from '../server/units.js';
import type { Api } from './api.js';
import { age, type Output } from './output.js';

interface Stats {
  readonly version: string;
  readonly development: boolean;
  readonly totals: Readonly<
    Record<'nodes' | 'connections' | 'sessions' | 'accepted' | 'refused' | 'unapplied', number>
  >;
  readonly queue: { readonly oldestMs: number };
  readonly store: { readonly writable: boolean; readonly code?: string };
}

interface Node {
  readonly node: string;
  readonly address: string;
  readonly roles: readonly string[];
  readonly version: string;
  readonly since: string;
  readonly state: string;
  /** null: no answer. */
  readonly report: { readonly problems: readonly string[]; readonly rssBytes: number } | null;
  readonly comet: { readonly connections: number; readonly rssBytes: number; readonly loopP99Ms: number } | null;
}

/** Something that is not as it should be. */
interface Alert {
  readonly code: string;
  readonly message: string;
}

const POLL_MS = 200;
/** What was accepted waits longer than this: then something is behind. */
const QUEUE_LAG_MS = 5_000;

/**
 * Prints the verdict and sets the exit status: 0 good, 1 something is wrong; 3 (thrown) nobody answers.
 * `waitMs`: until it is good, at most so long.
 * @throws ImgoError unreachable, timeout, what the server says
 */
export async function status(connect: () => Promise<Api>, waitMs: number | undefined, output: Output): Promise<void> {
  const until = performance.now() + (waitMs ?? 0);
  for (;;) {
    const verdict = await judge(connect).catch((error: unknown) => {
      const known = asImgoError(error);
      const mayCome = known.code === 'unreachable' || known.code === 'shutting_down';
      if (waitMs === undefined || !mayCome || performance.now() > until) throw known;
      return undefined;
    });
    if (verdict !== undefined && (verdict.alerts.length === 0 || waitMs === undefined || performance.now() > until)) {
      return print(verdict, output);
    }
    await wait(POLL_MS);
  }
}

interface Verdict {
  readonly server: string;
  readonly ready: boolean;
  readonly stats: Stats | undefined;
  readonly alerts: readonly Alert[];
}

async function judge(connect: () => Promise<Api>): Promise<Verdict> {
  const api = await connect();
  const answer = await api.exchange({ path: '/readyz', timeoutMs: 5_000 });
  if (answer.status !== 200 && answer.status !== 503) throw api.errorOf(answer);
  const { ready, reasons } = parseReady(answer.body.toString('utf8'), api);
  const alerts: Alert[] = reasons.map((code) => ({ code, message: 'pushes are not accepted' }));
  // Probes need no key; figures do. Without the right to them the verdict stands all the same.
  const stats = await api.json<Stats>({ path: '/v1/stats' }).catch((error: unknown) => {
    if (error instanceof ImgoError && (error.code === 'key_missing' || error.code === 'scope_missing'))
      return undefined;
    throw error;
  });
  if (stats !== undefined) {
    const { items } = await api.json<{ readonly items: readonly Node[] }>({ path: '/v1/nodes' });
    alerts.push(...ofNodes(items, stats.version));
  }
  if (stats !== undefined && stats.queue.oldestMs > QUEUE_LAG_MS) {
    alerts.push({
      code: 'queue_lag',
      message: `what was accepted ${formatDuration(Math.round(stats.queue.oldestMs))} ago is not applied`,
    });
  }
  return { server: api.server.url, ready, stats, alerts };
}

/** What is wrong with the nodes. One that has left, or is being emptied because somebody wants it, is not wrong. */
function ofNodes(nodes: readonly Node[], version: string): readonly Alert[] {
  const alerts: Alert[] = [];
  const live = nodes.filter(({ state }) => state !== 'gone');
  for (const role of ['comet', 'logic', 'job']) {
    if (live.some(({ roles }) => roles.includes(role))) continue;
    // Workers are all that a server with workers lists: the rest of it is what answers here.
    if (live.every(({ address }) => address === '')) continue;
    alerts.push({ code: `no_${role}`, message: `no ${role} runs` });
  }
  for (const { node, address, report, version: its } of live) {
    if (report === null && address !== '')
      alerts.push({ code: 'node_unreachable', message: `${node} does not answer` });
    for (const problem of report?.problems ?? []) {
      if (problem !== 'draining') alerts.push({ code: problem, message: `${node} says so` });
    }
    if (its !== version) alerts.push({ code: 'versions', message: `${node} runs ${its}, this one ${version}` });
  }
  return alerts;
}

function parseReady(text: string, api: Api): { readonly ready: boolean; readonly reasons: readonly string[] } {
  try {
    const value = JSON.parse(text) as { readonly ready?: unknown; readonly reasons?: unknown };
    if (typeof value.ready !== 'boolean') throw new Error('no verdict');
    return { ready: value.ready, reasons: Array.isArray(value.reasons) ? value.reasons.map(String) : [] };
  } catch (error) {
    throw new ImgoError('bad_answer', { url: api.server.url, detail: '/readyz has no verdict' }, { cause: error });
  }
}

async function print({ server, ready, stats, alerts }: Verdict, output: Output): Promise<void> {
  if (alerts.length > 0) process.exitCode = 1;
  const verdict = ready && alerts.length === 0 ? 'ok' : ready ? 'warning' : 'not_ready';
  if (output.json) {
    const { version, development, totals } = stats ?? {};
    const mode = development === undefined ? undefined : development ? 'development' : 'production';
    return output.object({ verdict, server, version, mode, totals, alerts });
  }
  if (!output.isTerminal) await output.line(verdict);
  else {
    const { totals } = stats ?? {};
    const figures =
      totals === undefined
        ? ''
        : ` · ${totals.sessions} ${totals.sessions === 1 ? 'session' : 'sessions'} · ${totals.accepted} accepted`;
    const mode =
      stats === undefined ? '' : ` · imgo ${stats.version} · ${stats.development ? 'development' : 'production'}`;
    await output.line(`${verdict} · ${server}${mode}${figures}`);
  }
  for (const { code, message } of alerts) output.warn(`${code}: ${message}`);
}

/** Prints the nodes. */
export async function listNodes(api: Api, output: Output): Promise<void> {
  const { items } = await api.json<{ readonly items: readonly Node[] }>({ path: '/v1/nodes' });
  await output.items(items, {
    columns: [
      { title: 'node', value: (node) => node.node },
      { title: 'roles', value: (node) => node.roles.join(' ') },
      { title: 'state', value: (node) => node.state },
      { title: 'since', value: (node) => age(Date.now() - Date.parse(node.since)), right: true },
      { title: 'conns', value: (node) => String(node.comet?.connections ?? '-'), right: true },
      {
        title: 'rss',
        value: (node) => {
          const bytes = node.comet?.rssBytes ?? node.report?.rssBytes;
          return bytes === undefined ? '-' : `${Math.round(bytes / 2 ** 20)} MiB`;
        },
        right: true,
      },
      {
        title: 'loop p99',
        value: (node) => (node.comet ? `${Math.round(node.comet.loopP99Ms)} ms` : '-'),
        right: true,
      },
      { title: 'version', value: (node) => node.version },
    ],
    none: 'No nodes.',
  });
}
