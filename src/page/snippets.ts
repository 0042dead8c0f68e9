// The same push from elsewhere: as curl, as a command, as fetch. Each can be pasted as it stands: texts are quoted for the
// shell, and a key is named, never shown.

import { compactJson } from './json.js';

/** What a push says. */
export interface PushOrder {
  readonly target:
    | { readonly kind: 'user'; readonly name: string }
    | { readonly kind: 'room'; readonly name: string }
    | { readonly kind: 'all' };
  /** JSON as it was typed. */
  readonly message: string;
  /** `7d`, `0`; '' as the server has it. */
  readonly ttl: string;
  /** Answer when it was taken. */
  readonly wait: boolean;
}

/** Where the same call goes to, and who makes it. */
export interface Caller {
  /** `http://127.0.0.1:7172`. */
  readonly server: string;
  /** How the command line is called. */
  readonly command: string;
  readonly needsKey: boolean;
}

/** How long a receipt is waited for. */
const WAIT = '5s';
/** Where commands look without being told. */
const DEFAULT_SERVER = 'http://127.0.0.1:7172';

/** Path and query of the call. */
export function pushPath({ wait, target, ttl }: PushOrder): string {
  return wait && target.kind === 'user' && ttl !== '0' ? `/v1/push?wait=${WAIT}` : '/v1/push';
}

/** The body of the call, with the message as it was typed but for blanks. */
export function pushBody({ target, message, ttl }: PushOrder): string {
  const to = target.kind === 'all' ? { all: true } : { [target.kind]: target.name };
  const more = ttl === '' ? '' : `,"ttl":${ttl === '0' ? '0' : JSON.stringify(ttl)}`;
  return `{"to":${JSON.stringify(to)},"message":${compactJson(message)}${more}}`;
}

export function curlText(order: PushOrder, { server, needsKey }: Caller): string {
  const parts = [
    'curl -s',
    word(server + pushPath(order)),
    ...(needsKey ? ['-H "Authorization: Bearer $IMGO_KEY"'] : []),
    `-H 'Content-Type: application/json'`,
    `-d ${word(pushBody(order))}`,
  ];
  return parts.join(' \\\n  ');
}

export function commandText(order: PushOrder, { server, command, needsKey }: Caller): string {
  const { target, message, ttl } = order;
  const parts = [
    `${command} push`,
    // A name with a dash in front would be an option by itself.
    target.kind === 'all' ? '--all' : `--${target.kind}${target.name.startsWith('-') ? '=' : ' '}${word(target.name)}`,
    ...(ttl === '' ? [] : [`--ttl ${ttl}`]),
    ...(pushPath(order).includes('?') ? ['--wait'] : []),
    ...reachingIt({ server, needsKey }),
    // What begins with a dash would be an option.
    ...(message.trimStart().startsWith('-') ? ['--'] : []),
    word(compactJson(message)),
  ];
  return parts.join(' ');
}

/** Where a message is: `name` is log@id. */
export function messageText(name: string, { server, command, needsKey }: Caller): string {
  return [`${command} msg`, word(name), ...reachingIt({ server, needsKey })].join(' ');
}

/** Flags that a command needs to reach the server of the page. */
function reachingIt({ server, needsKey }: Pick<Caller, 'server' | 'needsKey'>): string[] {
  const where = server === DEFAULT_SERVER ? [] : [`--server ${word(server)}`];
  return needsKey ? [...where, '--key-file imgo.key'] : where;
}

/** What a JSON text says and the same text as JavaScript does not: long numbers, and a key that would set the prototype. */
const LITERAL_CANNOT = /\d{16}|"__proto__"/;

export function fetchText(order: PushOrder, { server, needsKey }: Caller): string {
  const body = pushBody(order);
  const key = needsKey ? `\n    Authorization: 'Bearer ' + process.env.IMGO_KEY,` : '';
  return `await fetch(${quoted(server + pushPath(order))}, {
  method: 'POST',
  headers: {${key}${key === '' ? ` 'Content-Type': 'application/json' ` : `\n    'Content-Type': 'application/json',\n  `}},
  body: ${LITERAL_CANNOT.test(body) ? quoted(body) : `JSON.stringify(${body})`},
});`;
}

/** A text as one word of a POSIX shell. */
export function word(text: string): string {
  if (/^[A-Za-z0-9_./:@%+=,-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A text as a string of JavaScript. */
function quoted(text: string): string {
  const inner = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'");
  return `'${inner}'`;
}
