// The client's promises, broken one at a time.

import type { Mutant } from './mutant.js';

function mutant(name: string, file: string, find: string, replace: string, test: string): Mutant {
  return { name, file: `src/client/${file}`, find, replace, expect: { file: 'test/unit/client/client.test.ts', test } };
}

/** The mutants of src/client. */
export const CLIENT_MUTANTS: readonly Mutant[] = [
  mutant(
    'a resumed room stands at the head it is told',
    'client.ts',
    "if (!('error' in state) && this.#inbox.position(log) === undefined) {",
    "if (!('error' in state)) {",
    'not at the head that a resumed room is told',
  ),
  mutant(
    'broadcasts resume where one came, not where it joined',
    'client.ts',
    'if (reply.all !== undefined && this.#inbox.position(ALL_LOG) === undefined) {',
    'if (reply.all === null) {',
    'a room and the broadcasts at the heads',
  ),
  mutant(
    'what was handed on counts as acknowledged',
    'client.ts',
    "const taken = this.#options.ack === 'none' ? this.#acks.latest : this.#inbox.ownPosition();",
    'const taken = this.#inbox.ownPosition();',
    'with ack none',
  ),
  mutant(
    'an acknowledgement goes out before AUTH is answered',
    'client.ts',
    'if (!this.#authenticated || this.#carrier === undefined) return false;',
    'if (this.#carrier === undefined) return false;',
    'never before the reply to AUTH',
  ),
  mutant(
    'a handler that always throws is asked again at once, for ever',
    'client.ts',
    'if (!this.#handlerFailed) this.#failures = 0;',
    'this.#failures = 0;',
    'asked again later and later',
  ),
  mutant(
    'a client comes back although it was told not to',
    'client.ts',
    'if (this.#stopped || this.#options.reconnect === false || policy === false) {',
    'if (this.#stopped || this.#options.reconnect === false) {',
    'as its row says',
  ),
  mutant(
    'the server decides nothing about the time of return',
    'client.ts',
    'const retryInMs = policy === undefined ? this.#backoff() : between(policy.minMs, policy.maxMs);',
    'const retryInMs = this.#backoff();',
    'as its row says',
  ),
  mutant(
    'the next message does not wait for the handler',
    'inbox.ts',
    'if (!this.#busy && this.#items.length === 0) {',
    'if (this.#items.length === 0) {',
    'is not acknowledged, and the next waits',
  ),
  mutant(
    'what waits for a handler is unbounded',
    'inbox.ts',
    'if (!this.#full && this.#bytes > this.#limits.maxPendingBytes) {',
    'if (this.#full) {',
    'stop the reading',
  ),
  mutant(
    'a gap moves no position',
    'inbox.ts',
    'this.#done(item.gap.log, item.gap.upTo);',
    '',
    'after a gap, behind it',
  ),
  mutant(
    'acknowledgements are not paced',
    'acknowledger.ts',
    'if (this.#tokens < 1) return false;',
    '',
    'few go at once, many at most five a second',
  ),
];
