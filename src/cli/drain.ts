// `imgo drain`: has a comet's clients move to others and shows how far it is. Ctrl-C calls it off.

import { setTimeout as wait } from 'node:timers/promises';
import { asImgoError, ImgoError } from '../protocol/errors.js';
import { type Api, path } from './api.js';
import type { Output } from './output.js';

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

/**
 * Resolves when the node has no clients any more; it takes none until the process is started anew or the drain is called off.
 * @throws ImgoError node_not_found, interrupted (called off then), what the server says
 */
export async function drain(api: Api, node: string, rate: number | undefined, output: Output): Promise<void> {
  const at = `${path('v1', 'nodes', node)}/drain`;
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort();
  process.on('SIGINT', stop);
  try {
    const begun = await api.json<Draining>({ method: 'POST', path: at, body: JSON.stringify({ rate }) });
    let left = begun.connections;
    await say(output, node, left);
    while (left > 0) {
      await wait(POLL_MS, undefined, { signal: interrupted.signal });
      left = await connectionsOf(api, node);
      await say(output, node, left);
    }
    output.note(`${node} has no clients any more, and takes none: stop it, or imgo drain ${node} --cancel.`);
  } catch (error) {
    if (!interrupted.signal.aborted) throw asImgoError(error);
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

async function connectionsOf(api: Api, node: string): Promise<number> {
  const { items } = await api.json<{ readonly items: readonly Node[] }>({ path: '/v1/nodes' });
  const found = items.find((one) => one.node === node && one.state !== 'gone');
  if (found === undefined) throw new ImgoError('node_not_found', { node });
  if (found.comet === null) throw new ImgoError('node_unreachable', { node });
  return found.comet.connections;
}

async function say(output: Output, node: string, connections: number): Promise<void> {
  if (output.json) await output.object({ node, draining: true, connections });
  else await output.line(String(connections));
}
