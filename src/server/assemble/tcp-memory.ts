// Buffers of all TCP sockets of this machine share one limit. Above its mark the kernel takes less from every socket, so that
// clients receive late for a reason that no figure of the server shows: it is said, with the setting to change.

import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { ImgoError } from '../../protocol/errors.js';
import type { Clock, Timer } from '../clock.js';

const LOOK_MS = 5_000;
const AGAIN_MS = 60_000;
/** The kernel counts in pages of 4 KiB on all that imgo runs on. */
const PAGE_BYTES = 4_096;

/** Says when TCP's buffers are above the mark where the kernel presses on them, once a minute, and when they no longer are. */
export class TcpMemory {
  #pressed = false;
  #saidAt = Number.NEGATIVE_INFINITY;
  readonly #clock: Clock;
  readonly #log: Pick<Logger, 'warn' | 'info'>;
  readonly #read: (path: string) => string;
  readonly #timer: Timer;

  constructor(clock: Clock, log: Pick<Logger, 'warn' | 'info'>, read: (path: string) => string = readHere) {
    this.#clock = clock;
    this.#log = log;
    this.#read = read;
    this.#timer = clock.every(LOOK_MS, () => this.look());
  }

  /** Above the mark, as of the last look. */
  get pressed(): boolean {
    return this.#pressed;
  }

  stop(): void {
    this.#clock.clear(this.#timer);
  }

  look(): void {
    const used = Number(/^TCP:.* mem (\d+)/m.exec(this.#read('/proc/net/sockstat'))?.[1] ?? 0) * PAGE_BYTES;
    const [, pressure = Number.POSITIVE_INFINITY, most = pressure] = this.#read('/proc/sys/net/ipv4/tcp_mem')
      .split(/\s+/)
      .filter((text) => text !== '')
      .map((pages) => Number(pages) * PAGE_BYTES);
    const before = this.#pressed;
    this.#pressed = used > pressure;
    if (this.#pressed) this.#say(used, pressure, most);
    else if (before) this.#log.info({ code: 'tcp_memory', used }, 'TCP buffers of this machine have room again');
  }

  #say(used: number, pressure: number, most: number): void {
    const now = this.#clock.monotonic();
    if (now - this.#saidAt < AGAIN_MS) return;
    this.#saidAt = now;
    const wanted = [2, 3, 4].map((times) => Math.ceil((times * most) / 2 / PAGE_BYTES)).join(' ');
    const { message, advice } = new ImgoError('tcp_memory', {
      used: inMiB(used),
      pressure: inMiB(pressure),
      limit: inMiB(most),
      wanted,
    });
    this.#log.warn({ code: 'tcp_memory', used, pressure, limit: most, advice }, message);
  }
}

function inMiB(bytes: number): string {
  return `${Math.round(bytes / 2 ** 20)} MiB`;
}

function readHere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
