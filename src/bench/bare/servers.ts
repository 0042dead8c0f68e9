// The bare server's processes: started, told what to do, added up.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ImgoError } from '../../protocol/errors.js';
import type { BenchTransport } from '../options.js';
import type { BareCounts, BareOrder, BareWord } from './messages.js';

const SCRIPT = fileURLToPath(new URL('./server.js', import.meta.url));

export class BareServers {
  readonly #children: readonly ChildProcess[];
  readonly #died = Promise.withResolvers<never>();
  #ending = false;

  constructor(processes: number) {
    this.#died.promise.catch(() => undefined);
    this.#children = Array.from({ length: processes }, () => {
      const child = fork(SCRIPT, [], { serialization: 'advanced' });
      child.once('exit', (code, signal) => {
        if (this.#ending) return;
        this.#died.reject(new ImgoError('internal', { detail: `a bare server process ended (${signal ?? code})` }));
      });
      return child;
    });
  }

  get size(): number {
    return this.#children.length;
  }

  /** All on one port, which it resolves to. @throws ImgoError internal: one of them ended */
  async listen(transport: BenchTransport, reply: Uint8Array): Promise<number> {
    let port = 0;
    for (const child of this.#children) {
      const word = await this.#ask(child, { do: 'listen', port, transport, reply }, 'listening');
      if (word.say === 'listening') port = word.port;
    }
    return port;
  }

  tell(order: BareOrder): void {
    for (const child of this.#children) child.send(order, () => undefined);
  }

  /** Of all together. @throws ImgoError internal: one of them ended */
  async counts(): Promise<BareCounts> {
    const words = await Promise.all(this.#children.map((child) => this.#ask(child, { do: 'count' }, 'counts')));
    const all = words.flatMap((word) => (word.say === 'counts' ? [word.counts] : []));
    const sum = (of: (counts: BareCounts) => number) => all.reduce((total, one) => total + of(one), 0);
    return {
      cpuSeconds: sum(({ cpuSeconds }) => cpuSeconds),
      connections: sum(({ connections }) => connections),
      flushes: sum(({ flushes }) => flushes),
      messages: sum(({ messages }) => messages),
      bytes: sum(({ bytes }) => bytes),
    };
  }

  /** Resolves when all are gone. */
  async end(): Promise<void> {
    this.#ending = true;
    const alive = this.#children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null);
    const gone = alive.map((child) => once(child, 'exit'));
    this.tell({ do: 'end' });
    await Promise.all(gone);
  }

  #ask(child: ChildProcess, order: BareOrder, answer: BareWord['say']): Promise<BareWord> {
    const answered = new Promise<BareWord>((resolve) => {
      const onMessage = (word: BareWord) => {
        if (word.say !== answer) return;
        child.off('message', onMessage);
        resolve(word);
      };
      child.on('message', onMessage);
    });
    child.send(order, () => undefined);
    return Promise.race([answered, this.#died.promise]);
  }
}
