// The rings of a topic, by their keys: one an encoding, and for goim's sets of operations one a set, up to a bound.

import { ALL_LOG, type LogName, type MessageId } from '../../protocol/ids.js';
import type { TopicOptions } from './fan-out.js';
import { Lane, laneKey } from './lane.js';
import type { Outlet } from './outlet.js';

export class Lanes extends Map<string, Lane> {
  /** The ring that this member reads from now on; a new one holds everything after `head`. */
  of(outlet: Outlet, log: LogName, head: MessageId, { filteredRings, ringBytes }: TopicOptions): Lane {
    const { encoding } = outlet;
    const accepts = log === ALL_LOG ? outlet.accepts : undefined;
    const key = laneKey(encoding, accepts);
    const known = this.get(key);
    if (known !== undefined) return known;
    if (accepts === undefined || this.#filtered() < filteredRings) {
      return this.#add(new Lane(key, encoding, head, ringBytes, { accepts }));
    }
    const mixed = `${encoding}|*`;
    return this.get(mixed) ?? this.#add(new Lane(mixed, encoding, head, ringBytes, { mixed: true }));
  }

  #add(lane: Lane): Lane {
    this.set(lane.key, lane);
    return lane;
  }

  #filtered(): number {
    let count = 0;
    for (const lane of this.values()) if (lane.accepts !== undefined) count++;
    return count;
  }
}
