// A way of its own to a Redis with Sentinel: fault proxies in front of every server and every sentinel. Who comes this way is
// told of the proxies only, so its way to Redis can fail alone: what sentinels say of addresses is rewritten.
import { FaultProxy } from '../harness/fault-proxy.js';
import { LOOPBACK } from './process.js';
import type { RedisSentinel } from './redis.js';

export interface RedisDoor extends AsyncDisposable {
  /** As the setting redis.url takes it. */
  readonly url: string;
  readonly proxies: readonly FaultProxy[];
}

export async function openRedisDoor(redis: RedisSentinel): Promise<RedisDoor> {
  await using opened = new AsyncDisposableStack();
  /** Real ports and those of the proxies, as text. */
  const ports = new Map<string, string>();
  const open = async (port: number, rewrite?: (answer: Buffer) => Buffer): Promise<FaultProxy> => {
    const proxy = opened.use(await FaultProxy.start({ target: port, ...(rewrite === undefined ? {} : { rewrite }) }));
    // Ports of five digits all: what is rewritten keeps its length, which the protocol tells beforehand.
    if (`${port}`.length !== `${proxy.port}`.length) throw new Error(`${proxy.port} cannot stand for ${port}`);
    ports.set(`${port}`, `${proxy.port}`);
    return proxy;
  };
  const rewrite = (answer: Buffer): Buffer =>
    Buffer.from(
      answer.toString('latin1').replace(/(?<!\d)\d{5}(?!\d)/g, (port) => ports.get(port) ?? port),
      'latin1',
    );
  const servers = await Promise.all(redis.servers.map(({ port }) => open(port)));
  const sentinels = await Promise.all(redis.sentinels.map(({ port }) => open(port, rewrite)));
  const running = opened.move();
  return {
    url: `sentinel://${sentinels.map(({ port }) => `${LOOPBACK}:${port}`).join(',')}/${redis.name}`,
    proxies: [...servers, ...sentinels],
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
