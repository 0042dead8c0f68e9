// JSON as it was typed: is it JSON, where does it break, and the same with fewer or more blanks. Texts are never parsed into
// values and written again: that would change numbers above 2^53 and drop keys that stand twice.

/** Where a text stops being JSON. Lines and columns count from 1. */
export interface JsonFault {
  readonly line: number;
  readonly column: number;
  readonly reason: string;
}

/** Levels that the server reads in a body; the message is one of its fields. */
const DEPTH = 63;
const BLANKS = /[ \t\n\r]*/y;
const STRING = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;
const SCALAR = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/** The fault of a text, or undefined when it is JSON. What engines say of it differs, and some do not say where. */
export function jsonFault(text: string): JsonFault | undefined {
  const scan = new Scan(text);
  const isGood = scan.value(0) && scan.isAtEnd();
  if (isGood) return undefined;
  const before = text.slice(0, scan.at).split('\n');
  return { line: before.length, column: (before.at(-1) ?? '').length + 1, reason: scan.reason() };
}

/** One pass over a text: each part answers whether it is there, and `at` stays where one was not. */
class Scan {
  at = 0;
  readonly #text: string;
  #isTooDeep = false;
  #inString = false;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): boolean {
    this.#take(BLANKS);
    const first = this.#text[this.at];
    this.#isTooDeep = depth >= DEPTH && (first === '{' || first === '[');
    if (this.#isTooDeep) return false;
    if (first === '{') return this.#list('}', () => this.#member(depth + 1));
    if (first === '[') return this.#list(']', () => this.value(depth + 1));
    return first === '"' ? this.#string() : this.#take(SCALAR);
  }

  isAtEnd(): boolean {
    this.#take(BLANKS);
    return this.at === this.#text.length;
  }

  /** Why it stopped. */
  reason(): string {
    if (this.#text.trim() === '') return 'there is nothing yet';
    if (this.#isTooDeep) return `nested deeper than ${DEPTH}`;
    const found = this.#text.codePointAt(this.at);
    if (found === undefined) return 'it ends too early';
    if (this.#inString && found < 0x20) return 'a line break or tab inside of a string';
    return `“${String.fromCodePoint(found)}” does not fit here`;
  }

  #list(end: string, item: () => boolean): boolean {
    this.at++;
    this.#take(BLANKS);
    if (this.#char(end)) return true;
    for (;;) {
      if (!item()) return false;
      this.#take(BLANKS);
      if (this.#char(end)) return true;
      if (!this.#char(',')) return false;
    }
  }

  #member(depth: number): boolean {
    this.#take(BLANKS);
    if (!this.#string()) return false;
    this.#take(BLANKS);
    return this.#char(':') && this.value(depth);
  }

  #string(): boolean {
    if (!this.#take(STRING)) return false;
    this.#inString = !this.#char('"');
    return !this.#inString;
  }

  #char(char: string): boolean {
    if (this.#text[this.at] !== char) return false;
    this.at++;
    return true;
  }

  #take(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    if (!pattern.test(this.#text)) return false;
    this.at = pattern.lastIndex;
    return true;
  }
}

/** Tokens of a JSON text: strings, structure, and what stands between. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** The same JSON without blanks between its tokens. */
export function compactJson(text: string): string {
  return (text.match(TOKEN) ?? []).join('');
}

/** The same JSON with a line each for what it contains. */
export function prettyJson(text: string): string {
  const tokens = text.match(TOKEN) ?? [];
  let out = '';
  let depth = 0;
  const newLine = () => `\n${'  '.repeat(depth)}`;
  for (const [at, token] of tokens.entries()) {
    const next = tokens[at + 1];
    if (token === '{' || token === '[') {
      const isEmpty = next === '}' || next === ']';
      depth++;
      out += isEmpty ? token : token + newLine();
    } else if (token === '}' || token === ']') {
      depth--;
      const before = tokens[at - 1];
      out += before === '{' || before === '[' ? token : newLine() + token;
    } else if (token === ',') out += token + newLine();
    else out += token === ':' ? ': ' : token;
  }
  return out;
}
