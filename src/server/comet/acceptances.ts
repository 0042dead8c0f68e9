// When messages of topics were accepted: for how long they took to a session that is watched. The latest some thousand.

import type { LogName, MessageId } from '../../protocol/ids.js';
import { shown } from '../observe/hub.js';

const KEPT = 8_192;

interface Acceptance {
  readonly log: LogName;
  readonly id: MessageId;
  readonly acceptedAt: number;
}

export class Acceptances {
  /** Not looked for yet, and by `log@id`. */
  #latest: Acceptance[] = [];
  readonly #known = new Map<string, number>();

  note(log: LogName, id: MessageId, acceptedAt: number): void {
    if (this.#latest.length >= KEPT) this.#sort();
    this.#latest.push({ log, id, acceptedAt });
  }

  of(log: string | undefined, id: MessageId | undefined): number | undefined {
    if (this.#latest.length > 0) this.#sort();
    return this.#known.get(keyOf(log, id));
  }

  clear(): void {
    this.#latest = [];
    this.#known.clear();
  }

  #sort(): void {
    for (const { log, id, acceptedAt } of this.#latest) {
      if (this.#known.size >= KEPT) this.#known.delete(this.#known.keys().next().value as string);
      this.#known.set(keyOf(log, id), acceptedAt);
    }
    this.#latest = [];
  }
}

function keyOf(log: string | undefined, id: MessageId | undefined): string {
  return `${log}@${shown(id)}`;
}
