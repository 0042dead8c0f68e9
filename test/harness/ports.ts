// Free ports below the ephemeral range, each given once: to nothing else of this process, nor of another that asks here, as long
// as this one runs. Between the draw and the bind of a slow program (a JVM takes seconds), and between two starts of the same
// server, a port looks free.
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

const HOST = '127.0.0.1';
const FIRST = 20_000;
const COUNT = 10_000;
/** UDP ports as many below, which nothing here uses: the same number is of those that speak HTTP/3. */
const CLAIMS = -10_000;

export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if ((await claim(port)) && (await isFree(port))) return port;
  }
}

/** So many different free ports. */
export async function freePorts(count: number): Promise<readonly number[]> {
  return Promise.all(Array.from({ length: count }, freePort));
}

/** By a UDP port: all who ask see it, and it is free when this process ends. */
function claim(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => socket.close(() => resolve(false)));
    socket.bind({ port: port + CLAIMS, address: HOST, exclusive: true }, () => {
      socket.unref();
      resolve(true);
    });
  });
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, HOST, () => probe.close(() => resolve(true)));
  });
}
