// The members of the room of the storm benchmark, in a process of their own: each reads whole pushes, in which stands when they
// were due, and counts how long they took.

import { connect } from 'node:net';
import { now } from '../../src/bench/now.js';
import { frame } from '../harness/wire.js';

/** What the members are told. */
export interface MembersOrder {
  readonly order: number;
  /** `take`: what came since the last `take`; with a name it is added to all of that name. `all`: these. */
  readonly do: 'connect' | 'take' | 'all';
  readonly name?: string;
  readonly port: number;
  /** One a member. */
  readonly tokens: readonly string[];
}

/** How long deliveries took, ms. */
export interface Latencies {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const HEADER = 16;
const AUTH = 7;
const PUSH_BODY = '{"due":';
/** Slots of the counts of latencies: a fifth of a millisecond each, the last one for all that took longer. */
const PER_MS = 5;
const counts = new Uint32Array(20_000 * PER_MS);
const named = new Map<string, Uint32Array>();
const shared = Buffer.alloc(65_536);

/** What came in one read: the answer first, then pushes. A push is far shorter than what is written in one piece. */
function read(length: number): void {
  const at = now();
  for (let from = 0; from < length; ) {
    const size = shared.readInt32BE(from);
    if (size < HEADER || from + size > length) throw new Error('a frame was cut');
    const body = from + shared.readInt16BE(from + 4);
    if (shared.toString('latin1', body, body + PUSH_BODY.length) === PUSH_BODY) {
      const due = Number(shared.toString('latin1', body + PUSH_BODY.length, from + size - 1));
      const slot = Math.min(counts.length - 1, Math.max(0, Math.floor((at - due) * PER_MS)));
      counts[slot] = (counts[slot] as number) + 1;
    }
    from += size;
  }
}

function join(port: number, token: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const callback = (length: number) => {
      read(length);
      resolve();
      return true;
    };
    const socket = connect({ host: '127.0.0.1', port, onread: { buffer: shared, callback } });
    socket.on('connect', () => socket.write(frame(1, AUTH, 1, token)));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('a member was closed')));
  });
}

async function connectAll({ port, tokens }: MembersOrder): Promise<void> {
  for (const token of tokens) await join(port, token);
}

function take(name: string | undefined): Latencies {
  const latencies = latenciesOf(counts);
  if (name !== undefined) {
    const all = named.get(name) ?? new Uint32Array(counts.length);
    named.set(
      name,
      all.map((count, slot) => count + (counts[slot] as number)),
    );
  }
  counts.fill(0);
  return latencies;
}

function latenciesOf(of: Uint32Array): Latencies {
  const count = of.reduce((sum, one) => sum + one, 0);
  const at = (share: number) => {
    let left = count * share;
    const slot = of.findIndex((one) => {
      left -= one;
      return one > 0 && left <= 0;
    });
    return (slot + 1) / PER_MS;
  };
  return { count, p50: at(0.5), p99: at(0.99), max: at(1) };
}

process.on('message', (order: MembersOrder) => {
  const work = order.do === 'connect' ? connectAll(order) : Promise.resolve();
  work.then(
    () => {
      const all = order.do === 'all' ? named.get(order.name ?? '') : undefined;
      process.send?.({ order: order.order, latencies: all === undefined ? take(order.name) : latenciesOf(all) });
    },
    (error: unknown) => process.send?.({ order: order.order, failed: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
