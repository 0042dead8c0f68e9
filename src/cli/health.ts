// One verdict on a server: does it answer, is it ready, which alerts hold; exit status 0, 1 (an error) or 3 (nobody answers).

import { setTimeout as wait } from 'node:timers/promises';
import { asImgoError, ImgoError } from '../protocol/errors.js';
import type { Api } from './api.js';
import { age, type Output } from './output.js';

interface Stats {
  readonly version: string;
  readonly development: boolean;
  readonly totals: Readonly<
    Record<'nodes' | 'connections' | 'sessions' | 'accepted' | 'refused' | 'unapplied', number>
  >;
  /** A server of an earlier version has none. */
  readonly alerts?: readonly Alert[];
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

/** Something that is not as it should be, or is known: as `/v1/stats` has it. */
interface Alert {
  readonly code: string;
  readonly severity: 'note' | 'warning' | 'error';
  /** '': the whole server. */
  readonly subject: string;
  readonly message: string;
  readonly knob?: string;
  readonly advice?: readonly string[];
}

const POLL_MS = 200;

/**
 * Prints the verdict and sets the exit status: 0 good, or with warnings, 1 something is wrong; 3 (thrown) nobody answers.
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
    if (verdict !== undefined && (isWell(verdict) || waitMs === undefined || performance.now() > until)) {
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
  const message = 'pushes are not accepted';
  const alerts: Alert[] = reasons.map((code) => ({ code, severity: 'error', subject: '', message }));
  // Probes need no key; figures do. Without the right to them, or while there are none yet, the verdict stands all the same.
  const stats = await api.json<Stats>({ path: '/v1/stats' }).catch((error: unknown) => {
    if (!(error instanceof ImgoError)) throw error;
    if (!ready || error.code === 'key_missing' || error.code === 'scope_missing') return undefined;
    throw error;
  });
  alerts.push(...(stats?.alerts ?? []));
  return { server: api.server.url, ready, stats, alerts };
}

/** Notes and warnings are told; what is wrong is an error. */
function isWell({ ready, alerts }: Verdict): boolean {
  return ready && !alerts.some(({ severity }) => severity === 'error');
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

async function print(whole: Verdict, output: Output): Promise<void> {
  const { server, ready, stats, alerts } = whole;
  if (!isWell(whole)) process.exitCode = 1;
  // The word agrees with the exit status: scripts look at either.
  const verdict = !ready ? 'not_ready' : isWell(whole) ? 'ok' : 'warning';
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
  for (const { code, severity, subject, message, knob = '', advice = [] } of alerts) {
    const text = `${code}: ${subject === '' ? '' : `${subject} `}${message}`;
    if (severity === 'note') output.note(text);
    else output.warn(knob === '' ? text : `${text} (${knob})`);
    if (severity === 'error') for (const line of advice) output.note(`  → ${line}`);
  }
}

/** Which nodes: one by its name, those of a role, those in a state. */
export interface NodeFilter {
  readonly node: string | undefined;
  readonly role: string | undefined;
  readonly state: string | undefined;
}

/** Prints the nodes. @throws ImgoError node_unknown */
export async function listNodes(api: Api, filter: NodeFilter, output: Output): Promise<void> {
  const all = (await api.json<{ readonly items: readonly Node[] }>({ path: '/v1/nodes' })).items;
  const { node: name, role, state } = filter;
  const items = all.filter(
    (one) =>
      (name === undefined || one.node === name) &&
      (role === undefined || one.roles.includes(role)) &&
      (state === undefined || one.state === state),
  );
  if (name !== undefined && !all.some(({ node }) => node === name)) throw new ImgoError('node_unknown', { node: name });
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
