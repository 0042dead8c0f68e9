// The try-it page as it is answered: one document without a request of its own, its policy (this script, this style, the API
// and the WebSocket port, nothing else), and what the page is told of this server. src/page is what it is made of.

import { createHash } from 'node:crypto';
import { isIP } from 'node:net';

/** What the page needs of the process that serves it. */
export interface TryItParts {
  /** The document as the build made it, with `FACTS_MARK` in it. */
  readonly document: () => string;
  /** Where this process takes WebSocket clients (`ws://127.0.0.1:8090/sub`); undefined: it takes none. */
  readonly ws: () => string | undefined;
  /** How the command line is called here: `./bin/imgo`. */
  readonly command: string;
}

/** What the page is told; src/page/facts.ts reads it. */
export interface TryItFacts {
  readonly version: string;
  readonly mode: 'development' | 'production';
  /** `host` null: the one that the page was opened at. null: no WebSocket listener in this process. */
  readonly ws: { readonly host: string | null; readonly port: number; readonly path: string } | null;
  readonly command: string;
  /** `limits.payload`. */
  readonly payloadBytes: number;
}

/** An answer to GET /. */
export interface TryItAnswer {
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Where the facts go in the document: the text of a block of data. */
export const FACTS_MARK = '"FACTS"';
/** A name or an IPv4 address, as a policy can say them. */
const HOST = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i;

/** The document in its parts, made when it is first asked for. */
interface Document {
  readonly before: string;
  readonly after: string;
  /** The part of the policy that does not depend on the request. */
  readonly policy: string;
}

export class TryIt {
  readonly #parts: TryItParts;
  #document: Document | undefined;

  constructor(parts: TryItParts) {
    this.#parts = parts;
  }

  /** `host`: the header Host of the request. */
  answer(host: string | undefined, facts: Omit<TryItFacts, 'ws' | 'command'>): TryItAnswer {
    this.#document ??= split(this.#parts.document());
    const { before, after, policy } = this.#document;
    const ws = listenerOf(this.#parts.ws());
    const all: TryItFacts = { ...facts, ws, command: this.#parts.command };
    const body = before + JSON.stringify(all).replaceAll('<', '\\u003c') + after;
    return {
      body,
      headers: {
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': `${policy}; connect-src 'self' ${socketSource(ws, host)}`.trimEnd(),
        etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
        'cache-control': 'private, no-cache',
        vary: 'Accept',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-resource-policy': 'same-origin',
      },
    };
  }
}

/** Its script and style stand in the policy by their hash: no other runs. */
function split(document: string): Document {
  const at = document.indexOf(FACTS_MARK);
  const script = /<script>([\s\S]*?)<\/script>/.exec(document)?.[1];
  const style = /<style>([\s\S]*?)<\/style>/.exec(document)?.[1];
  if (at < 0 || script === undefined || style === undefined) throw new Error('the try-it page is not as it is built');
  const policy = [
    "default-src 'none'",
    `script-src '${hashOf(script)}'`,
    `style-src '${hashOf(style)}'`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
  return { before: document.slice(0, at), after: document.slice(at + FACTS_MARK.length), policy };
}

function hashOf(text: string): string {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

/** A listener on loopback or on every address is reached under the name by which the page was; origins compare that name. */
function listenerOf(address: string | undefined): TryItFacts['ws'] {
  if (address === undefined) return null;
  const { hostname, port, pathname } = new URL(address);
  const same = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0|\[::\])$/.test(hostname);
  return { host: same ? null : hostname, port: Number(port), path: pathname };
}

/**
 * The WebSocket port, as a policy says it. Where this process takes no WebSocket clients the page asks for the address: any
 * port of the same host. A policy cannot name an IPv6 address: there, any host.
 */
function socketSource(ws: TryItFacts['ws'], host: string | undefined): string {
  const name = ws?.host ?? host?.replace(/:\d{1,5}$/, '') ?? '';
  if (isIP(name.replace(/^\[|\]$/g, '')) === 6) return `ws://*:${ws?.port ?? '*'}`;
  return HOST.test(name) ? `ws://${name}:${ws?.port ?? '*'}` : '';
}
