// Sessions on their way in. Logic has registered them and its answer is under way, so whoever closes a session, a user or a
// token finds nothing here yet: what was asked to close is remembered until every open that was under way has ended.

import type { DisconnectName } from '../../protocol/disconnect.js';
import type { DisconnectTarget, OpenReply } from '../rpc/services.js';

interface Doom {
  /** Opens up to this ticket were under way. */
  readonly ticket: number;
  readonly target: DisconnectTarget;
  readonly code: DisconnectName;
}

/** What is remembered by name; beyond it all that is under way is closed, and comes again. */
const MOST_DOOMED = 1_000;

/** Opens under way, by ticket, and what must not come of them. */
export class Opens {
  #last = 0;
  /** In the order of their tickets. */
  readonly #underWay = new Set<number>();
  #doomed: Doom[] = [];
  /** Opens up to this ticket close, whoever they are. */
  #closesTo = 0;

  /** An open begins. */
  begin(): number {
    this.#last++;
    this.#underWay.add(this.#last);
    return this.#last;
  }

  /** What `target` names is to be closed, also if it is not here yet. */
  doom(target: DisconnectTarget, code: DisconnectName): void {
    if (this.#underWay.size === 0) return;
    if (this.#doomed.length < MOST_DOOMED) this.#doomed.push({ ticket: this.#last, target, code });
    else {
      this.#doomed = [];
      this.#closesTo = this.#last;
    }
  }

  /** An open has ended. With a reply: why the session has to close at once, if it has. */
  end(ticket: number, reply: OpenReply | undefined): DisconnectName | undefined {
    this.#underWay.delete(ticket);
    if (ticket <= this.#closesTo) return 'unavailable';
    if (this.#doomed.length === 0) return undefined;
    const doom = this.#doomed.find((one) => one.ticket >= ticket && reply !== undefined && names(one.target, reply));
    const [oldest] = this.#underWay;
    this.#doomed = oldest === undefined ? [] : this.#doomed.filter((one) => one.ticket >= oldest);
    return doom?.code;
  }
}

function names(target: DisconnectTarget, reply: OpenReply): boolean {
  switch (target.kind) {
    case 'session':
      return target.session === reply.session;
    case 'user':
      return target.user === reply.user;
    case 'token':
      return target.token === reply.token;
  }
}
