// Free ports below the ephemeral range: nothing else is given them between two starts of the same server. Runs of tests beside
// each other have a part of them each (IMGO_TEST_LANE=0, 1, 2): a port of a server that is down for a moment looks free.
import { createServer } from 'node:net';

const LANE = process.env['IMGO_TEST_LANE'];
const COUNT = LANE === undefined ? 10_000 : 3_000;
const FIRST = 20_000 + COUNT * Number(LANE ?? 0);

export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    const free = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
}

/** So many different free ports. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports = new Set<number>();
  while (ports.size < count) ports.add(await freePort());
  return [...ports];
}
