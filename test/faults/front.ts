// In front of a node: who dials it comes through a fault proxy of the dialling role, told by the first line that it says. So
// the way from jobs to a comet can fail while that from logics to the same comet holds.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { FaultProxy } from '../harness/fault-proxy.js';
import type { Role } from './node.js';

const LOOPBACK = '127.0.0.1';

export interface Front extends AsyncDisposable {
  /** What others are told of. */
  readonly port: number;
  /** By the role that dials. */
  readonly proxies: ReadonlyMap<Role, FaultProxy>;
}

/** `target`: the node's port; `callers`: the roles that dial it. */
export async function startFront(target: number, callers: readonly Role[]): Promise<Front> {
  await using started = new AsyncDisposableStack();
  const proxies = new Map<Role, FaultProxy>();
  for (const role of callers) proxies.set(role, started.use(await FaultProxy.start({ target })));
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (caller) => {
    open.add(caller);
    caller.once('close', () => open.delete(caller));
    caller.on('error', () => undefined);
    caller.once('data', (first: Buffer) => {
      caller.pause();
      const proxy = proxies.get((/"role":"(\w+)"/.exec(first.toString('latin1'))?.[1] ?? '') as Role);
      if (proxy === undefined) caller.resetAndDestroy();
      else join(caller, connect({ host: LOOPBACK, port: proxy.port, noDelay: true }), first);
    });
  });
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  started.defer(async () => {
    const closed = once(server, 'close');
    server.close();
    for (const socket of open) socket.destroy();
    await closed;
  });
  const { port } = server.address() as AddressInfo;
  const running = started.move();
  return { port, proxies, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** Each hears what the other says, and its end as it was: an end or a reset. */
function join(caller: Socket, node: Socket, first: Buffer): void {
  node.on('error', () => caller.resetAndDestroy());
  caller.on('error', () => node.resetAndDestroy());
  caller.once('close', () => node.destroy());
  node.once('close', () => caller.destroy());
  node.write(first);
  caller.pipe(node);
  node.pipe(caller);
}
