// A comet dies and its clients come to another one at once, more than the store can let in within the time that each has: who cannot
// be let in now is told when to come again before anything was done for them, and in the end everybody is back.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Client, connect } from '../../src/client/index.js';
import type { RoomId } from '../../src/protocol/ids.js';
import { FaultProxy } from '../harness/fault-proxy.js';
import { Stage } from '../unit/apart/stage.js';
import { brokerSettings, sharedKafka, sharedRedis } from './shared.js';

const CLIENTS = 1_000;
const TOKENS_AT_ONCE = 50;
/** To Redis: of opens, some 40 a second. */
const BYTES_PER_SECOND = 120_000;
/** What hangs: they are all there after half a minute. */
const PATIENCE_MS = 240_000;

interface Nodes {
  readonly items: readonly {
    readonly node: string;
    readonly comet: { readonly reasons: Record<string, number> } | null;
  }[];
}

let proxy: FaultProxy;
let stage: Stage;
const clients: Client[] = [];

beforeAll(async () => {
  proxy = await FaultProxy.start({ target: Number(new URL(await sharedRedis()).port) });
  stage = new Stage({
    brokers: brokerSettings(`redis://127.0.0.1:${proxy.port}`, await sharedKafka()),
  });
  await stage.start('l1', 'logic');
  await stage.start('l2', 'logic');
  await stage.start('j1', 'job', { 'listen.http': 'off' });
  await stage.start('c1', 'comet');
});

afterAll(async () => {
  proxy.heal();
  await Promise.all(clients.map((client) => client.close()));
  await stage[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

test(
  'a herd that is larger than what can be let in within a handshake is let in, and works little in vain',
  async () => {
    const api = stage.api('l1');
    const tokens: string[] = [];
    for (let from = 0; from < CLIENTS; from += TOKENS_AT_ONCE) {
      const some = Array.from({ length: TOKENS_AT_ONCE }, (_, at) => api.token(`u${from + at}`));
      tokens.push(...(await Promise.all(some)));
    }
    const open = new Set<number>();
    let toldToComeAgain = 0;
    const url = `tcp://${stage.servers.get('c1')?.addresses.tcp}`;
    proxy.narrow(BYTES_PER_SECOND);
    for (const [at, token] of tokens.entries()) {
      const events = {
        opened: () => void open.add(at),
        message: () => undefined,
        closed: ({ code }: { readonly code: number | undefined }) => {
          open.delete(at);
          if (code === 4009) toldToComeAgain++;
        },
      };
      clients.push(connect({ url, token, rooms: ['r' as RoomId] }, events));
    }
    await expect.poll(() => open.size, { timeout: PATIENCE_MS, interval: 1_000 }).toBe(CLIENTS);
    const { items } = (await (await fetch(`${stage.servers.get('l1')?.addresses.http}/v1/nodes`)).json()) as Nodes;
    const reasons = items.find(({ node }) => node === 'c1')?.comet?.reasons ?? {};
    expect(toldToComeAgain).toBeGreaterThan(0);
    // What was begun was mostly answered; the rest was refused, or dropped, before anything was done.
    expect(reasons['refused_open']).toBeGreaterThan(0);
    expect((reasons['failed_open'] ?? 0) + (reasons['closed_handshake_timeout'] ?? 0)).toBeLessThan(CLIENTS / 2);
  },
  2 * PATIENCE_MS,
);
