/** The tokens of a process's connections as bytes, one after the other: less than half of what they take as strings. */

const GROWTH = 1.5;

export class TokenStore {
  #bytes = Buffer.alloc(0);
  /** Where each ends. */
  readonly #ends: Uint32Array;
  #count = 0;

  constructor(connections: number) {
    this.#ends = new Uint32Array(connections);
  }

  /** Tokens of the next connections. */
  add(tokens: readonly string[]): void {
    let end = this.#count === 0 ? 0 : (this.#ends[this.#count - 1] as number);
    for (const token of tokens) {
      this.#makeRoom(end + token.length, token.length);
      end += this.#bytes.write(token, end, 'latin1');
      this.#ends[this.#count++] = end;
    }
  }

  /** Empty: it has none. */
  at(index: number): string {
    if (index >= this.#count) return '';
    const from = index === 0 ? 0 : (this.#ends[index - 1] as number);
    return this.#bytes.toString('latin1', from, this.#ends[index]);
  }

  /** None is needed any more. */
  drop(): void {
    this.#bytes = Buffer.alloc(0);
    this.#count = 0;
  }

  /** They are mostly of one length: with the first one there is room for all. */
  #makeRoom(bytes: number, length: number): void {
    if (bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(length * this.#ends.length, Math.ceil(bytes * GROWTH)));
    this.#bytes.copy(grown);
    this.#bytes = grown;
  }
}
