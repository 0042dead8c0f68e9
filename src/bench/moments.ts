// The machine while a run goes on, once a second: how idle it is, what is stolen from it, its memory, its TCP.

import type { MachineMoment } from './figures.js';
import { type ReadText, readHere } from './read-text.js';

const PAGE_BYTES = 4_096;

/** Counters that only grow, since the machine was started. */
interface Counters {
  readonly cpu: { readonly all: number; readonly idle: number; readonly steal: number };
  readonly swappedPages: number;
  readonly listenDrops: number;
  readonly retransmits: number;
}

/** Counts from when it was made. What a system does not tell is 0. */
export class MachineWatch {
  readonly #read: ReadText;
  readonly #first: Counters;
  #last: Counters;

  constructor(read: ReadText = readHere) {
    this.#read = read;
    this.#first = this.#last = this.#counters();
  }

  /** Shares are those of the time since the last one. */
  moment(): MachineMoment {
    const now = this.#counters();
    const { cpu } = this.#last;
    const ticks = Math.max(1, now.cpu.all - cpu.all);
    this.#last = now;
    const tcpPages = /^TCP:.* mem (\d+)/m.exec(this.#read('/proc/net/sockstat'))?.[1];
    const available = /^MemAvailable:\s+(\d+) kB/m.exec(this.#read('/proc/meminfo'))?.[1];
    return {
      idle: (now.cpu.idle - cpu.idle) / ticks,
      steal: (now.cpu.steal - cpu.steal) / ticks,
      availableBytes: Number(available ?? 0) * 1_024,
      swappedBytes: (now.swappedPages - this.#first.swappedPages) * PAGE_BYTES,
      tcpMemBytes: Number(tcpPages ?? 0) * PAGE_BYTES,
      listenDrops: now.listenDrops - this.#first.listenDrops,
      retransmits: now.retransmits - this.#first.retransmits,
    };
  }

  #counters(): Counters {
    const cpu = (/^cpu +(.*)$/m.exec(this.#read('/proc/stat'))?.[1] ?? '').split(' ').map(Number);
    // user, nice, system, idle, iowait, irq, softirq, steal; what guests used is in user and nice already.
    const [, , , idle = 0, waiting = 0, , , steal = 0] = cpu;
    const vmstat = this.#read('/proc/vmstat');
    const swapped = (name: string) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(vmstat)?.[1] ?? 0);
    return {
      cpu: { all: cpu.slice(0, 8).reduce((sum, part) => sum + part, 0), idle: idle + waiting, steal },
      swappedPages: swapped('pswpin') + swapped('pswpout'),
      // An overflow is counted as a drop, too.
      listenDrops: counter(this.#read('/proc/net/netstat'), 'TcpExt', 'ListenDrops'),
      retransmits: counter(this.#read('/proc/net/snmp'), 'Tcp', 'RetransSegs'),
    };
  }
}

/** Of files that have a line of names above a line of values. */
function counter(text: string, group: string, name: string): number {
  const [names = '', values = ''] = text.split('\n').filter((line) => line.startsWith(`${group}: `));
  return Number(values.split(' ')[names.split(' ').indexOf(name)] ?? 0);
}
