// `imgo drain`: has a comet's clients move to others and shows how far it is. Ctrl-C calls it off.

import { setTimeout as wait } from 'node:timers/promises';
import { asImgoError, ImgoError } from '../protocol/errors.js';
import { type Api, path } from './api.js';
import { age, type Output } from './output.js';
import { localise } from './style.js';

interface Draining {
  readonly node: string;
  readonly draining: boolean;
  readonly connections: number;
}

interface Node {
  readonly node: string;
  readonly state: string;
  readonly comet: { readonly connections: number; readonly draining: boolean } | null;
}

const POLL_MS = 500;
/** A node that sends thousands away may be too busy to answer for a moment. */
const SILENT_MS = 10_000;

/**
 * Resolves when the node has no clients any more; it takes none until the process is started anew or the drain is called off.
 * @throws ImgoError node_not_found, interrupted (called off then), what the server says
 */
export async function drain(api: Api, node: string, rate: number | undefined, output: Output): Promise<void> {
  const at = `${path('v1', 'nodes', node)}/drain`;
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort();
  process.on('SIGINT', stop);
  let progress: Progress | undefined;
  try {
    const begun = await api.json<Draining>({ method: 'POST', path: at, body: JSON.stringify({ rate }) });
    progress = new Progress(output, node, begun.connections);
    let left = begun.connections;
    await progress.say(left);
    let heardAt = performance.now();
    while (left > 0) {
      await wait(POLL_MS, undefined, { signal: interrupted.signal });
      const now = await connectionsOf(api, node);
      if (now === undefined && performance.now() - heardAt > SILENT_MS)
        throw new ImgoError('node_unreachable', { node });
      if (now === undefined) continue;
      heardAt = performance.now();
      left = now;
      await progress.say(left);
    }
    progress.end();
    output.note(`${node} has no clients any more, and takes none: stop it, or imgo drain ${node} --cancel.`);
  } catch (error) {
    progress?.end();
    if (!interrupted.signal.aborted) throw asImgoError(error);
    output.note('The drain is called off.');
    await cancelDrain(api, node, output);
    throw new ImgoError('interrupted', {}, { cause: error });
  } finally {
    process.off('SIGINT', stop);
  }
}

/** The node takes connections again. */
export async function cancelDrain(api: Api, node: string, output: Output): Promise<void> {
  const { connections } = await api.json<Draining>({ method: 'DELETE', path: `${path('v1', 'nodes', node)}/drain` });
  if (output.json) return output.object({ node, draining: false, connections });
  output.note(`${node} takes connections again; it has ${connections}.`);
}

/** Undefined: it does not answer now. */
async function connectionsOf(api: Api, node: string): Promise<number | undefined> {
  const { items } = await api.json<{ readonly items: readonly Node[] }>({ path: '/v1/nodes' });
  const found = items.find((one) => one.node === node && one.state !== 'gone');
  if (found === undefined) throw new ImgoError('node_not_found', { node });
  return found.comet?.connections;
}

/** How many are left: an object or a number a line; on a terminal one line that changes, with the pace. */
class Progress {
  readonly #output: Output;
  readonly #node: string;
  readonly #all: number;
  readonly #since = performance.now();
  readonly #drawn: boolean;

  constructor(output: Output, node: string, all: number) {
    this.#output = output;
    this.#node = node;
    this.#all = all;
    this.#drawn = output.isTerminal && !output.json && process.env['TERM'] !== 'dumb';
  }

  async say(left: number): Promise<void> {
    const output = this.#output;
    if (output.json) await output.object({ node: this.#node, draining: true, connections: left });
    else if (!this.#drawn) await output.line(String(left));
    else await output.raw(`\r\u001b[K${localise(this.#text(left))}`);
  }

  /** Nothing more is drawn on this line. */
  end(): void {
    if (this.#drawn) process.stdout.write('\n');
  }

  #text(left: number): string {
    const seconds = (performance.now() - this.#since) / 1_000;
    const gone = Math.max(0, this.#all - left);
    const rate = seconds > 0 ? gone / seconds : 0;
    const share = this.#all === 0 ? 1 : gone / this.#all;
    const width = 20;
    const bar = '#'.repeat(Math.round(share * width)).padEnd(width, '.');
    const pace = rate >= 1 ? ` · ${Math.round(rate)}/s · ${age((left / rate) * 1_000)} left` : '';
    return `${this.#node}  [${bar}]  ${left} of ${this.#all} clients left${pace}`;
  }
}
