// Where native connections stand in their logs. Memory is taken for the logs that something comes of, and not before.

import type { MessageId } from '../protocol/ids.js';
import type { Aim } from './aims.js';

/** Of one log, by connection. */
interface Places {
  readonly epochs: Uint32Array;
  readonly ns: Float64Array;
}

const UNKNOWN = -1;

export class Positions {
  readonly #count: number;
  readonly #places: Partial<Record<Aim['kind'], Places>> = {};

  constructor(count: number) {
    this.#count = count;
  }

  set(log: Aim['kind'], index: number, epoch: number, n: number): void {
    const places = this.#places[log] ?? this.#make(log);
    places.epochs[index] = epoch;
    places.ns[index] = n;
  }

  /** undefined: nothing is known. */
  at(log: Aim['kind'], index: number): MessageId | undefined {
    const places = this.#places[log];
    const n = places?.ns[index] ?? UNKNOWN;
    return places === undefined || n === UNKNOWN ? undefined : { epoch: places.epochs[index] as number, n };
  }

  #make(log: Aim['kind']): Places {
    const places = { epochs: new Uint32Array(this.#count), ns: new Float64Array(this.#count).fill(UNKNOWN) };
    this.#places[log] = places;
    return places;
  }
}
