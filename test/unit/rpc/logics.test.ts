// The logics as a comet sees them: what one that was lost may have done is taken back, whatever the next one says.
import { afterEach, expect, test } from 'vitest';
import { ImgoError } from '../../../src/protocol/errors.js';
import type { NodeId } from '../../../src/protocol/ids.js';
import { systemClock } from '../../../src/server/clock.js';
import type { Channel } from '../../../src/server/rpc/channel.js';
import type { LinkHandler } from '../../../src/server/rpc/link.js';
import { RpcListener } from '../../../src/server/rpc/listener.js';
import { Logics } from '../../../src/server/rpc/logics.js';
import type { OpenRequest } from '../../../src/server/rpc/services.js';

const channel: Channel = { encrypt: 'remote', certificates: undefined };
const key = new Uint8Array(32).fill(7);
const common = { clock: systemClock, channel, silenceMs: 4_000, log: { warn: () => undefined } };
const undo: (() => unknown)[] = [];

afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step();
});

async function logic(node: string, handler: LinkHandler, port = 0): Promise<RpcListener> {
  const self = { node, role: 'logic' } as const;
  const listener = new RpcListener({ ...common, self, handlerFor: () => handler }, Promise.resolve({ comet: key }));
  await listener.listen('127.0.0.1', port);
  undo.push(() => listener.close());
  return listener;
}

function comet(seeds: readonly string[]): Logics {
  const self = { node: 'c', role: 'comet' } as const;
  const logics = new Logics({ ...common, self, key, seeds, onCallers: () => undefined });
  undo.push(() => logics.stop());
  return logics;
}

const credential = { kind: 'token', token: 't' } as const;
const request = { comet: 'c' as NodeId, credential, withinMs: 500 } as unknown as OpenRequest;

test.each([
  ['refuses it untouched', new ImgoError('overloaded', { reason: 'opens', untouched: 1 })],
  ['refuses its token', new ImgoError('token_refused', { disconnect: 'token_refused' })],
])('an open that a logic was lost with is taken back though the next one %s', async (_, refusal) => {
  const abandoned = Promise.withResolvers<OpenRequest>();
  const asked: string[] = [];
  const addresses: string[] = [];
  const listeners = new Map<string, RpcListener>();
  const handlerOf =
    (name: string): LinkHandler =>
    async (method, args) => {
      if (method === 'cluster.welcome') return { logics: addresses };
      if (method === 'cluster.abandon') return void abandoned.resolve(args[0] as OpenRequest);
      asked.push(name);
      if (asked.length > 1) throw refusal;
      void listeners.get(name)?.close();
      return new Promise(() => undefined);
    };
  for (const name of ['a', 'b']) {
    const listener = await logic(name, handlerOf(name));
    listeners.set(name, listener);
    addresses.push(listener.address);
  }
  const logics = comet(addresses);
  await logics.start(new AbortController().signal);
  await expect(logics.logic.open(request)).rejects.toMatchObject({ code: refusal.code });
  expect(new Set(asked).size).toBe(2);
  expect((await abandoned.promise).credential).toEqual(credential);
});

test('an open that no logic was asked for is not taken back', async () => {
  const asked: string[] = [];
  let address = '';
  const handler: LinkHandler = async (method) => {
    if (method === 'cluster.welcome') return { logics: [address] };
    asked.push(method);
    return undefined;
  };
  const first = await logic('a', handler);
  address = first.address;
  const logics = comet([address]);
  await logics.start(new AbortController().signal);
  await first.close();
  await expect.poll(() => logics.reachable).toBe(false);
  await expect(logics.logic.open(request)).rejects.toMatchObject({ code: 'node_unreachable' });
  await logic('a', handler, Number(address.split(':')[1]));
  await logics.logic.revalidate([]);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(asked).toEqual(['logic.revalidate']);
});
